from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.geometry import GeometryType
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.number import NumberType
from appengine_contract.parameters.string import StringType
from appengine_contract.reading import Findings, ReadOptions
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NumberValue,
    ReferenceValue,
    StringValue,
)

_POINT = '{"type": "Point", "coordinates": [0, 0]}'
_FEATURE = '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1,2]}, "id": 1.50}'


def _integers(*items: int) -> ArrayValue:
    return ArrayValue(tuple(map(IntegerValue, items)))


def _tree(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def _lay_out(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def _read(root: Path, kind: ArrayType, name: str = "x"):
    return kind.read(root / name, "x", ReadOptions(root=root))


@pytest.mark.rule("layout.inputs-readable", "array.layout")
def test_an_array_is_a_folder_with_its_size_and_items(tmp_path) -> None:
    ArrayType(subtype=NumberType()).write(
        ArrayValue((NumberValue(0.5), IntegerValue(7))), tmp_path / "x"
    )
    assert _tree(tmp_path) == {"x/array.yml": b"size: 2\n", "x/0": b"0.5", "x/1": b"7"}
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o755


@pytest.mark.rule("array.empty")
def test_an_empty_array_is_a_folder_of_size_0(tmp_path) -> None:
    kind = ArrayType(subtype=IntegerType())
    kind.write(ArrayValue(()), tmp_path / "x")
    assert _tree(tmp_path) == {"x/array.yml": b"size: 0\n"}
    assert _read(tmp_path, kind).value == ArrayValue(())


@pytest.mark.rule("array.layout")
def test_arrays_of_arrays_nest(tmp_path) -> None:
    kind = ArrayType(subtype=ArrayType(subtype=StringType()))
    value = ArrayValue((ArrayValue((StringValue("a"),)), ArrayValue(())))
    assert kind.check(value, "x") == []
    kind.write(value, tmp_path / "x")
    assert _tree(tmp_path) == {
        "x/array.yml": b"size: 2\n",
        "x/0/array.yml": b"size: 1\n",
        "x/0/0": b"a",
        "x/1/array.yml": b"size: 0\n",
    }
    assert _read(tmp_path, kind).value == value


@pytest.mark.rule("layout.many-items")
def test_more_than_ten_items_keep_their_order(tmp_path) -> None:
    kind = ArrayType(subtype=IntegerType())
    kind.write(_integers(*range(123)), tmp_path / "x")
    assert _read(tmp_path, kind).value == _integers(*range(123))


@pytest.mark.rule("array.mixed")
def test_images_and_references_are_mixed(tmp_path) -> None:
    kind = ArrayType(subtype=ImageType())
    _lay_out(tmp_path, {"x/0": b"pixels"})
    value = ArrayValue((FileValue("x/0", 6), ReferenceValue("/data/a.svs")))
    assert kind.check(value, "x") == []
    kind.write(value, tmp_path / "x")
    assert (tmp_path / "x" / "1").readlink().as_posix() == "/data/a.svs"
    assert (tmp_path / "x" / "array.yml").read_bytes() == b"size: 2\n"


def test_items_of_files_have_paths_below_the_root(tmp_path) -> None:
    _lay_out(tmp_path, {"x/array.yml": b"size: 1", "x/0": b"pixels"})
    reading = _read(tmp_path, ArrayType(subtype=ImageType()))
    assert reading.value == ArrayValue((FileValue("x/0", 6),))


@pytest.mark.rule("array.wsidicom-item")
def test_an_item_of_wsi_dicom_is_a_folder_without_metadata(tmp_path) -> None:
    slice_ = bytes(128) + b"DICM"
    _lay_out(tmp_path, {"x/array.yml": b"size: 1", "x/0/a.dcm": slice_, "x/0/b.dcm": slice_})
    reading = _read(tmp_path, ArrayType(subtype=ImageType()))
    item = FileValue("x/0", 2 * len(slice_), file_count=2, format="wsidicom")
    assert reading.value == ArrayValue((item,))


@pytest.mark.rule("array.bounds", "array.index-paths")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (_integers(), {("x", "ARRAY_TOO_SMALL")}),
        (_integers(1, 2, 3), {("x", "ARRAY_TOO_LARGE")}),
        (_integers(1, -1), {("x[1]", "NOT_GEQ")}),
        (ArrayValue((StringValue("1"),)), {("x[0]", "VALUE_KIND")}),
        (IntegerValue(1), {("x", "VALUE_KIND")}),
    ],
)
def test_values_are_checked_with_index_paths(where, value, expected) -> None:
    kind = ArrayType(subtype=IntegerType(geq=0), min_size=1, max_size=2)
    assert where(kind.check(value, "x")) == expected


@pytest.mark.rule("array.bounds")
def test_each_level_has_its_own_bounds(where) -> None:
    kind = ArrayType(subtype=ArrayType(subtype=IntegerType(), max_size=1), min_size=2)
    assert where(kind.check(ArrayValue((_integers(1, 2),)), "x")) == {
        ("x", "ARRAY_TOO_SMALL"),
        ("x[0]", "ARRAY_TOO_LARGE"),
    }


@pytest.mark.rule("array.bounds")
def test_one_bound_holds_without_the_other(where) -> None:
    at_least, at_most = (
        ArrayType(subtype=IntegerType(), min_size=2),
        ArrayType(subtype=IntegerType(), max_size=2),
    )
    assert at_least.check(_integers(*range(9)), "x") == []
    assert where(at_least.check(_integers(1), "x")) == {("x", "ARRAY_TOO_SMALL")}
    assert at_most.check(_integers(), "x") == []
    assert where(at_most.check(_integers(1, 2, 3), "x")) == {("x", "ARRAY_TOO_LARGE")}


@pytest.mark.rule(
    "array.metadata",
    "array.size",
    "array.no-gaps",
    "array.index-paths",
    "output.shape",
)
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"x/0": b"1"}, {("x", "ARRAY_METADATA_MISSING")}),
        ({"x": b"1"}, {("x", "NOT_DIRECTORY")}),
        ({"x/array.yml": b"size: two"}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml": b"size: -1"}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml": b"size: '0'"}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml": b"- size"}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml": b""}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml": b"#" * 100_000}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml/0": b""}, {("x/array.yml", "ARRAY_METADATA_INVALID")}),
        ({"x/array.yml": b"size: 2", "x/0": b"1"}, {("x", "ARRAY_SIZE_MISMATCH")}),
        ({"x/array.yml": b"size: 0", "x/0": b"1"}, {("x", "ARRAY_SIZE_MISMATCH")}),
        ({"x/array.yml": b"size: 2", "x/0": b"1", "x/2": b"1"}, {("x", "ARRAY_GAP")}),
        (
            {"x/array.yml": b"size: 4", "x/0": b"1", "x/1": b"1", "x/2": b"1", "x/3": b"1"},
            {("x", "ARRAY_TOO_LARGE")},
        ),
        ({"x/array.yml": b"size: 2", "x/0": b"a", "x/1/0": b""},
         {("x[0]", "NOT_INTEGER"), ("x[1]", "IS_DIRECTORY")}),
        ({"x/array.yml": b"size: 2", "x/0": b"1", "x/1000": b"a"},
         {("x", "ARRAY_GAP"), ("x[1000]", "NOT_INTEGER")}),
    ],
)  # fmt: skip
def test_wrong_arrays_are_named_with_their_place(tmp_path, where, files, expected) -> None:
    _lay_out(tmp_path, files)
    reading = _read(tmp_path, ArrayType(subtype=IntegerType(), max_size=3))
    assert reading.value is None
    assert where(reading.problems) == expected


@pytest.mark.rule("array.metadata")
@pytest.mark.parametrize(
    "metadata", [b"size: 1", b"size: 1\n", b"{size: 1, made_by: me}", b"# why\nsize:  1.0\n"]
)
def test_metadata_is_yaml_with_other_keys_ignored(tmp_path, metadata: bytes) -> None:
    _lay_out(tmp_path, {"x/array.yml": metadata, "x/0": b"5\n"})
    assert _read(tmp_path, ArrayType(subtype=IntegerType())).value == _integers(5)


@pytest.mark.rule("array.extras")
def test_names_that_are_no_index_are_extras(tmp_path, where) -> None:
    extras = ["00", "01", "1.txt", "-1", "\u0661", ".hidden", "0.geojson"]
    _lay_out(tmp_path, {"x/array.yml": b"size: 1", "x/0": b"5"})
    _lay_out(tmp_path, {f"x/{name}": b"" for name in extras})
    reading = _read(tmp_path, ArrayType(subtype=IntegerType()))
    assert reading.value == _integers(5)
    assert where(reading.warnings) == {(f"x/{name}", "OUTPUT_EXTRA") for name in extras}


@pytest.mark.rule("image-type.companion-output")
def test_companions_are_no_extras_on_inputs_and_extras_on_outputs(tmp_path, where) -> None:
    files = {"x/array.yml": b"size: 1", "x/0": b"pixels", "x/0.geojson": b"{}", "x/1.geojson": b""}
    _lay_out(tmp_path, files)
    kind = ArrayType(subtype=ImageType())
    options = ReadOptions(root=tmp_path, direction="input")
    alone = {("x/1.geojson", "INPUT_EXTRA")}
    assert where(kind.read(tmp_path / "x", "x", options).warnings) == alone
    extras = {(f"x/{index}.geojson", "OUTPUT_EXTRA") for index in (0, 1)}
    assert where(_read(tmp_path, kind).warnings) == extras


@pytest.mark.rule("array.extras")
def test_many_extras_are_counted(tmp_path) -> None:
    _lay_out(tmp_path, {"x/array.yml": b"size: 0"} | {f"x/e{i}": b"" for i in range(130)})
    reading = _read(tmp_path, ArrayType(subtype=IntegerType()))
    assert len(reading.warnings) == 100
    assert "31 more" in reading.warnings[-1].message


@pytest.mark.rule("array.hundred-problems")
def test_after_100_problems_the_rest_is_counted(tmp_path) -> None:
    kind = ArrayType(subtype=IntegerType())
    _lay_out(tmp_path, {"x/array.yml": b"size: 150"} | {f"x/{i}": b"a" for i in range(150)})
    reading = _read(tmp_path, kind)
    assert len(reading.problems) == 101
    assert (reading.problems[99].path, reading.problems[100].path) == ("x[99]", "x")
    assert "50 more" in reading.problems[100].message


@pytest.mark.rule("array.collection-dropped", "array.collection-output")
@pytest.mark.parametrize(
    ("text", "warned"),
    [
        (f'{{"type": "FeatureCollection", "features": [{_FEATURE} , {_FEATURE}]}}', False),
        (f'{{"name": "n","features":[{_FEATURE},{_FEATURE}],"type":"FeatureCollection"}}', True),
        (f'{{"type": "GeometryCollection", "geometries": [\n{_FEATURE},{_FEATURE}\n]}}', False),
    ],
)
@pytest.mark.parametrize("name", ["x", "x.geojson"])
def test_an_array_of_geometries_may_be_one_collection(
    tmp_path, where, text: str, warned: bool, name: str
) -> None:
    _lay_out(tmp_path, {name: text.encode()})
    reading = _read(tmp_path, ArrayType(subtype=GeometryType(), min_size=2, max_size=2), name)
    assert reading.problems == ()
    assert reading.value == ArrayValue((GeometryValue(_FEATURE), GeometryValue(_FEATURE)))
    assert where(reading.warnings) == ({("x", "COLLECTION_MEMBERS_DROPPED")} if warned else set())


@pytest.mark.rule("array.collection-output")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {("x", "OUTPUT_EMPTY")}),
        (_POINT, {("x", "GEOMETRY_TYPE")}),
        ("[]", {("x", "NOT_JSON")}),
        ('{"type": "FeatureCollection", "features": [1, {"type"', {("x", "NOT_JSON")}),
        ('{"type": "FeatureCollection", "features": []} x', {("x", "NOT_JSON")}),
        ('{"type": "FeatureCollection", "features": [' + "[" * 100_000, {("x", "NOT_JSON")}),
        ('{"type": "FeatureCollection", "features": [NaN]}', {("x", "NOT_JSON")}),
        ('{"type": "FeatureCollection", "features": {}}', {("x", "GEOMETRY_STRUCTURE")}),
        ('{"type": "FeatureCollection"}', {("x", "GEOMETRY_STRUCTURE")}),
        ('{"type": "FeatureCollection", "features": []}', {("x", "ARRAY_TOO_SMALL")}),
        (
            f'{{"type": "FeatureCollection", "features": [{_FEATURE}, 5, {{}}]}}',
            {("x[1]", "GEOMETRY_STRUCTURE"), ("x[2]", "GEOMETRY_TYPE")},
        ),
    ],
)
def test_wrong_collections_are_problems(tmp_path, where, text: str, expected) -> None:
    _lay_out(tmp_path, {"x": text.encode()})
    kind = ArrayType(subtype=GeometryType(), min_size=1)
    assert where(_read(tmp_path, kind).problems) == expected
    if text:
        assert where(kind.check(GeometryValue(text), "x")) == expected


@pytest.mark.rule("array.collection-name")
def test_inner_arrays_may_be_collections_and_the_plain_name_wins(tmp_path, where) -> None:
    empty = b'{"type": "FeatureCollection", "features": []}'
    _lay_out(
        tmp_path,
        {
            "x/array.yml": b"size: 3",
            "x/0": empty,
            "x/1.geojson": f'{{"type": "GeometryCollection", "geometries": [{_POINT}]}}'.encode(),
            "x/2/array.yml": b"size: 0",
            "x/2.geojson": b"ignored",
        },
    )
    reading = _read(tmp_path, ArrayType(subtype=ArrayType(subtype=GeometryType())))
    assert reading.problems == ()
    one = ArrayValue((GeometryValue(_POINT),))
    assert reading.value == ArrayValue((ArrayValue(()), one, ArrayValue(())))
    assert where(reading.warnings) == {("x/2.geojson", "OUTPUT_EXTRA")}


@pytest.mark.rule("array.collection-input", "array.collection-dropped")
def test_a_collection_given_as_input_is_written_as_items(tmp_path, where) -> None:
    kind = ArrayType(subtype=ArrayType(subtype=GeometryType()))
    text = f'{{"type": "FeatureCollection", "bbox": [], "features": [{_FEATURE}]}}'
    value = ArrayValue((GeometryValue(text),))
    assert kind.check(value, "x") == []
    findings = Findings()
    expanded = kind.expand(value, "x", findings)
    assert expanded == ArrayValue((ArrayValue((GeometryValue(_FEATURE),)),))
    assert where(findings.warnings) == {("x[0]", "COLLECTION_MEMBERS_DROPPED")}
    for name, each in (("x", expanded), ("y", value)):
        kind.write(each, tmp_path / name)
        assert (tmp_path / name / "0" / "0").read_bytes() == _FEATURE.encode()


def test_invalid_geometries_of_an_array_are_named_by_index(tmp_path, where) -> None:
    ring = [[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]
    bow_tie = json.dumps({"type": "Polygon", "coordinates": [ring]})
    _lay_out(
        tmp_path,
        {
            "x/array.yml": b"size: 4",
            "x/0": _POINT.encode(),
            "x/1": bow_tie.encode(),
            "x/2": b"{",
            "x/3": bow_tie.encode(),
        },
    )
    kind = ArrayType(subtype=GeometryType())
    expected = {("x[1]", "GEOMETRY_INVALID"), ("x[2]", "NOT_JSON"), ("x[3]", "GEOMETRY_INVALID")}
    assert where(_read(tmp_path, kind).problems) == expected
    items = tuple(map(GeometryValue, (_POINT, bow_tie, "{", bow_tie)))
    assert where(kind.check(ArrayValue(items), "x")) == expected


@pytest.mark.rule("array.item-index")
@pytest.mark.parametrize(
    ("indexes", "path"),
    [([2], "x[2]"), ([-1], "x[-1]"), ([], "x"), ([0, 10], "x[0][10]"), ([0, 0, 0], "x[0][0][0]")],
)
def test_item_indexes_are_refused_out_of_bounds(where, indexes: list[int], path: str) -> None:
    kind = ArrayType(subtype=ArrayType(subtype=IntegerType()), max_size=2)
    assert kind.check_index([1, 9], "x", guard=10) == []
    assert where(kind.check_index(indexes, "x", guard=10)) == {(path, "ARRAY_INDEX")}


def test_the_type_of_an_item_is_found_by_depth() -> None:
    inner = ArrayType(subtype=IntegerType())
    kind = ArrayType(subtype=inner)
    assert kind.item_type(1) == inner
    assert kind.item_type(2) == IntegerType()
    with pytest.raises(ValueError, match="no items"):
        kind.item_type(3)


@pytest.mark.rule("layout.many-items")
def test_a_large_array_costs_little_more_than_the_file_system_takes(tmp_path) -> None:
    kind = ArrayType(subtype=IntegerType(geq=0))
    value = _integers(*range(5_000))
    start = os.times().user  # what the file system itself takes is system time
    assert kind.check(value, "x") == []
    kind.write(value, tmp_path / "x")
    assert _read(tmp_path, kind).value == value
    assert os.times().user - start < 1  # measured at 0.05 s


@pytest.mark.rule("array.layout")
def test_thousands_of_geometries_come_back_in_their_order(tmp_path: Path) -> None:
    kind = ArrayType(subtype=GeometryType())
    texts = [f'{{"type":"Point","coordinates":[{number},0]}}' for number in range(4001)]
    value = ArrayValue(tuple(map(GeometryValue, texts)))
    assert kind.check(value, "x") == []
    kind.write(value, tmp_path / "x")
    assert kind.read(tmp_path / "x", "x", ReadOptions(root=tmp_path)).value == value
    (tmp_path / "x" / "3000").write_text("{}")
    (tmp_path / "x" / "5").write_bytes(b"\xff")
    reading = kind.read(tmp_path / "x", "x", ReadOptions(root=tmp_path))
    assert {(one.path, one.reason) for one in reading.problems} == {
        ("x[5]", "NOT_UTF8"),
        ("x[3000]", "GEOMETRY_TYPE"),
    }


@pytest.mark.rule("array.layout")
def test_only_arrays_of_geometries_may_be_one_file(tmp_path: Path, where) -> None:
    assert ArrayType(subtype=GeometryType()).names("x") == ("x", "x.geojson")
    assert ArrayType(subtype=IntegerType()).names("x") == ("x",)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "array.yml").write_bytes(b"size: 0")
    (tmp_path / "x" / "0.geojson").write_bytes(b"{}")
    rows = ArrayType(subtype=ArrayType(subtype=IntegerType()))
    reading = rows.read(tmp_path / "x", "x", ReadOptions(root=tmp_path))
    assert where(reading.warnings) == {("x/0.geojson", "OUTPUT_EXTRA")}


def test_a_collection_that_is_no_text_is_told_with_its_array(tmp_path: Path, where) -> None:
    kind = ArrayType(subtype=GeometryType())
    (tmp_path / "x").write_bytes(b"\xff")
    reading = kind.read(tmp_path / "x", "shapes", ReadOptions(root=tmp_path))
    assert where(reading.problems) == {("shapes", "NOT_UTF8")}
    (tmp_path / "x").write_bytes(b" " * 20_000)
    reading = kind.read(tmp_path / "x", "shapes", ReadOptions(root=tmp_path, max_text_bytes=19_999))
    assert where(reading.problems) == {("shapes", "OUTPUT_TOO_LARGE")}


@pytest.mark.parametrize("wanted", [range(12), range(9, 12), range(10, 11), range(0)])
def test_some_items_are_read_as_all_are(tmp_path, wanted: range) -> None:
    kind = ArrayType(subtype=IntegerType())
    kind.write(_integers(*range(100, 112)), tmp_path / "x")
    read = kind.read_items(tmp_path / "x", "x", ReadOptions(root=tmp_path), wanted)
    assert read == [IntegerValue(100 + index) for index in wanted]


def test_some_files_are_read_with_their_paths_and_sizes(tmp_path) -> None:
    kind = ArrayType(subtype=FileType())
    files = {f"x/{index}": b"." * index for index in range(3)}
    _lay_out(tmp_path, {"x/array.yml": b"size: 3", **files})
    read = kind.read_items(tmp_path / "x", "x", ReadOptions(root=tmp_path), range(1, 3))
    assert read is not None
    assert [(one.path, one.size_bytes) for one in read] == [("x/1", 1), ("x/2", 2)]
    whole = _read(tmp_path, kind).value
    assert tuple(read) == whole.items[1:]


@pytest.mark.parametrize("kind", [IntegerType(), FileType()])
def test_some_items_are_none_where_one_is_not_there(tmp_path, kind) -> None:
    _lay_out(tmp_path, {"x/array.yml": b"size: 3", "x/0": b"0", "x/2": b"2"})
    options = ReadOptions(root=tmp_path)
    array = ArrayType(subtype=kind)
    assert array.read_items(tmp_path / "x", "x", options, range(3)) is None
    assert array.read_items(tmp_path / "y", "x", options, range(1)) is None
    assert array.read_items(tmp_path / "x", "x", options, range(2, 3)) is not None
