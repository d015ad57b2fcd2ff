"""Datasets: files that belong to others, which are only ever read, and only below their folder.

A path from a client is resolved with all its links, and what comes out must lie below the folders
that its project may use. Whatever is opened after that is opened beneath such a folder without
following a link, so that one that is swapped in after the check leads nowhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from appengine_server.storage.beneath import open_beneath, open_folder

EVERY_OTHER_PROJECT = "*"
MAX_FOLDER_FILES = 100_000
"""Most files of one folder of WSI-DICOM."""

_KEPT_FOLDERS = 64
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY


class ReferenceRefused(Exception):
    """The path cannot be used. `reason` is UPPER_SNAKE, the text a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasets:
    """The folder of all datasets, and what of it each project may use."""

    base: Path
    narrowed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Project → folders below the base. Who is not in it is `*`, and without that may use all."""

    def of_project(self, project: str) -> DatasetRoots:
        """What a project may use now: a dataset may have been mounted since. Blocks on the disk."""
        named = self.narrowed.get(project, self.narrowed.get(EVERY_OTHER_PROJECT, (".",)))
        base = DatasetRoots((os.path.realpath(self.base),))
        found = (os.path.realpath(self.base / folder) for folder in named)
        return DatasetRoots(tuple(root for root in found if base.root_of(root) is not None))


@dataclass(frozen=True, slots=True)
class DatasetRoots:
    """Folders below which references may lie."""

    folders: tuple[str, ...]
    """Absolute, without links."""

    def root_of(self, path: str) -> str | None:
        """The folder below which an absolute path without links lies, or that it is."""
        for folder in self.folders:
            if path == folder or path.startswith(folder.rstrip("/") + "/"):
                return folder
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A name in an open folder below a root."""

    path: str
    """Absolute, without links."""
    folder: int
    """Descriptor of the folder; it stays with the DatasetFolders that opened it."""
    name: str
    found: os.stat_result
    """Of the name itself, which is no link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFile:
    """One file that a reference stands for."""

    name: str
    """In the folder that is referenced; empty where the file itself is."""
    path: str
    """Absolute, without links: another folder's where the name is a link."""
    found: os.stat_result

    def facts(self) -> str:
        """Its size and modification time."""
        return f"{self.found.st_size}.{self.found.st_mtime_ns}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a reference stands for, as it is now."""

    path: str
    is_folder: bool
    files: Sequence[TargetFile]
    """In the order of their names' bytes."""

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.found.st_size for file in self.files)

    def stamp(self) -> str:
        """Another one as soon as a name, size or modification time differs."""
        if not self.is_folder:
            return self.files[0].facts()
        hasher = blake2b(digest_size=16)
        for file in self.files:
            hasher.update(os.fsencode(f"{file.name}\0{file.path}\0{file.facts()}\0"))
        return hasher.hexdigest()


class DatasetFolders:
    """Finds and opens what lies below some roots. Not for two threads at once; close it.

    Keeps the folders that it used last open, for references come folder by folder.
    """

    def __init__(self, roots: DatasetRoots) -> None:
        self.roots = roots
        self._open: OrderedDict[str, int] = OrderedDict()
        self._root_fds: dict[str, int] = {}
        self._real: dict[str, str] = {}

    def close(self) -> None:
        """Close every descriptor."""
        for fd in (*self._open.values(), *self._root_fds.values()):
            os.close(fd)
        self._open.clear()
        self._root_fds.clear()

    def locate(self, path: str) -> Located:
        """Resolve an absolute path with all its links. Raises ReferenceRefused."""
        parent, _, name = path.rpartition("/")
        if name not in ("", ".", ".."):
            folder = self._real_folder(parent or "/")
            if self.roots.root_of(folder) is not None:
                located = self._in_folder(f"{folder.rstrip('/')}/{name}")
                if not stat.S_ISLNK(located.found.st_mode):
                    return located
        real = os.path.realpath(path)
        if self.roots.root_of(real) is None:
            raise self._outside(path)  # not where its links lead: that is nobody's business
        try:
            return self.locate_resolved(real)
        except ReferenceRefused as refused:
            if real == path:
                raise
            raise ReferenceRefused(refused.reason, f"{path}: {refused}") from None

    def locate_resolved(self, path: str) -> Located:
        """Find what lies at a path that has no links; one in it is refused."""
        if self.roots.root_of(path) is None:
            raise self._outside(path)
        located = self._in_folder(path)
        if stat.S_ISLNK(located.found.st_mode):
            raise ReferenceRefused("REFERENCE_NOT_FOUND", f"{path} is a link that leads nowhere.")
        return located

    def look(self, located: Located) -> Target:
        """What a file, or a flat folder of files, is made of. Raises ReferenceRefused."""
        if stat.S_ISREG(located.found.st_mode):
            file = TargetFile(name="", path=located.path, found=located.found)
            return Target(path=located.path, is_folder=False, files=(file,))
        if not stat.S_ISDIR(located.found.st_mode):
            raise _special(located.path)
        files = [self._file_in(located.path, name) for name in self._names_in(located)]
        return Target(path=located.path, is_folder=True, files=files)

    def names_in(self, folder: str, *, limit: int) -> list[tuple[str, bool]]:
        """The names in a folder without links in its path, and whether each may be a folder.

        Raises ReferenceRefused when there are more than `limit`, or the folder cannot be read.
        """
        with _told(folder):
            fd = self._folder(folder)
            found: list[tuple[str, bool]] = []
            with os.scandir(fd) as entries:
                for entry in entries:
                    if len(found) == limit:
                        message = f"Too many names to look through in {folder}."
                        raise ReferenceRefused("REFERENCE_PATTERN", message)
                    is_folder = entry.is_symlink() or entry.is_dir(follow_symlinks=False)
                    found.append((entry.name, is_folder))
        return found

    def real_folder(self, path: str) -> str | None:
        """A folder without links in its path; None where the path leads to no folder.

        Raises ReferenceRefused for a path that leads out.
        """
        real = os.path.realpath(path)
        if self.roots.root_of(real) is None:
            raise self._outside(path)
        try:
            self._folder(real)
        except OSError:
            return None
        return real

    def open_folder(self, path: Path) -> int:
        """Open a folder by its path without links; the caller closes it. Raises OSError."""
        return os.dup(self._folder(os.fspath(path)))

    def _names_in(self, located: Located) -> list[str]:
        with _told(located.path):
            fd = open_beneath(located.folder, located.name, _FOLDER_FLAGS)
            try:
                names = os.listdir(fd)
            finally:
                os.close(fd)
        if len(names) > MAX_FOLDER_FILES:
            message = f"{located.path} holds more than {MAX_FOLDER_FILES} files."
            raise ReferenceRefused("REFERENCE_NOT_FOUND", message)
        return sorted(names, key=os.fsencode)

    def _file_in(self, folder: str, name: str) -> TargetFile:
        located = self.locate(f"{folder.rstrip('/')}/{name}")
        if stat.S_ISDIR(located.found.st_mode):
            message = f"{located.path} is a folder: a folder of WSI-DICOM files is flat."
            raise ReferenceRefused("REFERENCE_NOT_FOUND", message)
        if not stat.S_ISREG(located.found.st_mode):
            raise _special(located.path)
        return TargetFile(name=name, path=located.path, found=located.found)

    def _outside(self, path: str) -> ReferenceRefused:
        message = f"{path} lies outside the datasets that the project may use"
        folders = ", ".join(sorted(self.roots.folders))
        message += f", which are in {folders}." if folders else ": there are none for it."
        return ReferenceRefused("REFERENCE_OUTSIDE", message)

    def _real_folder(self, path: str) -> str:
        real = self._real.get(path)
        if real is None:
            real = self._real[path] = os.path.realpath(path)
        return real

    def _in_folder(self, path: str) -> Located:
        with _told(path):
            parent, _, name = path.rpartition("/")
            if self.roots.root_of(parent or "/") is None:  # it is a root itself
                parent, name = path, "."
            fd = self._folder(parent or "/")
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        return Located(path=path, folder=fd, name=name, found=found)

    def _folder(self, path: str) -> int:
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        root = self.roots.root_of(path)
        if root is None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if root not in self._root_fds:
            self._root_fds[root] = open_folder(Path(root))
        below = path[len(root) :].strip("/")
        fd = self._open[path] = open_beneath(self._root_fds[root], below or ".", _FOLDER_FLAGS)
        if len(self._open) > _KEPT_FOLDERS:
            os.close(self._open.popitem(last=False)[1])
        return fd


@contextmanager
def dataset_folders(roots: DatasetRoots) -> Iterator[DatasetFolders]:
    """Folders below these roots, closed at the end."""
    folders = DatasetFolders(roots)
    try:
        yield folders
    finally:
        folders.close()


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> ReferenceRefused:
    """The refusal of what the system does not let us read."""
    why = "a link is in its way" if error.errno == errno.ELOOP else error.strerror or str(error)
    return ReferenceRefused("REFERENCE_NOT_FOUND", f"{path} cannot be read: {why}.")


def _special(path: str) -> ReferenceRefused:
    return ReferenceRefused("REFERENCE_NOT_FOUND", f"{path} is neither a file nor a folder.")
