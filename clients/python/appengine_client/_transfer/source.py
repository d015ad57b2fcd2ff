"""What is sent: entries with the local files, or the bytes in memory, behind them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

from appengine_client._transfer.places import EntryHead, Kind, Outline
from appengine_client.errors import InvalidValue, LocalFileError

Content = Path | bytes

_Local = Path | str
"""Of a local file: text where it was listed, for making a `Path` takes as long as a stat."""


class Digest(NamedTuple):
    """A strong checksum of a file, known from elsewhere, by which the server checks its bytes."""

    algorithm: Literal["sha256", "blake3"]
    value: bytes


@dataclass(slots=True, kw_only=True)  # not frozen, like `EntryHead`
class SourceEntry:
    """One entry of a transfer, and where its bytes are."""

    head: EntryHead
    content: Content | str = b""
    """A path, or the bytes themselves."""
    identity: tuple[int, int, int] | None = None
    """Of the local file when it was listed, as `identity_of` gives it; None for bytes in memory."""


def identity_of(facts: os.stat_result) -> tuple[int, int, int]:
    """What tells a file from another one, and from itself after a change."""
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns


class Source:
    """All entries that one push sends, in order.

    `digests` are those of some of its files, by their path in the transfer. A file that does not
    match ends the upload with InvalidArgument, and nothing of it is kept.
    """

    def __init__(
        self, entries: Iterable[SourceEntry], digests: Mapping[str, Digest] | None = None
    ) -> None:
        self.entries = tuple(entries)
        self.digests = dict(digests or {})
        self.outline = Outline([entry.head for entry in self.entries])
        paths = {entry.head.path for entry in self.entries}
        if len(paths) != len(self.entries):
            raise LocalFileError("two entries of a transfer have the same path")
        for path in self.digests.keys() - paths:
            raise InvalidValue(f"there is a digest for {path!r}, which is not sent")

    def checked_by(self, digests: Mapping[str, Digest]) -> Source:
        """The same files, with digests by which the server checks them."""
        return Source(self.entries, digests)

    @property
    def total_bytes(self) -> int:
        """Size of all content."""
        return self.outline.end.bytes

    @property
    def file_count(self) -> int:
        """How many files there are."""
        return sum(entry.head.kind is Kind.FILE for entry in self.entries)


def following_links(items: Iterable[tuple[str, Content]]) -> Source:
    """List files and folders under the paths that they have in the transfer; links are followed.

    For what a person hands over. Raises LocalFileError for what cannot be sent, such as sockets.
    """
    return Source(entry for path, content in items for entry in _listed(path, content, _followed))


def keeping_links(items: Iterable[tuple[str, Content]]) -> Source:
    """The same, but links are sent as links, wherever they lead, and never followed.

    For what a task wrote: a link of its must not make us read files that it could not read. Who
    receives it judges its links.
    """
    return Source(entry for path, content in items for entry in _listed(path, content, _unfollowed))


_Lister = Callable[[str, _Local, os.DirEntry[str] | None], Iterator[SourceEntry]]
"""Path in the transfer, local path, and what a listing of its folder tells about it."""


def _listed(path: str, content: Content, lister: _Lister) -> Iterator[SourceEntry]:
    if isinstance(content, bytes):
        yield SourceEntry(head=EntryHead(path=path, size_bytes=len(content)), content=content)
        return
    try:
        yield from lister(path, content, None)
    except OSError as error:
        where = error.filename or content
        raise LocalFileError(f"{where} cannot be read: {error.strerror or error}") from error


def _followed(
    path: str,
    local: _Local,
    found: os.DirEntry[str] | None,
    above: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[SourceEntry]:
    facts = found.stat() if found is not None else os.stat(local)
    if not stat.S_ISDIR(facts.st_mode):
        yield _file(path, local, facts)
        return
    identity = (facts.st_dev, facts.st_ino)
    if identity in above:
        raise LocalFileError(f"{local} is a link to a folder that holds it")
    yield from _folder(path, local, partial(_followed, above=above | {identity}))


def _unfollowed(path: str, local: _Local, found: os.DirEntry[str] | None) -> Iterator[SourceEntry]:
    facts = found.stat(follow_symlinks=False) if found is not None else os.lstat(local)
    if stat.S_ISLNK(facts.st_mode):
        yield _link(path, local)
    elif stat.S_ISDIR(facts.st_mode):
        yield from _folder(path, local, _unfollowed)
    else:
        yield _file(path, local, facts)


def _folder(path: str, local: _Local, lister: _Lister) -> Iterator[SourceEntry]:
    yield SourceEntry(head=EntryHead(path=path, kind=Kind.FOLDER))
    with os.scandir(local) as inside:
        found = sorted(inside, key=_name_of)
    for entry in found:
        yield from lister(f"{path}/{_checked_name(entry.name, local)}", entry.path, entry)


_name_of = attrgetter("name")


def _file(path: str, local: _Local, facts: os.stat_result) -> SourceEntry:
    if not stat.S_ISREG(facts.st_mode):
        raise LocalFileError(f"{local} is neither a file nor a folder and cannot be sent")
    head = EntryHead(
        path=path, size_bytes=facts.st_size, executable=bool(facts.st_mode & stat.S_IXUSR)
    )
    return SourceEntry(head=head, content=local, identity=identity_of(facts))


def _link(path: str, local: _Local) -> SourceEntry:
    target = os.readlink(local)
    try:
        target.encode("utf-8")
    except UnicodeEncodeError:
        raise LocalFileError(f"{local} is a link to a name that is not UTF-8") from None
    return SourceEntry(head=EntryHead(path=path, kind=Kind.LINK, link_target=target))


LinkRule = Callable[[str, str], bool]
"""Whether a link at a path may have a target."""


def link_stays_inside(path: str, target: str) -> bool:
    """Whether a link at `path` cannot lead out of the transfer, whatever the other links are.

    `..` is allowed only in front, and not beyond the top: every link then goes up from a real
    folder and down again, so that no chain of links gets out.
    """
    parts = target.split("/")
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    down = [part for part in parts[ups:] if part not in ("", ".")]
    absolute = target.startswith("/") or not target or "\0" in target
    return not absolute and ".." not in down and ups <= path.count("/")


def link_may_be_absolute(path: str, target: str) -> bool:
    """The rule of who mounts what links lead to: an absolute path without `..` is allowed too."""
    plain = target.startswith("/") and "\0" not in target and ".." not in target.split("/")
    return plain or link_stays_inside(path, target)


def _checked_name(name: str, folder: _Local) -> str:
    if name.isascii():
        return name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise LocalFileError(
            f"a file in {folder} has a name that is not UTF-8: {os.fsencode(name)!r}"
        ) from None
    return name
