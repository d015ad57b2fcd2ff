from __future__ import annotations

import pytest
from appengine_contract.inputs import (
    check_matching_inputs,
    missing_inputs,
    start_values,
)
from appengine_contract.values import (
    ArrayValue,
    EnumerationValue,
    IntegerValue,
)

_INPUTS = """inputs:
  required: {description: d, type: integer, default: 5}
  optional: {description: d, type: integer, optional: true, default: 7}
  stain: {description: d, type: {id: enumeration, values: [H, DAB]}, optional: true, default: H}
  silent: {description: d, type: integer, optional: true}
"""


@pytest.mark.rule("parameter.required-given")
def test_a_required_input_must_be_given_even_if_it_has_a_default(descriptors) -> None:
    descriptor = descriptors.right(_INPUTS)
    assert missing_inputs(descriptor, set()) == ("required",)
    assert missing_inputs(descriptor, {"required", "silent"}) == ()


@pytest.mark.rule("parameter.default-given", "parameter.absent-optional")
def test_defaults_stand_in_for_optional_inputs_only(descriptors) -> None:
    descriptor = descriptors.right(_INPUTS)
    assert start_values(descriptor, {"required"}) == {
        "optional": IntegerValue(7),
        "stain": EnumerationValue("H"),
    }
    assert start_values(descriptor, {"required", "optional", "stain"}) == {}


@pytest.mark.rule("parameter.no-inputs", "run.created-provisioned")
def test_nothing_is_missing_where_nothing_is_required(descriptors) -> None:
    for inputs in ("inputs: {}", "inputs: {a: {description: d, type: file, optional: true}}"):
        descriptor = descriptors.right(inputs)
        assert missing_inputs(descriptor, set()) == ()
        assert start_values(descriptor, set()) == {}


_MATCHING = """inputs:
  a: {description: d, type: {id: array, subtype: integer}, optional: true}
  b: {description: d, type: {id: array, subtype: integer}, dependencies: {matching: [inputs/a]}}
  c: {description: d, type: {id: array, subtype: integer}, dependencies: {matching: [inputs/b]}}
"""


def _array(size: int) -> ArrayValue:
    return ArrayValue((IntegerValue(0),) * size)


@pytest.mark.rule(
    "dependency.matching-groups",
    "dependency.matching-start",
    "dependency.matching-absent",
)
def test_matching_is_symmetric_and_transitive(descriptors, where) -> None:
    descriptor = descriptors.right(_MATCHING)
    equal = {"a": _array(2), "b": _array(2), "c": _array(2)}
    assert check_matching_inputs(descriptor, equal) == ()
    problems = check_matching_inputs(descriptor, {"a": _array(2), "c": _array(3)})
    assert where(problems) == {("a", "MATCHING_SIZE")}
    assert check_matching_inputs(descriptor, {"b": _array(2), "c": _array(2)}) == ()
