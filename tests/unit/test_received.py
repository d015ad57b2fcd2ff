"""What is uploaded to inputs, and what a task finds of it: always the form of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine_contract.descriptor import Descriptor, Parameter, read_descriptor
from appengine_contract.values import ArrayValue, IntegerValue, NullValue, StringValue
from appengine_server.database.records import InputPart
from appengine_server.errors import InvalidArgument
from appengine_server.runs.layout import lay_out_once
from appengine_server.runs.provisioning import missing
from appengine_server.runs.read_back import ArrayPart, read_back, read_back_part
from appengine_server.runs.received import ReceivingLimits, check_received
from appengine_server.runs.stored import StoredInput, StoredInputs
from appengine_server.storage.layout import StorageLayout

from tests.container.bundles import dump, make_descriptor

RUN = uuid4()
POINTS = [{"type": "Point", "coordinates": [x, 0]} for x in range(3)]
COLLECTION = {
    "type": "FeatureCollection",
    "features": [{"type": "Feature", "geometry": p, "properties": {"n": 1}} for p in POINTS],
}


@pytest.fixture
def layout(tmp_path: Path) -> StorageLayout:
    made = StorageLayout(tmp_path / "storage")
    made.prepare()
    made.make_run(RUN)
    return made


@pytest.fixture
def task() -> Descriptor:
    points = array_of("geometry")
    types = {
        "boolean": "boolean",
        "integer": "integer",
        "number": {"id": "number", "nan_allowed": True, "infinity_allowed": True},
        "string": "string",
        "enumeration": {"id": "enumeration", "values": ["one", "two"]},
        "datetime": "datetime",
        "geometry": "geometry",
    }
    inputs = {
        "sizes": {"type": array_of("integer")},
        "points": {"type": points},
        "groups": {"type": array_of(points)},
        "rows": {"type": array_of(array_of("integer"))},
        "slides": {"type": array_of("image")},
        "files": {"type": array_of("file")},
        **{f"a_{name}": {"type": array_of(type_)} for name, type_ in types.items()},
        **{f"one_{name}": {"type": type_} for name, type_ in types.items()},
    }
    found = read_descriptor(dump(make_descriptor(inputs=inputs))).descriptor
    assert found is not None
    return found


def array_of(subtype: object) -> dict[str, object]:
    return {"id": "array", "subtype": subtype}


def parameter(task: Descriptor, name: str) -> Parameter:
    [found] = [one for one in task.inputs if one.name == name]
    return found


def received(
    layout: StorageLayout,
    one: Parameter,
    files: Mapping[str, bytes],
    *,
    part: InputPart = InputPart.WHOLE,
    before: StoredInputs | None = None,
) -> StoredInputs:
    """What the inputs of a run are after the upload of these files to the parameter."""
    upload: UUID = uuid4()
    tree = layout.uploaded(RUN, upload)
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    limits = ReceivingLimits(index_guard=1000)
    found = check_received(one, part, tree, upload, limits)
    assert check_received(one, part, tree, upload, limits), "a crash may come in between"
    assert not list(tree.parent.glob("*.scratch"))
    return found.into(before or StoredInputs())


def refusals(
    layout: StorageLayout, one: Parameter, files: Mapping[str, bytes], part: InputPart
) -> set[tuple[str, str]]:
    with pytest.raises(InvalidArgument) as refused:
        received(layout, one, files, part=part)
    return {(problem.path, problem.reason) for problem in refused.value.problems}


@pytest.mark.rule("value.replaced")
def test_an_item_replaces_one_of_an_array_that_was_uploaded_whole(
    layout: StorageLayout, task: Descriptor
) -> None:
    files = {f"sizes/{index}": b"%d" % index for index in range(3)}
    inputs = received(layout, parameter(task, "sizes"), {"sizes/array.yml": b"size: 3\n", **files})
    inputs = inputs.with_items("sizes", {(1,): StoredInput(value=IntegerValue(7))})
    assert inputs.by_name["sizes"].array_size() == 3
    folder = lay_out_once(layout, RUN, task, inputs) / "sizes"
    assert [(folder / str(index)).read_bytes() for index in range(3)] == [b"0", b"7", b"2"]
    assert (folder / "array.yml").read_bytes() == b"size: 3\n"


@pytest.mark.rule("array.collection-input")
def test_a_collection_that_is_uploaded_whole_reaches_the_task_as_items(
    layout: StorageLayout, task: Descriptor
) -> None:
    content = json.dumps(COLLECTION).encode()
    inputs = received(layout, parameter(task, "points"), {"points": content})
    folder = lay_out_once(layout, RUN, task, inputs) / "points"
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2", "array.yml"]
    found = [json.loads((folder / str(index)).read_bytes()) for index in range(3)]
    assert found == COLLECTION["features"]


@pytest.mark.rule("array.collection-input")
@pytest.mark.parametrize("name", ["0", "0.geojson"])
def test_a_collection_inside_an_array_becomes_a_folder_too(
    layout: StorageLayout, task: Descriptor, name: str
) -> None:
    content = json.dumps(COLLECTION).encode()
    files = {"groups/array.yml": b"size: 1\n", f"groups/{name}": content}
    inputs = received(layout, parameter(task, "groups"), files)
    groups = lay_out_once(layout, RUN, task, inputs) / "groups"
    assert sorted(path.name for path in groups.iterdir()) == ["0", "array.yml"]
    folder = groups / "0"
    assert sorted(path.name for path in folder.iterdir()) == ["0", "1", "2", "array.yml"]


POINT = b'{ "type": "Point",\r\n "coordinates": [1, 2] }'
ODD_AND_CANONICAL = {
    "boolean": (b"\xef\xbb\xbfTrue\n", b"true"),
    "integer": (b" 0x10\n", b"16"),
    "number": (b"+5.0e0 ", b"5"),
    "string": (b" kept as it is\r\n", b" kept as it is\r\n"),
    "enumeration": (b"two", b"two"),
    "datetime": (b"2024-05-01T12:00:00.50Z\r\n", b"2024-05-01T12:00:00.50Z"),
    "geometry": (b"\xef\xbb\xbf" + POINT + b"\n", POINT),
}
"""What a client may upload, and what a task finds."""


@pytest.mark.rule("value.canonical")
@pytest.mark.parametrize("type_", ODD_AND_CANONICAL)
def test_an_uploaded_array_gets_the_form_of_its_values(
    layout: StorageLayout, task: Descriptor, type_: str
) -> None:
    odd, canonical = ODD_AND_CANONICAL[type_]
    one = parameter(task, f"a_{type_}")
    files = {
        f"{one.name}/array.yml": b"# two\n{size: 2, other: 1}\n",
        f"{one.name}/0": odd,
        f"{one.name}/1": canonical,
        f"{one.name}/notes.txt": b"about the items",
        f"{one.name}/more/0": b"7",
        f"{one.name}/01": b"7",
    }
    inputs = received(layout, one, files)
    assert everything_in(lay_out_once(layout, RUN, task, inputs)) == {
        f"{one.name}/array.yml": b"size: 2\n",
        f"{one.name}/0": canonical,
        f"{one.name}/1": canonical,
    }
    warnings = {(warning.path, warning.reason) for warning in inputs.warnings()}
    extras = {(f"{one.name}/{name}", "INPUT_EXTRA") for name in ("notes.txt", "more", "01")}
    assert warnings == extras


@pytest.mark.rule("value.canonical")
@pytest.mark.parametrize("type_", ODD_AND_CANONICAL)
@pytest.mark.parametrize("as_item", [False, True])
def test_a_single_uploaded_value_gets_its_form(
    layout: StorageLayout, task: Descriptor, type_: str, as_item: bool
) -> None:
    odd, canonical = ODD_AND_CANONICAL[type_]
    one = parameter(task, f"a_{type_}" if as_item else f"one_{type_}")
    path = f"{one.name}/0" if as_item else one.name
    part = InputPart.ITEMS if as_item else InputPart.WHOLE
    inputs = received(layout, one, {path: odd}, part=part)
    found = everything_in(lay_out_once(layout, RUN, task, inputs))
    assert found == {path: canonical} | ({f"{one.name}/array.yml": b"size: 1\n"} if as_item else {})


@pytest.mark.rule("value.canonical")
def test_a_leading_zero_is_told_and_written_without(
    layout: StorageLayout, task: Descriptor
) -> None:
    inputs = received(layout, parameter(task, "one_integer"), {"one_integer": b"010"})
    assert [(one.path, one.reason) for one in inputs.warnings()] == [
        ("one_integer", "LEADING_ZERO")
    ]
    assert everything_in(lay_out_once(layout, RUN, task, inputs)) == {"one_integer": b"10"}


@pytest.mark.rule("file.bytes")
def test_files_keep_their_bytes_and_lose_what_lies_beside_them(
    layout: StorageLayout, task: Descriptor
) -> None:
    files = {
        "files/array.yml": b"{size: 2}",
        "files/0": b"\xef\xbb\xbf0x10\n",
        "files/1": b"",
        "files/Thumbs.db": b"x",
    }
    inputs = received(layout, parameter(task, "files"), files)
    assert everything_in(lay_out_once(layout, RUN, task, inputs)) == {
        "files/array.yml": b"size: 2\n",
        "files/0": b"\xef\xbb\xbf0x10\n",
        "files/1": b"",
    }


@pytest.mark.rule("value.canonical", "value.replaced")
def test_what_was_uploaded_is_read_back_also_in_part(
    layout: StorageLayout, task: Descriptor
) -> None:
    one = parameter(task, "rows")
    files = {
        "rows/array.yml": b"size: 2\n",
        "rows/0/array.yml": b"size: 2\n",
        "rows/0/0": b"1",
        "rows/0/1": b"0b10",
        "rows/1/array.yml": b"size: 0\n",
    }
    inputs = received(layout, one, files)
    inputs = inputs.with_items("rows", {(1, 0): StoredInput(value=IntegerValue(3))})
    value = read_back(layout, RUN, one, inputs.by_name["rows"])
    rows = [[IntegerValue(1), IntegerValue(2)], [IntegerValue(3)]]
    assert value == ArrayValue(tuple(ArrayValue(tuple(row)) for row in rows))
    assert everything_in(lay_out_once(layout, RUN, task, inputs)) == {
        "rows/array.yml": b"size: 2\n",
        "rows/0/array.yml": b"size: 2\n",
        "rows/0/0": b"1",
        "rows/0/1": b"2",
        "rows/1/array.yml": b"size: 1\n",
        "rows/1/0": b"3",
    }


@pytest.mark.parametrize("type_", [*ODD_AND_CANONICAL, "file"])
@pytest.mark.parametrize("part", [InputPart.WHOLE, InputPart.ITEMS])
def test_a_part_of_an_array_is_read_without_the_rest(
    layout: StorageLayout, task: Descriptor, type_: str, part: InputPart
) -> None:
    name = "files" if type_ == "file" else f"a_{type_}"
    one, (_, content) = parameter(task, name), ODD_AND_CANONICAL.get(type_, (b"", b"bytes"))
    files = {f"{name}/{index}": content for index in range(30)}
    if part is InputPart.WHOLE:
        files[f"{name}/array.yml"] = b"size: 30\n"
    given = received(layout, one, files, part=part).by_name[name]
    whole = read_back(layout, RUN, one, given)
    assert isinstance(whole, ArrayValue)
    for path in layout.base.rglob(f"{name}/1"):
        path.unlink()  # what is not asked for is not looked at
    found = read_back_part(layout, RUN, one, given, range(9, 12))
    assert found == ArrayPart(items=found.items, first=9, size=30)
    assert list(found.items) == list(whole.items[9:12])
    beyond = read_back_part(layout, RUN, one, given, range(29, 40))
    assert list(beyond.items) == [whole.items[29]]
    nothing = read_back_part(layout, RUN, one, given, range(10**17, 10**17 + 5))
    assert (list(nothing.items), nothing.size) == ([], 30)


def test_a_part_of_an_array_of_arrays_has_whole_rows(
    layout: StorageLayout, task: Descriptor
) -> None:
    one = parameter(task, "rows")
    files = {f"rows/{index}/array.yml": b"size: 1\n" for index in range(3)}
    files |= {f"rows/{index}/0": b"%d" % index for index in range(3)}
    given = received(layout, one, {"rows/array.yml": b"size: 3\n", **files}).by_name["rows"]
    found = read_back_part(layout, RUN, one, given, range(1, 3))
    assert [row.items for row in found.items] == [(IntegerValue(1),), (IntegerValue(2),)]


@pytest.mark.rule("array.item-order")
def test_items_that_have_not_come_yet_are_null(layout: StorageLayout, task: Descriptor) -> None:
    one = parameter(task, "rows")
    inputs = received(layout, one, {"rows/1/2": b"5"}, part=InputPart.ITEMS)
    row = ArrayValue((NullValue(), NullValue(), IntegerValue(5)))
    value = read_back(layout, RUN, one, inputs.by_name["rows"])
    assert value == ArrayValue((NullValue(), row))


@pytest.mark.rule("array.item-path")
def test_items_of_inner_arrays_are_uploaded_one_by_one(
    layout: StorageLayout, task: Descriptor
) -> None:
    one, inputs = parameter(task, "rows"), StoredInputs()
    for files in (
        {"rows/1/1": b"11", "rows/0/0": b"0"},
        {"rows/2/array.yml": b"size: 1\n", "rows/2/0": b"20"},
        {"rows/1/0": b"10"},
    ):
        assert missing(task, inputs)
        inputs = received(layout, one, files, part=InputPart.ITEMS, before=inputs)
    assert "rows" not in missing(task, inputs)
    assert everything_in(lay_out_once(layout, RUN, task, inputs) / "rows") == {
        "array.yml": b"size: 3\n",
        "0/array.yml": b"size: 1\n",
        "0/0": b"0",
        "1/array.yml": b"size: 2\n",
        "1/0": b"10",
        "1/1": b"11",
        "2/array.yml": b"size: 1\n",
        "2/0": b"20",
    }


@pytest.mark.rule("array.item-index", "array.item-path")
def test_items_that_have_no_place_are_refused_by_name(
    layout: StorageLayout, task: Descriptor
) -> None:
    files = {f"rows/{name}": b"1" for name in ("0/x", "1000/0", "0/1000", "0/01", "0/" + "9" * 99)}
    assert refusals(layout, parameter(task, "rows"), files, InputPart.ITEMS) == {
        ("rows[0]/x", "ARRAY_INDEX"),
        ("rows[1000]", "ARRAY_INDEX"),
        ("rows[0][1000]", "ARRAY_INDEX"),
        ("rows[0]/01", "ARRAY_INDEX"),
        ("rows[0]/" + "9" * 99, "ARRAY_INDEX"),
    }


@pytest.mark.rule("array.provisioned")
def test_an_upload_of_no_items_is_no_empty_array(layout: StorageLayout, task: Descriptor) -> None:
    found = refusals(
        layout, parameter(task, "rows"), {"rows/array.yml": b"size: 0\n"}, InputPart.ITEMS
    )
    assert found == {("rows", "UPLOAD_LAYOUT")}


@pytest.mark.rule("image-type.companion")
def test_companions_in_an_array_are_checked(layout: StorageLayout, task: Descriptor) -> None:
    files = {
        "slides/array.yml": b"size: 2\n",
        "slides/0": b"slide",
        "slides/0.geojson": POINT,
        "slides/1": b"slide",
        "slides/1.geojson": b"{}",
    }
    one = parameter(task, "slides")
    found = refusals(layout, one, files, InputPart.WHOLE)
    assert found == {("slides/1.geojson", "GEOMETRY_TYPE")}
    inputs = received(layout, one, {**files, "slides/1.geojson": POINT, "slides/2.geojson": POINT})
    assert [(one.path, one.reason) for one in inputs.warnings()] == [
        ("slides/2.geojson", "INPUT_EXTRA")
    ]
    found = everything_in(lay_out_once(layout, RUN, task, inputs) / "slides").keys()
    assert found == {"array.yml", "0", "0.geojson", "1", "1.geojson"}


def test_a_large_text_stays_out_of_the_row(layout: StorageLayout, task: Descriptor) -> None:
    one, text = parameter(task, "one_string"), "µ" * 300_000
    inputs = received(layout, one, {"one_string": text.encode()})
    assert inputs.by_name["one_string"].value is None
    assert read_back(layout, RUN, one, inputs.by_name["one_string"]) == StringValue(text)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
