"""Messages of transfers, framed by hand around the payload.

They are byte for byte what the generated classes write and read; only the payload is never copied
into a protobuf object and out again. tests/unit/client compares both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from appengine.v1 import storage_service_pb2 as storage_pb
from appengine.v1 import transfer_pb2 as pb
from appengine_wire.memory import writable_bytes

_REQUEST_CHUNK_TAG = b"\x12"  # UploadRequest.chunk: field 2, length-delimited
_CHUNK_DATA_TAG = b"\x7a"  # Chunk.data: field 15, length-delimited
_RESPONSE_CHUNK_TAG = 0x12  # DownloadResponse.chunk: field 2, length-delimited

Buffer = bytes | bytearray | memoryview


class DownloadFrame(NamedTuple):
    """One DownloadResponse. `chunk.data` is empty; the payload is `data`."""

    header: storage_pb.DownloadHeader | None
    chunk: pb.Chunk | None
    data: bytes | memoryview
    """A view into the message where it can be."""


def begin_message(upload_id: str, writer_id: str) -> bytes:
    """The first message of an upload's stream."""
    begin = storage_pb.UploadBegin(upload_id=upload_id, writer_id=writer_id)
    return storage_pb.UploadRequest(begin=begin).SerializeToString()


def finish_message(end: pb.Place) -> bytes:
    """The last message of an upload."""
    finish = storage_pb.UploadFinish(end=end)
    return storage_pb.UploadRequest(finish=finish).SerializeToString()


def chunk_message(head: pb.Chunk, payload: Sequence[Buffer]) -> bytes:
    """An UploadRequest with this chunk; `head` has everything but the data."""
    return b"".join((_before_data(head, sum(map(len, payload))), *payload))


class ChunkRoom:
    """An UploadRequest whose payload is read into its place, and not copied there."""

    def __init__(self, head: pb.Chunk, size: int) -> None:
        """`head` as it will be, but for the value of its checksums, which must not be 0."""
        self._size = size
        self._start = len(_before_data(head, size))
        self._message, self._memory = writable_bytes(self._start + size)
        self.payload = self._memory[self._start :]
        """To be filled before `close`."""

    def close(self, head: pb.Chunk) -> bytes:
        """The message. The room cannot be used any more."""
        start = _before_data(head, self._size)
        if len(start) != self._start:  # a checksum that is 0 is left out
            return b"".join((start, self.payload))
        self._memory[: self._start] = start
        self.payload.release()
        self._memory.release()
        return self._message


def _before_data(head: pb.Chunk, size: int) -> bytes:
    head_bytes = head.SerializeToString()
    data_head = _CHUNK_DATA_TAG + varint(size) if size else b""
    chunk_size = varint(len(head_bytes) + len(data_head) + size)
    return b"".join((_REQUEST_CHUNK_TAG, chunk_size, head_bytes, data_head))


def read_download(message: bytes) -> DownloadFrame:
    """Take a DownloadResponse apart without copying its payload.

    Raises ValueError or DecodeError when it is none.
    """
    view = memoryview(message)
    if view and view[0] == _RESPONSE_CHUNK_TAG:
        size, start = _read_varint(view, 1)
        if start + size == len(view):
            return _read_chunk(view[start:])
    return _read_any(message)


def _read_any(message: bytes) -> DownloadFrame:
    response = storage_pb.DownloadResponse.FromString(message)
    header = response.header if response.HasField("header") else None
    if not response.HasField("chunk"):
        return DownloadFrame(header, None, b"")
    data = response.chunk.data
    response.chunk.ClearField("data")
    return DownloadFrame(header, response.chunk, data)


def _read_chunk(view: memoryview) -> DownloadFrame:
    data: bytes | memoryview = b""
    kept: list[memoryview] = []
    position = 0
    while position < len(view):
        start = position
        tag, position = _read_varint(view, position)
        position, body = _skip(view, position, tag & 7)
        if tag == _CHUNK_DATA_TAG[0]:
            data = view[body:position]
        else:
            kept.append(view[start:position])
    return DownloadFrame(None, pb.Chunk.FromString(b"".join(kept)), data)


def _skip(view: memoryview, position: int, wire_type: int) -> tuple[int, int]:
    """`(position behind the field, where its content begins)`."""
    match wire_type:
        case 2:
            size, body = _read_varint(view, position)
            if body + size > len(view):
                raise ValueError("a message is cut short")
            return body + size, body
        case 0:
            return _read_varint(view, position)[1], position
        case 5:
            return position + 4, position
        case 1:
            return position + 8, position
        case _:
            raise ValueError(f"a message has the unknown wire type {wire_type}")


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(view):
            raise ValueError("a message is cut short")
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
