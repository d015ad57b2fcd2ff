"""Whatever values are given, a task that copies its inputs gives them back: through the API, to the
disk, into a container, back to the disk, and out of the API.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from appengine.v1 import run_pb2, task_pb2
from appengine_client.errors import InvalidArgument
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.container.engine_server import REAL, Engine

pytestmark = [*REAL, pytest.mark.timeout(1200)]

CHOICES = ["one", "two words", " padded ", "🔬"]
TYPES: Mapping[str, dict[str, Any]] = {
    "boolean": {"id": "boolean"},
    "integer": {"id": "integer"},
    "number": {"id": "number", "nan_allowed": True, "infinity_allowed": True},
    "string": {"id": "string"},
    "enumeration": {"id": "enumeration", "values": CHOICES},
    "datetime": {"id": "datetime"},
    "geometry": {"id": "geometry"},
}
ARRAYS = {
    f"{name}s": {"type": {"id": "array", "subtype": type_}} for name, type_ in TYPES.items()
} | {
    "files": {"type": {"id": "array", "subtype": {"id": "file"}}},
    "rows": {"type": {"id": "array", "subtype": {"id": "array", "subtype": {"id": "integer"}}}},
}
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
COORDINATES = st.floats(-1e6, 1e6).map(lambda number: round(number, 3))
POINTS = st.tuples(COORDINATES, COORDINATES).map(
    lambda place: json.dumps({"type": "Point", "coordinates": place})
)
FEATURES = st.tuples(POINTS, st.dictionaries(TEXT, TEXT | INT64 | st.none(), max_size=3)).map(
    lambda parts: json.dumps(
        {"type": "Feature", "geometry": json.loads(parts[0]), "properties": parts[1]},
        ensure_ascii=False,
    )
)
TIMES = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
    st.integers(1, 9998), st.integers(1, 12), st.integers(1, 28), st.integers(0, 23),
    st.integers(0, 59), st.integers(0, 59), st.sampled_from(["", ".5", ".123456789"]),
    st.sampled_from(["Z", "z", "+00:00", "-12:30", "+23:59"]),
)  # fmt: skip
VALUES = st.fixed_dictionaries(
    {
        "booleans": st.lists(st.booleans(), max_size=3),
        "integers": st.lists(INT64, max_size=8),
        "numbers": st.lists(st.floats(), max_size=8),
        "strings": st.lists(TEXT, max_size=8),
        "enumerations": st.lists(st.sampled_from(CHOICES), max_size=3),
        "datetimes": st.lists(TIMES, max_size=5),
        "geometrys": st.lists(POINTS | FEATURES, max_size=5),
        "files": st.lists(st.binary(max_size=200), max_size=4),
        "rows": st.lists(st.lists(INT64, max_size=3), max_size=3),
    }
)
AWKWARD: dict[str, Any] = {
    "booleans": [True, False],
    "integers": [2**63 - 1, -(2**63), 0, -1],
    "numbers": [math.inf, -math.inf, math.nan, -0.0, 0.0, 1e-7, 5e-324, 1.7976931348623157e308,
                2.0**53, 0.1, 1e22, 123456789.0],
    "strings": ["", "a\r\nb\r\n", "🔬", "é" * 500_000, " padded ", "\ufeffmark", "\n", "\n\n"],
    "enumerations": CHOICES,
    "datetimes": ["2024-02-29T23:59:59.123456789+05:30", "0001-01-01T00:00:00-23:59"],
    "geometrys": ['{ "type" : "Polygon", "coordinates" : [] }'],
    "files": [b"", b"\0\xff\r\n", b"x" * 1_000_000],
    "rows": [[], [1], [2**63 - 1, -(2**63)]],
}  # fmt: skip

ON_DISK: dict[str, list[bytes]] = {
    "booleans": [b"true", b"false"],
    "integers": [b"9223372036854775807", b"-9223372036854775808", b"0", b"-1"],
    "numbers": [b"inf", b"-inf", b"nan", b"-0.0", b"0", b"1e-07", b"5e-324",
                b"1.7976931348623157e+308", b"9007199254740992.0", b"0.1", b"1e+22", b"123456789"],
    "strings": [b"", b"a\r\nb\r\n", b"\xf0\x9f\x94\xac", b"\xc3\xa9" * 500_000, b" padded ",
                b"\xef\xbb\xbfmark", b"\n", b"\n\n"],
    "enumerations": [b"one", b"two words", b" padded ", b"\xf0\x9f\x94\xac"],
    "datetimes": [b"2024-02-29T23:59:59.123456789+05:30", b"0001-01-01T00:00:00-23:59"],
    "geometrys": [b'{ "type" : "Polygon", "coordinates" : [] }'],
    "files": [b"", b"\0\xff\r\n", b"x" * 1_000_000],
}  # fmt: skip
"""What the task finds of the awkward ones, written by hand."""


@pytest.fixture(scope="module")
def copier(engine: Engine) -> task_pb2.Task:
    return engine.task("cp -r /inputs/* /outputs/", inputs=ARRAYS, outputs=ARRAYS, ram="128Mi")


@pytest.mark.rule("value.canonical")
@pytest.mark.parametrize("rounds", [3, pytest.param(40, marks=pytest.mark.soak)])
def test_values_come_back_out_of_a_container_as_they_went_in(
    engine: Engine, copier: task_pb2.Task, tmp_path: Path, rounds: int
) -> None:
    @settings(max_examples=rounds)
    @given(VALUES)
    @example(AWKWARD)
    def come_back(values: dict[str, Any]) -> None:
        run = engine.client.runs.create(copier.id, with_paths(values, tmp_path), start=True)
        run = engine.client.runs.wait(run.id)
        assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run.failure
        fetched = tmp_path / run.id
        engine.client.runs.download_outputs(run.id, fetched)
        found = engine.outputs(run)
        for name, items in values.items():
            there = [content_of(item, fetched) for item in found[name].array.items]
            assert there == [expected(item) for item in items], name
        engine.client.runs.delete(run.id)

    come_back()


@pytest.mark.rule("number.disk", "integer.disk", "boolean.disk")
def test_a_task_finds_the_bytes_that_the_contract_gives(
    engine: Engine, copier: task_pb2.Task, tmp_path: Path
) -> None:
    run = engine.client.runs.create(copier.id, with_paths(AWKWARD, tmp_path), start=True)
    run = engine.client.runs.wait(run.id)
    assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run.failure
    engine.client.runs.download_outputs(run.id, tmp_path)
    for name, contents in ON_DISK.items():
        folder = tmp_path / name
        assert (folder / "array.yml").read_bytes() == b"size: %d\n" % len(contents)
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            ["array.yml", *map(str, range(len(contents)))]
        )
        assert [(folder / str(i)).read_bytes() for i in range(len(contents))] == contents, name
    rows = {path.relative_to(tmp_path / "rows") for path in (tmp_path / "rows").rglob("*")}
    names = ("array.yml", "0", "0/array.yml", "1", "1/array.yml", "1/0", "2", "2/array.yml")
    assert rows == {Path(name) for name in (*names, "2/0", "2/1")}
    assert (tmp_path / "rows" / "0" / "array.yml").read_bytes() == b"size: 0\n"
    assert (tmp_path / "rows" / "2" / "1").read_bytes() == b"-9223372036854775808"


@pytest.mark.rule("string.nul")
def test_a_text_with_nul_is_refused(engine: Engine, copier: task_pb2.Task) -> None:
    with pytest.raises(InvalidArgument) as refused:
        engine.client.runs.create(copier.id, {"strings": ["a", "a\0b"]})
    assert [(one.path, one.reason) for one in refused.value.problems] == [
        ("strings[1]", "TEXT_NUL")
    ]


def with_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with files on the disk in place of bytes."""
    paths = []
    for number, content in enumerate(values["files"]):
        paths.append(folder / f"file-{number}")
        paths[-1].write_bytes(content)
    return {**values, "files": paths}


def content_of(value: Any, fetched: Path) -> object:
    """What a value says; a float by its text, and what came as a file by its bytes."""
    match value.WhichOneof("kind"):
        case "array":
            return [content_of(item, fetched) for item in value.array.items]
        case "number":
            return repr(value.number)
        case "datetime":
            return value.datetime.text
        case "file":
            content = (fetched / value.file.path).read_bytes()
            return content.decode() if value.file.format == "text" else content
        case kind:
            return getattr(value, kind)


def expected(value: Any) -> object:
    """The same of what was given; the one newline at the end that all tools add is no data."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return value.removesuffix("\r\n") if value.endswith("\r\n") else value.removesuffix("\n")
    return value
