"""Room on the disk: what is refused when there is little, and how running out is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appengine_server.errors import AppEngineError, ResourceExhausted, Unavailable

DISK_LOW = "DISK_LOW"
"""Reason of every refusal for want of disk."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSpace:
    """Guards the disk under `base`: new work is refused below the low-water mark.

    Work that runs already is left in peace; it may use what the mark kept back.
    """

    base: Path
    low_water_bytes: int

    def free_bytes(self) -> int:
        """What an ordinary user can still write under `base`."""
        room = os.statvfs(self.base)
        return room.f_bavail * room.f_frsize

    def check(self, needed_bytes: int = 0) -> None:
        """Raise ResourceExhausted (DISK_LOW) unless the mark stays untouched by `needed_bytes`."""
        free_bytes = self.free_bytes()
        if free_bytes - needed_bytes < self.low_water_bytes:
            raise disk_low(free_bytes=free_bytes, needed_bytes=needed_bytes + self.low_water_bytes)


def disk_low(*, free_bytes: int, needed_bytes: int) -> ResourceExhausted:
    """The refusal for want of disk; 0 bytes are needed where nobody knows how many."""
    needed = f" and {needed_bytes} are needed" if needed_bytes else ", which is too little"
    return ResourceExhausted(
        f"the server's disk has {free_bytes} bytes free{needed}: "
        "delete runs that are no longer needed, or ask the administrator for more room",
        reason=DISK_LOW,
        fields={"free_bytes": str(free_bytes), "needed_bytes": str(needed_bytes)},
    )


def is_full(error: BaseException) -> bool:
    """Whether this says that a disk or quota has no room left."""
    return isinstance(error, OSError) and error.errno in _FULL


def from_os_error(error: OSError, *, folder: Path, needed_bytes: int = 0) -> AppEngineError:
    """What the caller may hear of a failed system call on something in `folder`.

    A full disk or quota is ResourceExhausted (DISK_LOW), everything else Unavailable; the raw error
    names paths of the server, so it belongs into the log only (chain it).
    """
    if is_full(error):
        try:
            room = os.statvfs(folder)
        except OSError:
            return disk_low(free_bytes=0, needed_bytes=needed_bytes)
        return disk_low(free_bytes=room.f_bavail * room.f_frsize, needed_bytes=needed_bytes)
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return Unavailable(f"the server's storage failed ({name}): try again, then tell its keeper")


@contextmanager
def no_raw_os_errors(folder: Path, *, needed_bytes: int = 0) -> Iterator[None]:
    """Turn an OSError of the block into what `from_os_error` says."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, folder=folder, needed_bytes=needed_bytes) from error
