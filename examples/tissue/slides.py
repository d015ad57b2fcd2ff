"""Reading pictures: what Pillow reads, and DICOM of 8 bits that is not compressed."""

from __future__ import annotations

import sys
from pathlib import Path

import pydicom
from PIL import Image, UnidentifiedImageError

MODES = {1: "L", 3: "RGB"}


def read_slide(path: Path) -> Image.Image:
    """Read a picture file, or the largest picture of a folder of WSI-DICOM files."""
    if path.is_dir():
        files = [pydicom.dcmread(file) for file in sorted(path.iterdir())]
        return stitched(max(files, key=lambda file: pixel_count(matrix(file))), path)
    if is_dicom(path):
        return stitched(pydicom.dcmread(path), path)
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except UnidentifiedImageError:
        sys.exit(f"{path.parent.name}/{path.name} is no picture in a format that this task reads")


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132).endswith(b"DICM")


def matrix(file: pydicom.Dataset) -> tuple[int, int]:
    """Width and height of the whole slide, of which the frames are tiles."""
    width = file.get("TotalPixelMatrixColumns") or file.Columns
    height = file.get("TotalPixelMatrixRows") or file.Rows
    return int(width), int(height)


def pixel_count(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def stitched(file: pydicom.Dataset, path: Path) -> Image.Image:
    """Put the frames together, row by row, as DICOM's TILED_FULL has them."""
    mode = MODES.get(file.SamplesPerPixel)
    plain = file.BitsAllocated == 8 and not file.file_meta.TransferSyntaxUID.is_compressed
    if mode is None or not plain or file.get("PlanarConfiguration"):
        sys.exit(f"{path.parent.name}/{path.name} is DICOM of a kind that this task does not read")
    slide = Image.new(mode, matrix(file), "white")
    across = -(-slide.width // file.Columns)
    frame_bytes = file.Columns * file.Rows * file.SamplesPerPixel
    for number in range(int(file.get("NumberOfFrames") or 1)):
        data = file.PixelData[number * frame_bytes : (number + 1) * frame_bytes]
        tile = Image.frombytes(mode, (file.Columns, file.Rows), data)
        slide.paste(tile, (number % across * file.Columns, number // across * file.Rows))
    return slide.convert("RGB")
