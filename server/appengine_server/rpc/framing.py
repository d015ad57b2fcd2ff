"""Messages of transfers, framed by hand around the payload.

On the wire they are what the generated classes read and write. Only the payload takes a short way:
it is never copied into a protobuf object or out of one, which gains half of the speed. A message
that is laid out otherwise than ours are, but rightly, goes through the generated classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from appengine.v1 import storage_service_pb2 as storage_pb
from appengine.v1 import transfer_pb2 as pb
from appengine_wire.memory import writable_bytes
from google.protobuf.message import DecodeError

from appengine_server.storage.tree import (
    START,
    Chunk,
    Digest,
    DigestAlgorithm,
    Entry,
    EntryKind,
    FileEnd,
    Place,
)

_CHUNK_TAG = b"\x12"  # `chunk` of UploadRequest and DownloadResponse: field 2, length-delimited
_DATA_TAG = b"\x7a"  # `data` of Chunk: field 15, length-delimited
_SOME_CRC = 1  # until the checksum is known: as long as it, on the wire
_MAX_VARINT_BYTES = 5  # of a length; longer ones are no messages of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadBegin:
    """Opens a stream of an upload."""

    upload_id: str
    writer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadFrame:
    """One UploadRequest."""

    begin: UploadBegin | None = None
    chunk: Chunk | None = None
    """Its data are a view into the message."""
    finish: Place | None = None
    """The end that the client claims."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadHead:
    """Describes a download."""

    etag: str
    end: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadFrame:
    """One DownloadResponse."""

    head: DownloadHead | None = None
    chunk: Chunk | None = None


def parse_upload_request(message: bytes) -> UploadFrame:
    """Read an UploadRequest. Raises ValueError when it is none."""
    try:
        chunk = _chunk_message(memoryview(message))
        if chunk is not None:
            return UploadFrame(chunk=chunk)
        request = storage_pb.UploadRequest.FromString(message)
    except DecodeError as error:
        raise ValueError("not an UploadRequest") from error
    return _frame(request)


class ChunkRoom:
    """A DownloadResponse whose payload is read into its place, and not copied there."""

    def __init__(self, place: Place, size: int) -> None:
        """Of a chunk in which no entry begins and no file ends."""
        self._start = len(_before_data(Chunk(place=place, crc32c=_SOME_CRC), size))
        self._message, memory = writable_bytes(self._start + size)
        self._head = memory[: self._start]
        self.data = memory[self._start :]

    def message(self, chunk: Chunk) -> bytes:
        """The message, once the data are there."""
        head = _before_data(chunk, len(self.data))
        if len(head) != self._start:  # a checksum that is 0 is left out
            return b"".join((head, self.data))
        self._head[:] = head
        return self._message


def serialize_download_response(frame: DownloadFrame) -> bytes:
    """Write a DownloadResponse. The payload is copied once, or not at all from a `ChunkRoom`."""
    parts: list[bytes] = []
    if frame.head is not None:
        header = storage_pb.DownloadHeader(etag=frame.head.etag, end=place_message(frame.head.end))
        parts.append(storage_pb.DownloadResponse(header=header).SerializeToString())
    chunk = frame.chunk
    if chunk is None:
        return b"".join(parts)
    if isinstance(chunk.room, ChunkRoom) and not parts:
        return chunk.room.message(chunk)
    return b"".join((*parts, _before_data(chunk, len(chunk.data)), chunk.data))


def _before_data(chunk: Chunk, size: int) -> bytes:
    head = _head_message(chunk).SerializeToString()
    data_head = _DATA_TAG + _varint(size) if size else b""
    chunk_size = _varint(len(head) + len(data_head) + size)
    return b"".join((_CHUNK_TAG, chunk_size, head, data_head))


def place_message(place: Place) -> pb.Place:
    """A place as the API has it."""
    return pb.Place(bytes=place.bytes, entries=place.entries)


def place_value(place: pb.Place) -> Place:
    """A place from the API."""
    return Place(bytes=place.bytes, entries=place.entries)


def entry_message(entry: Entry) -> pb.Entry:
    """An entry as the API has it."""
    return pb.Entry(
        index=entry.index,
        path=entry.path,
        kind=pb.EntryKind.ValueType(entry.kind),
        size_bytes=entry.size_bytes,
        mode=entry.mode,
        link_target=entry.link_target,
    )


def _chunk_message(message: memoryview) -> Chunk | None:
    """The chunk of a message that is one chunk and nothing else; None for any other message."""
    if not message or message[0] != _CHUNK_TAG[0]:
        return None
    size, start = _read_varint(message, 1)
    if start + size != len(message):
        return None
    parts: list[memoryview] = []
    data: memoryview | None = None
    position = head_start = start
    while position < len(message):
        tag = message[position]
        if tag & 7 == 2:  # length-delimited
            length, body = _read_varint(message, position + 1)
            end = body + length
            if tag == _DATA_TAG[0]:
                parts.append(message[head_start:position])
                data, head_start = message[body:end], end
        elif tag & 7 == 5:  # four bytes
            end = position + 5
        else:
            return None
        if tag >= 0x80 or end > len(message):
            return None
        position = end
    parts.append(message[head_start:])
    head = pb.Chunk.FromString(b"".join(parts))
    return _chunk(head, data if data is not None else b"")


def _frame(request: storage_pb.UploadRequest) -> UploadFrame:
    begin, chunk, finish = None, None, None
    if request.HasField("begin"):
        begin = UploadBegin(upload_id=request.begin.upload_id, writer_id=request.begin.writer_id)
    if request.HasField("chunk"):
        chunk = _chunk(request.chunk, request.chunk.data)
    if request.HasField("finish"):
        finish = place_value(request.finish.end)
    return UploadFrame(begin=begin, chunk=chunk, finish=finish)


def _chunk(head: pb.Chunk, data: bytes | memoryview) -> Chunk:
    return Chunk(
        place=place_value(head.place) if head.HasField("place") else START,
        crc32c=head.crc32c,
        entries=tuple([_entry(entry) for entry in head.entries]),
        ends=tuple([_end(end) for end in head.ends]),
        data=data,
    )


def _entry(entry: pb.Entry) -> Entry:
    return Entry(
        index=entry.index,
        path=entry.path,
        kind=_KINDS.get(entry.kind) or _unknown("entry kind", entry.kind),
        size_bytes=entry.size_bytes,
        mode=entry.mode,
        link_target=entry.link_target,
    )


def _end(end: pb.FileEnd) -> FileEnd:
    digest = None
    if end.HasField("digest"):
        algorithm = end.digest.algorithm
        digest = Digest(
            algorithm=_ALGORITHMS.get(algorithm) or _unknown("digest algorithm", algorithm),
            value=end.digest.value,
        )
    return FileEnd(index=end.index, crc32c=end.crc32c, digest=digest)


_KINDS: dict[int, EntryKind] = {int(kind): kind for kind in EntryKind}
_ALGORITHMS: dict[int, DigestAlgorithm] = {int(item): item for item in DigestAlgorithm}


def _unknown(what: str, number: int) -> NoReturn:
    raise ValueError(f"unknown {what} {number}")


def _head_message(chunk: Chunk) -> pb.Chunk:
    message = pb.Chunk(place=place_message(chunk.place), crc32c=chunk.crc32c)
    add_entry, add_end = message.entries.add, message.ends.add
    for entry in chunk.entries:  # adding in place is half of what making lists of them takes
        add_entry(
            index=entry.index,
            path=entry.path,
            kind=pb.EntryKind.ValueType(entry.kind),
            size_bytes=entry.size_bytes,
            mode=entry.mode,
            link_target=entry.link_target,
        )
    for end in chunk.ends:
        added = add_end(index=end.index, crc32c=end.crc32c)
        if end.digest is not None:
            added.digest.algorithm = pb.DigestAlgorithm.ValueType(end.digest.algorithm)
            added.digest.value = end.digest.value
    return message


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """A length and the position behind it; one behind the end when it is cut or too long."""
    value = 0
    for shift in range(_MAX_VARINT_BYTES):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, position
    return len(message), len(message) + 1
