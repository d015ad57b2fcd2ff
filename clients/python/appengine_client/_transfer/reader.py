"""Reads the chunks of a source. Its functions block: they are called in threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import google_crc32c
from appengine.v1 import transfer_pb2 as pb
from appengine_wire.crc32c import crc32c_of, joined_crc32c

from appengine_client._transfer import framing
from appengine_client._transfer.places import ChunkPlan, EntryHead, Kind, Piece, Place
from appengine_client._transfer.source import Source, SourceEntry, identity_of
from appengine_client.errors import LocalFileError

_PREFIX_STEP_BYTES = 4 * 1024 * 1024
_ALGORITHMS = {
    "sha256": pb.DIGEST_ALGORITHM_SHA256,
    "blake3": pb.DIGEST_ALGORITHM_BLAKE3,
}
_IN_PLACE_BYTES = 32 * 1024
"""Pieces that are smaller on average are read and put together faster one by one."""
_SOME_CRC = 1
"""Until the checksum is known: as long as it, on the wire."""


class ChunkReader:
    """Reads a source in order and makes messages of it. Keeps at most one file open."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open_index = -1
        self._descriptor = -1
        self._crc_index = -1
        self._crc = 0
        self._crc_bytes = 0

    def close(self) -> None:
        """Close the file that is open."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = self._open_index = -1

    def message(self, plan: ChunkPlan) -> bytes:
        """The UploadRequest of one chunk. Raises LocalFileError when a file has changed."""
        size = plan.after.bytes - plan.place.bytes
        if size and size >= len(plan.pieces) * _IN_PLACE_BYTES:
            return self._in_place(plan, size)
        payload = [self._read(piece) for piece in plan.pieces]
        crcs = self._whole_already(plan)
        crc = 0
        for piece, part in zip(plan.pieces, payload, strict=True):
            self._move_checksum(piece.entry, piece.offset)
            self._crc = google_crc32c.extend(self._crc, part)
            self._crc_bytes += len(part)
            crcs[piece.entry] = self._crc
            crc = google_crc32c.extend(crc, part)
        return framing.chunk_message(self._head(plan, crc, crcs), payload)

    def _in_place(self, plan: ChunkPlan, size: int) -> bytes:
        """A chunk of large pieces: they are read into their place, and looked at once."""
        crcs = self._whole_already(plan)
        some = {piece.entry: _SOME_CRC for piece in plan.pieces}
        room = framing.ChunkRoom(self._head(plan, _SOME_CRC, crcs | some), size)
        crc = done = 0
        for piece in plan.pieces:
            self._move_checksum(piece.entry, piece.offset)
            part = room.payload[done : done + piece.length]
            self._read_into(piece, part)
            part_crc = crc32c_of(part)
            self._crc = joined_crc32c(self._crc, part_crc, piece.length)
            self._crc_bytes += piece.length
            crcs[piece.entry] = self._crc
            crc = joined_crc32c(crc, part_crc, piece.length)
            done += piece.length
        return room.close(self._head(plan, crc, crcs))

    def _head(self, plan: ChunkPlan, crc: int, crcs: Mapping[int, int]) -> pb.Chunk:
        """Everything but the data; `crcs` has the files that end."""
        entries = self._source.entries
        chunk = pb.Chunk(place=to_proto(plan.place), crc32c=crc)
        for index in plan.begins:  # adding in place is half of what making lists of them takes
            _add_entry(chunk, index, entries[index].head)
        for index in plan.ends:
            end = chunk.ends.add(index=index, crc32c=crcs[index])
            if self._source.digests:
                self._add_digest(end)
        return chunk

    def _add_digest(self, end: pb.FileEnd) -> None:
        digest = self._source.digests.get(self._source.entries[end.index].head.path)
        if digest is not None:
            end.digest.algorithm = _ALGORITHMS[digest.algorithm]
            end.digest.value = digest.value

    def _whole_already(self, plan: ChunkPlan) -> dict[int, int]:
        """The checksums of files that end in this chunk and have no bytes in it."""
        here = {piece.entry for piece in plan.pieces}
        crcs = {}
        for index in plan.ends:
            if index not in here:
                crcs[index] = self._crc_of(index)
        return crcs

    def _crc_of(self, index: int) -> int:
        size = self._source.entries[index].head.size_bytes
        if not size:
            return 0
        self._move_checksum(index, size)
        return self._crc

    def _move_checksum(self, index: int, offset: int) -> None:
        """Have the checksum of the first `offset` bytes of a file, reading it again if need be."""
        if self._crc_index == index and self._crc_bytes == offset:
            return
        self._crc_index, self._crc, self._crc_bytes = index, 0, 0
        while self._crc_bytes < offset:
            length = min(_PREFIX_STEP_BYTES, offset - self._crc_bytes)
            part = self._read(Piece(index, self._crc_bytes, length))
            self._crc = google_crc32c.extend(self._crc, part)
            self._crc_bytes += length

    def _read(self, piece: Piece) -> bytes:
        entry = self._source.entries[piece.entry]
        if isinstance(entry.content, bytes):
            return entry.content[piece.offset : piece.offset + piece.length]
        try:
            descriptor = self._opened(piece.entry, entry, entry.content)
            data = os.pread(descriptor, piece.length, piece.offset)
            while len(data) < piece.length:
                rest = piece.length - len(data)
                data += _some(os.pread(descriptor, rest, piece.offset + len(data)), entry.content)
            return data
        except OSError as error:
            raise _unreadable(entry.content, error) from error

    def _read_into(self, piece: Piece, room: memoryview) -> None:
        entry = self._source.entries[piece.entry]
        if isinstance(entry.content, bytes):
            room[:] = entry.content[piece.offset : piece.offset + piece.length]
            return
        try:
            descriptor = self._opened(piece.entry, entry, entry.content)
            done = 0
            while done < piece.length:
                count = os.preadv(descriptor, [room[done:]], piece.offset + done)
                done += _some(count, entry.content)
        except OSError as error:
            raise _unreadable(entry.content, error) from error

    def _opened(self, index: int, entry: SourceEntry, path: Path | str) -> int:
        if self._open_index == index:
            return self._descriptor
        self.close()
        # Without O_NONBLOCK a FIFO that was put in the file's place would hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or _changed(facts, entry):
            os.close(descriptor)
            raise LocalFileError(f"{path} has changed while it was sent")
        self._descriptor, self._open_index = descriptor, index
        return descriptor


def _changed(facts: os.stat_result, entry: SourceEntry) -> bool:
    return facts.st_size != entry.head.size_bytes or identity_of(facts) != entry.identity


Read = TypeVar("Read", bytes, int)


def _some(read: Read, path: Path | str) -> Read:
    if not read:
        raise LocalFileError(f"{path} became shorter while it was sent")
    return read


def _unreadable(path: Path | str, error: OSError) -> LocalFileError:
    return LocalFileError(f"{path} cannot be read: {error.strerror or error}")


def keep_alive(place: Place) -> bytes:
    """An UploadRequest without data and entries."""
    return framing.chunk_message(pb.Chunk(place=to_proto(place)), ())


def to_proto(place: Place) -> pb.Place:
    """A place as a message."""
    return pb.Place(bytes=place.bytes, entries=place.entries)


def from_proto(place: pb.Place) -> Place:
    """A place out of a message."""
    return Place(place.bytes, place.entries)


def _add_entry(chunk: pb.Chunk, index: int, head: EntryHead) -> None:
    match head.kind:
        case Kind.FILE:
            mode = 0o755 if head.executable else 0
            chunk.entries.add(
                index=index,
                path=head.path,
                kind=pb.ENTRY_KIND_FILE,
                size_bytes=head.size_bytes,
                mode=mode,
            )
        case Kind.FOLDER:
            chunk.entries.add(index=index, path=head.path, kind=pb.ENTRY_KIND_FOLDER)
        case Kind.LINK:
            target = head.link_target
            chunk.entries.add(
                index=index, path=head.path, kind=pb.ENTRY_KIND_LINK, link_target=target
            )
