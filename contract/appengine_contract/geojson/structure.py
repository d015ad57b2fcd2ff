"""GeoJSON's structure, by hand: ready-made models are both too strict and too lax for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeGuard

Json = Any
"""What the JSON decoder gives: its shape is what is being checked."""

Shape = tuple[str, Json]
"""A geometry's type and its coordinates, checked."""

COLLECTIONS = ("FeatureCollection", "GeometryCollection")
_NUMBERS = frozenset({int, float})
_LARGEST = 1.7976931348623157e308


class GeometryError(ValueError):
    """A geometry is not what the contract accepts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_object(text: str) -> dict[str, Json]:
    """The JSON object that the text is. Raises GeometryError with NOT_JSON."""
    try:
        found = DECODER.decode(text)
    except RecursionError as error:
        raise GeometryError("NOT_JSON", "the JSON is nested too deeply") from error
    except ValueError as error:
        raise GeometryError("NOT_JSON", f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise GeometryError("NOT_JSON", "expected a JSON object")
    return found


def checked_shape(document: dict[str, Json]) -> Shape:
    """The shape of a geometry or a Feature. Raises GeometryError."""
    if document.get("type") != "Feature":
        return _geometry(document)
    geometry = document.get("geometry")
    if not isinstance(geometry, dict):
        raise GeometryError("GEOMETRY_STRUCTURE", "the geometry of a Feature must be an object")
    properties = document.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise GeometryError("GEOMETRY_STRUCTURE", "`properties` must be an object or null")
    shape = _geometry(geometry)
    _check_sub_type(shape[0], properties or {})
    return shape


def _geometry(geometry: dict[str, Json]) -> Shape:
    kind = geometry.get("type")
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise GeometryError("GEOMETRY_TYPE", _wrong_type(kind))
    assert isinstance(kind, str)
    if "coordinates" not in geometry:
        raise GeometryError("GEOMETRY_STRUCTURE", f"a {kind} must have `coordinates`")
    coordinates = geometry["coordinates"]
    check(_list(coordinates, "coordinates"))
    return kind, coordinates


def _wrong_type(kind: Json) -> str:
    if kind in COLLECTIONS:
        return f"a {kind} is several geometries; one is expected here"
    found = repr(kind)[:60] if kind is not None else "no `type`"
    return f"expected one of {', '.join(_CHECKS)} or a Feature of one, found {found}"


def _check_sub_type(kind: str, properties: dict[str, Json]) -> None:
    sub_type = properties.get("subType")
    if sub_type == "Circle":
        if kind != "Point":
            raise GeometryError("CIRCLE_INVALID", f"a Circle must be a Point, found {kind}")
        radius = properties.get("radius")
        if not _is_finite(radius) or radius <= 0:
            message = "a Circle must have a finite `radius` above 0 in its properties"
            raise GeometryError("CIRCLE_INVALID", message)
    elif sub_type == "Rectangle" and kind != "Polygon":
        raise GeometryError("RECTANGLE_INVALID", f"a Rectangle must be a Polygon, found {kind}")


def _is_finite(number: Json) -> TypeGuard[float]:
    if type(number) is float:
        return math.isfinite(number)
    return type(number) is int and abs(number) <= _LARGEST


def _list(value: Json, what: str) -> list[Json]:
    if type(value) is not list:
        raise GeometryError("GEOMETRY_STRUCTURE", f"{what} must be a list")
    return value


def _position(position: list[Json]) -> None:
    if len(position) < 2:
        raise GeometryError("GEOMETRY_STRUCTURE", "a position must have 2 or more numbers")
    for number in position:
        if not _is_finite(number):
            message = f"a position must have finite numbers, found {repr(number)[:60]}"
            raise GeometryError("GEOMETRY_STRUCTURE", message)


def _positions(positions: list[Json]) -> None:
    for position in positions:
        # Nearly all positions are two finite numbers, and there are millions of them.
        if type(position) is list and len(position) == 2:
            x, y = position
            if (
                type(x) in _NUMBERS
                and type(y) in _NUMBERS
                and -_LARGEST <= x <= _LARGEST
                and -_LARGEST <= y <= _LARGEST
            ):
                continue
        _position(_list(position, "a position"))


def _point(coordinates: list[Json]) -> None:
    if coordinates:
        _position(coordinates)


def _line(line: list[Json]) -> None:
    if line and len(line) < 2:
        raise GeometryError("GEOMETRY_STRUCTURE", "a line must have 2 or more positions")
    _positions(line)


def _ring(ring: list[Json]) -> None:
    _positions(ring)
    if not ring:
        return
    if len(ring) < 4:
        raise GeometryError("GEOMETRY_STRUCTURE", "a ring must have 4 or more positions")
    if ring[0][:2] != ring[-1][:2]:
        message = f"a ring must end where it begins: {ring[0][:2]} is not {ring[-1][:2]}"
        raise GeometryError("GEOMETRY_STRUCTURE", message)


def _each(check: Callable[[list[Json]], None], what: str) -> Callable[[list[Json]], None]:
    def every(parts: list[Json]) -> None:
        for part in parts:
            check(_list(part, what))

    return every


_polygon = _each(_ring, "a ring")
_CHECKS: dict[str, Callable[[list[Json]], None]] = {
    "Point": _point,
    "MultiPoint": _positions,
    "LineString": _line,
    "MultiLineString": _each(_line, "a line"),
    "Polygon": _polygon,
    "MultiPolygon": _each(_polygon, "a polygon"),
}
