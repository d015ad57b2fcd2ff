"""Checks values against a task's inputs, and puts them into the inputs of a run.

Everything is checked before anything is stored; all problems are answered together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appengine_contract.descriptor import Descriptor, Parameter
from appengine_contract.inputs import (
    check_matching_inputs,
    missing_inputs,
    start_values,
)
from appengine_contract.layout import item_label
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.reading import Findings, limited
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    NullValue,
    Value,
)

from appengine_server.runs.stored import Index, StoredInput, StoredInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenInput:
    """A value for one input, or for one item of an array."""

    parameter: str
    index: Index = ()
    """Empty sets the parameter whole."""
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenInputs:
    """The values of one request."""

    values: Sequence[GivenInput]
    problems: Sequence[Problem] = ()
    """Of values that cannot even be read; they are told together with all others."""

    def names(self) -> set[str]:
        """Inputs that the request names, well or badly."""
        return {one.parameter for one in self.values} | {one.path for one in self.problems}


def provision(
    descriptor: Descriptor, inputs: StoredInputs, given: GivenInputs, *, index_guard: int
) -> tuple[StoredInputs, list[Problem]]:
    """The inputs with these values, and every problem; with a problem nothing is to be stored.

    References have been resolved before. `index_guard` bounds the indexes of items where an array
    has no `max_size`. An empty array beside items of the same one clears what was there before.
    """
    problems = list(given.problems)
    in_parts = {one.parameter for one in given.values if one.index}
    items: defaultdict[str, dict[Index, StoredInput]] = defaultdict(dict)
    for one in given.values:
        parameter = descriptor.input(one.parameter)
        if parameter is None:
            problems.append(_unknown(descriptor, one.parameter))
            continue
        if one.parameter in in_parts and not one.index and one.value == ArrayValue(()):
            inputs = inputs.without(one.parameter)
            continue
        found = check_given(parameter, one, index_guard=index_guard)
        problems += found
        if found:
            continue
        if one.index:
            items[one.parameter][one.index] = _kept(parameter.type, one)
        elif isinstance(one.value, NullValue):
            inputs = inputs.without(one.parameter)
        else:
            inputs = inputs.with_input(one.parameter, _kept(parameter.type, one))
    for name, several in items.items():
        inputs = inputs.with_items(name, several)
    return inputs, problems


def _kept(type_: ParameterType, given: GivenInput) -> StoredInput:
    """A checked value as it is kept: collections of geometries become arrays."""
    for_item = item_type(type_, given.index)
    if not isinstance(for_item, ArrayType):
        return StoredInput(value=given.value)
    findings = Findings()
    value = for_item.expand(given.value, item_label(given.parameter, given.index), findings)
    return StoredInput(value=value, warnings=limited(findings.warnings, given.parameter))


def given_type(descriptor: Descriptor, given: GivenInput) -> tuple[ParameterType, str] | None:
    """The type that a value must be of, and how problems name it; None where there is none."""
    parameter = descriptor.input(given.parameter)
    if parameter is None:
        return None
    try:
        type_ = item_type(parameter.type, given.index)
    except ValueError:
        return None
    return type_, item_label(given.parameter, given.index)


def item_type(type_: ParameterType, index: Index) -> ParameterType:
    """The type of what the index leads to. Raises ValueError where there is no such level."""
    if not index:
        return type_
    if not isinstance(type_, ArrayType):
        raise ValueError(f"{type_.id} has no items")  # noqa: TRY004 it is the depth that is wrong
    return type_.item_type(len(index))


def check_given(parameter: Parameter, given: GivenInput, *, index_guard: int) -> list[Problem]:
    """What is wrong with one value."""
    at = item_label(given.parameter, given.index)
    if isinstance(given.value, NullValue):
        return _check_null(parameter, given, at)
    problems = check_index(parameter, given.index, index_guard=index_guard)
    if problems:
        return problems
    type_ = item_type(parameter.type, given.index)
    return type_.check(given.value, at) or _check_bytes(given.value, at)


def check_index(parameter: Parameter, index: Index, *, index_guard: int) -> list[Problem]:
    """What is wrong with the place of an item; nothing is with the input itself."""
    if not index:
        return []
    if not isinstance(parameter.type, ArrayType):
        at = item_label(parameter.name, index)
        message = f"{parameter.name} is no array: give it whole, without an index."
        return [Problem(path=at, reason="ARRAY_INDEX", message=message)]
    return parameter.type.check_index(index, parameter.name, guard=index_guard)


def missing(descriptor: Descriptor, inputs: StoredInputs) -> tuple[str, ...]:
    """Inputs that a start still needs: required ones without a value, and those that have gaps or
    too few items, in the order of the descriptor.
    """
    lacking = set(missing_inputs(descriptor, inputs.names()))
    for parameter in descriptor.inputs:
        given = inputs.by_name.get(parameter.name)
        if given is not None and next(_lacks(parameter.type, given, parameter.name), None):
            lacking.add(parameter.name)
    return tuple(one.name for one in descriptor.inputs if one.name in lacking)


def for_start(descriptor: Descriptor, inputs: StoredInputs) -> tuple[StoredInputs, list[Problem]]:
    """The inputs with defaults for the optional ones that were not given, and what keeps the run
    from starting.
    """
    problems = [
        Problem(
            path=name, reason="VALUE_MISSING", message=f"The input {name} is required: give it."
        )
        for name in missing_inputs(descriptor, inputs.names())
    ]
    for parameter in descriptor.inputs:
        given = inputs.by_name.get(parameter.name)
        if given is not None and (parameter.optional or given.has_value()):
            problems += limited([*_lacks(parameter.type, given, parameter.name)], parameter.name)
    for name, value in start_values(descriptor, inputs.names()).items():
        inputs = inputs.with_input(name, StoredInput(value=value, from_default=True))
    problems += check_matching_inputs(descriptor, inputs.arrays())
    return inputs, problems


def _lacks(type_: ParameterType, given: StoredInput, at: str) -> Iterator[Problem]:
    """What is still missing in an input that has arrived in parts.

    What was given whole was checked when it came.
    """
    if not given.has_value():
        message = f"{at} has a GeoJSON file beside it, but no image: send the image."
        yield Problem(path=at, reason="VALUE_MISSING", message=message)
    if given.items is None or not isinstance(type_, ArrayType):
        return
    gap = given.missing_index()
    if gap is not None:
        message = f"The item {gap} of {at} is missing: indexes have no gaps."
        yield Problem(path=f"{at}[{gap}]", reason="ARRAY_GAP", message=message)
    findings = Findings()
    type_.check_size(len(given.items), at, findings)
    yield from findings.problems
    inner_arrays = given.items if isinstance(type_.subtype, ArrayType) else {}
    for index, item in sorted(inner_arrays.items()):
        if item.has_value():
            yield from _lacks(type_.subtype, item, f"{at}[{index}]")


def _unknown(descriptor: Descriptor, name: str) -> Problem:
    known = ", ".join(parameter.name for parameter in descriptor.inputs) or "none"
    return Problem(
        path=name,
        reason="PARAMETER_UNKNOWN",
        message=f"The task has no input {name}. Its inputs are: {known}.",
    )


def _check_null(parameter: Parameter, given: GivenInput, at: str) -> list[Problem]:
    if given.index or not parameter.optional:
        return [
            Problem(
                path=at,
                reason="VALUE_MISSING",
                message=f"{at} cannot be cleared: it is required. Give it a value.",
            )
        ]
    return []


def _check_bytes(value: Value, at: str) -> list[Problem]:
    """Bytes do not come as values."""
    if isinstance(value, ArrayValue):
        return [
            problem
            for index, item in enumerate(value.items)
            if isinstance(item, ArrayValue | FileValue)
            for problem in _check_bytes(item, f"{at}[{index}]")
        ]
    if isinstance(value, FileValue):
        message = f"Send the bytes of {at} by StorageService: a file cannot be given by its path."
        return [Problem(path=at, reason="VALUE_KIND", message=message)]
    return []
