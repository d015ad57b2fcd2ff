"""Python values as typed values of the API, and the other way round.

Nothing is converted between kinds: `"5"` is no integer, `True` is no number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral, Real
from pathlib import Path
from typing import TypeAlias

from appengine.v1 import task_pb2, value_pb2
from google.protobuf.struct_pb2 import NULL_VALUE

from appengine_client._api.geometry import SupportsGeoInterface, as_geojson
from appengine_client.errors import InvalidValue

FILE_KINDS = ("file", "image")
_INTEGER_LIMIT = 2**63
_EXACT_LIMIT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """A local file, or a folder of WSI-DICOM files, to be uploaded."""

    path: Path
    companion: Path | None = None
    """A GeoJSON file that says where in a larger image this one was cropped from."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A file or folder of a dataset that the server has: used in place, never copied."""

    path: str
    """Absolute, below the server's dataset folder."""

    @staticmethod
    def pattern(text: str) -> ReferencePattern:
        """All files of a dataset that match, such as `/data/set1/*.tiff`, for an array."""
        return ReferencePattern(text)


@dataclass(frozen=True, slots=True)
class ReferencePattern:
    """The files of a dataset that match, in natural order: an array of files or images whole."""

    text: str
    """Absolute, with `*`, `?` and `[...]`; the server looks for what matches."""


InputPython: TypeAlias = (
    "bool | int | float | str | datetime | Path | LocalFile | Reference | ReferencePattern"
    " | Mapping[str, object] | SupportsGeoInterface | Sequence[InputPython] | None"
)
"""What an input takes: by its type a plain value, a GeoJSON object or one of shapely's, a path, or
a list of these."""


def takes_pattern(declared: task_pb2.ParameterType) -> bool:
    """Whether a ReferencePattern may stand for a value of this type."""
    return kind_of(declared) == "array" and kind_of(declared.array.subtype) in FILE_KINDS


def kind_of(declared: task_pb2.ParameterType) -> str:
    """Name of the type, such as `integer` or `array`."""
    return declared.WhichOneof("type") or "unknown"


def describe(declared: task_pb2.ParameterType) -> str:
    """The type for people, such as `array of geometry`."""
    kind = kind_of(declared)
    return f"array of {describe(declared.array.subtype)}" if kind == "array" else kind


def to_value(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value:
    """A Python value as a value of this type. Files are none: they are uploaded.

    Raises InvalidValue, naming `where`, when it is of another kind.
    """
    if given is None:
        return value_pb2.Value(null=NULL_VALUE)
    if isinstance(given, Reference) and kind_of(declared) in FILE_KINDS:
        return value_pb2.Value(dataset=value_pb2.DatasetReference(path=given.path))
    if isinstance(given, ReferencePattern) and takes_pattern(declared):
        return value_pb2.Value(dataset=value_pb2.DatasetReference(pattern=given.text))
    value = _CONVERSIONS.get(kind_of(declared), _unknown)(declared, given, where)
    if value is None:
        raise _unlike(declared, given, where)
    return value


def _unlike(declared: task_pb2.ParameterType, given: object, where: str) -> InvalidValue:
    shown = repr(given)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return InvalidValue(f"{where}: expected {_EXPECTED[kind_of(declared)]}, found {shown}")


_EXPECTED = {
    "boolean": "true or false",
    "integer": "an integer of 64 bits",
    "number": "a number",
    "string": "a text",
    "enumeration": "one of the texts that the task lists",
    "datetime": "a date and time with its zone, such as 2024-05-01T12:00:00Z",
    "geometry": "a GeoJSON geometry or Feature",
    "file": "a file to upload, or a Reference",
    "image": "an image file to upload, or a Reference",
    "array": "a list",
    "unknown": "a type that this client knows",
}


def _unknown(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value | None:
    return None


def _boolean(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value | None:
    return value_pb2.Value(boolean=given) if isinstance(given, bool) else None


def _integer(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value | None:
    if isinstance(given, bool) or not isinstance(given, Integral):  # also those of numpy
        return None
    in_range = -_INTEGER_LIMIT <= int(given) < _INTEGER_LIMIT
    return value_pb2.Value(integer=int(given)) if in_range else None


def _number(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value | None:
    if isinstance(given, bool) or not isinstance(given, Real):
        return None
    try:
        return value_pb2.Value(number=float(given))
    except OverflowError:
        return None


def _string(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value | None:
    return value_pb2.Value(string=given) if isinstance(given, str) else None


def _enumeration(
    declared: task_pb2.ParameterType, given: object, where: str
) -> value_pb2.Value | None:
    return value_pb2.Value(enumeration=given) if isinstance(given, str) else None


def _datetime(
    declared: task_pb2.ParameterType, given: object, where: str
) -> value_pb2.Value | None:
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise InvalidValue(f"{where}: the date and time {given} has no zone")
        given = given.isoformat()
    if not isinstance(given, str):
        return None
    return value_pb2.Value(datetime=value_pb2.DateTime(text=given))


def _geometry(
    declared: task_pb2.ParameterType, given: object, where: str
) -> value_pb2.Value | None:
    given = as_geojson(given)
    if isinstance(given, Mapping):
        given = json.dumps(given, ensure_ascii=False)
    return value_pb2.Value(geometry=given) if isinstance(given, str) else None


def _array(declared: task_pb2.ParameterType, given: object, where: str) -> value_pb2.Value | None:
    subtype = declared.array.subtype
    if kind_of(subtype) == "geometry" and isinstance(as_geojson(given), Mapping | str):
        return _geometry(subtype, given, where)  # a collection: the server takes it apart
    items = items_of(given)
    if items is None:
        return None
    values = [to_value(subtype, item, f"{where}[{index}]") for index, item in enumerate(items)]
    return value_pb2.Value(array=value_pb2.ArrayValue(items=values))


def items_of(given: object) -> Sequence[object] | None:
    """The items of an array, or None when it is none."""
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        return given
    return None


_CONVERSIONS = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "enumeration": _enumeration,
    "datetime": _datetime,
    "geometry": _geometry,
    "array": _array,
    "file": _unknown,
    "image": _unknown,
}


def text_on_disk(value: value_pb2.Value) -> bytes:
    """A scalar value as the file that a task reads. Raises ValueError for arrays and files."""
    match value.WhichOneof("kind"):
        case "boolean":
            text = "true" if value.boolean else "false"
        case "integer":
            text = str(value.integer)
        case "number":
            text = number_text(value.number)
        case "string":
            text = value.string
        case "enumeration":
            text = value.enumeration
        case "datetime":
            text = value.datetime.text
        case "geometry":
            text = value.geometry
        case kind:
            raise ValueError(f"a value of the kind {kind} has no text")
    return text.encode()


def number_text(number: float) -> str:
    """The shortest text that reads back to the same float; whole numbers without a point."""
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    is_negative_zero = number == 0 and math.copysign(1, number) < 0
    if number == int(number) and abs(number) < _EXACT_LIMIT and not is_negative_zero:
        return str(int(number))
    return repr(number)


def to_python(value: value_pb2.Value) -> object:
    """A value as plain Python, ready for JSON: geometry as an object, files as their path.

    NaN and infinities are the texts `nan`, `inf` and `-inf`, which JSON can hold.
    """
    match value.WhichOneof("kind"):
        case "number":
            return value.number if math.isfinite(value.number) else number_text(value.number)
        case "datetime":
            return value.datetime.text
        case "geometry":
            return _geojson(value.geometry)
        case "array":
            return [to_python(item) for item in value.array.items]
        case "file":
            return value.file.path
        case "dataset":
            return value.dataset.path or value.dataset.pattern
        case None | "null":
            return None
        case kind:
            plain: object = getattr(value, kind)
            return plain


def _geojson(text: str) -> object:
    try:
        geometry: object = json.loads(text)
    except ValueError:
        return text
    return geometry
