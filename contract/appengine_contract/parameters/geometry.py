"""GeoJSON geometries and Features. Coordinates are plane pixels and are never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Self

from appengine_contract.geojson.collections import split_collection
from appengine_contract.geojson.structure import (
    GeometryError,
    Json,
    Shape,
    checked_shape,
    parse_object,
)
from appengine_contract.geojson.validity import invalid_places
from appengine_contract.parameters.type import ReadType, TextType, trimmed_text, wrong_kind
from appengine_contract.problems import Problem
from appengine_contract.reading import Direction, Findings
from appengine_contract.values import GeometryValue, Value
from appengine_contract.yaml_tree import Fields

_AT_ONCE = 2000
"""Geometries whose validity is tested in one call: few enough to hold them all in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryType(TextType):
    """On disk the GeoJSON text, byte for byte."""

    id: ClassVar[str] = "geometry"

    @classmethod
    def from_descriptor(cls, fields: Fields, read_type: ReadType) -> Self | None:
        return cls()

    def check(self, value: Value, at: str) -> list[Problem]:
        return self._check_at([(value, at)])

    def check_items(self, items: Sequence[Value], at: str) -> list[Problem]:
        return self._check_at((item, f"{at}[{index}]") for index, item in enumerate(items))

    def _check_at(self, values: Iterable[tuple[Value, str]]) -> list[Problem]:
        findings = Findings()
        texts = []
        for value, at in values:
            if isinstance(value, GeometryValue):
                texts.append((value.text, at))
            else:
                findings.problems += wrong_kind(value, "a geometry", at)
        _check_texts(texts, findings)
        return findings.problems

    def encode(self, value: Value) -> bytes:
        assert isinstance(value, GeometryValue)
        return value.text.encode("utf-8")

    def decode(
        self, data: bytes, at: str, direction: Direction, findings: Findings
    ) -> Value | None:
        return self.decode_items([(data, at)], direction, findings)[0]

    def decode_items(
        self, items: Iterable[tuple[bytes, str]], direction: Direction, findings: Findings
    ) -> list[Value | None]:
        values: list[Value | None] = []
        rest = iter(items)
        while batch := list(islice(rest, _AT_ONCE)):
            read = [(trimmed_text(data, at, findings), at) for data, at in batch]
            _check_texts([(text, at) for text, at in read if text is not None], findings)
            values += [None if text is None else GeometryValue(text) for text, _ in read]
        return values


def read_collection(text: str, at: str, findings: Findings) -> tuple[Value, ...] | None:
    """The geometries of a FeatureCollection or GeometryCollection, each checked.

    Members of the collection itself are dropped, with a warning. None if it is no collection;
    problems with its geometries are in the findings.
    """
    try:
        collection = split_collection(text)
    except GeometryError as error:
        findings.problem(at, error.reason, error.message)
        return None
    if collection.dropped:
        names = ", ".join(name[:60] for name in collection.dropped[:10])
        message = f"members of the collection itself belong to no geometry and are dropped: {names}"
        findings.warning(at, "COLLECTION_MEMBERS_DROPPED", message)
    _check_documents(
        [(document, f"{at}[{index}]") for index, document in enumerate(collection.documents)],
        findings,
    )
    return tuple(map(GeometryValue, collection.texts))


def check_companion(data: bytes, at: str) -> list[Problem]:
    """What is wrong with an image's companion: a geometry or Feature, whose validity is not tested.

    People draw it, so it may cross itself.
    """
    findings = Findings()
    text = trimmed_text(data, at, findings)
    if text is not None:
        _shape(text, at, findings)
    return findings.problems


def _check_texts(texts: Sequence[tuple[str, str]], findings: Findings) -> None:
    for begin in range(0, len(texts), _AT_ONCE):
        shapes = [(_shape(text, at, findings), at) for text, at in texts[begin : begin + _AT_ONCE]]
        _check_validity(shapes, findings)


def _check_documents(documents: Sequence[tuple[Json, str]], findings: Findings) -> None:
    shapes = [(_document_shape(document, at, findings), at) for document, at in documents]
    for begin in range(0, len(shapes), _AT_ONCE):
        _check_validity(shapes[begin : begin + _AT_ONCE], findings)


def _shape(text: str, at: str, findings: Findings) -> Shape | None:
    try:
        return checked_shape(parse_object(text))
    except GeometryError as error:
        findings.problem(at, error.reason, error.message)
        return None


def _document_shape(document: Json, at: str, findings: Findings) -> Shape | None:
    try:
        if not isinstance(document, dict):
            raise GeometryError("GEOMETRY_STRUCTURE", "expected an object")
        return checked_shape(document)
    except GeometryError as error:
        findings.problem(at, error.reason, error.message)
        return None


def _check_validity(shapes: Sequence[tuple[Shape | None, str]], findings: Findings) -> None:
    known = [(shape, at) for shape, at in shapes if shape is not None]
    for index, reason in invalid_places([shape for shape, _ in known]).items():
        message = f"the geometry is not valid: {reason}"
        findings.problem(known[index][1], "GEOMETRY_INVALID", message)
