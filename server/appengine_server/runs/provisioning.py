"""Checks values against a task's inputs, and puts them into the inputs of a run.

Everything is checked before anything is stored; all problems are answered together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from appengine_contract.descriptor import Descriptor, Parameter
from appengine_contract.inputs import (
    check_matching_inputs,
    expand_input,
    missing_inputs,
    start_values,
)
from appengine_contract.layout import item_label
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    NullValue,
    Value,
)

from appengine_server.runs.stored import StoredInput, StoredInputs


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenInput:
    """A value for one input, or for one item of an array."""

    parameter: str
    index: tuple[int, ...] = ()
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
    descriptor: Descriptor, inputs: StoredInputs, given: GivenInputs
) -> tuple[StoredInputs, list[Problem]]:
    """The inputs with these values, and every problem; with a problem nothing is to be stored.

    References have been resolved before.
    """
    problems = list(given.problems)
    items: defaultdict[str, dict[int, StoredInput]] = defaultdict(dict)
    for one in given.values:
        parameter = descriptor.input(one.parameter)
        if parameter is None:
            problems.append(_unknown(descriptor, one.parameter))
            continue
        found = check_given(parameter, one)
        problems += found
        if found:
            continue
        if one.index:
            items[one.parameter][one.index[0]] = StoredInput(value=one.value)
        elif isinstance(one.value, NullValue):
            inputs = inputs.without(one.parameter)
        else:
            kept, _ = expand_input(parameter, one.value)
            inputs = inputs.with_input(one.parameter, StoredInput(value=kept))
    for name, several in items.items():
        inputs = inputs.with_items(name, several)
    return inputs, problems


def given_type(descriptor: Descriptor, given: GivenInput) -> tuple[ParameterType, str] | None:
    """The type that a value must be of, and how problems name it; None where there is none."""
    parameter = descriptor.input(given.parameter)
    if parameter is None:
        return None
    type_ = _item_type(parameter.type, given.index) if given.index else parameter.type
    return None if isinstance(type_, Problem) else (type_, item_label(given.parameter, given.index))


def check_given(parameter: Parameter, given: GivenInput) -> list[Problem]:
    """What is wrong with one value."""
    at = item_label(given.parameter, given.index)
    if isinstance(given.value, NullValue):
        return _check_null(parameter, given, at)
    type_: ParameterType = parameter.type
    if given.index:
        item_type = _item_type(type_, given.index)
        if isinstance(item_type, Problem):
            return [item_type]
        type_ = item_type
    problems = type_.check(given.value, at)
    return problems or _check_bytes(given.value, at)


def missing(descriptor: Descriptor, inputs: StoredInputs) -> tuple[str, ...]:
    """Required inputs that have no value yet."""
    return missing_inputs(descriptor, inputs.names())


def for_start(descriptor: Descriptor, inputs: StoredInputs) -> tuple[StoredInputs, list[Problem]]:
    """The inputs with defaults for the optional ones that were not given, and what keeps the run
    from starting.
    """
    problems = [
        Problem(
            path=name, reason="VALUE_MISSING", message=f"The input {name} is required: give it."
        )
        for name in missing(descriptor, inputs)
    ]
    for name, given in inputs.by_name.items():
        gap = given.missing_index()
        if gap is not None:
            problems.append(
                Problem(
                    path=f"{name}[{gap}]",
                    reason="ARRAY_GAP",
                    message=f"The item {gap} of {name} is missing: indexes have no gaps.",
                )
            )
        problems += _check_items_size(descriptor, name, given)
    for name, value in start_values(descriptor, inputs.names()).items():
        inputs = inputs.with_input(name, StoredInput(value=value, from_default=True))
    problems += check_matching_inputs(descriptor, inputs.arrays())
    return inputs, problems


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


def _item_type(type_: ParameterType, index: tuple[int, ...]) -> ParameterType | Problem:
    if not isinstance(type_, ArrayType) or len(index) != 1:
        return Problem(
            path=item_label("", index),
            reason="ARRAY_INDEX",
            message="An index is only for items of an array, one number for each; "
            "arrays in arrays are given whole.",
        )
    if index[0] < 0 or (type_.max_size is not None and index[0] >= type_.max_size):
        return Problem(
            path=item_label("", index),
            reason="ARRAY_INDEX",
            message=f"The index {index[0]} is not within the array's {type_.max_size} items.",
        )
    return type_.subtype


def _check_bytes(value: Value, at: str) -> list[Problem]:
    """Bytes do not come as values."""
    if isinstance(value, ArrayValue):
        return [
            problem
            for index, item in enumerate(value.items)
            for problem in _check_bytes(item, f"{at}[{index}]")
        ]
    if isinstance(value, FileValue):
        message = f"Send the bytes of {at} by StorageService: a file cannot be given by its path."
        return [Problem(path=at, reason="VALUE_KIND", message=message)]
    return []


def _check_items_size(descriptor: Descriptor, name: str, given: StoredInput) -> list[Problem]:
    parameter = descriptor.input(name)
    if given.items is None or parameter is None or not isinstance(parameter.type, ArrayType):
        return []
    if len(given.items) < parameter.type.min_size:
        message = f"{name} has {len(given.items)} items and needs {parameter.type.min_size}."
        return [Problem(path=name, reason="ARRAY_TOO_SMALL", message=message)]
    return []
