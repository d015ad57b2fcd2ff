"""The examples together use every type of the contract, in every place where it can stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from appengine_contract.descriptor import Descriptor, Parameter, read_descriptor
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.catalogue import TYPES
from appengine_contract.parameters.type import ParameterType

_EXAMPLES = Path(__file__).parents[2] / "examples"
_NAMES = ("nuclei", "tissue", "measure", "greeting")
_OF_REFERENCES = {"image", "file"}


def descriptor(example: str) -> Descriptor:
    return read_descriptor((_EXAMPLES / example / "descriptor.yml").read_bytes()).descriptor


def inputs() -> Iterator[Parameter]:
    for example in _NAMES:
        yield from descriptor(example).inputs


def outputs() -> Iterator[Parameter]:
    for example in _NAMES:
        yield from descriptor(example).outputs


def in_arrays(parameters: Iterator[Parameter]) -> set[str]:
    """The types that stand right inside an array."""
    types = [parameter.type for parameter in parameters]
    return {inner.id for type_ in types for inner in _inner(type_)}


def _inner(type_: ParameterType) -> Iterator[ParameterType]:
    if isinstance(type_, ArrayType):
        yield type_.subtype
        yield from _inner(type_.subtype)


@pytest.mark.parametrize("example", _NAMES)
def test_their_descriptors_are_accepted_without_a_warning(example: str) -> None:
    checked = read_descriptor((_EXAMPLES / example / "descriptor.yml").read_bytes())
    assert checked.warnings == ()


def test_every_folder_of_examples_is_looked_at() -> None:
    assert {path.parent.name for path in _EXAMPLES.glob("*/descriptor.yml")} == set(_NAMES)


def test_every_type_is_an_input_and_an_output() -> None:
    assert {parameter.type.id for parameter in inputs()} == set(TYPES)
    assert {parameter.type.id for parameter in outputs()} == set(TYPES)


def test_every_type_is_an_item_of_an_input_and_of_an_output() -> None:
    assert in_arrays(inputs()) == set(TYPES)
    assert in_arrays(outputs()) == set(TYPES)


def test_optional_parameters_defaults_and_dependencies_are_used() -> None:
    assert any(parameter.optional and parameter.default is None for parameter in inputs())
    with_default = {parameter.type.id for parameter in inputs() if parameter.default is not None}
    assert with_default >= {"boolean", "integer", "number", "string", "enumeration"}
    assert {parameter.type.id for parameter in outputs() if parameter.optional} >= {
        "array", "datetime", "enumeration", "file", "geometry", "number"
    }  # fmt: skip
    assert any(parameter.derived_from for parameter in outputs())
    targets = {target for parameter in outputs() for target in parameter.matching}
    assert any(target.startswith("inputs/") for target in targets)
    assert any(target.startswith("outputs/") for target in targets)
    assert any(parameter.matching for parameter in inputs())
