"""From what `client.map` is given to the items of its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from appengine_client._api.many import Item
from appengine_client._api.naming import below_common_folder, short_names
from appengine_client._api.values import InputPython, LocalFile
from appengine_client.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Each:
    """Values for `client.map`: one run for each. A generator, such as glob gives, needs none."""

    values: Iterable[InputPython]


MappedPython: TypeAlias = "InputPython | Each | Iterator[InputPython]"
"""What an input of `client.map` takes: a value for all runs, or one for each."""


def make_items(inputs: Mapping[str, MappedPython]) -> Sequence[Item]:
    """One item for each value of the inputs that differ; several go side by side.

    Raises InvalidValue where none differs, or where they have different numbers of values.
    """
    differing = {name: _values(given) for name, given in inputs.items() if _differs(given)}
    if not differing:
        raise InvalidValue(
            "no input differs: give one of them as a generator, such as folder.glob('*.tiff'), or "
            "as Each([...]); for a single run there is `run`"
        )
    if len({len(values) for values in differing.values()}) > 1:
        told = ", ".join(f"{name} {len(values)}" for name, values in differing.items())
        raise InvalidValue(f"the inputs that differ need as many values each; they have: {told}")
    same = {name: given for name, given in inputs.items() if name not in differing}
    rows = [dict(zip(differing, row, strict=True)) for row in zip(*differing.values(), strict=True)]
    return [
        Item(
            name=name,
            given=next(iter(row.values())) if len(row) == 1 else row,
            inputs={**same, **row},  # type: ignore[dict-item]  # those that differ are taken out
        )
        for name, row in zip(_names(rows), rows, strict=True)
    ]


def _differs(given: object) -> bool:
    return isinstance(given, Each | Iterator)


def _values(given: object) -> list[InputPython]:
    assert isinstance(given, Each | Iterator)
    return list(given.values if isinstance(given, Each) else given)


def _names(rows: Sequence[Mapping[str, InputPython]]) -> Sequence[str]:
    """Those of the first input that takes files, or else numbers."""
    for name in rows[0] if rows else ():
        paths = [_path(row[name]) for row in rows]
        if all(path is not None for path in paths):
            names = short_names(below_common_folder([path for path in paths if path is not None]))
            [(most, times)] = Counter(names).most_common(1)
            if times > 1:
                raise InvalidValue(f"{name}: the file {most} is given {times} times")
            return names
    return [str(number) for number in range(len(rows))]


def _path(given: InputPython) -> Path | None:
    match given:
        case LocalFile():
            return given.path
        case Path():
            return given
        case _:
            return None
