"""Taking stdout and stderr out of the engine's one stream, byte by byte as they were printed."""

from __future__ import annotations

import zlib

from appengine_server.scheduling.scheduler import LogIncomplete

_HEADER_BYTES = 8


class Demultiplexer:
    """Strips the frame headers. Knows no connection: chunks in, the task's own bytes out.

    A frame is one byte of stream number, three of padding and four of length, then its content;
    frames may be cut anywhere by chunks.
    """

    def __init__(self) -> None:
        self._header = bytearray()
        self._left_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Give what `chunk` holds of the task's bytes, both streams in the order printed."""
        out = bytearray()
        at = 0
        while at < len(chunk):
            if self._left_bytes:
                content = chunk[at : at + self._left_bytes]
                out += content
                self._left_bytes -= len(content)
                at += len(content)
                continue
            piece = chunk[at : at + _HEADER_BYTES - len(self._header)]
            self._header += piece
            at += len(piece)
            if len(self._header) == _HEADER_BYTES:
                self._left_bytes = int.from_bytes(self._header[4:], "big")
                self._header.clear()
        return bytes(out)


class FollowedLog:
    """What of a log was given while it grew, against which the whole log is checked at the end.

    An engine may leave out bytes of a log that it follows; read as a whole, nothing is missing.
    """

    def __init__(self) -> None:
        self._given_bytes = self._read_bytes = 0
        self._given_sum = self._read_sum = 0

    def give(self, chunk: bytes) -> None:
        """Note the next bytes that were given."""
        self._given_bytes += len(chunk)
        self._given_sum = zlib.crc32(chunk, self._given_sum)

    def rest_of(self, chunk: bytes) -> bytes:
        """What of the whole log's next bytes was not given yet.

        Raises LogIncomplete where other bytes were given than the log begins with.
        """
        known = chunk[: self._given_bytes - self._read_bytes]
        self._read_bytes += len(known)
        self._read_sum = zlib.crc32(known, self._read_sum)
        if self._read_bytes == self._given_bytes and self._read_sum != self._given_sum:
            raise LogIncomplete("the engine left out bytes of a log that was followed")
        return chunk[len(known) :]
