"""The persisted place of an upload: an append-only file of checksummed records.

A record says how far the transfer was when everything before it had reached the disk. The last
record that is whole counts; a torn tail is ignored, for nobody was told of it. Records name the
entries since the record before, so that a reopened upload can tell counted files from others.

Of a step only the data are synced before its record is written, and the record by whoever is about
to tell the place, the next second, or the end of the writer. So a step costs one sync; all records
survive the end of the process, and those that anyone was told of a power cut, too.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from appengine_wire.crc32c import crc32c_of

from appengine_server.storage.sequence import OpenFile
from appengine_server.storage.tree import START, Place

_FRAME = struct.Struct("<II")  # length and crc32c of the body
_STEP = struct.Struct("<BQQQQI")  # kind, place (2), size and written bytes of the open file, crc32c


class _Kind(IntEnum):
    WRITER = 1
    STEP = 2
    FINISH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalState:
    """What the records of a journal amount to."""

    place: Place = START
    open_file: OpenFile | None = None
    writers: tuple[str, ...] = ()
    """Ids of those who wrote, oldest first."""
    finished: bool = False


def writer_record(writer_id: str) -> bytes:
    """A writer takes over."""
    return _framed(bytes([_Kind.WRITER]) + writer_id.encode())


def step_record(place: Place, open_file: OpenFile | None, paths: Iterable[str]) -> bytes:
    """Everything before `place` is on disk; `paths` are the entries since the last record."""
    return _framed(_place_body(_Kind.STEP, place, open_file, paths))


def finish_record(place: Place) -> bytes:
    """The transfer is whole and ends at `place`."""
    return _framed(_place_body(_Kind.FINISH, place, None, ()))


def valid_bodies(journal: bytes) -> Iterator[tuple[memoryview, int]]:
    """The bodies of whole records, each with the offset behind it, up to the first torn one."""
    view = memoryview(journal)
    offset = 0
    while offset + _FRAME.size <= len(view):
        length, crc32c = _FRAME.unpack_from(view, offset)
        begin = offset + _FRAME.size
        body = view[begin : begin + length]
        if not length or len(body) != length or crc32c_of(body) != crc32c:
            return
        offset = begin + length
        yield body, offset


def valid_bytes(journal: bytes) -> int:
    """How much of a journal is whole records."""
    end = 0
    for _, offset in valid_bodies(journal):
        end = offset
    return end


def state_of(bodies: Iterable[memoryview]) -> JournalState:
    """Fold records into the state after the last one."""
    place, open_file, finished = START, None, False
    writers: list[str] = []
    for body in bodies:
        kind = body[0]
        if kind == _Kind.WRITER:
            writers.append(bytes(body[1:]).decode())
        else:
            place, open_file = _place_of(body)
            finished = kind == _Kind.FINISH
    return JournalState(place=place, open_file=open_file, writers=tuple(writers), finished=finished)


def paths_of(bodies: Iterable[memoryview]) -> Iterator[str]:
    """The paths of all counted entries, in order."""
    for body in bodies:
        if body[0] == _Kind.STEP:
            _, _, paths = bytes(body[_STEP.size :]).partition(b"\0")
            if paths:
                yield from paths.decode().split("\0")


def _place_body(
    kind: _Kind, place: Place, open_file: OpenFile | None, paths: Iterable[str]
) -> bytes:
    size, written, crc32c, name = 0, 0, 0, ""
    if open_file is not None:
        size, written = open_file.size_bytes, open_file.written_bytes
        crc32c, name = open_file.crc32c, open_file.path
    head = _STEP.pack(kind, place.bytes, place.entries, size, written, crc32c)
    return head + "\0".join((name, *paths)).encode()


def _place_of(body: memoryview) -> tuple[Place, OpenFile | None]:
    _, in_bytes, entries, size, written, crc32c = _STEP.unpack_from(body)
    name, _, _ = bytes(body[_STEP.size :]).partition(b"\0")
    place = Place(bytes=in_bytes, entries=entries)
    if not name:
        return place, None
    return place, OpenFile(
        index=entries - 1,
        path=name.decode(),
        size_bytes=size,
        written_bytes=written,
        crc32c=crc32c,
    )


def _framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), crc32c_of(body)) + body


def append(fd: int, record: bytes) -> None:
    """Append a record. Raises OSError."""
    view = memoryview(record)
    while view:
        view = view[os.write(fd, view) :]
