"""Checking what a task wrote into its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appengine_contract.dependencies import check_sizes, matching_groups
from appengine_contract.descriptor import Descriptor, Parameter
from appengine_contract.problems import Problem
from appengine_contract.reading import (
    MOST_ITEM_PROBLEMS,
    Kind,
    ReadOptions,
    list_folder,
    open_folder,
    printable,
)
from appengine_contract.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOutputs:
    """The outputs of a run. They may become visible if and only if there are no problems."""

    values: dict[str, Value]
    """Of the outputs that are there and right, in the order of the descriptor."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check_outputs(
    descriptor: Descriptor,
    folder: Path,
    options: ReadOptions | None = None,
    *,
    inputs: Mapping[str, Value] | None = None,
) -> CheckedOutputs:
    """Read and check every declared output in `folder`, after the task ended with exit code 0.

    `inputs` are the run's input values: arrays among them take part in matching groups. Raises
    OSError when the folder itself cannot be read.
    """
    options = options or ReadOptions(root=folder)
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    with open_folder(folder) as opened:
        listing = list_folder(opened, limit=options.max_entries)
    if listing is None:
        message = f"the output folder has more than {options.max_entries} entries"
        problem = Problem(path="", reason="OUTPUT_TOO_LARGE", message=message)
        return CheckedOutputs(values={}, problems=(problem,), warnings=())
    for parameter in descriptor.outputs:
        name = _taken_name(parameter, listing)
        if name is None:
            problems += _missing(parameter)
            continue
        del listing[name]
        reading = parameter.type.read(folder / name, parameter.name, options)
        problems += reading.problems
        warnings += reading.warnings
        if reading.value is not None:
            values[parameter.name] = reading.value
    warnings += _extras(listing)
    problems += _check_groups(descriptor, values, inputs or {})
    return CheckedOutputs(values=values, problems=tuple(problems), warnings=tuple(warnings))


def _taken_name(parameter: Parameter, listing: Mapping[str, Kind]) -> str | None:
    names = parameter.type.names(parameter.name)
    return next((name for name in names if name in listing), None)


def _missing(parameter: Parameter) -> list[Problem]:
    if parameter.optional:
        return []
    message = f"the task did not write the output `{parameter.name}`"
    return [Problem(path=parameter.name, reason="OUTPUT_MISSING", message=message)]


def _extras(listing: Mapping[str, Kind]) -> list[Problem]:
    names = sorted(map(printable, listing))
    warnings = [
        Problem(
            path=name, reason="OUTPUT_EXTRA", message=f"`{name}` is no declared output; ignored"
        )
        for name in names[:MOST_ITEM_PROBLEMS]
    ]
    if len(names) > MOST_ITEM_PROBLEMS:
        message = f"and {len(names) - MOST_ITEM_PROBLEMS} more entries that are no outputs"
        warnings.append(Problem(path="", reason="OUTPUT_EXTRA", message=message))
    return warnings


def _check_groups(
    descriptor: Descriptor, outputs: Mapping[str, Value], inputs: Mapping[str, Value]
) -> tuple[Problem, ...]:
    values = {f"inputs/{name}": value for name, value in inputs.items()}
    values |= {f"outputs/{name}": value for name, value in outputs.items()}
    # Groups of inputs alone were compared when the run was started.
    groups = [
        group
        for group in matching_groups(descriptor)
        if any(name.startswith("outputs/") for name in group)
    ]
    return check_sizes(groups, values)
