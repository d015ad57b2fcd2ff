"""How memory is treated where transfers pass through it.

glibc gives each buffer of some MiB back to the kernel, which clears every page of the next one:
that is half of what receiving a transfer costs. Python looks for unreachable cycles after each 700
new objects, and a tree of 100,000 files makes far more, which all stay for a while.
"""

from __future__ import annotations

import ctypes
import gc
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8
_MIB = 1 << 20
_NEW_OBJECTS = 20_000


@cache
def suit_transfers() -> None:
    """Treat memory as transfers need it, in this process, from the first call on."""
    _collect_rarely()
    _keep_buffers()


def _collect_rarely() -> None:
    first, *others = gc.get_threshold()
    if 0 < first < _NEW_OBJECTS:
        gc.set_threshold(_NEW_OBJECTS, *others)


def _keep_buffers() -> None:
    """Keep freed memory for the next buffer. Does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)  # the most that glibc takes
    mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)
    mallopt(_M_TOP_PAD, 16 * _MIB)
    mallopt(_M_ARENA_MAX, 1)  # what one thread frees serves the others
