"""Makes folders of zipped WSI-DICOM, in a place of our own, and puts them where the zips lay.

A zip is somebody else's word: names, sizes and kinds in it are checked before a byte is written,
and what is written is counted.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO
from uuid import uuid4

from appengine_contract.parameters.image_formats import formats
from appengine_contract.problems import ContractError, Problem

from appengine_server.storage.commit import commit_tree
from appengine_server.tasks.entry_names import plain_name, shown, what_is_unsafe
from appengine_server.tasks.zip_archive import READ_FAILURES, open_zip

_MOST_FILES = 10_000
_LONGEST_NAME_BYTES = 255
_CHUNK_BYTES = 1 << 20
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_MAC_FOLDER = "__MACOSX/"
_TOO_LARGE = frozenset({"BUNDLE_TOO_LARGE"})


class _OwnDiskFailed(Exception):
    """Our disk failed, not what is read: whoever reads must not take it for a fault of that."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class Unpacker:
    """Unpacks what is read: see `ReadOptions.unpack`."""

    def __init__(self, scratch: Path, *, limit_bytes: int) -> None:
        """`scratch` is a folder on the file system of what is read; others remove it. The limit is
        for the content of all zips together.
        """
        self._scratch = scratch
        self._left_bytes = limit_bytes
        self._folders: dict[str, Path] = {}

    def __call__(self, file: BinaryIO, path: str, at: str) -> Path:
        """The folder that the zip holds. Raises ContractError; only within `reading`."""
        folder = self._scratch / uuid4().hex
        with _own_disk():
            folder.mkdir()
            folder.chmod(_FOLDER_MODE)
        self._left_bytes = _unpack(file, folder, at, self._left_bytes)
        self._folders[path] = folder
        return folder

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around whatever unpacks: raises OSError where our own disk failed."""
        try:
            yield
        except _OwnDiskFailed as failed:
            raise failed.error from failed

    @property
    def unpacked(self) -> bool:
        """Whether there is anything to be put in place."""
        return bool(self._folders)

    def put_in_place(self, root: Path) -> None:
        """Give every zip below `root` that was unpacked its folder's place. Raises OSError."""
        for path, folder in self._folders.items():
            commit_tree(folder, root / path)
        self._folders.clear()


@contextmanager
def _own_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _OwnDiskFailed(error) from error


def _unpack(file: BinaryIO, folder: Path, at: str, left_bytes: int) -> int:
    # A descriptor of its own: the path may have become something else since it was opened.
    again = Path(f"/proc/self/fd/{file.fileno()}")
    try:
        with open_zip(again) as archive:
            for name, entry in _files(archive, at).items():
                left_bytes = _write(archive, entry, folder / name, at, left_bytes)
    except ContractError as error:
        raise _in_our_words(error, at) from error
    return left_bytes


def _in_our_words(error: ContractError, at: str) -> ContractError:
    """What is told of a bundle's zip, told of an image's."""
    problem = error.problems[0]
    if not problem.reason.startswith("BUNDLE_"):
        return error
    if problem.reason in _TOO_LARGE:
        return _refusal(at, "ZIP_UNSAFE", problem.message)
    return _refusal(at, "IMAGE_FORMAT", f"the zip cannot be read: {problem.message}")


def _files(archive: zipfile.ZipFile, at: str) -> dict[str, zipfile.ZipInfo]:
    """The entries by the names that they get: flat, without one common folder at the top."""
    listed = [(_checked_name(one, at), one) for one in archive.infolist()]
    files = [(name, one) for name, one in listed if not _is_passed_over(name)]
    tops = {name.partition("/")[0] if "/" in name else None for name, _ in files}
    if len(tops) == 1 and None not in tops:
        files = [(name.partition("/")[2], one) for name, one in files]
    if not files:
        raise _refusal(at, "IMAGE_FORMAT", "the zip holds no files")
    if len(files) > _MOST_FILES:
        message = f"the zip holds {len(files)} files; {_MOST_FILES} are allowed"
        raise _refusal(at, "ZIP_UNSAFE", message)
    found: dict[str, zipfile.ZipInfo] = {}
    for name, one in files:
        if "/" in name or "\\" in name:
            message = f"`{shown(name)}` lies in a folder of the zip: put all files at its top, or "
            raise _refusal(at, "ZIP_UNSAFE", message + "all into one folder")
        if len(os.fsencode(name)) > _LONGEST_NAME_BYTES:
            raise _refusal(at, "ZIP_UNSAFE", f"`{shown(name)}` has too long a name")
        if name in found:
            raise _refusal(at, "ZIP_UNSAFE", f"the zip has two files `{shown(name)}`")
        found[name] = one
    return found


def _checked_name(entry: zipfile.ZipInfo, at: str) -> str:
    name = entry.orig_filename  # zipfile cuts the other one at a NUL
    unsafe = "is absolute" if name.startswith("/") else what_is_unsafe(name)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if unsafe is None and kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        unsafe = "is a link or a device"
    if unsafe is None and entry.flag_bits & _ENCRYPTED:
        unsafe = "is encrypted"
    if unsafe is None and entry.compress_type not in _METHODS:
        unsafe = "is packed by another method than deflate"
    if unsafe is not None:
        raise _refusal(at, "ZIP_UNSAFE", f"the entry `{shown(name)}` of the zip {unsafe}")
    return plain_name(name)


def _is_passed_over(name: str) -> bool:
    """Folders, which are made by what is in them, and the litter of macOS."""
    last = name.rpartition("/")[2]
    return (
        not last
        or name.startswith(_MAC_FOLDER)
        or f"/{_MAC_FOLDER}" in name
        or last == ".DS_Store"
        or last.startswith("._")
    )


def _write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, at: str, left_bytes: int
) -> int:
    """Write one file; answers how many bytes others may still have."""
    name = shown(path.name)
    try:
        with archive.open(entry) as content:
            head = content.read(formats.SIGNATURE_BYTES)
            if formats.detect(head) != "dicom":
                message = f"a zip is an image only if every file in it is DICOM; `{name}` is not"
                raise _refusal(at, "IMAGE_FORMAT", message)
            return left_bytes - _copy(head, content, path, at, left_bytes)
    except ContractError:
        raise
    except READ_FAILURES as error:
        message = f"the file `{name}` of the zip cannot be unpacked: {shown(str(error))}"
        raise _refusal(at, "IMAGE_FORMAT", message) from error


def _copy(head: bytes, content: IO[bytes], path: Path, at: str, left_bytes: int) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _own_disk():
        descriptor = os.open(path, flags, _FILE_MODE)
    try:
        os.fchmod(descriptor, _FILE_MODE)
        written, part = 0, head
        while part:
            written += len(part)
            if written > left_bytes:
                message = "unpacked, the zip is larger than the server allows (RUN_MAX_UNPACKED)"
                raise _refusal(at, "ZIP_UNSAFE", message)
            with _own_disk():
                _write_all(descriptor, part)
            part = content.read(_CHUNK_BYTES)
    finally:
        os.close(descriptor)
    return written


def _write_all(descriptor: int, part: bytes) -> None:
    rest = memoryview(part)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _refusal(at: str, reason: str, message: str) -> ContractError:
    return ContractError([Problem(path=at, reason=reason, message=message)])
