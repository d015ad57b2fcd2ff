"""Tar archives read and written as streams: nothing is unpacked, no header is trusted with memory.

tarfile would read a long-name or pax header of any announced size into memory; this reader bounds
them, and passes contents through in pieces.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

BLOCK_BYTES = 512
PIECE_BYTES = 1 << 20
_EXTENSION_LIMIT_BYTES = 1 << 20
"""One long name or one set of pax headers."""
_GZIP_MAGIC = b"\x1f\x8b"
_KINDS: dict[bytes, Literal["file", "folder", "symlink", "hard link"]] = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hard link",
}

_WITHOUT_CONTENT = {
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
}


class ByteStream(Protocol):
    """What is read from here: bytes in order. The one who opened it closes it."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty only at the end."""

    def close(self) -> None:
        """Free what it holds."""


class TarDamaged(Exception):
    """The bytes are no tar, or end too early. The text is a sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TarEntry:
    """One entry of a tar."""

    number: int
    """Place among the entries, counted from 0: the same in every reading of one archive."""
    name: str
    kind: Literal["file", "folder", "symlink", "hard link", "special"]
    link_target: str
    size_bytes: int


class TarStream:
    """Iterates over the entries of a tar; the content of each is read before the next is asked for.

    What is not read of a content is skipped. Raises TarDamaged, and whatever the stream raises.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._left_bytes = 0
        self._padding_bytes = 0

    def __iter__(self) -> Iterator[TarEntry]:
        number = 0
        while (header := self._next_header(is_first=number == 0)) is not None:
            yield TarEntry(
                number=number,
                name=header.name,
                kind=_KINDS.get(header.type, "special"),
                link_target=header.linkname,
                size_bytes=self._left_bytes,
            )
            number += 1
            self._skip_content()

    def pieces(self) -> Iterator[bytes]:
        """The content of the entry that was given last, in pieces of at most 1 MiB."""
        while self._left_bytes:
            piece = self._stream.read(min(self._left_bytes, PIECE_BYTES))
            if not piece:
                raise TarDamaged(f"the tar ends {self._left_bytes} bytes before an entry does")
            self._left_bytes -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read what follows the last entry, so that checksums of the stream are checked."""
        while self._stream.read(PIECE_BYTES):
            pass

    def _skip_content(self) -> None:
        for _ in self.pieces():
            pass
        read_exactly(self._stream, self._padding_bytes)
        self._padding_bytes = 0

    def _next_header(self, *, is_first: bool) -> tarfile.TarInfo | None:
        name: str | None = None
        target: str | None = None
        pax: dict[str, str] = {}
        while True:
            header = self._read_header(is_first=is_first)
            if header is None:
                return None
            is_first = False
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = _text(self._extension(header).split(b"\0", 1)[0])
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                target = _text(self._extension(header).split(b"\0", 1)[0])
            elif header.type == tarfile.XHDTYPE:
                pax = _pax_fields(self._extension(header))
            elif header.type == tarfile.XGLTYPE:
                self._extension(header)
            else:
                header.name = pax.get("path", name or header.name)
                header.linkname = pax.get("linkpath", target or header.linkname)
                self._begin_content(header, pax)
                return header

    def _read_header(self, *, is_first: bool) -> tarfile.TarInfo | None:
        block = read_up_to(self._stream, BLOCK_BYTES)
        if not block or not block.strip(b"\0"):
            if is_first:
                raise TarDamaged("the tar is empty")
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            where = "not a tar archive" if is_first else "an entry of the tar has a broken header"
            raise TarDamaged(where) from error
        if header.size < 0:
            raise TarDamaged("an entry of the tar has a negative size")
        return header

    def _extension(self, header: tarfile.TarInfo) -> bytes:
        if header.size > _EXTENSION_LIMIT_BYTES:
            raise TarDamaged("an entry of the tar has a name of more than 1 MiB")
        content = read_exactly(self._stream, header.size + _padding_of(header.size))
        return content[: header.size]

    def _begin_content(self, header: tarfile.TarInfo, pax: dict[str, str]) -> None:
        if header.type == tarfile.GNUTYPE_SPARSE or any(k.startswith("GNU.sparse") for k in pax):
            raise TarDamaged("the tar holds sparse files; pack it without them")
        size_bytes = header.size
        if "size" in pax:
            if not pax["size"].isascii() or not pax["size"].isdigit() or len(pax["size"]) > 18:
                raise TarDamaged("an entry of the tar has an impossible size")
            size_bytes = int(pax["size"])
        self._left_bytes = 0 if header.type in _WITHOUT_CONTENT else size_bytes
        self._padding_bytes = _padding_of(self._left_bytes)


def plain_tar(stream: ByteStream) -> ByteStream:
    """The same bytes, decompressed when they are gzip. Closing it does not close `stream`."""
    head = read_up_to(stream, BLOCK_BYTES)
    whole = _Rejoined(head, stream)
    return _Gunzipped(whole) if head.startswith(_GZIP_MAGIC) else whole


def read_up_to(stream: ByteStream, size: int) -> bytes:
    """Exactly `size` bytes, fewer only at the end."""
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def read_exactly(stream: ByteStream, size: int) -> bytes:
    """Exactly `size` bytes. Raises TarDamaged at the end of the stream."""
    content = read_up_to(stream, size)
    if len(content) < size:
        raise TarDamaged("the tar ends in the middle of an entry")
    return content


def file_header(name: str, size_bytes: int) -> bytes:
    """The header of a file of a tar we write; the content and `padding` follow."""
    entry = tarfile.TarInfo(name)
    entry.size = size_bytes
    entry.mode = 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def padding(size_bytes: int) -> bytes:
    """What stands between a content of that size and the next header."""
    return b"\0" * _padding_of(size_bytes)


END_OF_TAR = b"\0" * (2 * BLOCK_BYTES)


def _padding_of(size_bytes: int) -> int:
    return -size_bytes % BLOCK_BYTES


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _pax_fields(content: bytes) -> dict[str, str]:
    fields = {}
    while content:
        length_text, _, _ = content.partition(b" ")
        if not length_text.isdigit() or len(length_text) > 7:
            raise TarDamaged("an entry of the tar has broken pax headers")
        length = int(length_text)
        record, content = content[len(length_text) + 1 : length], content[length:]
        if length <= len(length_text) or not record.endswith(b"\n"):
            raise TarDamaged("an entry of the tar has broken pax headers")
        key, _, value = record[:-1].partition(b"=")
        fields[_text(key)] = _text(value)
    return fields


class _Rejoined:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: ByteStream) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._rest.read(size)

    def close(self) -> None:
        self._head = b""


class _Gunzipped:
    """The decompressed bytes of a gzip stream; memory stays bounded whatever it unpacks to."""

    def __init__(self, stream: ByteStream) -> None:
        self._gzip = gzip.GzipFile(fileobj=stream, mode="rb")  # type: ignore[call-overload]

    def read(self, size: int, /) -> bytes:
        try:
            return bytes(self._gzip.read(size))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TarDamaged(f"the archive's gzip data cannot be unpacked: {error}") from error

    def close(self) -> None:
        self._gzip.close()
