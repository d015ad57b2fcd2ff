"""Whether shapes are valid in the OGC sense, as GEOS tests it. Loads shapely when first used."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain

from appengine_contract.geojson.structure import Json, Shape

_LITTLE_ENDIAN = b"\x01"
_CODES = {"LineString": 2, "Polygon": 3, "MultiLineString": 5, "MultiPolygon": 6}
"""The types that can be invalid, in WKB: points cannot."""


def invalid_places(shapes: Sequence[Shape]) -> dict[int, str]:
    """For each shape that is not valid its index, and why and where it is not."""
    indexes = [index for index, (kind, parts) in enumerate(shapes) if kind in _CODES and parts]
    if not indexes:
        return {}
    import numpy as np
    import shapely

    reasons: dict[int, str] = {}
    with np.errstate(all="ignore"):  # coordinates near the end of the floats overflow inside GEOS
        encoded = [_encoded(*shapes[index]) for index in indexes]
        geometries = shapely.from_wkb(encoded, on_invalid="ignore")
        for position in np.flatnonzero(~shapely.is_valid(geometries)):
            geometry = geometries[position]
            reason = (
                "GEOS cannot build it" if geometry is None else shapely.is_valid_reason(geometry)
            )
            reasons[indexes[position]] = reason
    return reasons


def _encoded(kind: str, coordinates: Json) -> bytes:
    head = _LITTLE_ENDIAN + struct.pack("<I", _CODES[kind])
    if kind == "LineString":
        return head + _run(coordinates)
    if kind == "Polygon":
        rings = [ring for ring in coordinates if ring]
        return head + struct.pack("<I", len(rings)) + b"".join(map(_run, rings))
    part = kind.removeprefix("Multi")
    parts = [_encoded(part, inner) for inner in coordinates if inner]
    return head + struct.pack("<I", len(parts)) + b"".join(parts)


def _run(positions: list[list[float]]) -> bytes:
    if all(len(position) == 2 for position in positions):
        numbers = list(chain.from_iterable(positions))
    else:
        numbers = [number for position in positions for number in position[:2]]
    return struct.pack(f"<I{len(numbers)}d", len(positions), *numbers)
