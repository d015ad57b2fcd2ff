"""Small slides in the formats of the contract, made here, so that every byte is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage

_UID = "1.2.826.0.1.3680043.8.498"


def slide(number: int, *, width: int = 96, height: int = 64) -> Image.Image:
    """A white slide with a stained, grained rectangle whose place depends on the number."""
    pixels = np.full((height, width, 3), 245, dtype=np.uint8)
    grain = np.random.default_rng(number).integers(0, 60, (height // 2, width // 3, 3))
    top, left = 4 + number % 8, 8 + 3 * (number % 8)
    stained = np.array([150, 80, 140]) - grain
    pixels[top : top + height // 2, left : left + width // 3] = stained
    return Image.fromarray(pixels)


def write_tiff(path: Path, picture: Image.Image, *, big: bool = False) -> None:
    """A pyramid of two levels in tiles; BigTIFF if asked."""
    pixels = np.asarray(picture)
    options = {"photometric": "rgb", "tile": (16, 16), "metadata": None, "software": ""}
    with tifffile.TiffWriter(path, bigtiff=big) as tiff:
        tiff.write(pixels, compression="zlib", subifds=0, **options)  # type: ignore[arg-type]
        tiff.write(pixels[::2, ::2], subfiletype=1, **options)  # type: ignore[arg-type]


def write_dicom(path: Path, picture: Image.Image, *, tile: int | None = None) -> None:
    """One DICOM file: a single frame, or the tiles of a whole slide."""
    pixels = np.asarray(picture.convert("RGB"))
    height, width = pixels.shape[:2]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"{_UID}.{width}.{height}.{tile or 0}")
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta[0x00020003].value
    file.SamplesPerPixel, file.PhotometricInterpretation = 3, "RGB"
    file.PlanarConfiguration, file.PixelRepresentation = 0, 0
    file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
    file.Rows, file.Columns = (tile, tile) if tile else (height, width)
    frames = _tiles(pixels, tile) if tile else [pixels]
    if tile:
        file.NumberOfFrames = len(frames)
        file.TotalPixelMatrixColumns, file.TotalPixelMatrixRows = width, height
    data = b"".join(frame.tobytes() for frame in frames)
    file.PixelData = data + b"\0" * (len(data) % 2)
    file.save_as(path, enforce_file_format=True)


def _tiles(pixels: np.ndarray, tile: int) -> list[np.ndarray]:
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
    return [
        padded[top : top + tile, left : left + tile]
        for top in range(0, height, tile)
        for left in range(0, width, tile)
    ]
