"""Whatever is sent, the answer is a list of problems and never an exception."""

from __future__ import annotations

import contextlib
import io
import json
import random

import pytest
from appengine_contract.descriptor import read_descriptor
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.geometry import GeometryType
from appengine_contract.parameters.image_formats import dicom, formats, jpeg, png, tiff
from appengine_contract.values import GeometryValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_DESCRIPTOR = b"""\
$schema: https://example.org/task.json
name: Nuclei
namespace: com.example.nuclei
version: 1.0.0
authors: [{first_name: A, email: a@b.org, is_contact: true}]
external: {doi: [a], dois: [b], source_code: c}
configuration: {input_folder: /in, image: {file: a.tar}, resources: {ram: 2Gi, cpus: 1}}
inputs:
  image: {description: d, type: {id: image, formats: [png], max_file_size: 1Mi, max_width: 5}}
  stain: {description: d, optional: yes, default: H, type: {id: enumeration, values: [H, DAB]}}
  size: {description: d, default: 1e-3, type: {id: number, gt: 0, leq: .inf}}
  when: {description: d, type: {id: datetime, before: 2024-01-01T00:00:00Z}}
outputs:
  a: {description: d, type: &t {id: array, subtype: geometry, max_size: 5}}
  b: {description: d, type: *t, dependencies: {derived_from: inputs/image, matching: [outputs/a]}}
"""
_TOKENS = [b"~", b"[]", b"{}", b"*t", b"&t", b"!!int", b"'", b": ", b"\n", b"- ", b"1e9", b"\x00"]
_TOKENS += [b"-", b"\xff", b"\xc3\xa9", b"<<", b"? ", b"|", b">", b"%", b"\t", b"true", b"0x1"]


@pytest.mark.parametrize("seed", range(300))
def test_a_damaged_descriptor_is_answered_with_problems(seed: int) -> None:
    chance = random.Random(seed)
    source = bytearray(_DESCRIPTOR)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(source))
        source[at : at + chance.choice([0, 1, 4, 20])] = chance.choice(_TOKENS)
    checked = read_descriptor(bytes(source))
    assert (checked.descriptor is None) == bool(checked.errors)
    json.dumps([str(problem) for problem in (*checked.errors, *checked.warnings)])


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["Point", "Polygon", "MultiPolygon", "Feature", "FeatureCollection"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    ["Point", "LineString", "Polygon", "MultiPolygon", "Feature"]
                )
            },
            optional={"coordinates": inner, "geometry": inner, "properties": inner},
        )
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["FeatureCollection", "GeometryCollection"])},
            optional={"features": inner, "geometries": inner},
        )
    ),
    max_leaves=30,
)
_POSITIONS = st.lists(st.lists(st.floats(-9, 9) | st.floats(), min_size=2, max_size=3), max_size=8)
_RINGS = st.lists(_POSITIONS.map(lambda ring: ring + ring[:1]), max_size=3)


@given(_JSON)
def test_any_json_is_checked_as_a_geometry_and_as_a_collection(document: object) -> None:
    value = GeometryValue(json.dumps(document))
    GeometryType().check(value, "x")
    ArrayType(subtype=GeometryType()).check(value, "x")


@given(_RINGS)
def test_any_rings_are_checked_as_a_polygon(rings: object) -> None:
    text = json.dumps({"type": "Polygon", "coordinates": rings})
    GeometryType().check(GeometryValue(text), "x")


_HEADS = [
    png.SIGNATURE,
    jpeg.SIGNATURE,
    *tiff.SIGNATURES,
    bytes(dicom.SIGNATURE_OFFSET) + dicom.SIGNATURE,
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(_HEADS), st.binary(max_size=200))
def test_any_header_has_a_size_or_none(head: bytes, rest: bytes) -> None:
    found = formats.detect(head + rest)
    assert found
    with contextlib.suppress(ValueError):
        width, height = formats.dimensions(found, io.BytesIO(head + rest))
        assert width >= 0
        assert height >= 0


def test_a_directory_beyond_every_file_is_no_crash() -> None:
    data = b"II\x2b\x00\x08\x00\x00\x00" + b"\xff" * 8
    with pytest.raises(ValueError, match="beyond"):
        formats.dimensions("tiff", io.BytesIO(data))
