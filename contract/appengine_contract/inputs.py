"""What an engine has to know about a run's inputs before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from appengine_contract.dependencies import check_sizes, matching_groups
from appengine_contract.descriptor import Descriptor
from appengine_contract.problems import Problem
from appengine_contract.values import Value


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
