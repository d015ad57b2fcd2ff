"""The values of inputs as they were given: from the run's row, and from what was uploaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from appengine_contract.descriptor import Parameter
from appengine_contract.layout import item_name
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.reading import ReadOptions
from appengine_contract.values import ArrayValue, NullValue, Value

from appengine_server.runs.stored import StoredInput
from appengine_server.storage.layout import StorageLayout

_RootOf = Callable[[UUID], Path]
"""Where the bytes of an upload are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPart:
    """Items of an array that follow each other."""

    items: Sequence[Value]
    first: int
    """The index of the first of them."""
    size: int
    """Of the whole array."""


def part_of(value: Value | None, wanted: range) -> Value | ArrayPart | None:
    """The items with these indexes, as far as there are any; what is no array comes whole."""
    if not isinstance(value, ArrayValue):
        return value
    items = value.items[wanted.start : wanted.stop]
    return ArrayPart(items=items, first=wanted.start, size=len(value.items))


def read_back_part(
    layout: StorageLayout, run_id: UUID, parameter: Parameter, given: StoredInput, wanted: range
) -> Value | ArrayPart | None:
    """As `read_back`, but of an array only the items with these indexes are looked at."""
    root_of = partial(layout.uploaded, run_id)
    if isinstance(parameter.type, ArrayType) and given.value is None:
        if given.items is not None:
            return _part_of_items(root_of, parameter.type, given.items, parameter.name, wanted)
        if given.size is not None and given.upload is not None:
            there = range(wanted.start, min(wanted.stop, given.size))
            root = root_of(given.upload)
            items = parameter.type.read_items(
                root / parameter.name, parameter.name, _options(root), there
            )
            if items is not None:
                return ArrayPart(items=items, first=wanted.start, size=given.size)
    return part_of(_value(root_of, parameter.type, given, parameter.name), wanted)


def _part_of_items(
    root_of: _RootOf, type_: ArrayType, given: Mapping[int, StoredInput], path: str, wanted: range
) -> ArrayPart:
    size = max(given, default=-1) + 1
    items = [
        _item(root_of, type_, given.get(number), f"{path}/{item_name(number)}")
        for number in range(wanted.start, min(wanted.stop, size))
    ]
    return ArrayPart(items=items, first=wanted.start, size=size)


def read_back(
    layout: StorageLayout, run_id: UUID, parameter: Parameter, given: StoredInput
) -> Value | None:
    """The value of an input; None where there is none. Items that have not come yet are null.

    Blocks on the disk where something was uploaded.
    """
    return _value(partial(layout.uploaded, run_id), parameter.type, given, parameter.name)


def _value(root_of: _RootOf, type_: ParameterType, given: StoredInput, path: str) -> Value | None:
    if given.value is not None:
        return given.value
    if given.items is not None and isinstance(type_, ArrayType):
        everything = range(max(given.items, default=-1) + 1)
        return ArrayValue(
            tuple(_part_of_items(root_of, type_, given.items, path, everything).items)
        )
    if given.upload is None:
        return None
    root = root_of(given.upload)
    return type_.read(root / path, path, _options(root)).value


def _item(root_of: _RootOf, type_: ArrayType, given: StoredInput | None, path: str) -> Value:
    found = _value(root_of, type_.subtype, given, path) if given is not None else None
    return found or NullValue()


def _options(root: Path) -> ReadOptions:
    return ReadOptions(root=root, direction="input")
