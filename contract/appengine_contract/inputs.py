"""What an engine has to know about a run's inputs before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from appengine_contract.dependencies import check_sizes, matching_groups
from appengine_contract.descriptor import Descriptor, Parameter
from appengine_contract.parameters.array import ArrayType
from appengine_contract.problems import Problem
from appengine_contract.reading import Findings
from appengine_contract.values import NullValue, Value


def check_input(parameter: Parameter, value: Value) -> list[Problem]:
    """What is wrong with a value that a client gives for an input. Null clears an optional one."""
    if not isinstance(value, NullValue):
        return parameter.type.check(value, parameter.name)
    if parameter.optional:
        return []
    message = f"`{parameter.name}` is required and cannot be null"
    return [Problem(path=parameter.name, reason="VALUE_MISSING", message=message)]


def check_inputs(descriptor: Descriptor, values: Mapping[str, Value]) -> list[Problem]:
    """All that is wrong with a batch of values, names of no input included."""
    problems: list[Problem] = []
    for name, value in values.items():
        parameter = descriptor.input(name)
        if parameter is None:
            message = f"the task has no input `{name}`"
            problems.append(Problem(path=name, reason="PARAMETER_UNKNOWN", message=message))
        else:
            problems += check_input(parameter, value)
    return problems


def expand_input(parameter: Parameter, value: Value) -> tuple[Value, tuple[Problem, ...]]:
    """A checked value as it is kept, and warnings: collections of geometries become arrays."""
    if not isinstance(parameter.type, ArrayType):
        return value, ()
    findings = Findings()
    expanded = parameter.type.expand(value, parameter.name, findings)
    return expanded, tuple(findings.warnings)


def missing_inputs(descriptor: Descriptor, provided: AbstractSet[str]) -> tuple[str, ...]:
    """Required inputs that were not provisioned, in the order of the descriptor.

    A default does not stand in for a required input: it only pre-fills forms.
    """
    return tuple(
        parameter.name
        for parameter in descriptor.inputs
        if not parameter.optional and parameter.name not in provided
    )


def start_values(descriptor: Descriptor, provided: AbstractSet[str]) -> dict[str, Value]:
    """The defaults that apply when the run starts: of optional inputs not provisioned."""
    return {
        parameter.name: parameter.default
        for parameter in descriptor.inputs
        if parameter.optional and parameter.default is not None and parameter.name not in provided
    }


def check_matching_inputs(
    descriptor: Descriptor, values: Mapping[str, Value]
) -> tuple[Problem, ...]:
    """One problem for each matching group whose input arrays have different sizes."""
    return check_sizes(
        matching_groups(descriptor), {f"inputs/{name}": value for name, value in values.items()}
    )
