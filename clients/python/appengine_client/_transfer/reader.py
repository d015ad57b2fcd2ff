"""Reads the chunks of a source. Its functions block: they are called in threads."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import google_crc32c
from appengine.v1 import transfer_pb2 as pb

from appengine_client._transfer import framing
from appengine_client._transfer.places import ChunkPlan, EntryHead, Kind, Piece, Place
from appengine_client._transfer.source import Source, SourceEntry, identity_of
from appengine_client.errors import LocalFileError

_PREFIX_STEP_BYTES = 4 * 1024 * 1024
_KINDS = {
    Kind.FILE: pb.ENTRY_KIND_FILE,
    Kind.FOLDER: pb.ENTRY_KIND_FOLDER,
    Kind.LINK: pb.ENTRY_KIND_LINK,
}
_ALGORITHMS = {
    "sha256": pb.DIGEST_ALGORITHM_SHA256,
    "blake3": pb.DIGEST_ALGORITHM_BLAKE3,
}


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
        payload = [self._read(piece) for piece in plan.pieces]
        crcs = self._checksums(plan, payload)
        crc = 0
        for part in payload:
            crc = google_crc32c.extend(crc, part)
        entries = self._source.entries
        head = pb.Chunk(
            place=to_proto(plan.place),
            crc32c=crc,
            entries=[_entry(index, entries[index].head) for index in plan.begins],
            ends=[self._end(index, crcs.get(index, 0)) for index in plan.ends],
        )
        return framing.chunk_message(head, payload)

    def _end(self, index: int, crc: int) -> pb.FileEnd:
        end = pb.FileEnd(index=index, crc32c=crc)
        if self._source.digests:
            digest = self._source.digests.get(self._source.entries[index].head.path)
            if digest is not None:
                end.digest.algorithm = _ALGORITHMS[digest.algorithm]
                end.digest.value = digest.value
        return end

    def _checksums(self, plan: ChunkPlan, payload: Sequence[bytes]) -> dict[int, int]:
        """crc32c of the files that have bytes in this chunk, or end in it, up to here."""
        crcs: dict[int, int] = {}
        for piece, part in zip(plan.pieces, payload, strict=True):
            self._move_checksum(piece.entry, piece.offset)
            self._crc = google_crc32c.extend(self._crc, part)
            self._crc_bytes += len(part)
            crcs[piece.entry] = self._crc
        for index in plan.ends:
            if index not in crcs:
                self._move_checksum(index, self._source.entries[index].head.size_bytes)
                crcs[index] = self._crc
        return crcs

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
            return _read_exactly(descriptor, piece, entry.content)
        except OSError as error:
            raise LocalFileError(
                f"{entry.content} cannot be read: {error.strerror or error}"
            ) from error

    def _opened(self, index: int, entry: SourceEntry, path: Path) -> int:
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


def _read_exactly(descriptor: int, piece: Piece, path: Path) -> bytes:
    data = os.pread(descriptor, piece.length, piece.offset)
    while len(data) < piece.length:
        more = os.pread(descriptor, piece.length - len(data), piece.offset + len(data))
        if not more:
            raise LocalFileError(f"{path} became shorter while it was sent")
        data += more
    return data


def keep_alive(place: Place) -> bytes:
    """An UploadRequest without data and entries."""
    return framing.chunk_message(pb.Chunk(place=to_proto(place)), ())


def to_proto(place: Place) -> pb.Place:
    """A place as a message."""
    return pb.Place(bytes=place.bytes, entries=place.entries)


def from_proto(place: pb.Place) -> Place:
    """A place out of a message."""
    return Place(place.bytes, place.entries)


def _entry(index: int, head: EntryHead) -> pb.Entry:
    return pb.Entry(
        index=index,
        path=head.path,
        kind=_KINDS[head.kind],
        size_bytes=head.size_bytes,
        mode=0o755 if head.executable else 0,
        link_target=head.link_target,
    )
