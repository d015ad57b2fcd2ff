"""DICOM: the size stands in the data set's header. Loads pydicom when first used."""

from __future__ import annotations

import warnings
from typing import BinaryIO, cast

SIGNATURE = b"DICM"
SIGNATURE_OFFSET = 128
_TOTAL = ("TotalPixelMatrixColumns", "TotalPixelMatrixRows")
_FRAME = ("Columns", "Rows")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 16 * 1024
_MOST_BYTES = 256 << 20


class _Bounded:
    """A file of which only so much may be read: any element may claim to have 4 GiB."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._left:
            raise ValueError(f"its header is longer than {_MOST_BYTES} bytes")
        self._left -= size
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def dimensions(file: BinaryIO) -> tuple[int, int]:
    """Width and height in pixels, of the whole slide where the file is a tile set.

    Raises ValueError.
    """
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities in tags that are not looked at
            if _is_deflated(file):
                raise ValueError("its header is compressed")
            bounded = cast("BinaryIO", _Bounded(file))
            bounded.seek(0)
            header = pydicom.dcmread(
                bounded, stop_before_pixels=True, specific_tags=[*_TOTAL, *_FRAME]
            )
            for names in (_TOTAL, _FRAME):
                width, height = (int(header.get(name) or 0) for name in names)
                if width > 0 and height > 0:
                    return width, height
    except ValueError:
        raise
    except Exception as error:  # pydicom raises many kinds on files that are not what they seem
        raise ValueError(str(error) or type(error).__name__) from error
    raise ValueError("it has no columns and rows")


def _is_deflated(file: BinaryIO) -> bool:
    # pydicom would inflate all of it into memory, however large that is. The transfer syntax
    # stands near the begin, uncompressed.
    return _DEFLATED in file.read(_META_BYTES)
