"""Which format a file has, by its signature, and its size in pixels, from its header."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from appengine_contract.parameters.image_formats import dicom, jpeg, png, tiff

SIGNATURE_BYTES = 132
"""How much of a file's begin `detect` needs."""

_DIMENSIONS: dict[str, Callable[[BinaryIO], tuple[int, int]]] = {
    "png": png.dimensions,
    "jpeg": jpeg.dimensions,
    "tiff": tiff.dimensions,
    "dicom": dicom.dimensions,
}
FILE_FORMATS = tuple(_DIMENSIONS)


def detect(head: bytes) -> str:
    """The format of a file that begins with `head`; empty when it is not known."""
    if head.startswith(png.SIGNATURE):
        return "png"
    if head.startswith(jpeg.SIGNATURE):
        return "jpeg"
    if head.startswith(tiff.SIGNATURES):
        return "tiff"
    if head.startswith(dicom.SIGNATURE, dicom.SIGNATURE_OFFSET):
        return "dicom"
    return ""


def dimensions(file_format: str, file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels of a file of that format. Raises ValueError or OSError."""
    if file_format not in _DIMENSIONS:
        raise ValueError("its format is not known")
    file.seek(0)
    return _DIMENSIONS[file_format](file)
