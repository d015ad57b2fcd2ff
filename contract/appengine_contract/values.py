"""The values of inputs and outputs, each with its kind, as Python values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BooleanValue:
    """true or false."""

    value: bool


@dataclass(frozen=True, slots=True)
class IntegerValue:
    """A signed 64-bit integer."""

    value: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """A 64-bit float; nan and infinity included."""

    value: float


@dataclass(frozen=True, slots=True)
class StringValue:
    """Any text without U+0000."""

    text: str


@dataclass(frozen=True, slots=True)
class EnumerationValue:
    """One of the texts that the descriptor lists."""

    text: str


@dataclass(frozen=True, slots=True)
class DateTimeValue:
    """A moment with its zone."""

    text: str
    """As the client or the task wrote it: Python's datetime would drop digits of the fraction."""


@dataclass(frozen=True, slots=True)
class GeometryValue:
    """A geometry or Feature; for an array of geometries also a collection."""

    text: str
    """One GeoJSON object, byte for byte."""


@dataclass(frozen=True, slots=True)
class FileValue:
    """Bytes that lie in a run's folder of inputs or outputs."""

    path: str
    """Relative to that folder."""
    size_bytes: int
    file_count: int = 1
    """More than 1 where the value is a folder (WSI-DICOM)."""
    format: str = ""
    """png, jpeg, tiff, dicom, wsidicom, text or binary; empty when unknown."""


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """A file or folder of a dataset, used in place."""

    path: str
    """Absolute; of one that was looked at, without links."""
    size_bytes: int = 0
    """As it was when it was looked at; of all files together where it is a folder."""
    file_count: int = 1
    """More than 1 where it is a folder (WSI-DICOM)."""
    format: str = ""
    """As `FileValue.format`."""
    stamp: str = ""
    """Another one as soon as sizes or modification times differ; empty before it was looked at."""


@dataclass(frozen=True, slots=True)
class ReferencePattern:
    """All files of a dataset whose path matches, as an array: who has the dataset resolves it."""

    pattern: str
    """Absolute, with `*`, `?` and `[...]` in its parts."""


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """An ordered list of values of one type."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class NullValue:
    """Clears an optional input."""


Value = (
    BooleanValue
    | IntegerValue
    | NumberValue
    | StringValue
    | EnumerationValue
    | DateTimeValue
    | GeometryValue
    | FileValue
    | ReferenceValue
    | ReferencePattern
    | ArrayValue
    | NullValue
)
