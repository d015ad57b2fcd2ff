"""The folder in a download's target that holds what has come until all is there.

One process at a time is in it, by a lock that the kernel drops with the process. So a folder whose
lock is free is what a killed one left.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from appengine_client.errors import LocalFileError

_NAMELESS = re.compile(r"\.appengine-[0-9a-f]{12}\.part\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A folder that is ours until `leave`."""

    folder: Path
    _lock: int

    @property
    def new(self) -> Path:
        """What has come."""
        return self.folder / "new"

    @property
    def old(self) -> Path:
        """What was replaced in the target."""
        return self.folder / "old"

    @property
    def notes(self) -> Path:
        """How far the download is."""
        return self.folder / "notes"

    def make_empty(self) -> None:
        """Begin anew. Raises LocalFileError."""
        try:
            for folder in (self.new, self.old):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
            self.notes.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(self.folder.parent, error) from error

    def leave(self, *, keep: bool) -> None:
        """Let others in; what is in the folder is kept for them, or removed."""
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def take_parts(target: Path, name: str) -> Parts:
    """The folder of this name, or a nameless one where that is another process's.

    Raises LocalFileError.
    """
    try:
        for left in target.glob(".appengine-*.part"):
            if _NAMELESS.match(left.name) and (lock := _try_lock(left)) is not None:
                Parts(folder=left, _lock=lock).leave(keep=False)  # nobody can go on with it
        while True:
            folder = target / f".appengine-{name or secrets.token_hex(6)}.part"
            folder.mkdir(parents=True, exist_ok=True)
            if (lock := _try_lock(folder)) is not None:
                return Parts(folder=folder, _lock=lock)
            name = ""
    except OSError as error:
        raise _cannot_write(target, error) from error


def _try_lock(folder: Path) -> int | None:
    """Lock a folder; None where somebody has it, or has just removed it."""
    path = folder / "lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _cannot_write(target: Path, error: OSError) -> LocalFileError:
    return LocalFileError(f"the folder {target} cannot be written: {error.strerror or error}")
