"""Dependencies between parameters: coordinate frames and arrays that belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yaml.nodes import Node

from appengine_contract.parameters.array import ArrayType
from appengine_contract.problems import Problem
from appengine_contract.values import ArrayValue, Value
from appengine_contract.yaml_tree import Report

if TYPE_CHECKING:
    from appengine_contract.descriptor import Descriptor

SIDES = ("inputs", "outputs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One target of a dependency, where it stands in the descriptor."""

    owner: str
    """`inputs/<name>` or `outputs/<name>`."""
    target: str
    """The same form."""
    path: str
    node: Node


def is_reference(text: str, sides: Iterable[str] = SIDES) -> bool:
    """Whether the text has the form `inputs/<name>`, or another of `sides`."""
    side, slash, name = text.partition("/")
    return side in sides and bool(slash) and bool(name) and "/" not in name


def check_derived(links: Iterable[Link], declared: Mapping[str, object], report: Report) -> None:
    """Report every `derived_from` that names no input."""
    for link in links:
        if not is_reference(link.target, ("inputs",)):
            message = f"expected `inputs/<name>`, found {link.target!r}"
            report.error(link.path, "FIELD_FORMAT", message, link.node)
        elif link.target not in declared:
            name = link.target.partition("/")[2]
            message = f"there is no input {name!r}"
            report.error(link.path, "DERIVED_FROM_UNKNOWN", message, link.node)


def check_matching(links: Iterable[Link], declared: Mapping[str, object], report: Report) -> None:
    """Report every `matching` whose owner or target is no array, or that names its owner.

    `declared` has the type of each parameter, None where the type itself is wrong.
    """
    for link in links:
        if (problem := _matching_problem(link, declared)) is not None:
            report.error(link.path, problem[0], problem[1], link.node)


def _matching_problem(link: Link, declared: Mapping[str, object]) -> tuple[str, str] | None:
    if not is_reference(link.target):
        expected = "`inputs/<name>` or `outputs/<name>`"
        return "FIELD_FORMAT", f"expected {expected}, found {link.target!r}"
    if link.target == link.owner:
        return "MATCHING_INVALID", "an array always matches itself; name another one"
    if link.target not in declared:
        return "MATCHING_INVALID", f"there is no parameter `{link.target}`"
    for name in (link.owner, link.target):
        kind = declared[name]
        if kind is not None and not isinstance(kind, ArrayType):
            return "MATCHING_INVALID", f"`{name}` is no array; only arrays can match"
    return None


def matching_groups(descriptor: Descriptor) -> tuple[tuple[str, ...], ...]:
    """Arrays that must have the same size, as `inputs/<name>` and `outputs/<name>`.

    Every group has two or more members, in the order of the descriptor.
    """
    names = [f"inputs/{each.name}" for each in descriptor.inputs]
    names += [f"outputs/{each.name}" for each in descriptor.outputs]
    group_of = {name: {name} for name in names}
    for side, parameters in (("inputs", descriptor.inputs), ("outputs", descriptor.outputs)):
        for parameter in parameters:
            for target in parameter.matching:
                owner = f"{side}/{parameter.name}"
                if group_of[owner] is not group_of[target]:
                    group_of[owner] |= group_of[target]
                    for member in group_of[target].copy():
                        group_of[member] = group_of[owner]
    groups = dict.fromkeys(
        tuple(name for name in names if name in group_of[owner])
        for owner in names
        if len(group_of[owner]) > 1
    )
    return tuple(groups)


def check_sizes(
    groups: Iterable[tuple[str, ...]], values: Mapping[str, Value]
) -> tuple[Problem, ...]:
    """One problem for each group whose arrays have different sizes.

    `values` is by `inputs/<name>` and `outputs/<name>`; members without a value are left out.
    """
    problems = []
    for group in groups:
        sizes = {
            name: len(value.items)
            for name in group
            if isinstance(value := values.get(name), ArrayValue)
        }
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            message = f"these arrays must have the same size: {listed}"
            path = next(iter(sizes)).partition("/")[2]
            problems.append(Problem(path=path, reason="MATCHING_SIZE", message=message))
    return tuple(problems)
