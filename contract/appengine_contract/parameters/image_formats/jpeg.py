"""JPEG: the size stands in the first frame header."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

SIGNATURE = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""
_END_OR_SCAN = frozenset({0xD9, 0xDA})
_MOST_SEGMENTS = 20_000
_MOST_FILL_BYTES = 64


def dimensions(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels, from the first SOF marker. Raises ValueError."""
    file.seek(2)
    for _ in range(_MOST_SEGMENTS):
        marker = _next_marker(file)
        if marker in _ALONE:
            continue
        if marker in _END_OR_SCAN:
            break
        length = int.from_bytes(_exactly(file, 2), "big")
        if length < 2:
            raise ValueError("a segment has an impossible length")
        if marker in _FRAMES:
            height, width = struct.unpack(">xHH", _exactly(file, 5))
            return width, height
        file.seek(length - 2, os.SEEK_CUR)
    raise ValueError("there is no frame header")


def _next_marker(file: BinaryIO) -> int:
    if _exactly(file, 1) != b"\xff":
        raise ValueError("a marker is expected")
    for _ in range(_MOST_FILL_BYTES):
        marker = _exactly(file, 1)[0]
        if marker != 0xFF:  # any number of fill bytes may stand before a marker
            return marker
    raise ValueError("a marker is expected")


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("the file ends too early")
    return data
