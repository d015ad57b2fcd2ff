"""Making a finished upload visible: renames within one file system, and never half of anything."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from appengine_wire.crc32c import crc32c_of

from appengine_server.storage.beneath import remove_tree, sync_folder

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_MARK = ".incoming."
_libc = ctypes.CDLL(None, use_errno=True)


def commit_tree(source: Path, target: Path) -> None:
    """Move a tree, or a single file, to its final place, in the stead of what is there.

    Whoever looks sees the old or the new one, whole. After a crash at any moment a second call
    ends what the first began; when nothing is left to do it does nothing. Raises OSError; EXDEV is
    a mistake of the caller, for a copy would not be atomic.
    """
    _commit(source, target, _marked(source))
    sync_folder(target.parent)
    if source.parent.exists():
        sync_folder(source.parent)


def _commit(source: Path, target: Path, incoming: Path | None) -> None:
    """Move one name; `incoming` is what a crash left of the source, if it did."""
    if incoming is None:
        if not os.path.lexists(source):
            if os.path.lexists(target):
                return
            raise FileNotFoundError(errno.ENOENT, "neither source nor target is there", str(source))
        if not os.path.lexists(target) or not (_is_folder(source) or _is_folder(target)):
            os.rename(source, target)
            return
        incoming = _mark(source)
    if not os.path.lexists(target):
        os.rename(incoming, target)
        return
    # The name tells the inode, so that a second call knows which of the two is the new one.
    if str(target.lstat().st_ino) != incoming.name.rpartition(_MARK)[2]:
        _exchange(incoming, target)
    remove_tree(incoming)


def _marked(source: Path) -> Path | None:
    """The source under the name that `_mark` gave it, left there by a crash."""
    try:
        names = os.listdir(source.parent)
    except FileNotFoundError:
        return None
    prefix = _prefix(source.name)
    return next((source.with_name(name) for name in names if name.startswith(prefix)), None)


def _mark(source: Path) -> Path:
    marked = source.with_name(f"{_prefix(source.name)}{source.lstat().st_ino}")
    os.rename(source, marked)
    return marked


def _prefix(name: str) -> str:
    # A checksum, for the name itself may be as long as names can be.
    return f".{crc32c_of(os.fsencode(name)):08x}{_MARK}"


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _exchange(one: Path, other: Path) -> None:
    names = (os.fsencode(one), os.fsencode(other))
    renameat2 = _libc.renameat2
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), str(one))
    # Some network file systems cannot exchange. For a moment nothing is there, which a second call
    # mends after a crash.
    remove_tree(one.with_name(one.name + ".old"))
    os.rename(other, one.with_name(one.name + ".old"))
    os.rename(one, other)
    os.rename(one.with_name(one.name + ".old"), one)
