"""TIFF and BigTIFF: the size of the largest directory in the main chain.

Read by hand, as only two tags of each directory matter: this needs no array library and stays
bounded on files made to exhaust a reader.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

SIGNATURES = (
    b"II\x2a\x00",
    b"MM\x00\x2a",
    b"II\x2b\x00\x08\x00\x00\x00",
    b"MM\x00\x2b\x00\x08\x00\x00",
)
_WIDTH_TAG, _HEIGHT_TAG = 256, 257
_MOST_DIRECTORIES = 10_000
_MOST_TAGS = 1_000_000
"""Of all directories together. A stack of 10,000 pages has about 200,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flavour:
    order: str
    offset: str
    count: str
    tag_bytes: int
    first_offset_at: int

    def unpack(self, form: str, data: bytes) -> int:
        (value,) = struct.unpack(self.order + form, data[: struct.calcsize(self.order + form)])
        return int(value)


def dimensions(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels of the largest image. Raises ValueError."""
    flavour = _flavour(file.read(4))
    _seek(file, flavour.first_offset_at)
    offset = _read(file, flavour, flavour.offset)
    seen: set[int] = set()
    tags_left = _MOST_TAGS
    largest = (0, 0)
    while offset and offset not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(offset)
        _seek(file, offset)
        count = _read(file, flavour, flavour.count)
        tags_left -= count
        if tags_left < 0:
            raise ValueError("its directories have too many tags")
        size = _directory(_exactly(file, count * flavour.tag_bytes), flavour)
        offset = _read(file, flavour, flavour.offset)
        largest = max(largest, size, key=lambda found: found[0] * found[1])
    if not all(largest):
        raise ValueError("no directory has a width and a height")
    return largest


def _flavour(head: bytes) -> _Flavour:
    order = "<" if head[:2] == b"II" else ">"
    if head[2:4] in (b"\x2b\x00", b"\x00\x2b"):
        return _Flavour(order=order, offset="Q", count="Q", tag_bytes=20, first_offset_at=8)
    return _Flavour(order=order, offset="I", count="H", tag_bytes=12, first_offset_at=4)


def _seek(file: BinaryIO, offset: int) -> None:
    if offset >= 2**63:
        raise ValueError("a directory lies beyond the end of any file")
    file.seek(offset)


def _read(file: BinaryIO, flavour: _Flavour, form: str) -> int:
    return flavour.unpack(form, _exactly(file, struct.calcsize(flavour.order + form)))


def _directory(tags: bytes, flavour: _Flavour) -> tuple[int, int]:
    found = {}
    for begin in range(0, len(tags), flavour.tag_bytes):
        number = flavour.unpack("H", tags[begin : begin + 2])
        if number in (_WIDTH_TAG, _HEIGHT_TAG):
            found[number] = _number(tags[begin : begin + flavour.tag_bytes], flavour)
    return found.get(_WIDTH_TAG, 0), found.get(_HEIGHT_TAG, 0)


def _number(tag: bytes, flavour: _Flavour) -> int:
    form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(flavour.unpack("H", tag[2:]))
    if form is None or (form == "Q" and flavour.tag_bytes == 12):
        raise ValueError("a width or height is no whole number")
    return flavour.unpack(form, tag[12 if flavour.tag_bytes == 20 else 8 :])


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("the file ends too early")
    return data
