"""Area, perimeter, centroid and box of GeoJSON geometries in a plane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Position = tuple[float, float]
Box = tuple[float, float, float, float]
Geometry = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """What was measured of one geometry, in pixels."""

    area: float
    perimeter: float
    centroid: Position
    box: Box
    """Left, bottom, right, top."""


def measure(annotation: Geometry) -> Shape | None:
    """Measure a geometry or a Feature; None when it has no coordinates.

    Holes count for the perimeter, not for the area. What has no area has the centroid of its
    lines, what has no lines that of its points.
    """
    geometry, properties = annotation, {}
    if annotation["type"] == "Feature":
        geometry, properties = annotation["geometry"], annotation.get("properties") or {}
    lines = lines_of(geometry)
    points = [position for line in lines for position in line]
    if not points:
        return None
    if properties.get("subType") == "Circle":
        return circle(points[0], properties["radius"])
    rings = signed_rings(geometry)
    area = math.fsum(part for part, _ in rings)
    perimeter = math.fsum(length(line) for line in lines)
    return Shape(max(area, 0.0), perimeter, centroid(rings, lines, points), box_around(points))


def lines_of(geometry: Geometry) -> list[list[Position]]:
    """All rings and lines of a geometry; points are lines of one position."""
    coordinates = geometry["coordinates"]
    match geometry["type"]:
        case "Point":
            nested = [[coordinates]] if coordinates else []
        case "MultiPoint":
            nested = [[position] for position in coordinates]
        case "LineString":
            nested = [coordinates]
        case "MultiLineString" | "Polygon":
            nested = coordinates
        case _:
            nested = [ring for polygon in coordinates for ring in polygon]
    return [[(x, y) for x, y, *_ in line] for line in nested]


def signed_rings(geometry: Geometry) -> list[tuple[float, Position]]:
    """Area and centroid of each ring of a geometry; the area of a hole is negative."""
    polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}
    found = []
    for polygon in polygons.get(geometry["type"], []):
        for number, ring in enumerate(polygon):
            area, middle = ring_moments([(x, y) for x, y, *_ in ring])
            found.append((-area if number else area, middle))
    return found


def ring_moments(ring: list[Position]) -> tuple[float, Position]:
    """Area and centroid of a closed ring, whichever way it turns."""
    if not ring:
        return 0.0, (0.0, 0.0)
    # Far from the origin, products of coordinates would lose the digits that matter.
    left, bottom = ring[0]
    near = [(x - left, y - bottom) for x, y in ring]
    steps = list(pairwise(near))
    crosses = [x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in steps]
    twice = math.fsum(crosses)
    if twice == 0:
        return 0.0, ring[0]
    x = math.fsum((a[0] + b[0]) * c for (a, b), c in zip(steps, crosses, strict=True))
    y = math.fsum((a[1] + b[1]) * c for (a, b), c in zip(steps, crosses, strict=True))
    return abs(twice) / 2, (left + x / (3 * twice), bottom + y / (3 * twice))


def distance(one: Position, other: Position) -> float:
    # Of these steps each is exactly rounded, so that every machine gives the same digits.
    return math.sqrt((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2)


def length(line: list[Position]) -> float:
    return math.fsum(map(distance, line, line[1:]))


def centroid(
    rings: list[tuple[float, Position]], lines: list[list[Position]], points: list[Position]
) -> Position:
    """The mean place of the area, else of the lines, else of the points."""
    pairs = [pair for line in lines for pair in pairwise(line)]
    middles = [(distance(a, b), ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)) for a, b in pairs]
    for weighted in (rings, middles, [(1.0, point) for point in points]):
        total = math.fsum(weight for weight, _ in weighted)
        if total > 0:
            break
    x = math.fsum(weight * place[0] for weight, place in weighted) / total
    y = math.fsum(weight * place[1] for weight, place in weighted) / total
    return x, y


def circle(middle: Position, radius: float) -> Shape:
    x, y = middle
    box = (x - radius, y - radius, x + radius, y + radius)
    return Shape(math.pi * radius * radius, 2 * math.pi * radius, (x, y), box)


def box_around(points: list[Position]) -> Box:
    columns, rows = [x for x, _ in points], [y for _, y in points]
    return min(columns), min(rows), max(columns), max(rows)


def rectangle(box: Box) -> Geometry:
    """A box as a GeoJSON feature, counterclockwise."""
    left, bottom, right, top = box
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    return {
        "type": "Feature",
        "properties": {"subType": "Rectangle"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def is_inside(place: Position, box: Box) -> bool:
    left, bottom, right, top = box
    return left <= place[0] <= right and bottom <= place[1] <= top
