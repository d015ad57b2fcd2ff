"""The image archive in a bundle, checked in one reading: nothing is unpacked to disk.

Archives of 17 GB are real: contents pass through in pieces of 1 MiB; only JSON documents are kept.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from appengine_contract.problems import ContractError, Problem

from appengine_server.tasks.archive_index import ArchiveIndex, Compression, Member
from appengine_server.tasks.entry_names import plain_name, shown, what_is_unsafe
from appengine_server.tasks.image_layout import ImageArchive, ImageChoice, choose_image
from appengine_server.tasks.tar_stream import (
    ByteStream,
    TarDamaged,
    TarEntry,
    TarStream,
    plain_tar,
)

_OTHER_COMPRESSIONS = (b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
_NAMED_BY_DIGEST = re.compile(r"(?:blobs/sha256/([0-9a-f]{64})|([0-9a-f]{64})\.json)")
_GUNZIP_STEP_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """What an image archive may take. Sizes in bytes."""

    unpacked_bytes: int = 100 * 10**9
    """The tar, when its gzip is undone."""
    layer_bytes: int = 100 * 10**9
    """One layer, when its gzip is undone."""
    entries: int = 20_000
    document_bytes: int = 4 << 20
    """One JSON document."""
    documents_bytes: int = 64 << 20
    """All JSON documents together: they are kept in memory."""


def image_archive_is_there(stream: ByteStream) -> bool:
    """Whether this begins like a tar, or a tar in gzip. Reads no more than the beginning."""
    try:
        return next(iter(TarStream(plain_tar(stream))), None) is not None
    except TarDamaged:
        return False


def inspect_image_archive(
    stream: ByteStream,
    wanted: ImageChoice,
    *,
    limits: ImageLimits | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImageArchive:
    """Read the archive once, check its hashes, and find the image to run.

    `on_progress` is told the bytes of `stream` that were read, at least every 1 MiB; what it raises
    ends the reading and comes out here. Raises ContractError with every problem:
    BUNDLE_UNSAFE_ENTRY, BUNDLE_TOO_LARGE, BUNDLE_CORRUPT, IMAGE_NOT_ARCHIVE, IMAGE_PLATFORM,
    IMAGE_AMBIGUOUS, IMAGE_CORRUPT.
    """
    reading = _Reading(limits or ImageLimits())
    counted = Counted(stream, on_progress)
    try:
        reading.read(TarStream(plain_tar(counted)))
    except TarDamaged as error:
        reading.problem(_reason_of(error, reading), str(error))
    if reading.problems:
        raise ContractError(reading.problems)
    return choose_image(reading.index, wanted)


def _reason_of(error: TarDamaged, reading: _Reading) -> str:
    is_none = not reading.has_begun and not isinstance(error.__cause__, (EOFError, zlib.error))
    return "IMAGE_NOT_ARCHIVE" if is_none else "IMAGE_CORRUPT"


class Counted:
    """A stream that tells how many of its bytes were read."""

    def __init__(self, stream: ByteStream, on_progress: Callable[[int], None] | None) -> None:
        self._stream = stream
        self._on_progress = on_progress
        self._read_bytes = 0

    def read(self, size: int, /) -> bytes:
        """As the stream's."""
        piece = self._stream.read(size)
        self._read_bytes += len(piece)
        if self._on_progress is not None:
            self._on_progress(self._read_bytes)
        return piece

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class _Reading:
    def __init__(self, limits: ImageLimits) -> None:
        self.index = ArchiveIndex()
        self.problems: list[Problem] = []
        self.has_begun = False
        self._limits = limits
        self._content_bytes = 0
        self._kept_bytes = 0

    def read(self, tar: TarStream) -> None:
        for entry in tar:
            self.has_begun = True
            self._content_bytes += entry.size_bytes
            if not self._is_within_limits(entry):
                return
            self._read_entry(tar, entry)
        tar.drain()

    def problem(self, reason: str, message: str, path: str = "") -> None:
        self.problems.append(Problem(path=path, reason=reason, message=message))

    def _is_within_limits(self, entry: TarEntry) -> bool:
        limits = self._limits
        if entry.number >= limits.entries:
            self.problem("BUNDLE_TOO_LARGE", f"the tar has more than {limits.entries} entries")
            return False
        if self._content_bytes > limits.unpacked_bytes:
            message = f"the tar unpacks to more than {limits.unpacked_bytes} bytes"
            self.problem("BUNDLE_TOO_LARGE", message)
            return False
        return True

    def _read_entry(self, tar: TarStream, entry: TarEntry) -> None:
        name = plain_name(entry.name)
        unsafe = what_is_unsafe(entry.name)
        if unsafe is None and entry.name.startswith("/"):
            unsafe = "is absolute"
        if unsafe is not None:
            message = f"the name of this entry of the image archive {unsafe}"
            self.problem("BUNDLE_UNSAFE_ENTRY", message, shown(entry.name))
        elif entry.kind == "file":
            self._read_file(tar, entry, name)
        elif entry.kind == "hard link":
            self.index.links[name] = plain_name(entry.link_target)
            self.index.members.pop(name, None)
        elif entry.kind == "symlink":
            if not self.index.add_symlink(name, entry.link_target):
                message = f"this link leads out of the image archive, to {shown(entry.link_target)}"
                self.problem("BUNDLE_UNSAFE_ENTRY", message, shown(entry.name))
        elif entry.kind == "special":
            message = "the image archive holds an entry that is no file, folder or link"
            self.problem("BUNDLE_UNSAFE_ENTRY", message, shown(entry.name))

    def _read_file(self, tar: TarStream, entry: TarEntry, name: str) -> None:
        named = _NAMED_BY_DIGEST.fullmatch(name)
        hashing = _Hashing(
            # a blob's own digest is enough: to unpack all of them would take minutes
            unpacks=not name.startswith("blobs/"),
            limit_bytes=self._limits.layer_bytes,
            keeps=entry.size_bytes <= self._limits.document_bytes
            and self._kept_bytes + entry.size_bytes <= self._limits.documents_bytes,
        )
        for piece in tar.pieces():
            hashing.add(piece)
        if named is not None and hashing.digest != f"sha256:{named[1] or named[2]}":
            message = f"its bytes do not match its name: they are {hashing.digest}"
            self.problem("IMAGE_CORRUPT", message, shown(name))
        if hashing.is_over_limit:
            message = f"this layer unpacks to more than {self._limits.layer_bytes} bytes"
            self.problem("BUNDLE_TOO_LARGE", message, shown(name))
        content = hashing.document
        self._kept_bytes += len(content or b"")
        self.index.links.pop(name, None)
        self.index.members[name] = Member(
            number=entry.number,
            name=name,
            size_bytes=entry.size_bytes,
            digest=hashing.digest,
            plain_digest=hashing.plain_digest,
            compression=hashing.compression,
            content=content,
        )


class _Hashing:
    """Hashes one file as it passes by, decompressed too where asked."""

    def __init__(self, *, unpacks: bool, limit_bytes: int, keeps: bool) -> None:
        self.compression: Compression = "none"
        self._unpacks = unpacks
        self._limit_bytes = limit_bytes
        self._hash = hashlib.sha256()
        self._kept: list[bytes] | None = [] if keeps else None
        self._gunzip: _GunzipHash | None = None
        self._is_first = True

    def add(self, piece: bytes) -> None:
        if self._is_first:
            self._is_first = False
            self.compression = _compression_of(piece)
            if not piece.lstrip().startswith((b"{", b"[")):
                self._kept = None
            if self.compression == "gzip" and self._unpacks:
                self._gunzip = _GunzipHash(self._limit_bytes)
        self._hash.update(piece)
        if self._kept is not None:
            self._kept.append(piece)
        if self._gunzip is not None:
            self._gunzip.add(piece)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    @property
    def plain_digest(self) -> str | None:
        if self.compression == "none":
            return self.digest
        return self._gunzip.digest if self._gunzip is not None else None

    @property
    def is_over_limit(self) -> bool:
        return self._gunzip is not None and self._gunzip.is_over_limit

    @property
    def document(self) -> bytes | None:
        return b"".join(self._kept) if self._kept else None


class _GunzipHash:
    """The sha256 of gzip data's content. It may have several members; memory stays bounded."""

    def __init__(self, limit_bytes: int) -> None:
        self.is_over_limit = False
        self._left_bytes = limit_bytes
        self._hash = hashlib.sha256()
        self._gunzip = zlib.decompressobj(wbits=31)
        self._is_broken = False

    def add(self, piece: bytes) -> None:
        while piece and not self.is_over_limit and not self._is_broken:
            if self._gunzip.eof:
                piece = piece.lstrip(b"\0")
                self._gunzip = zlib.decompressobj(wbits=31)
                continue
            try:
                content = self._gunzip.decompress(piece, _GUNZIP_STEP_BYTES)
            except zlib.error:
                self._is_broken = True
                return
            self._hash.update(content)
            self._left_bytes -= len(content)
            self.is_over_limit = self._left_bytes < 0
            piece = self._gunzip.unconsumed_tail or self._gunzip.unused_data

    @property
    def digest(self) -> str | None:
        if self._is_broken or not self._gunzip.eof:
            return None
        return f"sha256:{self._hash.hexdigest()}"


def _compression_of(head: bytes) -> Compression:
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    return "other" if head.startswith(_OTHER_COMPRESSIONS) else "none"
