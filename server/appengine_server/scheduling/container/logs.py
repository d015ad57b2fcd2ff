"""Taking stdout and stderr out of the engine's one stream, byte by byte as they were printed."""

from __future__ import annotations

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
