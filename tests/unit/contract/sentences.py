"""Wrong descriptors, values and files of every kind, and the sentences that people get for them.

    python -m tests.unit.contract.sentences > tests/unit/contract/sentences.txt

writes them down again where they were changed on purpose.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from appengine_contract.descriptor import read_descriptor
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.geometry import GeometryType, check_companion
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, ReadOptions
from appengine_contract.values import (
    ArrayValue,
    BooleanValue,
    DateTimeValue,
    EnumerationValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NullValue,
    NumberValue,
    ReferencePattern,
    ReferenceValue,
    StringValue,
    Value,
)

_DESCRIPTORS = Path(__file__).parents[2] / "fuzz" / "descriptors"
_HEAD = b"""\
$schema: https://example.org/task.json
name: Nuclei
namespace: org.example.nuclei
version: 1.2.0
authors: [{first_name: A, last_name: B, organization: C, email: a@b.org}]
configuration: {}
outputs: {}
"""
_TYPES = (
    "boolean",
    "integer",
    "{id: integer, gt: 3, lt: 3000}",
    "{id: integer, geq: 4, leq: 2999}",
    "{id: number, gt: 3.5, lt: 4.25}",
    "{id: number, geq: 3.75, leq: 4, nan_allowed: true, infinity_allowed: true}",
    "{id: string, min_length: 3, max_length: 70}",
    "{id: enumeration, values: [one, two]}",
    "{id: enumeration, values: [a, b, c, d, e, f, g, h, i, j, k, l]}",
    "datetime",
    '{id: datetime, before: "2020-01-01T00:00:00+01:00", after: "2019-01-01T00:00:00Z"}',
    "geometry",
    "{id: file, formats: [text], max_file_size: 30}",
    "{id: image, formats: [png, wsidicom], max_file_size: 30, max_width: 3, max_height: 4}",
    "{id: image, max_width: 3, max_height: 4}",
    "{id: array, subtype: integer, min_size: 2, max_size: 3}",
    "{id: array, subtype: {id: array, subtype: geometry}, min_size: 1}",
    "{id: array, subtype: geometry, max_size: 1}",
    "{id: array, subtype: image}",
    "{id: array, subtype: datetime}",
    "{id: array, subtype: {id: number, gt: 9}}",
    "{id: array, subtype: {id: enumeration, values: [one]}}",
)
_VALUES: tuple[Value, ...] = (
    BooleanValue(True),
    IntegerValue(3),
    IntegerValue(3000),
    IntegerValue(2**63),
    NumberValue(3.5),
    NumberValue(4.25),
    NumberValue(float("nan")),
    NumberValue(float("-inf")),
    StringValue("ab"),
    StringValue("x" * 71),
    StringValue("a\0b"),
    StringValue("a\ud800b"),
    StringValue("\udfff ends it"),
    EnumerationValue("three"),
    DateTimeValue("2019-06-01T00:00:00"),
    DateTimeValue("2021-01-01T00:00:00Z"),
    DateTimeValue("2018-13-01T00:00:00Z"),
    GeometryValue('{"type": "Point", "coordinates": [1, "2"]}'),
    FileValue("x", 3),
    ReferenceValue("/data/x"),
    ReferenceValue("data/x"),
    ReferencePattern("/data/*"),
    ArrayValue((IntegerValue(1),)),
    ArrayValue((BooleanValue(True), IntegerValue(1), NullValue(), IntegerValue(4))),
    NullValue(),
)
_FILES = (
    b"",
    b" \n",
    b"\xff",
    b"yes",
    b"010",
    b"5.0",
    b"3000",
    b"9223372036854775808",
    b"3.5",
    b"4.25",
    b"nan",
    b"-inf",
    b"ab\r\n",
    b"x" * 71,
    b"a\0b",
    b"2019-06-01T00:00:00",
    b"2021-01-01T00:00:00Z",
    b"2018-01-01T00:00:00Z",
    b"2018-02-30T00:00:00Z",
    b"{",
    b"\x89PNG\r\n\x1a\n" + bytes(8),
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(3) + b"\x09" + bytes(3) + b"\x08" + bytes(9),
    b"\xff\xd8\xff\xe0\x00\x01",
    b"\xff\xd8\xff\xe0\x00\x04ab\xff\xd9",
    b"\xff\xd8\xff\xe0\x00\x04abx",
    b"\xff\xd8\xff" + b"\xff" * 99,
    b"II\x2a\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"II\x2a\x00\x08\x00\x00\x00\x01\x00\x00\x01\x05\x00\x01\x00\x00\x00\x01\x00\x00\x00",
    b"II\x2b\x00\x08\x00\x00\x00" + b"\xff" * 8,
    bytes(128) + b"DICM",
    bytes(128) + b"DICM" + b"1.2.840.10008.1.2.1.99",
)
_TEXTS = 20
"""Of these files; those behind are pictures."""
_SHAPES = (
    "[]",
    "{}",
    "nonsense",
    "[" * 5000,
    '{"type": "FeatureCollection", "features": []}',
    '{"type": "Circle"}',
    '{"type": "Point"}',
    '{"type": "Point", "coordinates": 1}',
    '{"type": "Point", "coordinates": [1]}',
    '{"type": "Point", "coordinates": [1, NaN]}',
    '{"type": "Point", "coordinates": [1, 1e999]}',
    '{"type": "LineString", "coordinates": [[1, 2]]}',
    '{"type": "LineString", "coordinates": [1]}',
    '{"type": "MultiLineString", "coordinates": [1]}',
    '{"type": "MultiLineString", "coordinates": [[], [[1, 2], [3, 4]], [[1, 2]]]}',
    '{"type": "MultiPolygon", "coordinates": [[], [[], [[0, 0], [1, 1], [0, 0]]]]}',
    '{"type": "MultiPoint", "coordinates": [[1, 2], [1, true]]}',
    '{"type": "Polygon", "coordinates": [1]}',
    '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}',
    '{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}',
    '{"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}',
    '{"type": "MultiPolygon", "coordinates": [1]}',
    '{"type": "Feature", "geometry": null}',
    '{"type": "Feature", "geometry": {"type": "Point", "coordinates": []}, "properties": []}',
    '{"type": "Feature", "geometry": {"type": "Point", "coordinates": []},'
    ' "properties": {"subType": "Rectangle"}}',
    '{"type": "Feature", "geometry": {"type": "Point", "coordinates": []},'
    ' "properties": {"subType": "Circle"}}',
    '{"type": "Feature", "geometry": {"type": "LineString", "coordinates": []},'
    ' "properties": {"subType": "Circle", "radius": 1}}',
)
_COLLECTIONS = (
    '{"type": "FeatureCollection"',
    '{"type": "FeatureCollection", "features": [1, {}], "crs": 1, "bbox": 2}',
    '{"type": "FeatureCollection", "features": {}}',
    '{"type": "GeometryCollection", "geometries": []} more',
    '{"type": "GeometryCollection" "geometries": []}',
    "{1: 2}",
    '{"type": "Point", "coordinates": []}',
)
_FOLDERS: tuple[dict[str, bytes], ...] = (
    {},
    {"array.yml": b"size: 2", "0": b"1"},
    {"array.yml": b"size: 3", "0": b"1", "2": b"x", "extra": b""},
    {"array.yml": b"size: -1", "0": b"1", "1": b"1", "2": b"1", "3": b"1"},
    {"array.yml": b"size: x"},
    {"array.yml": b"- 1"},
    {"array.yml": b"size: 1", "0": b"1", "0.geojson": b"x"},
    {"array.yml": b"x" * 70_000},
)
_YAML = (
    b"\xff",
    b"- 1",
    b"",
    b"a: [",
    b"a: !x 1",
    b"a: &a [*a]",
    b"a: 1\na: 2",
    b"[1]: 2",
    b"a: &a [" + b"x," * 400 + b"]\nb: &b [" + b"*a," * 400 + b"]",
    b"a: " + b"[" * 70,
    b"---\na: 1\n---\nb: 2\n",
    b"x" * (1 << 20) + b"x",
)
_INPUTS = b"""\
a: {description: d, type: integer, default: 0x5}
b: {description: d, type: integer, default: 99999999999999999999}
c: {description: d, type: integer, default: 07, dependencies: {derived_from: inputs/a}}
d: {description: d, type: number, default: x}
e: {description: d, type: boolean, default: yes}
f: {description: d, type: boolean, default: 1}
g: {description: d, type: {id: string, max_length: 1}, default: abc}
h: {description: d, type: string, default: 12}
i: {description: d, type: string, default: [1]}
j: {description: d, type: {id: enumeration, values: [a, ~, "", b, b]}, default: c}
k: {description: d, type: {id: enumeration, values: []}}
l: {description: d, type: enumeration}
m: {description: d, type: {id: datetime, before: 2020, after: "2020-01-01T00:00:00Z"}}
n: {description: d, type: datetime, default: 2020-01-01}
o: {description: d, type: file, default: x}
p: {description: d, type: {id: file, formats: [doc, text, text], max_file_size: 1 XB}}
q: {description: d, type: {id: image, formats: png, max_width: -1}}
r: {description: d, type: {id: array, min_size: 3, max_size: 1, subtype: file}}
s: {description: d, type: {id: string, min_length: 3, max_length: 1}}
t: {description: d, type: {id: number, gt: .nan, lt: .inf}}
u: {description: d, type: {id: interger}}
v: {description: d, type: {}}
w: {description: d, type: }
x: {description: d, type: integer, unknown: 1, optional: maybe}
y: 1
z:
"a b": {description: d, type: integer}
A:
  description: d
  type: {id: datetime, before: "2020-01-01T00:00:00Z", after: "2021-01-01T00:00:00Z"}
B: {description: d, type: {id: number, gt: 5, leq: 5}}
C: {description: d, type: datetime, default: 2020}
D: {description: d, type: {id: enumeration, values: [2020]}, default: 2020}
"""

_INDEXES = ([], [-1], [0], [3], [99], [0, 0], [0, 99], [0, 0, 0], [0, 0, 0, 0], [10**30])
_DEEP = (
    ArrayType(subtype=ArrayType(subtype=GeometryType(), max_size=0), max_size=3),
    ArrayType(subtype=ArrayType(subtype=IntegerType())),
)


def all_sentences() -> Iterator[str]:
    """Each with what it is said of."""
    for name in ("right", "usual", "odd", "numbers"):
        yield from _of_descriptor(name, (_DESCRIPTORS / f"{name}.yml").read_bytes())
    inputs = b"inputs:\n" + b"".join(b"  " + line for line in _INPUTS.splitlines(keepends=True))
    yield from _of_descriptor("inputs", _HEAD + inputs)
    for number, source in enumerate(_YAML):
        yield from _of_descriptor(f"yaml {number}", source)
    for text in _TYPES:
        kind = _type_of(text)
        yield text
        # What is said of one value is not written again for the next.
        yield from dict.fromkeys((*_of_values(kind), *_of_files(kind)))
    for text in _SHAPES:
        yield from _told(
            f"shape {text[:120]}", _type_of("geometry").check(GeometryValue(text), "x")
        )
        yield from _told("companion", check_companion(text.encode(), "x"))
    for number, kind in enumerate(_DEEP):
        for indexes in _INDEXES:
            what = f"index {indexes} in {number}"
            yield from _told(what, kind.check_index(indexes, "x", guard=99))
    for text in _COLLECTIONS:
        found = ArrayType(subtype=GeometryType()).check(GeometryValue(text), "x")
        yield from _told(f"collection {text}", found)


def _of_descriptor(what: str, source: bytes) -> Iterator[str]:
    checked = read_descriptor(source)
    yield from _told(f"{what}: errors", checked.errors)
    yield from _told(f"{what}: warnings", checked.warnings)


def _type_of(text: str) -> ParameterType:
    source = _HEAD + f"inputs:\n  x: {{description: d, type: {text}}}\n".encode()
    found = read_descriptor(source).descriptor
    assert found is not None, text
    return found.inputs[0].type


def _of_values(kind: ParameterType) -> Iterator[str]:
    for value in _VALUES:
        yield from _sentences(kind.check(value, "x"))


def _of_files(kind: ParameterType) -> Iterator[str]:
    files = _FILES if isinstance(kind, ImageType | FileType) else _FILES[:_TEXTS]
    with tempfile.TemporaryDirectory() as name:
        for number, entry in enumerate((*files, *_FOLDERS, None)):
            folder = Path(name) / str(number)
            folder.mkdir()
            _lay_out(folder / "x", entry)
            yield from _read(kind, folder, "output")
            if isinstance(kind, ArrayType):
                yield from _read(kind, folder, "input")
        (folder / "x").symlink_to("/etc")
        yield from _read(kind, folder, "output")


def _lay_out(path: Path, entry: bytes | dict[str, bytes] | None) -> None:
    if isinstance(entry, bytes):
        path.write_bytes(entry)
    elif entry is not None:
        path.mkdir()
        for name, data in entry.items():
            (path / name).write_bytes(data)


def _read(kind: ParameterType, folder: Path, direction: Direction) -> Iterator[str]:
    options = ReadOptions(root=folder, direction=direction, max_text_bytes=70)
    reading = kind.read(folder / "x", "x", options)
    yield from _sentences((*reading.problems, *reading.warnings))


def _told(what: str, problems: Sequence[Problem]) -> Iterator[str]:
    if problems:
        yield what
        yield from _sentences(problems)


def _sentences(problems: Sequence[Problem]) -> Iterator[str]:
    for one in problems:
        place = f"{one.path}:{one.line}" if one.line else one.path
        yield f"    {one.reason} {place}: {one.message}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in all_sentences())
