"""Where a transfer is, and what a chunk means there. Knows no file, no clock and no network.

A chunk may begin before the place that was reached: what is known already is skipped. It may not
begin behind it. Everything else that does not fit is wrong whatever the state, and ends the upload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from appengine_contract.problems import Problem
from appengine_wire.crc32c import crc32c_of, extend_crc32c, joined_crc32c

from appengine_server.errors import (
    ChunkCorrupt,
    InvalidArgument,
    PlaceOutOfRange,
    ResourceExhausted,
)
from appengine_server.storage.beneath import PathRefused, check_link_target, check_path
from appengine_server.storage.tree import START, Chunk, Digest, Entry, EntryKind, FileEnd, Place

_MAX_PROBLEMS = 1000  # of one chunk: more help nobody

LinkCheck = Callable[[str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceLimits:
    """How large a transfer may be."""

    chunk_bytes: int
    """Largest `data` of one chunk."""
    total_bytes: int
    """Largest sum of file sizes."""
    entries: int
    """Most entries."""
    check_link: LinkCheck = check_link_target
    """Raises PathRefused for a path and target of a link that may not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFile:
    """The file that has begun and is not whole yet."""

    index: int
    path: str
    size_bytes: int
    written_bytes: int = 0
    crc32c: int = 0
    """Of what was written."""


class Sink(Protocol):
    """Where the contents go. Called in the order of the transfer."""

    def begin(self, entry: Entry) -> None:
        """Make a folder, a link, or a file that `write` fills."""

    def write(self, data: memoryview) -> None:
        """Append to the file that was begun last."""

    def end(self) -> None:
        """The file that was begun last is whole."""

    def has_digest(self, digest: Digest) -> bool:
        """Whether the file that was begun last, and is not ended yet, has this digest."""


class TransferSequence:
    """Follows one transfer from a place on."""

    def __init__(
        self, limits: SequenceLimits, *, place: Place = START, open_file: OpenFile | None = None
    ) -> None:
        self._limits = limits
        self.place = place
        # The open file in parts, for a value per piece would cost more than its write.
        self._open = open_file is not None
        self._path, self._size, self._written, self._crc32c = "", 0, 0, 0
        if open_file is not None:
            self._path, self._size = open_file.path, open_file.size_bytes
            self._written, self._crc32c = open_file.written_bytes, open_file.crc32c
        self._index = place.entries - 1
        self.torn = False
        """Whether a chunk failed half-way: then `place` and what the sink got differ."""
        self._ends: Sequence[FileEnd] = ()
        self._next_end = 0
        self._chunk_bytes = 0
        self._chunk_crc32c = 0

    @property
    def open_file(self) -> OpenFile | None:
        """The file that has begun and is not whole yet."""
        if not self._open:
            return None
        return OpenFile(
            index=self._index,
            path=self._path,
            size_bytes=self._size,
            written_bytes=self._written,
            crc32c=self._crc32c,
        )

    def apply(self, chunk: Chunk, sink: Sink) -> tuple[Entry, ...]:
        """Check the chunk, hand what is new to `sink`, move on. Answers the entries that are new.

        Raises InvalidArgument, PlaceOutOfRange, ChunkCorrupt and ResourceExhausted; after all but
        InvalidArgument nothing has reached the sink.
        """
        self._check_envelope(chunk)
        entries = self._new_entries(chunk)
        data = memoryview(chunk.data)[self.place.bytes - chunk.place.bytes :]
        self._check_entries(entries)
        self._ends = chunk.ends
        self._next_end = 0
        self._chunk_bytes, self._chunk_crc32c = len(chunk.data), chunk.crc32c
        complete = self.place.entries - self._open
        while self._next_end < len(chunk.ends) and chunk.ends[self._next_end].index < complete:
            self._next_end += 1
        self.torn = True
        self._pour(entries, data, sink)
        self.torn = False
        self.place = Place(
            bytes=self.place.bytes + len(data), entries=self.place.entries + len(entries)
        )
        return entries

    def missing_bytes(self, entries: Sequence[Entry]) -> int:
        """What the open file lacks, and those of these entries that have not begun."""
        of_open = self._size - self._written if self._open else 0
        return of_open + sum(entry.size_bytes for entry in entries if entry.index > self._index)

    def check_end(self, end: Place) -> None:
        """Raise unless the transfer may end at `end`: every file whole, and nothing missing."""
        if (end.bytes, end.entries) > (self.place.bytes, self.place.entries):
            raise self._out_of_range(end)
        if end != self.place:
            raise _wrong(
                "END", f"the end is given as {_shown(end)} but {_shown(self.place)} was received"
            )
        if self._open:
            raise _wrong(
                "FILE_INCOMPLETE",
                f"the file has {self._written} of {self._size} bytes",
                path=self._path,
            )

    def _check_envelope(self, chunk: Chunk) -> None:
        if len(chunk.data) > self._limits.chunk_bytes:
            raise _wrong(
                "CHUNK_TOO_LARGE",
                f"a chunk holds at most {self._limits.chunk_bytes} bytes, this one has "
                f"{len(chunk.data)}",
            )
        if chunk.place.bytes < 0 or chunk.place.entries < 0:
            raise _wrong("PLACE_NEGATIVE", "a place has no negative numbers")
        if chunk.place.bytes > self.place.bytes or chunk.place.entries > self.place.entries:
            raise self._out_of_range(chunk.place)
        if crc32c_of(chunk.data) != chunk.crc32c:
            raise ChunkCorrupt(
                "the crc32c of a chunk does not match its bytes, so none of it was kept: "
                "ask GetUpload and go on from there"
            )

    def _out_of_range(self, asked: Place) -> PlaceOutOfRange:
        refusal = PlaceOutOfRange(
            f"the place {_shown(asked)} lies behind what was received: "
            "ask GetUpload and go on from there",
            fields={"bytes": str(self.place.bytes), "entries": str(self.place.entries)},
        )
        refusal.reason = "UPLOAD_PLACE"
        return refusal

    def _new_entries(self, chunk: Chunk) -> tuple[Entry, ...]:
        expected = chunk.place.entries
        for entry in chunk.entries:
            if entry.index != expected:
                raise _wrong(
                    "ENTRY_INDEX",
                    f"entries are counted without gaps: expected {expected}, found {entry.index}",
                    path=entry.path,
                )
            expected += 1
        known = self.place.entries - chunk.place.entries
        return chunk.entries[known:] if known else chunk.entries

    def _check_entries(self, entries: Sequence[Entry]) -> None:
        problems: list[Problem] = []
        declared = self.place.bytes
        if self._open:
            declared += self._size - self._written
        for entry in entries:
            declared += entry.size_bytes
            problem = _problem_with(entry, self._limits.check_link)
            if problem is not None and len(problems) < _MAX_PROBLEMS:
                problems.append(problem)
        if problems:
            raise InvalidArgument(
                "the transfer has entries that are not allowed", problems=problems
            )
        if self.place.entries + len(entries) > self._limits.entries:
            raise too_much("entries", self._limits.entries)
        if declared > self._limits.total_bytes:
            raise too_much("bytes", self._limits.total_bytes)

    def _pour(self, entries: Sequence[Entry], data: memoryview, sink: Sink) -> None:
        poured = self._fill(data, sink) if self._open else 0
        for entry in entries:
            if self._open:
                raise _wrong(
                    "ENTRY_TOO_EARLY",
                    f"it begins before the file {self._path!r} is whole",
                    path=entry.path,
                )
            sink.begin(entry)
            if entry.kind is EntryKind.FILE:
                self._open = True
                self._index, self._path, self._size = entry.index, entry.path, entry.size_bytes
                self._written = self._crc32c = 0
                poured += self._fill(data[poured:], sink)
        if poured != len(data):
            raise _wrong("DATA_WITHOUT_FILE", f"{len(data) - poured} bytes belong to no file")
        if self._next_end != len(self._ends):
            end = self._ends[self._next_end]
            raise _wrong("FILE_END", f"entry {end.index} does not end in this chunk")

    def _fill(self, data: memoryview, sink: Sink) -> int:
        """Fill the open file from `data`, and end it when it is whole. Answers the bytes taken."""
        taken = min(self._size - self._written, len(data))
        if taken:
            piece = data[:taken]
            sink.write(piece)
            self._written += taken
            if taken == self._chunk_bytes:  # the checksum of the chunk has looked at all of it
                self._crc32c = joined_crc32c(self._crc32c, self._chunk_crc32c, taken)
            else:
                self._crc32c = extend_crc32c(self._crc32c, piece)
        if self._written == self._size:
            self._end(sink)
        return taken

    def _end(self, sink: Sink) -> None:
        if self._next_end >= len(self._ends) or self._ends[self._next_end].index != self._index:
            raise _wrong(
                "FILE_END_MISSING",
                "the chunk with the file's last byte must carry its checksum",
                path=self._path,
            )
        end = self._ends[self._next_end]
        self._next_end += 1
        if end.crc32c != self._crc32c:
            raise _wrong(
                "FILE_CRC32C", "the crc32c of the file does not match its bytes", path=self._path
            )
        if end.digest is not None and not sink.has_digest(end.digest):
            raise _wrong(
                "FILE_DIGEST",
                f"the {end.digest.algorithm.name} of the file does not match its bytes",
                path=self._path,
            )
        sink.end()
        self._open = False


def _problem_with(entry: Entry, check_link: LinkCheck) -> Problem | None:
    try:
        check_path(entry.path)
        if entry.kind is EntryKind.LINK:
            check_link(entry.path, entry.link_target)
    except PathRefused as refused:
        return Problem(path=_printable(entry.path), reason=refused.reason, message=str(refused))
    if entry.size_bytes < 0 or (entry.size_bytes and entry.kind is not EntryKind.FILE):
        return Problem(path=entry.path, reason="ENTRY_SIZE", message="only files have a size")
    if entry.link_target and entry.kind is not EntryKind.LINK:
        return Problem(path=entry.path, reason="ENTRY_LINK", message="only links point somewhere")
    return None


def _printable(path: str) -> str:
    return path[:1024].encode(errors="backslashreplace").decode()


def _wrong(reason: str, message: str, *, path: str = "") -> InvalidArgument:
    problem = Problem(path=path, reason=reason, message=message)
    return InvalidArgument(f"the transfer is wrong: {problem}", problems=[problem])


def too_much(what: str, limit: int) -> ResourceExhausted:
    """The refusal of an upload that is larger than allowed."""
    return ResourceExhausted(
        f"an upload holds at most {limit} {what}",
        reason="UPLOAD_TOO_LARGE",
        fields={"limit": str(limit)},
    )


def _shown(place: Place) -> str:
    return f"{place.bytes} bytes and {place.entries} entries"
