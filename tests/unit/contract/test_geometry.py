from __future__ import annotations

import json

import pytest
from appengine_contract.parameters.geometry import GeometryType, check_companion
from appengine_contract.values import GeometryValue, StringValue

_SQUARE = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]
_BOW_TIE = [[[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]]
_POINT = {"type": "Point", "coordinates": [0, 0]}
_POLYGON = {"type": "Polygon", "coordinates": _SQUARE}


def _feature(geometry: object, properties: object) -> str:
    return json.dumps({"type": "Feature", "geometry": geometry, "properties": properties})


def _geometry(kind: str, coordinates: object) -> str:
    return json.dumps({"type": kind, "coordinates": coordinates})


_RIGHT = [
    _geometry("Point", [1.5, -2]),
    _geometry("Point", [1, 2, 3, 4]),
    _geometry("Point", []),
    _geometry("MultiPoint", [[0, 0], [0, 0]]),
    _geometry("LineString", [[0, 0], [1, 1]]),
    _geometry("MultiLineString", [[[0, 0], [1, 1]], []]),
    _geometry("Polygon", _SQUARE),
    _geometry("Polygon", []),
    _geometry("Polygon", [*_SQUARE, [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]]),
    _geometry("MultiPolygon", [_SQUARE, [[[9, 9], [10, 9], [10, 10], [9, 9]]]]),
    _feature(_POINT, None),
    _feature(_POLYGON, {"class": "nucleus", "area": 16}),
    _feature(_POINT, {"subType": "Circle", "radius": 2.5}),
    _feature(_POLYGON, {"subType": "Rectangle"}),
    _feature(_POLYGON, {"subType": "Brush"}),
    '{"type": "Feature", "id": 7, "geometry": {"type": "Point", "coordinates": [0, 0]}}',
    '{"crs": {}, "bbox": [1], "type": "Point", "coordinates": [1e300, 0]}',
]


@pytest.mark.rule(
    "geometry.types",
    "geometry.bytes",
    "geometry.properties",
    "geometry.circle",
    "geometry.rectangle",
    "geometry.empty",
)
@pytest.mark.parametrize("text", _RIGHT)
def test_geometries_and_features_are_kept_byte_for_byte(read_bytes, text: str) -> None:
    spaced = text.replace(", ", " ,  ")
    assert GeometryType().check(GeometryValue(spaced), "x") == []
    assert GeometryType().encode(GeometryValue(spaced)) == spaced.encode()
    assert read_bytes(GeometryType(), spaced.encode()).value == GeometryValue(spaced)


@pytest.mark.rule(
    "geometry.types",
    "geometry.properties",
    "geometry.circle",
    "geometry.rectangle",
    "geometry.positions",
    "geometry.ring-closed",
    "geometry.valid",
    "geometry.empty",
)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "NOT_JSON"),
        ("[1]", "NOT_JSON"),
        ('{"type": "Point"', "NOT_JSON"),
        ('{"type": "Point", "coordinates": [NaN, 0]}', "NOT_JSON"),
        ('{"a":' * 100_000, "NOT_JSON"),
        ('{"type": "Point", "coordinates": [' + "9" * 5000 + ", 0]}", "NOT_JSON"),
        ("{}", "GEOMETRY_TYPE"),
        ('{"type": ["Point"], "coordinates": []}', "GEOMETRY_TYPE"),
        ('{"type": "point", "coordinates": [0, 0]}', "GEOMETRY_TYPE"),
        ('{"type": "GeometryCollection", "geometries": []}', "GEOMETRY_TYPE"),
        ('{"type": "FeatureCollection", "features": []}', "GEOMETRY_TYPE"),
        (_feature({"type": "GeometryCollection", "geometries": []}, {}), "GEOMETRY_TYPE"),
        (_feature(None, {}), "GEOMETRY_STRUCTURE"),
        (_feature(_POINT, [1]), "GEOMETRY_STRUCTURE"),
        ('{"type": "Point"}', "GEOMETRY_STRUCTURE"),
        (_geometry("Point", None), "GEOMETRY_STRUCTURE"),
        (_geometry("Point", [1]), "GEOMETRY_STRUCTURE"),
        (_geometry("Point", ["1", "2"]), "GEOMETRY_STRUCTURE"),
        (_geometry("Point", [True, 2]), "GEOMETRY_STRUCTURE"),
        ('{"type": "Point", "coordinates": [1e999, 0]}', "GEOMETRY_STRUCTURE"),
        ('{"type": "Point", "coordinates": [1' + "0" * 400 + ", 0]}", "GEOMETRY_STRUCTURE"),
        (_geometry("LineString", [[0, 0]]), "GEOMETRY_STRUCTURE"),
        (_geometry("LineString", [0, 0]), "GEOMETRY_STRUCTURE"),
        (_geometry("Polygon", [[[0, 0], [1, 0], [0, 0]]]), "GEOMETRY_STRUCTURE"),
        (_geometry("Polygon", [[[0, 0], [1, 0], [1, 1], [0, 1]]]), "GEOMETRY_STRUCTURE"),
        (_geometry("MultiPolygon", _SQUARE), "GEOMETRY_STRUCTURE"),
        (_geometry("Polygon", _BOW_TIE), "GEOMETRY_INVALID"),
        (_geometry("MultiPolygon", [_SQUARE, _SQUARE]), "GEOMETRY_INVALID"),
        (_feature({"type": "Polygon", "coordinates": _BOW_TIE}, {}), "GEOMETRY_INVALID"),
        (
            _feature(
                {"type": "Polygon", "coordinates": _SQUARE}, {"subType": "Circle", "radius": 1}
            ),
            "CIRCLE_INVALID",
        ),
        (
            _feature(_POINT, {"subType": "Circle"}),
            "CIRCLE_INVALID",
        ),
        (
            _feature(_POINT, {"subType": "Circle", "radius": 0}),
            "CIRCLE_INVALID",
        ),
        (
            _feature(
                {"type": "Point", "coordinates": [0, 0]}, {"subType": "Circle", "radius": True}
            ),
            "CIRCLE_INVALID",
        ),
        (
            _feature(_POINT, {"subType": "Rectangle"}),
            "RECTANGLE_INVALID",
        ),
    ],
)
def test_other_geometries_are_refused_with_their_reason(where, text: str, reason: str) -> None:
    assert where(GeometryType().check(GeometryValue(text), "x")) == {("x", reason)}


@pytest.mark.rule("geometry.valid")
def test_an_invalid_geometry_says_where_it_is_invalid() -> None:
    (problem,) = GeometryType().check(GeometryValue(_geometry("Polygon", _BOW_TIE)), "x")
    assert "Self-intersection" in problem.message
    assert "2 2" in problem.message


def test_a_geometry_is_no_string(where) -> None:
    assert where(GeometryType().check(StringValue(_RIGHT[0]), "x")) == {("x", "VALUE_KIND")}


@pytest.mark.rule("value.trimmed")
def test_whitespace_and_a_byte_order_mark_round_an_output_are_dropped(read_bytes) -> None:
    reading = read_bytes(GeometryType(), b"\xef\xbb\xbf\n" + _RIGHT[0].encode() + b"\r\n")
    assert reading.value == GeometryValue(_RIGHT[0])


@pytest.mark.rule("value.empty-output")
def test_an_empty_output_is_named_so(read_bytes, where) -> None:
    assert where(read_bytes(GeometryType(), b"\n").problems) == {("x", "OUTPUT_EMPTY")}


@pytest.mark.rule("image-type.companion")
def test_a_companion_may_cross_itself_but_has_structure(where) -> None:
    assert check_companion(_geometry("Polygon", _BOW_TIE).encode(), "x") == []
    assert where(check_companion(b"{}", "x")) == {("x", "GEOMETRY_TYPE")}
    assert where(check_companion(b"\xff", "x")) == {("x", "NOT_UTF8")}


@pytest.mark.rule("geometry.circle")
@pytest.mark.parametrize("radius", [0.5, 1, 1e-9])
def test_a_circle_may_be_small(radius: float) -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    properties = {"subType": "Circle", "radius": radius}
    feature = {"type": "Feature", "geometry": point, "properties": properties}
    assert GeometryType().check(GeometryValue(json.dumps(feature)), "x") == []
