"""PNG: the size stands in the first chunk."""

from __future__ import annotations

import struct
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def dimensions(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels, from the IHDR chunk. Raises ValueError."""
    head = file.read(24)
    if len(head) < 24 or head[12:16] != b"IHDR":
        raise ValueError("the file does not begin with an IHDR chunk")
    width, height = struct.unpack(">II", head[16:24])
    return width, height
