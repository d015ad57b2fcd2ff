"""Checking a whole output folder."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from appengine_contract.outputs import check_outputs
from appengine_contract.reading import ReadOptions
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NumberValue,
    StringValue,
)

_POINT = '{"type": "Point", "coordinates": [0, 0]}'
_NUCLEI = """outputs:
  count: {description: d, type: {id: integer, geq: 0}}
  mean_area: {description: d, type: {id: number, nan_allowed: true}}
  nuclei: {description: d, type: {id: array, subtype: geometry}}
  overlay: {description: d, type: {id: image, formats: [png]}}
"""
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


def test_the_outputs_of_a_task_are_read_with_their_types(descriptors, folder) -> None:
    (folder / "count").write_bytes(b"1\n")
    (folder / "mean_area").write_bytes(b"17.25\n")
    (folder / "nuclei").mkdir()
    (folder / "nuclei" / "array.yml").write_bytes(b"size: 1")
    (folder / "nuclei" / "0").write_bytes(_POINT.encode())
    (folder / "overlay").write_bytes(_PNG)
    checked = check_outputs(descriptors.right(outputs=_NUCLEI), folder)
    assert (checked.problems, checked.warnings) == ((), ())
    assert checked.values == {
        "count": IntegerValue(1),
        "mean_area": NumberValue(17.25),
        "nuclei": ArrayValue((GeometryValue(_POINT),)),
        "overlay": FileValue("overlay", len(_PNG), format="png"),
    }


@pytest.mark.rule("output.missing", "output.shape", "output.all-problems")
def test_every_problem_of_every_output_is_listed(descriptors, folder, where) -> None:
    (folder / "count").write_bytes(b"-1")
    (folder / "mean_area").mkdir()
    (folder / "nuclei").mkdir()
    checked = check_outputs(descriptors.right(outputs=_NUCLEI), folder)
    assert where(checked.problems) == {
        ("count", "NOT_GEQ"),
        ("mean_area", "IS_DIRECTORY"),
        ("nuclei", "ARRAY_METADATA_MISSING"),
        ("overlay", "OUTPUT_MISSING"),
    }
    assert checked.values == {}


@pytest.mark.rule("output.all-problems")
def test_a_missing_output_hides_nothing_of_those_behind_it(descriptors, folder, where) -> None:
    (folder / "mean_area").write_bytes(b"x")
    (folder / "nuclei").mkdir()
    (folder / "nuclei" / "array.yml").write_bytes(b"size: 0")
    (folder / "nuclei" / "odd").touch()
    (folder / "odd").touch()
    checked = check_outputs(descriptors.right(outputs=_NUCLEI), folder)
    assert where(checked.problems) == {
        ("count", "OUTPUT_MISSING"),
        ("mean_area", "NOT_NUMBER"),
        ("overlay", "OUTPUT_MISSING"),
    }
    assert str(checked.problems[0]) == ("count: the task did not write the output `count`")
    assert [str(warning) for warning in checked.warnings] == [
        "nuclei/odd: no item of the array; it is ignored",
        "odd: `odd` is no declared output; ignored",
    ]
    assert list(checked.values) == ["nuclei"]


def test_a_folder_of_too_many_entries_has_no_outputs(descriptors, folder) -> None:
    for name in ("count", "a", "b"):
        (folder / name).write_bytes(b"1")
    options = ReadOptions(root=folder, max_entries=2)
    checked = check_outputs(descriptors.right(outputs=_NUCLEI), folder, options)
    assert (checked.values, checked.warnings) == ({}, ())
    [problem] = checked.problems
    assert problem.reason == "OUTPUT_TOO_LARGE"
    assert str(problem) == "the output folder has more than 2 entries"


def test_extra_entries_beyond_a_hundred_are_one_warning(descriptors, folder) -> None:
    for number in range(102):
        (folder / f"extra-{number:03}").touch()
    warnings = check_outputs(descriptors.right(), folder).warnings
    assert len(warnings) == 101
    assert str(warnings[99]) == "extra-099: `extra-099` is no declared output; ignored"
    assert str(warnings[100]) == "and 2 more entries that are no outputs"
    assert {warning.reason for warning in warnings} == {"OUTPUT_EXTRA"}
    assert warnings[100].path == ""


@pytest.mark.rule("output.shape")
def test_a_folder_is_no_file(descriptors, folder, where) -> None:
    (folder / "table").mkdir()
    (folder / "table" / "a.csv").write_text("1,2")
    outputs = "outputs: {table: {description: d, type: file}}"
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert where(checked.problems) == {("table", "IS_DIRECTORY")}


@pytest.mark.rule("output.optional")
def test_optional_outputs_may_be_absent(descriptors, folder) -> None:
    outputs = "outputs: {a: {description: d, type: integer, optional: true}}"
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert (checked.values, checked.problems) == ({}, ())


@pytest.mark.rule("output.whole-names")
def test_names_are_compared_whole(descriptors, folder) -> None:
    outputs = "outputs: {out: {description: d, type: string}, out2: {description: d, type: string}}"
    (folder / "out").write_bytes(b"1")
    (folder / "out2").write_bytes(b"2")
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert checked.values == {"out": StringValue("1"), "out2": StringValue("2")}


@pytest.mark.rule("output.extra-is-warning")
def test_extra_entries_are_warnings(descriptors, folder, where) -> None:
    for name in (b"b.log", b"odd\xff\nname"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"")
    (folder / "scratch").mkdir()
    checked = check_outputs(descriptors.right(), folder)
    assert checked.problems == ()
    assert where(checked.warnings) == {
        ("b.log", "OUTPUT_EXTRA"),
        ("odd\ufffd\ufffdname", "OUTPUT_EXTRA"),
        ("scratch", "OUTPUT_EXTRA"),
    }


@pytest.mark.rule("image-type.companion-output")
def test_a_companion_of_an_image_is_an_extra(descriptors, folder, where) -> None:
    (folder / "overlay").write_bytes(_PNG)
    (folder / "overlay.geojson").write_text(_POINT)
    outputs = "outputs: {overlay: {description: d, type: image}}"
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert checked.values == {"overlay": FileValue("overlay", len(_PNG), format="png")}
    assert where(checked.warnings) == {("overlay.geojson", "OUTPUT_EXTRA")}


def test_many_extra_entries_are_counted(descriptors, folder) -> None:
    for index in range(120):
        (folder / f"e{index}").touch()
    warnings = check_outputs(descriptors.right(), folder).warnings
    assert len(warnings) == 101
    assert "20 more" in warnings[-1].message


@pytest.mark.rule("array.collection-name")
def test_geometries_in_one_file_count_unless_there_is_a_folder(descriptors, folder, where) -> None:
    outputs = "outputs: {a: {description: d, type: {id: array, subtype: geometry}}}"
    (folder / "a.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert (checked.values, checked.warnings) == ({"a": ArrayValue(())}, ())
    (folder / "a").mkdir()
    (folder / "a" / "array.yml").write_bytes(b"size: 0")
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert checked.values == {"a": ArrayValue(())}
    assert where(checked.warnings) == {("a.geojson", "OUTPUT_EXTRA")}


_MATCHING_INPUTS = """inputs:
  places: {description: d, type: {id: array, subtype: integer}, optional: true}
"""
_MATCHING_OUTPUTS = """outputs:
  a: {description: d, type: {id: array, subtype: integer}, optional: true,
      dependencies: {matching: [inputs/places, outputs/b]}}
  b: {description: d, type: {id: array, subtype: integer}, optional: true}
"""


def _integers(folder: Path, name: str, count: int) -> ArrayValue:
    (folder / name).mkdir()
    (folder / name / "array.yml").write_bytes(b"size: %d" % count)
    for index in range(count):
        (folder / name / str(index)).write_bytes(b"5")
    return ArrayValue((IntegerValue(5),) * count)


@pytest.mark.rule("dependency.matching-end", "dependency.matching-absent")
def test_matching_arrays_have_the_same_size(descriptors, folder, where) -> None:
    descriptor = descriptors.right(_MATCHING_INPUTS, _MATCHING_OUTPUTS)
    two = _integers(folder, "a", 2)
    assert check_outputs(descriptor, folder, inputs={"places": two}).problems == ()
    _integers(folder, "b", 3)
    problems = check_outputs(descriptor, folder, inputs={"places": two}).problems
    assert where(problems) == {("places", "MATCHING_SIZE")}
    assert "outputs/b has 3" in problems[0].message
    assert where(check_outputs(descriptor, folder).problems) == {("a", "MATCHING_SIZE")}


@pytest.mark.parametrize(
    "kind",
    ["integer", "string", "file", "image", "geometry", "{id: array, subtype: integer}"],
)
class TestHostileEntries:
    def _check(self, descriptors, folder: Path, kind: str):
        outputs = f"outputs: {{x: {{description: d, type: {kind}}}}}"
        return check_outputs(descriptors.right(outputs=outputs), folder)

    @pytest.mark.rule("output.unsafe-link")
    @pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "nowhere", "/dev/zero", "x", "../y"])
    def test_links_are_not_followed(self, descriptors, folder, where, kind: str, target) -> None:
        (folder / "x").symlink_to(target)
        checked = self._check(descriptors, folder, kind)
        assert where(checked.problems) == {("x", "OUTPUT_UNSAFE_LINK")}

    @pytest.mark.rule("output.special-file")
    def test_pipes_are_not_opened(self, descriptors, folder, where, kind: str) -> None:
        os.mkfifo(folder / "x")
        checked = self._check(descriptors, folder, kind)
        assert where(checked.problems) == {("x", "OUTPUT_SPECIAL_FILE")}

    @pytest.mark.rule("output.special-file")
    def test_sockets_are_not_opened(self, descriptors, folder, where, kind: str) -> None:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path has a limit of 108 bytes
        try:
            with socket.socket(socket.AF_UNIX) as made:
                made.bind("x")
        finally:
            os.chdir(here)
        checked = self._check(descriptors, folder, kind)
        assert where(checked.problems) == {("x", "OUTPUT_SPECIAL_FILE")}


@pytest.mark.rule("output.unsafe-link")
@pytest.mark.parametrize("kind", ["integer", "file", "geometry"])
def test_oddities_inside_an_array_are_named_by_index(descriptors, folder, where, kind: str) -> None:
    outputs = f"outputs: {{x: {{description: d, type: {{id: array, subtype: {kind}}}}}}}"
    (folder / "x").mkdir()
    (folder / "x" / "array.yml").write_bytes(b"size: 4")
    (folder / "x" / "0").symlink_to("/etc/passwd")
    os.mkfifo(folder / "x" / "1")
    (folder / "x" / "2").mkdir()
    (folder / "x" / "3").write_bytes(_POINT.encode() if kind == "geometry" else b"5")
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert where(checked.problems) == {
        ("x[0]", "OUTPUT_UNSAFE_LINK"),
        ("x[1]", "OUTPUT_SPECIAL_FILE"),
        ("x[2]", "IS_DIRECTORY"),
    }


@pytest.mark.rule("output.unsafe-link")
def test_metadata_that_is_a_link_is_not_followed(descriptors, folder, where) -> None:
    outputs = "outputs: {x: {description: d, type: {id: array, subtype: integer}}}"
    (folder / "x").mkdir()
    (folder / "x" / "array.yml").symlink_to("/etc/passwd")
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert where(checked.problems) == {("x/array.yml", "OUTPUT_UNSAFE_LINK")}


def test_a_folder_of_slices_holds_no_links(descriptors, folder, where) -> None:
    outputs = "outputs: {x: {description: d, type: image}}"
    (folder / "x").mkdir()
    (folder / "x" / "a.dcm").symlink_to("/etc/passwd")
    checked = check_outputs(descriptors.right(outputs=outputs), folder)
    assert where(checked.problems) == {("x/a.dcm", "OUTPUT_UNSAFE_LINK")}


@pytest.mark.rule("output.unsafe-link")
def test_the_engine_may_map_links_to_what_the_task_saw(descriptors, folder, where) -> None:
    outputs = """outputs:
  a: {description: d, type: integer}
  b: {description: d, type: image}
  c: {description: d, type: {id: array, subtype: integer}}
  d: {description: d, type: integer}
  e: {description: d, type: integer}"""
    inputs = folder.parent / "inputs"
    inputs.mkdir()
    (inputs / "number").write_bytes(b"7")
    (inputs / "picture").write_bytes(b"pixels")
    _integers(inputs, "list", 2)
    os.mkfifo(inputs / "pipe")
    for name, target in {"a": "number", "b": "picture", "c": "list", "d": "pipe"}.items():
        (folder / name).symlink_to(f"/inputs/{target}")
    (folder / "e").symlink_to("/etc/passwd")

    def resolve(link: Path) -> Path | None:
        target = link.readlink()
        return inputs / target.name if target.parent == Path("/inputs") else None

    options = ReadOptions(root=folder, resolve=resolve)
    checked = check_outputs(descriptors.right(outputs=outputs), folder, options)
    assert checked.values == {
        "a": IntegerValue(7),
        "b": FileValue("b", 6),
        "c": ArrayValue((IntegerValue(5), IntegerValue(5))),
    }
    assert where(checked.problems) == {("d", "OUTPUT_UNSAFE_LINK"), ("e", "OUTPUT_UNSAFE_LINK")}


@pytest.mark.rule("output.limits")
def test_limits_are_named(descriptors, folder, where) -> None:
    outputs = """outputs:
  text: {description: d, type: string}
  list: {description: d, type: {id: array, subtype: integer}}"""
    (folder / "text").write_bytes(b"t" * 20_000)
    _integers(folder, "list", 20)
    options = ReadOptions(root=folder, max_text_bytes=19_999, max_entries=20)
    checked = check_outputs(descriptors.right(outputs=outputs), folder, options)
    assert where(checked.problems) == {("text", "OUTPUT_TOO_LARGE"), ("list", "OUTPUT_TOO_LARGE")}
    few = ReadOptions(root=folder, max_entries=1)
    checked = check_outputs(descriptors.right(outputs=outputs), folder, few)
    assert where(checked.problems) == {("", "OUTPUT_TOO_LARGE")}


def test_a_value_is_read_only_below_the_root(descriptors, folder) -> None:
    kind = descriptors.type_of("integer")
    options = ReadOptions(root=folder)
    for path in (folder, folder / ".." / "x", folder.parent / "x"):
        with pytest.raises(ValueError, match=r"below|subpath"):
            kind.read(path, "x", options)


def test_folders_above_an_item_are_not_followed_either(descriptors, folder, where) -> None:
    (folder.parent / "secret").mkdir()
    (folder.parent / "secret" / "0").write_bytes(b"5")
    (folder / "x").symlink_to(folder.parent / "secret")
    reading = descriptors.type_of("integer").read(
        folder / "x" / "0", "x[0]", ReadOptions(root=folder)
    )
    assert where(reading.problems) == {("x[0]", "OUTPUT_UNREADABLE")}


@pytest.mark.rule("output.missing")
def test_what_is_not_there_is_missing(descriptors, folder, where) -> None:
    reading = descriptors.type_of("integer").read(folder / "x", "x", ReadOptions(root=folder))
    assert where(reading.problems) == {("x", "OUTPUT_MISSING")}
