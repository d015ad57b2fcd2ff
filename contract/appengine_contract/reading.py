"""Reading what a client uploaded or a task wrote, without trusting any of it.

Below the root every name is opened relative to an open folder and without following links; what is
neither a file nor a folder is never opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Literal

from appengine_contract.problems import Problem
from appengine_contract.values import Value

Direction = Literal["input", "output"]

MOST_ITEM_PROBLEMS = 100
"""Per parameter; the rest is counted. Nobody reads more, and a report has to stay small."""

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FIRST_READ_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How a folder of inputs or outputs is read."""

    root: Path
    """The folder of the run's inputs or outputs; paths of file values are relative to it."""
    direction: Direction = "output"
    resolve: Callable[[Path], Path | None] | None = None
    """Maps a link to the path that may be read in its place, fully resolved; None refuses it.
    Without it every link is refused."""
    open_resolved: Callable[[Path], int] = lambda path: os.open(path, _FOLDER_FLAGS)
    """Opens the folder of what `resolve` answered; who reads closes it. May raise OSError."""
    unpack: Callable[[BinaryIO, str, str], Path] | None = None
    """Makes a folder of a zipped WSI-DICOM: of an open file, with its path below the root and its
    name in problems. Raises ContractError. Without it a zip is a file like any other."""
    max_text_bytes: int = 256 << 20
    """Largest file that is read into memory: a scalar, or a collection of geometries."""
    max_entries: int = 2_000_000
    """Most entries of one folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read. There is a value if and only if there are no problems."""

    value: Value | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    is_canonical: bool = False
    """Of an input: every text in it lies there as we write it ourselves."""


@dataclass(slots=True)
class Findings:
    """Collects problems and warnings while something is read."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    is_canonical: bool = True
    """Until a text of an input was found in another form than ours."""

    def problem(self, at: str, reason: str, message: str) -> None:
        """Add something wrong with what is named `at`."""
        self.problems.append(Problem(path=at, reason=reason, message=message))

    def warning(self, at: str, reason: str, message: str) -> None:
        """Add something odd about what is named `at`."""
        self.warnings.append(Problem(path=at, reason=reason, message=message))


def limited(problems: Sequence[Problem], at: str) -> tuple[Problem, ...]:
    """The first 100 problems of a parameter, and one that counts the rest."""
    rest = len(problems) - MOST_ITEM_PROBLEMS
    if rest <= 0:
        return tuple(problems)
    more = Problem(path=at, reason="MORE_PROBLEMS", message=f"and {rest} more of the kind")
    return (*problems[:MOST_ITEM_PROBLEMS], more)


class Kind(Enum):
    """What lies under a name; links are not followed."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    SPECIAL = "special"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name in an open folder."""

    folder: int
    """Descriptor of the folder, owned by whoever opened it."""
    name: str
    location: str
    """Absolute path."""
    path: str
    """Relative to the root of what is read; it stays when a link is resolved."""
    kind: Kind

    def open_file(self) -> int:
        """A descriptor for reading, which the caller closes. Raises OSError."""
        return open_file(self.folder, self.name)


def open_file(folder: int, name: str) -> int:
    """A descriptor of a file for reading, which the caller closes. Raises OSError."""
    return os.open(name, _FILE_FLAGS, dir_fd=folder)


def printable(name: str) -> str:
    """A name from the disk as text that every reader of the report can hold."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def kind_of(folder: int, name: str) -> Kind:
    """What lies under `name` in the open folder."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Kind.ABSENT
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.SPECIAL


@contextmanager
def open_folder(path: str | Path, *, folder: int | None = None) -> Iterator[int]:
    """A descriptor of a folder that is not a link. Raises OSError."""
    descriptor = os.open(path, _FOLDER_FLAGS, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def list_folder(folder: int, *, limit: int) -> dict[str, Kind] | None:
    """What lies in an open folder, or None when that is more than `limit` entries."""
    found: dict[str, Kind] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if len(found) == limit:
                return None
            found[entry.name] = _scanned_kind(entry)
    return found


def _scanned_kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_file(follow_symlinks=False):
        return Kind.FILE
    if entry.is_dir(follow_symlinks=False):
        return Kind.FOLDER
    return Kind.LINK if entry.is_symlink() else Kind.SPECIAL


@contextmanager
def entry_at(path: Path, options: ReadOptions) -> Iterator[Entry]:
    """The entry of a path below the root, whose folders are opened without following links.

    Raises ValueError when the path is not below the root, OSError when a folder is none.
    """
    parts = path.relative_to(options.root).parts
    if not parts or ".." in parts:
        raise ValueError(f"{path} is not below {options.root}")
    folder = os.open(options.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield Entry(
            folder=folder,
            name=parts[-1],
            location=str(path),
            path="/".join(parts),
            kind=kind_of(folder, parts[-1]),
        )
    finally:
        os.close(folder)


def child(entry: Entry, folder: int, name: str, kind: Kind) -> Entry:
    """An entry of the open folder that `entry` is."""
    return Entry(
        folder=folder,
        name=name,
        location=f"{entry.location}/{name}",
        path=f"{entry.path}/{name}",
        kind=kind,
    )


@contextmanager
def settled(
    entry: Entry, at: str, options: ReadOptions, findings: Findings
) -> Iterator[Entry | None]:
    """The file or folder that the entry is or leads to; None, with a problem, if none."""
    if entry.kind in (Kind.FILE, Kind.FOLDER):
        yield entry
    elif entry.kind is Kind.SPECIAL:
        message = "a socket, pipe or device lies here; it was not opened"
        findings.problem(at, "OUTPUT_SPECIAL_FILE", message)
        yield None
    elif entry.kind is Kind.ABSENT:
        findings.problem(at, "OUTPUT_MISSING", f"there is no `{printable(entry.path)}`")
        yield None
    else:
        with _resolved(entry, at, options, findings) as target:
            yield target


@contextmanager
def _resolved(
    entry: Entry, at: str, options: ReadOptions, findings: Findings
) -> Iterator[Entry | None]:
    target = options.resolve(Path(entry.location)) if options.resolve else None
    if target is None:
        message = "a symbolic link that leads nowhere or out of the run's folders was not followed"
        findings.problem(at, "OUTPUT_UNSAFE_LINK", message)
        yield None
        return
    folder = options.open_resolved(target.parent)
    try:
        kind = kind_of(folder, target.name)
        if kind in (Kind.FILE, Kind.FOLDER):
            yield Entry(
                folder=folder, name=target.name, location=str(target), path=entry.path, kind=kind
            )
            return
        message = "the target of the symbolic link is neither a file nor a folder"
        findings.problem(at, "OUTPUT_UNSAFE_LINK", message)
        yield None
    finally:
        os.close(folder)


class TooLarge(Exception):
    """A file is longer than what may be read into memory."""


def read_bytes(folder: int, name: str, *, limit: int) -> bytes:
    """The content of a regular file.

    Raises TooLarge above `limit` bytes, OSError when it cannot be read or is no regular file.
    """
    descriptor = os.open(name, _FILE_FLAGS, dir_fd=folder)
    try:
        data = os.read(descriptor, _FIRST_READ_BYTES)
        if len(data) < _FIRST_READ_BYTES:
            return data
        return data + _read_rest(descriptor, len(data), limit)
    finally:
        os.close(descriptor)


def _read_rest(descriptor: int, done: int, limit: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError("not a regular file")
    parts = []
    while part := os.read(descriptor, 1 << 20):
        done += len(part)
        if done > limit:
            raise TooLarge
        parts.append(part)
    return b"".join(parts)


def read_text_entry(
    entry: Entry, at: str, options: ReadOptions, findings: Findings
) -> bytes | None:
    """The content of a file that is read whole; None, with a problem, where that is impossible."""
    if entry.kind is Kind.FOLDER:
        findings.problem(at, "IS_DIRECTORY", "a folder lies here; a file is expected")
        return None
    try:
        return read_bytes(entry.folder, entry.name, limit=options.max_text_bytes)
    except TooLarge:
        message = f"the file has more than {options.max_text_bytes} bytes"
        findings.problem(at, "OUTPUT_TOO_LARGE", message)
    except OSError as error:
        unreadable(at, error, findings)
    return None


def unreadable(at: str, error: OSError, findings: Findings) -> None:
    """Report that the system refused to read something."""
    findings.problem(at, "OUTPUT_UNREADABLE", f"it cannot be read: {error.strerror or error}")
