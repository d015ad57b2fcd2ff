"""How glibc's allocator treats the buffers of transfers, each of some MiB and soon freed again.

By itself it gives each back to the kernel, which clears every page of the next one: that is half of
what receiving a transfer costs.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_MIB = 1 << 20


def keep_buffers() -> None:
    """Keep freed memory for the next buffer, in this process. Does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)  # the most that glibc takes
    mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)
    mallopt(_M_TOP_PAD, 16 * _MIB)
    mallopt(_M_ARENA_MAX, 1)  # what one thread frees serves the others
