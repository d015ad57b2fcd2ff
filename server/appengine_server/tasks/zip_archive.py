"""A bundle's zip, read by its central directory: entries, and streams of their contents.

Whatever is wrong with the file becomes a `Problem`; none of zipfile's exceptions leaves here.
"""

from __future__ import annotations

import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Self

from appengine_contract.problems import ContractError, Problem

from appengine_server.tasks.entry_names import shown

READ_FAILURES = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,  # zipfile's word for an encrypted entry
    ValueError,  # seeks to impossible places, names that are not UTF-8
    OverflowError,
)
"""What zipfile raises where a zip is broken."""
_END_RECORD = b"PK\x05\x06"
_END_RECORD_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_END_RECORD_BYTES = 22
_LONGEST_COMMENT = 65_535
_DIRECTORY_LIMIT_BYTES = 4 << 20
"""zipfile reads the whole central directory into memory; 1000 entries take about 0.4 MiB."""


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip, and close it. Raises ContractError when it is none, or is cut short."""
    with path.open("rb") as file:
        _check_end_record(file)
        with _telling("BUNDLE_CORRUPT", "the zip's directory cannot be read"):
            archive = zipfile.ZipFile(file)
        with archive:
            yield archive


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *, limit_bytes: int) -> bytes:
    """The content, which must not be longer than the limit: no more than that is unpacked.

    Raises ContractError: BUNDLE_TOO_LARGE, or BUNDLE_CORRUPT.
    """
    name = shown(entry.filename)
    telling = _telling("BUNDLE_CORRUPT", "the entry cannot be unpacked", path=name)
    with telling, archive.open(entry) as stream:
        content = stream.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise _refusal("BUNDLE_TOO_LARGE", f"the entry is over its {limit_bytes} bytes", name)
    return content


class EntryStream:
    """The bytes of one entry, in order. Its `close`, or leaving its `with`, closes the zip.

    Reading raises ContractError when the bytes do not match the zip's own checksums.
    """

    def __init__(self, archive: zipfile.ZipFile, stream: IO[bytes], name: str) -> None:
        self._archive = archive
        self._stream = stream
        self._name = name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; empty only at the end."""
        with _telling("BUNDLE_CORRUPT", "the entry cannot be unpacked", path=shown(self._name)):
            return self._stream.read(size)

    def close(self) -> None:
        """Close the entry and its zip. Twice is harmless."""
        self._stream.close()
        self._archive.close()


def open_image_entry(path: Path, entry: str) -> EntryStream:
    """The image archive inside the bundle, as a stream; `entry` is `CheckedBundle.image_entry`.

    The caller closes it. Raises ContractError when the zip or the entry cannot be read.
    """
    archive: zipfile.ZipFile | None = None
    try:
        with _telling("BUNDLE_CORRUPT", "the image archive cannot be read", path=shown(entry)):
            archive = zipfile.ZipFile(path)
            stream = archive.open(entry)
    except KeyError:
        _close(archive)
        raise _refusal("IMAGE_MISSING", "the bundle has no such entry", shown(entry)) from None
    except BaseException:
        _close(archive)
        raise
    return EntryStream(archive, stream, entry)


def _close(archive: zipfile.ZipFile | None) -> None:
    if archive is not None:
        archive.close()


@contextmanager
def _telling(reason: str, what: str, *, path: str = "") -> Iterator[None]:
    try:
        yield
    except READ_FAILURES as error:
        raise _refusal(reason, f"{what}: {_sentence(error)}", path) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # that is a seek to an impossible place
            raise
        raise _refusal(reason, f"{what}: {_sentence(error)}", path) from error


def _sentence(error: Exception) -> str:
    return shown(str(error)) or type(error).__name__


def _refusal(reason: str, message: str, path: str = "") -> ContractError:
    return ContractError([Problem(path=path, reason=reason, message=message)])


def _check_end_record(file: BinaryIO) -> None:
    size_bytes = file.seek(0, io.SEEK_END)
    tail_bytes = min(size_bytes, _END_RECORD_BYTES + _LONGEST_COMMENT)
    file.seek(size_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    place = tail.rfind(_END_RECORD)
    if place < 0 or len(tail) - place < _END_RECORD_BYTES:
        file.seek(0)
        raise _not_a_whole_zip(file.read(4), size_bytes)
    directory_bytes, start = struct.unpack_from("<LL", tail, place + 12)
    if directory_bytes == 0xFFFFFFFF or start == 0xFFFFFFFF:
        directory_bytes = _directory_bytes_64(file, size_bytes - tail_bytes + place)
    if directory_bytes > _DIRECTORY_LIMIT_BYTES:
        raise _refusal(
            "BUNDLE_TOO_LARGE",
            f"the zip's directory takes {directory_bytes} bytes: it has far too many entries",
        )
    file.seek(0)


def _directory_bytes_64(file: BinaryIO, end_record: int) -> int:
    file.seek(max(0, end_record - 20))
    locator = file.read(20)
    if len(locator) < 20 or not locator.startswith(_LOCATOR_64):
        return 0  # zipfile takes the 32-bit record at its word, and fails by itself
    file.seek(max(0, end_record - 20 - 56))
    record = file.read(56)
    if len(record) < 56 or not record.startswith(_END_RECORD_64):
        return 0
    return int(struct.unpack_from("<Q", record, 40)[0])


def _not_a_whole_zip(head: bytes, size_bytes: int) -> ContractError:
    if size_bytes == 0:
        return _refusal("BUNDLE_NOT_ZIP", "the bundle is empty; send a zip file")
    if head.startswith(b"PK\x03\x04"):
        return _refusal(
            "BUNDLE_TRUNCATED",
            f"the zip ends after {size_bytes} bytes, before its directory: send it whole",
        )
    return _refusal("BUNDLE_NOT_ZIP", "the bundle is not a zip file")
