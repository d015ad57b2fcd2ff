"""The measure example outside the engine: its geometry, and what it keeps and leaves out."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from shapely.geometry import shape as as_shapely

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "measure"))

import measure
import shapes

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
HOLE = [[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]
FAR = 1e8

GEOMETRIES: list[dict[str, Any]] = [
    {"type": "Polygon", "coordinates": [SQUARE]},
    {"type": "Polygon", "coordinates": [SQUARE, HOLE]},
    {"type": "Polygon", "coordinates": [list(reversed(SQUARE))]},
    {"type": "Polygon", "coordinates": [[[0, 0], [9, 1], [5, 7.5], [2, 3], [0, 0]]]},
    {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [[[9, 9], [12, 9], [9, 13], [9, 9]]]]},
    {"type": "LineString", "coordinates": [[0, 0], [3, 4], [3, 10]]},
    {"type": "MultiLineString", "coordinates": [[[0, 0], [3, 4]], [[7, 7], [7, 9]]]},
    {"type": "Point", "coordinates": [3, 4, 99]},
    {"type": "MultiPoint", "coordinates": [[0, 0], [2, 8]]},
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: f"{g['type']}")
def test_shapes_are_measured_as_geos_measures_them(geometry: dict[str, Any]) -> None:
    ours, theirs = shapes.measure(geometry), as_shapely(geometry)
    assert ours is not None
    assert ours.area == pytest.approx(theirs.area)
    assert ours.perimeter == pytest.approx(theirs.length)
    assert ours.centroid == pytest.approx((theirs.centroid.x, theirs.centroid.y))
    assert ours.box == theirs.bounds


def test_a_small_shape_far_away_keeps_its_area() -> None:
    ring = [[x / 1024 + FAR, y / 1024 + FAR] for x, y in SQUARE]
    found = shapes.measure({"type": "Polygon", "coordinates": [ring]})
    assert found is not None
    assert found.area == 16 / 1024**2


def test_features_circles_and_what_is_empty() -> None:
    polygon = {"type": "Polygon", "coordinates": [SQUARE]}
    feature = {"type": "Feature", "geometry": polygon, "properties": None}
    assert shapes.measure(feature) == shapes.measure(polygon)
    circle = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [10, 20]},
        "properties": {"subType": "Circle", "radius": 2},
    }
    assert shapes.measure(circle) == shapes.Shape(
        math.pi * 4, math.pi * 4, (10, 20), (8, 18, 12, 22)
    )
    assert shapes.measure({"type": "Polygon", "coordinates": []}) is None
    assert shapes.measure({"type": "Point", "coordinates": []}) is None


def test_a_box_is_a_rectangle_that_measures_as_itself() -> None:
    box = (1, 2, 5, 9)
    found = shapes.measure(shapes.rectangle(box))
    assert found is not None
    assert (found.area, found.box) == (28, box)


@pytest.mark.parametrize(
    ("moment", "minutes", "expected"),
    [
        ("2024-02-28T23:59:00Z", 1, "2024-02-29T00:00:00Z"),
        ("2024-01-01t00:00:00.123456789-11:30", -1, "2023-12-31T23:59:00.123456789-11:30"),
        ("0001-01-01T00:00:00+00:00", 0, "0001-01-01T00:00:00+00:00"),
    ],
)
def test_a_clock_is_set_right_and_keeps_its_zone(moment: str, minutes: int, expected: str) -> None:
    assert measure.shifted(moment, minutes) == expected


def test_a_date_before_all_dates_is_refused_in_a_sentence() -> None:
    with pytest.raises(SystemExit, match="cannot be set right by -1 minutes"):
        measure.shifted("0001-01-01T00:00:00Z", -1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0], 1.5),
        ([math.inf, 1.0], math.inf),
        ([], math.nan),
        ([1.0, math.nan], math.nan),
        ([math.inf, -math.inf], math.nan),
        ([1e308, 1e308], math.nan),
    ],
)
def test_the_mean_of_any_scores(values: list[float], expected: float) -> None:
    assert measure.mean(values) == pytest.approx(expected, nan_ok=True)


def _square(side: float, label: str, *, at: float = 0.0, reviewed: bool = True) -> Any:
    ring = [[at + x * side / 4, y * side / 4] for x, y in SQUARE]
    found = shapes.measure({"type": "Polygon", "coordinates": [ring]})
    return measure.Annotation("", label, found, {"reviewed": reviewed})


def _wish(**changes: Any) -> Any:
    defaults = {
        "pixel_size": 1.0, "max_area": math.inf, "within": None, "only_reviewed": False,
        "order": "given",
    }  # fmt: skip
    return measure.Wish(**{**defaults, **changes})


def test_annotations_are_left_out_by_size_place_and_review() -> None:
    small, large = _square(2, "stroma"), _square(4, "tumour", reviewed=False)
    far = _square(2, "other", at=100)
    given = [small, large, far]
    assert measure.choose(given, _wish()) == given
    assert measure.choose(given, _wish(max_area=4)) == [small, far]
    assert measure.choose(given, _wish(max_area=4, pixel_size=2)) == []
    assert measure.choose(given, _wish(within=(0, 0, 4, 4))) == [small, large]
    assert measure.choose(given, _wish(only_reviewed=True)) == [small, far]
    assert measure.choose(given, _wish(order="area")) == [large, small, far]


def test_of_two_labels_alike_the_first_listed_dominates() -> None:
    assert measure.dominant({"stroma": 3.0, "tumour": 3.0}) == "tumour"
    assert measure.dominant({"stroma": 3.5, "tumour": 3.0}) == "stroma"
