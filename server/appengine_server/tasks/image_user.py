"""The user that an image runs as, in numbers: names stand in files inside its layers.

Schedulers that set the user themselves, and agents beside a task that read its files, need numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from appengine_contract.problems import ContractError, Problem

from appengine_server.tasks.entry_names import plain_name, shown
from appengine_server.tasks.image_layout import ImageArchive
from appengine_server.tasks.tar_stream import TarDamaged, TarStream, plain_tar
from appengine_server.tasks.untagged import OpenStream, Progress, read_layers

_LIMIT_BYTES = 1 << 20
"""Of /etc/passwd and /etc/group; what is longer is taken as if it were empty."""
_HIGHEST_ID = 2**31 - 1
_FILES = ("passwd", "group")
_Files = dict[str, bytes]


def numeric_user(
    open_stream: OpenStream, image: ImageArchive, *, on_progress: Progress | None = None
) -> str:
    """The image's user as `uid:gid`; empty is root, and so is group 0 where no file tells another.

    The archive is read once more unless the image says both as numbers, or root. A name stays as it
    is where a layer is compressed in a way that we cannot read. `open_stream` and `on_progress` as
    for `untagged_archive`. Raises ContractError (IMAGE_CANNOT_START) where nobody has that name.
    """
    user, _, group = image.user.partition(":")
    if user in {"", "0", "root"} and group in {"", "0", "root"}:
        return ""
    if _is_number(user) and _is_number(group):
        return f"{_id(user)}:{_id(group)}"
    if any(layer.media_type.endswith("zstd") for layer in image.layers):
        return image.user
    return _looked_up(user, group, _accounts(open_stream, image, on_progress))


def _looked_up(user: str, group: str, files: _Files) -> str:
    """As container engines do it: a number needs no entry, a name does."""
    rows = _rows(files.get("passwd", b""), fields=4)
    found = next((row for row in rows if user in (row[0], row[2])), None)
    if found is None and not _is_number(user):
        raise _unknown("user", user, "/etc/passwd")
    uid = _id(found[2] if found else user)
    if not group:
        return f"{uid}:{_id(found[3]) if found else 0}"
    rows = _rows(files.get("group", b""), fields=3)
    found = next((row for row in rows if group in (row[0], row[2])), None)
    if found is None and not _is_number(group):
        raise _unknown("group", group, "/etc/group")
    return f"{uid}:{_id(found[2] if found else group)}"


def _rows(content: bytes, *, fields: int) -> Iterator[list[str]]:
    for line in content.decode("utf-8", "replace").splitlines():
        row = line.strip().split(":")
        if len(row) >= fields and _is_number(row[2]) and (fields < 4 or _is_number(row[3])):
            yield row


class _Found(NamedTuple):
    """What one layer says of the files."""

    files: _Files
    removed: frozenset[str]


def _accounts(open_stream: OpenStream, image: ImageArchive, on_progress: Progress | None) -> _Files:
    unique = {layer.diff_id: layer for layer in image.layers}
    found = {
        layer.diff_id: _read(pieces)
        for layer, pieces in read_layers(open_stream, list(unique.values()), on_progress)
    }
    files: _Files = {}
    for layer in image.layers:  # from the lowest to the highest
        files = {
            **{name: files[name] for name in files if name not in found[layer.diff_id].removed},
            **found[layer.diff_id].files,
        }
    return files


def _read(pieces: Iterator[bytes]) -> _Found:
    files: _Files = {}
    removed: set[str] = set()
    try:
        tar = TarStream(plain_tar(_Stream(pieces)))
        for entry in tar:
            folder, _, name = plain_name(entry.name).rpartition("/")
            if folder == "etc" and name in _FILES:
                is_small_file = entry.kind == "file" and entry.size_bytes <= _LIMIT_BYTES
                files[name] = b"".join(tar.pieces()) if is_small_file else b""
            elif (folder, name) in {("", ".wh.etc"), ("etc", ".wh..wh..opq")}:
                removed.update(_FILES)
            elif folder == "etc" and name.removeprefix(".wh.") in _FILES:
                removed.add(name.removeprefix(".wh."))
    except TarDamaged:  # empty, or for those who run it to judge
        pass
    return _Found(files, frozenset(removed))


class _Stream:
    """The pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    def close(self) -> None:
        self._left = memoryview(b"")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _id(text: str) -> int:
    if len(text) > 10 or int(text) > _HIGHEST_ID:
        raise _refusal(f"the image runs as user or group {shown(text)}, which no machine has")
    return int(text)


def _unknown(what: str, name: str, file: str) -> ContractError:
    return _refusal(
        f"the image runs as {what} {shown(name)}, whom its {file} does not list: give USER a "
        "number, or add the account"
    )


def _refusal(message: str) -> ContractError:
    return ContractError([Problem(path="image", reason="IMAGE_CANNOT_START", message=message)])
