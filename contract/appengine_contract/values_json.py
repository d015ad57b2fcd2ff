"""Values as JSON: one form that loses nothing, for databases, and one for people."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from appengine_contract.values import (
    ArrayValue,
    BooleanValue,
    DateTimeValue,
    EnumerationValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NullValue,
    NumberValue,
    ReferencePattern,
    ReferenceValue,
    StringValue,
    Value,
)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def to_json(value: Value) -> dict[str, Json]:
    """One object whose only key is the kind, as in `{"integer": 5}`.

    It is strict JSON and survives PostgreSQL's jsonb. Numbers are texts: jsonb knows neither nan,
    nor infinity, nor negative zero. An array whose items are of one kind names it once, as in
    `{"array": {"integer": [5, 7]}}`: arrays of 100,000 are usual.
    """
    kind, content = _WRITERS[type(value)]
    return {kind: content(value)}


def _array(value: ArrayValue) -> Json:
    classes = set(map(type, value.items))
    if len(classes) != 1:
        return [to_json(item) for item in value.items]
    kind, content = _WRITERS[classes.pop()]
    return {kind: list(map(content, value.items))}


def _file(value: FileValue) -> dict[str, Json]:
    return {
        "path": value.path,
        "size_bytes": value.size_bytes,
        "file_count": value.file_count,
        "format": value.format,
    }


def _reference(value: ReferenceValue) -> dict[str, Json]:
    return {
        "path": value.path,
        "size_bytes": value.size_bytes,
        "file_count": value.file_count,
        "format": value.format,
        "stamp": value.stamp,
    }


_WRITERS: dict[type, tuple[str, Callable[[Any], Json]]] = {
    BooleanValue: ("boolean", attrgetter("value")),
    IntegerValue: ("integer", attrgetter("value")),
    NumberValue: ("number", lambda value: repr(float(value.value))),
    StringValue: ("string", attrgetter("text")),
    EnumerationValue: ("enumeration", attrgetter("text")),
    DateTimeValue: ("datetime", attrgetter("text")),
    GeometryValue: ("geometry", attrgetter("text")),
    FileValue: ("file", _file),
    ReferenceValue: ("reference", _reference),
    ReferencePattern: ("reference_pattern", attrgetter("pattern")),
    ArrayValue: ("array", _array),
    NullValue: ("null", lambda _: None),
}


def _read_array(content: Any) -> Value:
    if isinstance(content, list):
        return ArrayValue(tuple(map(from_json, content)))
    kind, items = _only_key(content)
    return ArrayValue(tuple(map(_READERS[kind], items)))


_READERS: dict[str, Callable[[Any], Value]] = {
    "boolean": BooleanValue,
    "integer": IntegerValue,
    "number": lambda text: NumberValue(float(text)),
    "string": StringValue,
    "enumeration": EnumerationValue,
    "datetime": DateTimeValue,
    "geometry": GeometryValue,
    "file": lambda members: FileValue(**members),
    "reference": lambda members: ReferenceValue(**members),
    "reference_pattern": ReferencePattern,
    "array": _read_array,
    "null": lambda _: NullValue(),
}


def from_json(document: Mapping[str, Any]) -> Value:
    """The value that `to_json` wrote. Raises ValueError on anything else."""
    kind, content = _only_key(document)
    try:
        return _READERS[kind](content)
    except TypeError as error:
        raise ValueError(f"the content of {kind!r} is wrong: {error}") from error


def _only_key(document: Mapping[str, Any]) -> tuple[str, Any]:
    """A kind that is known, and what belongs to it."""
    if len(document) != 1:
        raise ValueError(f"expected one key, the kind, found {len(document)}")
    ((kind, content),) = document.items()
    if kind not in _READERS:
        raise ValueError(f"there is no kind of value {kind!r}")
    return kind, content


def to_plain(value: Value) -> Json:
    """The value as people expect it in a JSON file.

    Geometries are objects, files their path, and nan and infinity the texts `nan`, `inf`, `-inf`.
    """
    match value:
        case BooleanValue() | IntegerValue():
            return value.value
        case NumberValue():
            return value.value if math.isfinite(value.value) else repr(float(value.value))
        case StringValue() | EnumerationValue() | DateTimeValue():
            return value.text
        case GeometryValue():
            geometry: Json = json.loads(value.text)
            return geometry
        case FileValue() | ReferenceValue():
            return value.path
        case ReferencePattern():
            return value.pattern
        case ArrayValue():
            return [to_plain(item) for item in value.items]
        case NullValue():
            return None
