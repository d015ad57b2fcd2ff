"""Opening, making and removing what lies beneath a folder, whatever its paths and links say.

Every path comes from a client, an agent or a task, so none is trusted. A check on the text of a
path is not enough, for a folder may have become a link since: paths are opened from the descriptor
of the root, by openat2 where the kernel has it, else component by component, and never through a
link. What is on disk keeps the bytes of its name.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4095
"""The kernel takes no more in one call: 4096 with the NUL."""
MAX_DEPTH = 128
"""Most components of a path: deeper trees exist only to make trouble."""

FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755
FOLDER_MODE = 0o755

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_APPEND_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC

_OPENAT2 = 437  # one number on every architecture: it is newer than their unification
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE
_NOT_AVAILABLE = frozenset({errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EINVAL})

_libc = ctypes.CDLL(None, use_errno=True)


class PathRefused(ValueError):
    """The path or link is not allowed. `reason` is UPPER_SNAKE, the text a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def check_path(path: str) -> None:
    """Raise PathRefused unless `path` is relative, plain and short enough."""
    if not path:
        raise PathRefused("PATH_EMPTY", "the path is empty")
    _check_text(path, "path")
    if path.startswith("/"):
        raise PathRefused("PATH_ABSOLUTE", f"the path {_shown(path)} is absolute")
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise PathRefused("PATH_TOO_DEEP", f"the path has more than {MAX_DEPTH} parts")
    for part in parts:
        if part in ("", ".", ".."):
            raise PathRefused(
                "PATH_NOT_PLAIN", f"the path {_shown(path)} has an empty part, `.` or `..`"
            )
        # A character has at most 4 bytes, so most names need no second look.
        if len(part) * 4 > MAX_COMPONENT_BYTES and len(part.encode()) > MAX_COMPONENT_BYTES:
            raise PathRefused(
                "PATH_TOO_LONG", f"a part of the path has more than {MAX_COMPONENT_BYTES} bytes"
            )


def check_link_target(path: str, target: str) -> None:
    """Raise PathRefused unless the link at `path` stays inside, whatever it passes through.

    `..` is allowed at the front only. There it climbs from the link's own folder, which is no link;
    behind a name it would climb from wherever that name leads, which may be another link.
    """
    check_link_text(path, target)
    if target.startswith("/"):
        raise PathRefused("LINK_ABSOLUTE", f"the link {_shown(path)} points to an absolute path")
    parts = [part for part in target.split("/") if part not in ("", ".")]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    if climbs > path.count("/"):
        raise PathRefused("LINK_LEADS_OUT", f"the link {_shown(path)} leads out of the transfer")
    if ".." in parts[climbs:]:
        raise PathRefused(
            "LINK_NOT_PLAIN", f"the target of the link {_shown(path)} has `..` behind a name"
        )


def check_link_text(path: str, target: str) -> None:
    """Raise PathRefused unless the link at `path` can be made; it may lead anywhere."""
    if not target:
        raise PathRefused("LINK_EMPTY", f"the link {_shown(path)} points nowhere")
    _check_text(target, "link target")


def _check_text(text: str, what: str) -> None:
    if "\0" in text:
        raise PathRefused("PATH_NUL", f"the {what} has a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise PathRefused("PATH_NOT_UTF8", f"the {what} is not valid UTF-8") from None
    if size > MAX_PATH_BYTES:
        raise PathRefused("PATH_TOO_LONG", f"the {what} has more than {MAX_PATH_BYTES} bytes")


def _shown(path: str) -> str:
    return repr(path if len(path) <= 200 else path[:200] + "…")


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _openat2(root_fd: int, path: str, flags: int) -> int:
    how = _OpenHow(flags=flags, mode=0, resolve=_RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    name = ctypes.c_char_p(os.fsencode(path))
    size = ctypes.c_size_t(ctypes.sizeof(how))
    while True:
        fd = _libc.syscall(
            ctypes.c_long(_OPENAT2), ctypes.c_int(root_fd), name, ctypes.byref(how), size
        )
        if fd >= 0:
            return int(fd)
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):  # a rename elsewhere came in between
            raise OSError(number, os.strerror(number), path)


def _has_openat2() -> bool:
    if platform.system() != "Linux":
        return False
    root_fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(_openat2(root_fd, ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno in _NOT_AVAILABLE:  # an old kernel, or a seccomp filter that hides it
            return False
        raise
    finally:
        os.close(root_fd)
    return True


HAS_OPENAT2 = _has_openat2()


def open_beneath(root_fd: int, path: str, flags: int) -> int:
    """Open an existing `path` below `root_fd` without following any link. The caller closes it.

    Raises OSError; ELOOP, ENOTDIR or EXDEV when a link is in the way.
    """
    if HAS_OPENAT2:
        return _openat2(root_fd, path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    return open_by_components(root_fd, path, flags)


def open_by_components(root_fd: int, path: str, flags: int) -> int:
    """What `open_beneath` does on a kernel without openat2."""
    folder = root_fd
    *parents, name = path.split("/")
    try:
        for part in parents:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            if folder != root_fd:
                os.close(folder)
            folder = inner
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        if folder != root_fd:
            os.close(folder)


def open_folder(path: Path) -> int:
    """Open a folder of our own by its full path, which is no link itself."""
    return os.open(path, _FOLDER_FLAGS)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a folder of our own, closed at the end."""
    fd = open_folder(path)
    try:
        yield fd
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    with opened(path) as fd:
        os.fsync(fd)


def sync_file_system(fd: int) -> bool:
    """Write everything that is dirty on the file system of `fd`. False where that cannot be asked.

    Raises OSError when writing failed.
    """
    syncfs = getattr(_libc, "syncfs", None)
    if syncfs is None:
        return False
    if syncfs(ctypes.c_int(fd)) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number))


def start_writing_out(fd: int) -> None:
    """Have the disk begin to write what is dirty in a file. Promises nothing, and hides errors:
    a sync tells them.
    """
    start = getattr(_libc, "sync_file_range", None)
    if start is not None:
        start(ctypes.c_int(fd), ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_START_WRITING))


@contextmanager
def parent_of(root_fd: int, path: str) -> Iterator[tuple[int, str]]:
    """The open folder of `path` below `root_fd`, and the name in it."""
    parent, slash, name = path.rpartition("/")
    if not slash:
        yield root_fd, name
        return
    fd = open_beneath(root_fd, parent, _FOLDER_FLAGS)
    try:
        yield fd, name
    finally:
        os.close(fd)


class Beneath:
    """Makes folders, files and links below one root. Not for two threads at once.

    Keeps the descriptors of the folders it used last, for the files of a tree come folder by
    folder. Close it with `close`.
    """

    _KEPT_FOLDERS = 32

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root_fd = open_folder(root)
        self._folders: OrderedDict[str, int] = OrderedDict()
        self._masked = _umask()

    def close(self) -> None:
        """Close every descriptor. Calling it twice does nothing."""
        while self._folders:
            os.close(self._folders.popitem()[1])
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1

    @property
    def root_fd(self) -> int:
        """The root's descriptor; it stays ours."""
        return self._root_fd

    def make_folder(self, path: str) -> None:
        """Make a folder, and those above it. Raises FileExistsError."""
        parent, name = self._parent_of(path)
        self._mkdir(parent, name)

    def create_file(self, path: str, *, executable: bool) -> int:
        """Make an empty file and the folders above it; the caller closes it.

        Raises FileExistsError.
        """
        parent, name = self._parent_of(path)
        mode = EXECUTABLE_MODE if executable else FILE_MODE
        fd = os.open(name, _CREATE_FLAGS, mode, dir_fd=parent)
        if mode & self._masked:
            os.fchmod(fd, mode)
        return fd

    def make_link(self, path: str, target: str) -> None:
        """Make a symbolic link and the folders above it. The target has been checked.

        Raises FileExistsError.
        """
        parent, name = self._parent_of(path)
        os.symlink(target, name, dir_fd=parent)

    def hard_link(self, folder: int, source: str, path: str) -> None:
        """Give the file `source` of an open folder a second name below the root."""
        parent, name = self._parent_of(path)
        os.link(source, name, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)

    def open_for_append(self, path: str) -> int:
        """Open an existing file to go on writing it; the caller closes it."""
        return open_beneath(self._root_fd, path, _APPEND_FLAGS)

    def sync(self, paths: Iterable[str]) -> None:
        """Write files and the folders around them to the disk, one by one."""
        folders = {""}
        for path in paths:
            fd = open_beneath(self._root_fd, path, os.O_PATH)
            mode = os.fstat(fd).st_mode
            os.close(fd)
            if stat.S_ISREG(mode):
                self.sync_one(path)
            elif stat.S_ISDIR(mode):
                folders.add(path)
            while path := path.rpartition("/")[0]:
                folders.add(path)
        for folder in folders:
            self.sync_one(folder or ".")

    def sync_one(self, path: str) -> None:
        """Write one file or folder to the disk, and not its name."""
        fd = open_beneath(self._root_fd, path, _READ_FLAGS)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _parent_of(self, path: str) -> tuple[int, str]:
        parent, slash, name = path.rpartition("/")
        return (self._folder(parent) if slash else self._root_fd), name

    def _folder(self, path: str) -> int:
        fd = self._folders.get(path)
        if fd is not None:
            self._folders.move_to_end(path)
            return fd
        try:
            fd = open_beneath(self._root_fd, path, _FOLDER_FLAGS)
        except FileNotFoundError:
            self._make_parents(path)
            fd = open_beneath(self._root_fd, path, _FOLDER_FLAGS)
        self._folders[path] = fd
        if len(self._folders) > self._KEPT_FOLDERS:
            os.close(self._folders.popitem(last=False)[1])
        return fd

    def _make_parents(self, path: str) -> None:
        folder = os.dup(self._root_fd)
        try:
            for part in path.split("/"):
                try:
                    inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
                except FileNotFoundError:
                    self._mkdir(folder, part)
                    inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
                os.close(folder)
                folder = inner
        finally:
            os.close(folder)

    def _mkdir(self, parent: int, name: str) -> None:
        os.mkdir(name, FOLDER_MODE, dir_fd=parent)
        if FOLDER_MODE & self._masked:
            os.chmod(name, FOLDER_MODE, dir_fd=parent)


_umask_lock = threading.Lock()


def _umask() -> int:
    """The process's umask, read without changing it where the kernel tells."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    with _umask_lock:
        mask = os.umask(0o022)
        os.umask(mask)
        return mask


def remove_tree(path: Path) -> None:
    """Remove a file, link or folder with all that is in it, without following links.

    Nothing there is fine. Depth does not matter: inner folders are first moved up to the top, so
    neither the stack nor the number of open descriptors grows with it.
    """
    if path.name in ("", ".", ".."):
        raise ValueError(f"not a name to remove: {path}")
    try:
        parent = open_folder(path.parent)
    except FileNotFoundError:
        return
    try:
        remove_beneath(parent, path.name)
    finally:
        os.close(parent)


def remove_beneath(parent: int, name: str) -> None:
    """What `remove_tree` does, for a name in an open folder."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=parent)
        return
    top = _open_to_empty(parent, name)
    try:
        _empty_deeply(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty_deeply(top: int) -> None:
    waiting = _empty(top)
    fresh = (name for number in count() if not _exists(top, name := f"{number:x}.lifted"))
    while waiting:
        inner = waiting.pop()
        fd = _open_to_empty(top, inner)
        try:
            for child in _empty(fd):
                lifted = next(fresh)
                _lift(fd, child, top, lifted)
                waiting.append(lifted)
        finally:
            os.close(fd)
        os.rmdir(inner, dir_fd=top)


def _lift(folder: int, name: str, top: int, lifted: str) -> None:
    try:
        os.rename(name, lifted, src_dir_fd=folder, dst_dir_fd=top)
    except PermissionError:  # to move a folder one must be allowed to write in it
        os.close(_open_to_empty(folder, name))
        os.rename(name, lifted, src_dir_fd=folder, dst_dir_fd=top)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _open_to_empty(parent: int, name: str) -> int:
    """Open a folder that is about to be emptied; its owner may have taken our rights away."""
    try:
        fd = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    except PermissionError:
        handle = os.open(name, os.O_PATH | _FOLDER_FLAGS, dir_fd=parent)
        try:  # chmod by name would follow a link; a handle needs no right to read
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
        finally:
            os.close(handle)
        fd = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    mode = os.fstat(fd).st_mode
    if mode & 0o700 != 0o700:
        # Another user's: root needs no bits, and anyone else fails at the unlink.
        with suppress(PermissionError):
            os.fchmod(fd, 0o700)
    return fd


def _empty(folder: int) -> list[str]:
    """Unlink all but folders; answer the folders that could not be removed at once."""
    folders = []
    with os.scandir(folder) as found:
        names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_folder in names:
        try:
            if is_folder:
                os.rmdir(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            continue
        except OSError as error:
            if not is_folder or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            folders.append(name)
    return folders
