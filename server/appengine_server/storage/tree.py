"""A transfer as values: a sequence of entries whose contents are one run of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class EntryKind(IntEnum):
    """What an entry is. The numbers are those on the wire."""

    FILE = 1
    FOLDER = 2
    LINK = 3


class DigestAlgorithm(IntEnum):
    """A strong checksum. The numbers are those on the wire."""

    SHA256 = 1
    BLAKE3 = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position in a transfer. Both numbers are needed: empty files and folders have no bytes."""

    bytes: int = 0
    """Bytes of content before this place."""
    entries: int = 0
    """Entries that begin before this place."""


START = Place()
"""Where every transfer begins."""


# NB: not frozen, for a transfer has 100,000 of them, and making a frozen one takes three times as
# long. Nobody changes them.
@dataclass(slots=True, kw_only=True)
class Entry:
    """One file, folder or link of a transfer."""

    index: int
    """Counted from 0 without gaps."""
    path: str
    """Relative to the root of the transfer, parts divided by `/`."""
    kind: EntryKind
    size_bytes: int = 0
    """Size of a file's content; 0 for anything else."""
    mode: int = 0
    """Permission bits, of which the executable one is kept; 0 means the default."""
    link_target: str = ""
    """Where a link points, relative to the link's folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A strong checksum of a whole file."""

    algorithm: DigestAlgorithm
    value: bytes


@dataclass(slots=True, kw_only=True)
class FileEnd:
    """Closes a file. It travels in the chunk that holds the file's last byte."""

    index: int
    crc32c: int
    """Of the whole file."""
    digest: Digest | None = None


class Room(Protocol):
    """Memory into which the data of a chunk are read, so that they need not be copied there."""

    @property
    def data(self) -> memoryview:
        """To be filled by whoever was given the room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a transfer."""

    place: Place
    """Where `data` begins; `entries` does not count those that begin in this chunk."""
    crc32c: int
    """Of `data`."""
    entries: tuple[Entry, ...] = ()
    """Those that begin in this chunk, in order."""
    ends: tuple[FileEnd, ...] = ()
    """The files that end in this chunk, in order."""
    data: bytes | memoryview = b""
    room: Room | None = None
    """Where the data lie, if they were read into a room."""
