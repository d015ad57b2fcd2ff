"""Python values become typed values, and nothing is converted between kinds."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from appengine.v1 import storage_service_pb2, task_pb2, value_pb2
from appengine_client import LocalFile, Reference, errors, to_python
from appengine_client._api import provisioning
from appengine_client._api.provisioning import plan_inputs
from appengine_client._api.values import number_text, text_on_disk, to_value
from appengine_client.transfer import Source
from shapely.geometry import MultiPolygon, Point, box, mapping

from tests.unit.client.declared import typed

POINT = {"type": "Point", "coordinates": [1, 2]}


@pytest.mark.parametrize(
    ("kind", "given", "field", "stored"),
    [
        ("boolean", True, "boolean", True),
        ("integer", -5, "integer", -5),
        ("number", 5, "number", 5.0),
        ("number", math.inf, "number", math.inf),
        ("string", "", "string", ""),
        ("enumeration", "HED", "enumeration", "HED"),
        ("geometry", '{"type": "Point"}', "geometry", '{"type": "Point"}'),
        ("geometry", POINT, "geometry", json.dumps(POINT)),
        ("geometry", Point(1, 2), "geometry", '{"type": "Point", "coordinates": [1.0, 2.0]}'),
        ("image", Reference("/d/a"), "dataset", value_pb2.DatasetReference(path="/d/a")),
    ],
)
def test_values_of_their_kind(kind, given, field, stored):
    value = to_value(typed(kind), given, "x")
    assert value.WhichOneof("kind") == field
    assert getattr(value, field) == stored


def test_shapes_are_taken_one_by_one_and_as_a_collection():
    shapes = [box(0, 0, 1, 1), box(5, 5, 6, 6)]
    value = to_value(typed("array/geometry"), shapes, "x")
    assert [json.loads(item.geometry)["type"] for item in value.array.items] == ["Polygon"] * 2
    whole = to_value(typed("array/geometry"), MultiPolygon(shapes), "x")
    assert json.loads(whole.geometry) == json.loads(json.dumps(mapping(MultiPolygon(shapes))))


def test_dates_have_zones():
    value = to_value(typed("datetime"), datetime(2024, 5, 1, tzinfo=UTC), "x")
    assert value.datetime.text == "2024-05-01T00:00:00+00:00"
    with pytest.raises(errors.InvalidValue, match="has no zone"):
        to_value(typed("datetime"), datetime(2024, 5, 1), "x")


@pytest.mark.rule("value.no-conversion")
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("boolean", 1),
        ("integer", True),
        ("integer", 5.0),
        ("integer", "5"),
        ("integer", 2**63),
        ("number", True),
        ("number", "5"),
        ("number", 10**400),
        ("string", 5),
        ("geometry", 5),
        ("geometry", [1]),
        ("array/integer", "12"),
        ("array/integer", {"a": 1}),
        ("file", b"bytes"),
    ],
)
def test_other_kinds_are_refused(kind, given):
    with pytest.raises(errors.InvalidValue, match=r"^x: expected "):
        to_value(typed(kind), given, "x")


def test_problems_in_arrays_name_the_item():
    with pytest.raises(errors.InvalidValue, match=r"^x\[1\]\[0\]: expected an integer"):
        to_value(typed("array/array/integer"), [[1], ["2"]], "x")


@pytest.mark.rule("array.collection-input")
def test_a_collection_is_an_array_of_geometry():
    collection = {"type": "GeometryCollection", "geometries": [POINT]}
    value = to_value(typed("array/geometry"), collection, "x")
    assert json.loads(value.geometry) == collection, "the server takes it apart"
    assert to_value(typed("array/geometry"), "{ }", "x").geometry == "{ }"
    nested = to_value(typed("array/array/geometry"), [collection], "x")
    assert json.loads(nested.array.items[0].geometry) == collection


@pytest.mark.rule("number.disk")
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5.0, "5"),
        (0.1, "0.1"),
        (1e-7, "1e-07"),
        (2.0**53, "9007199254740992.0"),
        (1e300, "1e+300"),
        (-0.0, "-0.0"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_on_disk(number, text):
    assert number_text(number) == text
    assert text_on_disk(value_pb2.Value(number=number)) == text.encode()
    assert repr(float(text)) == repr(number)


def test_values_as_plain_python():
    value = to_value(typed("array/number"), [1.5, math.nan], "x")
    assert to_python(value) == [1.5, "nan"]
    assert to_python(to_value(typed("geometry"), POINT, "x")) == POINT
    assert to_python(to_value(typed("integer"), None, "x")) is None
    assert to_python(to_value(typed("boolean"), False, "x")) is False


def parameters(**kinds: str) -> list[task_pb2.Parameter]:
    return [task_pb2.Parameter(name=name, type=typed(kind)) for name, kind in kinds.items()]


def sent(source: Source) -> dict[str, bytes]:
    return {
        entry.head.path: entry.content
        if isinstance(entry.content, bytes)
        else entry.content.read_bytes()
        for entry in source.entries
    }


def test_small_values_travel_in_one_request():
    plan = plan_inputs(parameters(a="integer", b="array/string"), {"a": 1, "b": ["x"]}, 1000)
    assert plan.fits_one_request
    assert [value.parameter for value in plan.requests[0]] == ["a", "b"]


def test_large_values_are_uploaded_in_their_form_on_disk():
    given = {"a": ["0", "1", "2"], "b": "x" * 50, "c": [["true"], []]}
    plan = plan_inputs(
        parameters(a="array/string", b="string", c="array/array/enumeration"), given, 5
    )
    assert not plan.requests
    uploads = {upload.parameter: sent(upload.source) for upload in plan.uploads}
    assert uploads == {
        "a": {"a/array.yml": b"size: 3\n", "a/0": b"0", "a/1": b"1", "a/2": b"2"},
        "b": {"b": b"x" * 50},
        "c": {
            "c/array.yml": b"size: 2\n",
            "c/0/array.yml": b"size: 1\n",
            "c/0/0": b"true",
            "c/1/array.yml": b"size: 0\n",
        },
    }


def test_many_short_values_travel_as_values_as_far_as_a_request_has_room(monkeypatch):
    monkeypatch.setattr(provisioning, "MAX_REQUEST_BYTES", 1000)
    given = {"fits": list(range(200)), "too_many": [[0.5] * 200]}
    plan = plan_inputs(parameters(fits="array/integer", too_many="array/array/number"), given, 5)
    [[value]] = plan.requests
    assert (value.parameter, len(value.value.array.items)) == ("fits", 200)
    [upload] = plan.uploads
    files = sent(upload.source)
    assert len(files) == 200 + 2
    assert (files["too_many/0/array.yml"], files["too_many/0/9"]) == (b"size: 200\n", b"0.5")


def test_many_values_are_split_over_requests():
    plan = plan_inputs(
        parameters(**{f"p{number}": "string" for number in range(20)}),
        {f"p{number}": "x" * 250_000 for number in range(20)},
        256 * 1024,
    )
    assert [len(batch) for batch in plan.requests] == [12, 8]


def test_files_are_uploaded(tmp_path):
    for name in ("a.png", "b.png", "a.geojson"):
        (tmp_path / name).write_bytes(name.encode())
    plan = plan_inputs(
        parameters(image="image", slides="array/image"),
        {
            "image": LocalFile(path=tmp_path / "a.png", companion=tmp_path / "a.geojson"),
            "slides": [
                tmp_path / "b.png",
                LocalFile(path=tmp_path / "a.png", companion=tmp_path / "a.geojson"),
            ],
        },
        1000,
    )
    assert [(upload.parameter, upload.part, sent(upload.source)) for upload in plan.uploads] == [
        ("image", storage_service_pb2.INPUT_PART_WHOLE, {"image": b"a.png"}),
        ("image", storage_service_pb2.INPUT_PART_COMPANION, {"image.geojson": b"a.geojson"}),
        (
            "slides",
            storage_service_pb2.INPUT_PART_WHOLE,
            {
                "slides/array.yml": b"size: 2\n",
                "slides/0": b"b.png",
                "slides/1": b"a.png",
                "slides/1.geojson": b"a.geojson",
            },
        ),
    ]


def test_references_and_files_may_be_mixed(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    plan = plan_inputs(
        parameters(slides="array/image"),
        {"slides": [Reference("/d/x"), tmp_path / "a"]},
        1000,
    )
    (upload,) = plan.uploads
    assert upload.part == storage_service_pb2.INPUT_PART_ITEMS
    assert sent(upload.source) == {"slides/1": b"a"}
    ((cleared, value),) = plan.requests
    assert cleared.value.WhichOneof("kind") == "array"
    assert list(value.index) == [0]
    assert value.value.dataset.path == "/d/x"


@pytest.mark.rule("array.mixed", "array.item-path")
def test_only_inner_arrays_with_references_are_given_in_parts(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    ours, theirs = tmp_path / "a", Reference("/d/x")
    plan = plan_inputs(
        parameters(groups="array/array/image"),
        {"groups": [[theirs, ours], [ours], [], [theirs]]},
        1000,
    )
    (upload,) = plan.uploads
    assert sent(upload.source) == {
        "groups/0/1": b"a",
        "groups/1/array.yml": b"size: 1\n",
        "groups/1/0": b"a",
        "groups/2/array.yml": b"size: 0\n",
    }
    assert [list(value.index) for value in plan.requests[0]] == [[], [0, 0], [3, 0]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"other": 1}, "the task has no input 'other'; its inputs are: image"),
        ({"image": "a.png"}, "is a text"),
        ({"image": 5}, "expected a file to upload"),
    ],
)
def test_what_cannot_be_sent_is_said(given, message):
    with pytest.raises(errors.InvalidValue, match=message):
        plan_inputs(parameters(image="image"), given, 1000)


def test_a_missing_file_is_named():
    with pytest.raises(errors.LocalFileError, match="/none cannot be read: No such file"):
        plan_inputs(parameters(image="image"), {"image": Path("/none")}, 1000)


@pytest.mark.rule("reference.many")
def test_many_references_travel_in_requests():
    rows = [[Reference(f"/data/{number:06}.tiff") for number in range(300)], []]
    plan = plan_inputs(parameters(rows="array/array/image"), {"rows": rows}, 1000)
    assert plan.uploads == []
    [[value]] = plan.requests
    first, second = value.value.array.items
    assert [item.dataset.path for item in first.array.items] == [one.path for one in rows[0]]
    assert not second.array.items


@pytest.mark.rule("reference.many")
def test_references_that_fill_several_requests_are_given_one_by_one():
    given = [Reference(f"/data/{'x' * 200}/{number}.tiff") for number in range(20_000)]
    plan = plan_inputs(parameters(slides="array/file"), {"slides": given}, 1000)
    assert plan.uploads == []
    assert len(plan.requests) > 1
    cleared, *values = [value for request in plan.requests for value in request]
    assert (list(cleared.index), len(cleared.value.array.items)) == ([], 0)
    assert [list(value.index) for value in values] == [[index] for index in range(20_000)]
    assert [value.value.dataset.path for value in values] == [one.path for one in given]
