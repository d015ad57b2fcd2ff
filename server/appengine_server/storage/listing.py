"""A folder as a transfer: its entries in a fixed order, their sum, and a tag for just this content.

The order is that of a walk in which a folder comes before what is in it and names are compared byte
by byte, so two walks of the same content agree and a place means the same in both.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from appengine_contract.problems import Problem
from blake3 import blake3

from appengine_server.errors import InvalidArgument, NotFound
from appengine_server.storage.beneath import (
    PathRefused,
    check_link_target,
    check_path,
    open_beneath,
    opened,
    parent_of,
)
from appengine_server.storage.quota import no_raw_os_errors
from appengine_server.storage.tree import Entry, EntryKind, Place

_NO_SUCH_PATH = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})
_EXECUTABLE = 0o755
_MAX_PROBLEMS = 1000
_ETAG_STEP = 4096  # entries that are hashed at once
_STAT_STEP = 4096  # names of a folder that are looked at together


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedFile:
    """A file to which a link leads, below another root than that of the listing."""

    name: str
    """In the folder to which the link leads; empty where the link leads to the file itself."""
    root: Path
    path: str
    """Below `root`, without links."""
    found: os.stat_result


def _no_content(_path: str, _target: str) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """What becomes of links; those of neither kind must lead to something in the listing."""

    content: Callable[[str, str], Sequence[LinkedFile] | None] = _no_content
    """Path and target of a link → the files that are listed in its place; None for no answer.
    May raise an error that is answered to the caller."""
    kept: Container[str] = frozenset()
    """Absolute targets of links that are listed as they are."""


NO_LINKS = Links()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """The entries below a root, as they were when it was listed."""

    root: Path
    entries: tuple[Entry, ...]
    starts: array[int]
    """Bytes of content before each entry, and at last before the end."""
    stamps: tuple[tuple[int, int], ...]
    """Inode and time of change (ns) of each entry."""
    etag: str
    """Another one as soon as a path, size, time of change or inode differs."""
    elsewhere: Mapping[int, LinkedFile] = field(default_factory=dict)
    """Entries whose content lies below another root."""
    left_out: tuple[Problem, ...]
    """What is there but cannot travel: devices, sockets, links that lead out, unreadable names."""

    @property
    def end(self) -> Place:
        """The place behind the last byte and entry."""
        return Place(bytes=self.starts[-1], entries=len(self.entries))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a listing: what comes behind a path, until there are more entries than asked."""

    after: str = ""
    """Empty begins at the front."""
    first_index: int = 0
    """Of the first entry behind it."""
    limit: int

    def is_over(self, path: str) -> bool:
        """Whether a path and all that is in it come before the stretch."""
        key, after = _order(path), _order(self.after)
        return key < after and after[: len(key)] != key

    def holds(self, path: str) -> bool:
        """Whether the entry of this path comes behind `after`."""
        return not self.after or _order(path) > _order(self.after)


async def list_stretch(
    root: Path, path: str, stretch: Stretch, *, links: Links = NO_LINKS
) -> tuple[Entry, ...]:
    """The entries of a stretch, one more than its limit where there are more.

    They have the order and the indexes of `plan_tree`, which raises the same; what comes before
    them is not looked at.
    """
    with no_raw_os_errors(root):
        tree = await asyncio.to_thread(list_tree, root, path, links=links, stretch=stretch)
        return tree.entries


async def plan_tree(root: Path, path: str = "", *, links: Links = NO_LINKS) -> Tree:
    """List a folder of ours, or the file or folder at `path` in it, in the order of a download.

    Paths of entries are those below `root`, whatever `path` is; nothing is reached through links
    but what `links` answers. Raises NotFound, InvalidArgument for a path that is not allowed, and
    Unavailable.
    """
    with no_raw_os_errors(root):
        return await asyncio.to_thread(list_tree, root, path, links=links)


def list_tree(
    root: Path, path: str = "", *, links: Links = NO_LINKS, stretch: Stretch | None = None
) -> Tree:
    """What `plan_tree` does. Blocks on the disk. Raises OSError as well."""
    listing = _Listing(links, stretch)
    try:
        with opened(root) as root_fd:
            if path:
                _check(path)
                listing.walk(root_fd, [_child_at(root_fd, path, links)])
            else:
                listing.walk(root_fd, listing.children(root_fd, ""))
    except OSError as error:
        if error.errno in _NO_SUCH_PATH:
            raise NotFound("there is no such file or folder") from error
        raise
    return listing.tree(root)


def _child_at(root_fd: int, path: str, links: Links) -> _Child:
    try:
        with parent_of(root_fd, path) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            return _Child(path, found, _link_target(name, found, folder))
    except OSError as error:
        if error.errno not in _NO_SUCH_PATH:
            raise
        inside = _child_in_link(root_fd, path, links)
        if inside is None:
            raise
        return inside


def _child_in_link(root_fd: int, path: str, links: Links) -> _Child | None:
    """A file in a folder to which a link leads."""
    parent, _, name = path.rpartition("/")
    if not parent:
        return None
    with parent_of(root_fd, parent) as (folder, link):
        target = _link_target(link, os.stat(link, dir_fd=folder, follow_symlinks=False), folder)
    for linked in (links.content(parent, target) or ()) if target else ():
        if linked.name == name:
            return _Child(path, linked.found, "", linked)
    return None


def _check(path: str) -> None:
    try:
        check_path(path)
    except PathRefused as refused:
        raise InvalidArgument(
            f"the path is not allowed: {refused}",
            problems=[Problem(path="path", reason=refused.reason, message=str(refused))],
        ) from None


@dataclass(slots=True)  # not frozen, like `Entry`
class _Child:
    """A name as it was found."""

    path: str
    found: os.stat_result
    target: str
    linked: LinkedFile | None = None


class _Listing:
    """A walk under way. Not recursive: depth is the task's choice."""

    def __init__(self, links: Links, stretch: Stretch | None = None) -> None:
        self._links = links
        self._stretch = stretch
        self._first_index = stretch.first_index if stretch is not None else 0
        self._elsewhere: dict[int, LinkedFile] = {}
        self._entries: list[Entry] = []
        self._starts = array("q", [0])
        self._stamps: list[tuple[int, int]] = []
        self._problems: list[Problem] = []

    def walk(self, root_fd: int, first: Iterable[_Child]) -> None:
        """Add `first` and everything below."""
        waiting = [iter(first)]
        while waiting and not self._has_enough():
            child = next(waiting[-1], None)
            if child is None:
                waiting.pop()
            elif self._is_over(child.path):
                continue
            elif child.target and (inside := self._content_of(child)) is not None:
                waiting.append(iter(inside))
            elif self._add(child) is EntryKind.FOLDER:
                waiting.append(iter(self.children(root_fd, child.path)))

    def children(self, root_fd: int, folder: str) -> Iterator[_Child]:
        """What is in a folder, in order. Nothing when it has gone meanwhile."""
        prefix = f"{folder}/" if folder else ""
        with self._opened(root_fd, folder) as fd:
            names = sorted(os.listdir(fd), key=os.fsencode) if fd is not None else []
        if self._stretch is not None:
            names = [name for name in names if not self._is_over(prefix + name)]
        # In steps, for a stretch may want only a few of them, and descriptors are scarce.
        for first in range(0, len(names), _STAT_STEP):
            with self._opened(root_fd, folder) as fd:
                if fd is None:
                    return
                found = [_child(fd, prefix, name) for name in names[first : first + _STAT_STEP]]
            yield from found

    @contextmanager
    def _opened(self, root_fd: int, folder: str) -> Iterator[int | None]:
        try:
            fd = open_beneath(root_fd, folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            if not folder or error.errno not in (_NO_SUCH_PATH | {errno.EACCES}):
                raise
            if error.errno == errno.EACCES:
                self._leave_out(folder, "FOLDER_UNREADABLE", "the folder cannot be read")
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)

    def _is_over(self, path: str) -> bool:
        return self._stretch is not None and self._stretch.is_over(path)

    def _has_enough(self) -> bool:
        return self._stretch is not None and len(self._entries) > self._stretch.limit

    def tree(self, root: Path) -> Tree:
        """All that was added."""
        return Tree(
            root=root,
            entries=tuple(self._entries),
            starts=self._starts,
            stamps=tuple(self._stamps),
            etag=self._etag(),
            elsewhere=self._elsewhere,
            left_out=tuple(self._problems),
        )

    def _content_of(self, link: _Child) -> list[_Child] | None:
        """What a link that is followed stands for: one file, or the files of a folder."""
        content = self._links.content(link.path, link.target)
        if content is None:
            return None
        if len(content) == 1 and not content[0].name:
            return [_Child(link.path, content[0].found, "", content[0])]
        self._append(link.path, EntryKind.FOLDER, link.found, "")
        return [_Child(f"{link.path}/{one.name}", one.found, "", one) for one in content]

    def _add(self, child: _Child) -> EntryKind | None:
        kind = _kind_of(child.found.st_mode)
        if kind is None:
            self._leave_out(child.path, "SPECIAL_FILE", "only files, folders and links can travel")
            return None
        try:
            check_path(child.path)
            if kind is EntryKind.LINK and child.target not in self._links.kept:
                check_link_target(child.path, child.target)
        except PathRefused as refused:
            self._leave_out(child.path, refused.reason, str(refused))
            return None
        if child.linked is not None:
            self._elsewhere[len(self._entries)] = child.linked
        self._append(child.path, kind, child.found, child.target)
        return kind

    def _append(self, path: str, kind: EntryKind, found: os.stat_result, target: str) -> None:
        if self._stretch is not None and not self._stretch.holds(path):
            return
        size = found.st_size if kind is EntryKind.FILE else 0
        executable = kind is EntryKind.FILE and found.st_mode & 0o100
        self._entries.append(
            Entry(
                index=self._first_index + len(self._entries),
                path=path,
                kind=kind,
                size_bytes=size,
                mode=_EXECUTABLE if executable else 0,
                link_target=target,
            )
        )
        self._starts.append(self._starts[-1] + size)
        self._stamps.append((found.st_ino, found.st_mtime_ns))

    def _leave_out(self, path: str, reason: str, message: str) -> None:
        if len(self._problems) < _MAX_PROBLEMS:
            shown = path.encode(errors="backslashreplace").decode()
            self._problems.append(Problem(path=shown, reason=reason, message=message))

    def _etag(self) -> str:
        hasher = blake3()
        for first in range(0, len(self._entries), _ETAG_STEP):
            facts = []
            for number in range(first, min(first + _ETAG_STEP, len(self._entries))):
                entry = self._entries[number]
                # A folder's own time changes with what is in it, which is listed itself.
                is_folder = entry.kind is EntryKind.FOLDER
                inode, mtime_ns = self._stamps[number]
                stamp = "" if is_folder else f"{inode}\0{mtime_ns}"
                facts.append(
                    f"{entry.path}\0{entry.kind:d}\0{entry.size_bytes}\0{entry.mode}\0"
                    f"{entry.link_target}\0{stamp}\0"
                )
            hasher.update("".join(facts).encode())
        return hasher.hexdigest(length=16)


def _child(folder: int, prefix: str, name: str) -> _Child:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return _Child(prefix + name, found, _link_target(name, found, folder))


def _order(path: str) -> list[bytes]:
    """By this a folder comes before what is in it, and names are compared byte by byte."""
    return os.fsencode(path).split(b"/") if path else []


def _kind_of(mode: int) -> EntryKind | None:
    if stat.S_ISREG(mode):
        return EntryKind.FILE
    if stat.S_ISDIR(mode):
        return EntryKind.FOLDER
    return EntryKind.LINK if stat.S_ISLNK(mode) else None


def _link_target(name: str, found: os.stat_result, folder: int) -> str:
    return os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else ""
