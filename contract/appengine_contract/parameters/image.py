"""Pictures, and folders of WSI-DICOM files. Only headers are read, never pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

from appengine_contract.parameters.file import (
    check_bytes_kind,
    check_size,
    read_formats,
    read_max_file_size,
    write_bytes_value,
)
from appengine_contract.parameters.image_formats import formats
from appengine_contract.parameters.type import ParameterType, ReadType
from appengine_contract.problems import ContractError, Problem
from appengine_contract.reading import (
    Entry,
    Findings,
    Kind,
    ReadOptions,
    child,
    list_folder,
    open_folder,
    printable,
    settled,
)
from appengine_contract.values import FileValue, Value
from appengine_contract.yaml_tree import Fields

ZIP_SIGNATURE = b"PK\x03\x04"
"""How a zip begins, in which the folder of a WSI-DICOM travels."""
_FOLDER_FORMAT = "wsidicom"
_FORMATS = (*formats.FILE_FORMATS, _FOLDER_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """What was found out about a file or a folder of files."""

    format: str
    size_bytes: int
    file_count: int
    dimensions: tuple[int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageType(ParameterType):
    """On disk the file unchanged, or for WSI-DICOM a flat folder."""

    id: ClassVar[str] = "image"
    takes_references: ClassVar[bool] = True

    formats: tuple[str, ...] = ()
    """`png`, `jpeg`, `tiff`, `dicom`, `wsidicom`; empty means any file."""
    max_file_size_bytes: int | None = None
    """Of all files of a folder together."""
    max_width: int | None = None
    """In pixels, included."""
    max_height: int | None = None
    """In pixels, included."""

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        return cls(
            formats=read_formats(fields, _FORMATS),
            max_file_size_bytes=read_max_file_size(fields),
            max_width=_pixels(fields, "max_width"),
            max_height=_pixels(fields, "max_height"),
        )

    def check(self, value: Value, at: str) -> list[Problem]:
        return check_bytes_kind(value, "an image", at)

    def takes_zip(self) -> bool:
        """Whether a zip stands for the folder of WSI-DICOM files that it holds."""
        return not self.formats or _FOLDER_FORMAT in self.formats

    def write(self, value: Value, path: Path) -> None:
        """Link a reference. The bytes of a FileValue are where they belong already."""
        write_bytes_value(value, path)

    def read_entry(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> Value | None:
        with settled(entry, at, options, findings) as target:
            if target is None:
                return None
            if target.kind is Kind.FOLDER:
                picture = self._read_folder(target, at, options, findings)
            else:
                picture = self._read_file(target, at, options, findings)
        if picture is None:
            return None
        self._check_constraints(picture, at, findings)
        return FileValue(
            entry.path, picture.size_bytes, file_count=picture.file_count, format=picture.format
        )

    def _read_file(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> _Picture | None:
        with _opened(entry) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes == 0:
                findings.problem(at, "IMAGE_FORMAT", "the file is empty")
                return None
            head = file.read(formats.SIGNATURE_BYTES)
            if head.startswith(ZIP_SIGNATURE) and options.unpack and self.takes_zip():
                return self._read_zip(file, entry, at, options, findings)
            found = formats.detect(head)
            if not self._accepts(found, at, findings):
                return None
            dimensions = self._dimensions(found, file, at, findings)
        return _Picture(format=found, size_bytes=size_bytes, file_count=1, dimensions=dimensions)

    def _read_zip(
        self, file: BinaryIO, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> _Picture | None:
        assert options.unpack is not None
        try:
            unpacked = options.unpack(file, entry.path, at)
        except ContractError as error:
            findings.problems += error.problems
            return None
        with open_folder(unpacked.parent) as parent:
            folder = Entry(
                folder=parent, name=unpacked.name, location=str(unpacked), path=entry.path,
                kind=Kind.FOLDER,
            )  # fmt: skip
            return self._read_folder(folder, at, options, findings)

    def _accepts(self, found: str, at: str, findings: Findings) -> bool:
        if not self.formats or found in self.formats:
            return True
        shown = "a folder" if found == _FOLDER_FORMAT else found  # nobody has looked into it yet
        what = f"it is {shown}" if found else "its format is not known"
        findings.problem(at, "IMAGE_FORMAT", f"expected {' or '.join(self.formats)}, but {what}")
        return False

    def _dimensions(
        self, found: str, file: BinaryIO, at: str, findings: Findings
    ) -> tuple[int, int] | None:
        if self.max_width is None and self.max_height is None:
            return None
        try:
            return formats.dimensions(found, file)
        except (ValueError, OSError) as error:
            message = f"width and height cannot be read: {error}"
            findings.problem(at, "IMAGE_DIMENSIONS_UNREADABLE", message)
            return None

    def _read_folder(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> _Picture | None:
        if not self._accepts(_FOLDER_FORMAT, at, findings):
            return None
        with open_folder(entry.name, folder=entry.folder) as folder:
            listing = list_folder(folder, limit=options.max_entries)
            if not listing:
                what = "holds no files" if listing == {} else "holds too many files"
                findings.problem(at, "IMAGE_FORMAT", f"the folder {what}")
                return None
            pictures = [
                self._read_slice(child(entry, folder, name, listing[name]), at, options, findings)
                for name in sorted(listing)
            ]
        if any(picture is None for picture in pictures):
            return None
        return _together([picture for picture in pictures if picture is not None])

    def _read_slice(
        self, entry: Entry, at: str, options: ReadOptions, findings: Findings
    ) -> _Picture | None:
        place = f"{at}/{printable(entry.name)}"
        with settled(entry, place, options, findings) as target:
            if target is None:
                return None
            if target.kind is Kind.FOLDER:
                message = "a folder of WSI-DICOM files must be flat; this is a folder in it"
                findings.problem(place, "IMAGE_FORMAT", message)
                return None
            with _opened(target) as file:
                if formats.detect(file.read(formats.SIGNATURE_BYTES)) != "dicom":
                    message = "a folder is an image only if every file in it is DICOM; this is not"
                    findings.problem(place, "IMAGE_FORMAT", message)
                    return None
                size_bytes = os.fstat(file.fileno()).st_size
                dimensions = self._dimensions("dicom", file, place, findings)
        return _Picture(
            format=_FOLDER_FORMAT, size_bytes=size_bytes, file_count=1, dimensions=dimensions
        )

    def _check_constraints(self, picture: _Picture, at: str, findings: Findings) -> None:
        check_size(picture.size_bytes, self.max_file_size_bytes, at, findings)
        if picture.dimensions is None:
            return
        width, height = picture.dimensions
        if self.max_width is not None and width > self.max_width:
            message = f"{width} pixels are wider than {self.max_width}"
            findings.problem(at, "IMAGE_TOO_WIDE", message)
        if self.max_height is not None and height > self.max_height:
            message = f"{height} pixels are higher than {self.max_height}"
            findings.problem(at, "IMAGE_TOO_HIGH", message)


def _opened(entry: Entry) -> BinaryIO:
    return os.fdopen(entry.open_file(), "rb")


def _together(pictures: list[_Picture]) -> _Picture:
    sizes = [picture.dimensions for picture in pictures if picture.dimensions is not None]
    return _Picture(
        format=_FOLDER_FORMAT,
        size_bytes=sum(picture.size_bytes for picture in pictures),
        file_count=len(pictures),
        dimensions=max(sizes, key=lambda size: size[0] * size[1]) if sizes else None,
    )


def _pixels(fields: Fields, key: str) -> int | None:
    value = fields.integer(key)
    if value is not None and value < 1:
        fields.error(key, "FIELD_RANGE", f"must be 1 or more, found {value}")
        return None
    return value
