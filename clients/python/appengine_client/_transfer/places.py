"""How far a transfer is. Knows no grpc, no file and no clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import accumulate
from typing import NamedTuple

from appengine_client.errors import BrokenTransfer

MAX_CHUNK_ENTRIES = 4096
MAX_CHUNK_NAME_BYTES = 512 * 1024
"""Both keep a message of 2 MiB of data below the 4 MiB that gRPC takes."""


class Place(NamedTuple):
    """A position in a transfer. Both numbers are needed: empty files and folders have no bytes."""

    bytes: int = 0
    """Bytes of content before this place."""
    entries: int = 0
    """Entries that begin before this place."""

    def is_behind_or_at(self, other: Place) -> bool:
        """Whether nothing of this place lies after `other`."""
        return self.bytes <= other.bytes and self.entries <= other.entries


class Kind(Enum):
    """What an entry is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"


# NB: not frozen, for a transfer has 100,000 of them, and making a frozen one takes three times as
# long. Nobody changes them.
@dataclass(slots=True, kw_only=True)
class EntryHead:
    """One file, folder or link of a transfer, without its content."""

    path: str
    """Relative, parts divided by `/`."""
    kind: Kind = Kind.FILE
    size_bytes: int = 0
    """Of a file's content."""
    executable: bool = False
    link_target: str = ""


class Piece(NamedTuple):
    """A stretch of one file's content in a chunk."""

    entry: int
    """Its index in the transfer."""
    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkPlan:
    """What one chunk will hold."""

    place: Place
    """Where its data begins; `entries` does not count those that begin in it."""
    begins: range
    """Indexes of the entries that begin in it."""
    pieces: Sequence[Piece]
    ends: Sequence[int]
    """Indexes of the files that end in it."""
    after: Place
    """The place behind it."""


class Outline:
    """All entries of a transfer in order, and where the content of each begins."""

    def __init__(self, heads: Sequence[EntryHead]) -> None:
        self.heads = heads
        self._starts = [0, *accumulate(head.size_bytes for head in heads)]
        self.end = Place(self._starts[-1], len(heads))

    def start_of(self, index: int) -> int:
        """Bytes of content before this entry."""
        return self._starts[index]

    def end_of(self, index: int) -> int:
        """Bytes of content before the next entry."""
        return self._starts[index + 1]

    def holds(self, place: Place) -> bool:
        """Whether there is such a place: its bytes lie in the last entry that has begun."""
        if not place.is_behind_or_at(self.end) or place.bytes < 0 or place.entries < 0:
            return False
        if place.entries == 0:
            return place.bytes == 0
        last = place.entries - 1
        return self.start_of(last) <= place.bytes <= self.end_of(last)

    def files_before(self, place: Place) -> int:
        """How many entries are complete at this place, for showing progress."""
        return min(bisect_right(self._starts, place.bytes) - 1, place.entries)


@dataclass(slots=True, kw_only=True)
class UploadState:
    """How far one upload is, and what goes into its next chunk."""

    outline: Outline
    chunk_bytes: int
    sent: Place = field(default_factory=Place)
    persisted: Place = field(default_factory=Place)

    def rewind(self, persisted: Place) -> bool:
        """Go back to what the server holds. True when that is more than last time.

        Raises BrokenTransfer when the server holds less than it said, or something else than this.
        """
        if not self.persisted.is_behind_or_at(persisted):
            raise BrokenTransfer(
                f"the server says that it holds {persisted.bytes} bytes of the upload; "
                f"it has said {self.persisted.bytes} before"
            )
        if not self.outline.holds(persisted):
            raise BrokenTransfer(
                f"the upload at the server ({persisted.entries} entries, {persisted.bytes} bytes) "
                "does not fit the files here: start a new upload"
            )
        progressed = persisted != self.persisted
        self.persisted = self.sent = persisted
        return progressed

    def chunks(self) -> Iterator[ChunkPlan]:
        """The chunks from `sent` on; `sent` moves as they are taken."""
        # Whether the server has the end of the last file that it holds whole, its place does not
        # tell: after a rewind that end is sent again.
        end_again = True
        while self.sent != self.outline.end:
            plan = _plan(self.outline, self.sent, self.chunk_bytes, end_again=end_again)
            end_again = False
            self.sent = plan.after
            yield plan


def _plan(outline: Outline, place: Place, chunk_bytes: int, *, end_again: bool) -> ChunkPlan:
    filling = _Filling(outline=outline, room=chunk_bytes, position=place.bytes)
    index = place.entries
    if index and (end_again or place.bytes < outline.end_of(index - 1)):
        filling.add(index - 1)
    names = 0
    limit = min(index + MAX_CHUNK_ENTRIES, len(outline.heads))
    while index < limit and names < MAX_CHUNK_NAME_BYTES and filling.can_begin(index):
        filling.add(index)
        names += len(outline.heads[index].path) * 4  # at most 4 bytes a character
        index += 1
    return ChunkPlan(
        place=place,
        begins=range(place.entries, index),
        pieces=filling.pieces,
        ends=filling.ends,
        after=Place(filling.position, index),
    )


@dataclass(slots=True, kw_only=True)
class _Filling:
    """A chunk that is being planned."""

    outline: Outline
    room: int
    position: int
    pieces: list[Piece] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def can_begin(self, entry: int) -> bool:
        """Whether what comes before the entry is whole, and a byte of it fits if it has any."""
        is_next = self.position == self.outline.start_of(entry)
        return is_next and (self.room > 0 or self.outline.heads[entry].size_bytes == 0)

    def add(self, entry: int) -> None:
        """Put as much of the entry's content into the chunk as fits."""
        rest = self.outline.end_of(entry) - self.position
        length = min(rest, self.room)
        if length:
            self.pieces.append(Piece(entry, self.position - self.outline.start_of(entry), length))
        if length == rest and self.outline.heads[entry].kind is Kind.FILE:
            self.ends.append(entry)
        self.room -= length
        self.position += length
