"""The inputs of a run as its row keeps them: values, and where the uploaded bytes are.

Small values are in the row. The bytes of an upload stay in a folder of their own in the run
(`uploaded/<upload_id>/`), laid out by the names of the input folder; the row's change alone decides
that they count, so that a crash in between leaves nothing half provisioned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from appengine_contract.layout import item_label
from appengine_contract.problems import Problem
from appengine_contract.values import ArrayValue, NullValue, ReferenceValue, Value
from appengine_contract.values_json import from_json, to_json

from appengine_server.database.records import Json
from appengine_server.problems_json import problem_json, problem_of

Index = tuple[int, ...]
"""The place of an item, one number for each level of arrays; empty means the input itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInput:
    """One input, or one item of an array."""

    value: Value | None = None
    """None where the bytes of an upload are all there is."""
    upload: UUID | None = None
    """The upload that holds the bytes."""
    size: int | None = None
    """Items of an array that was uploaded whole, and whose items are no arrays."""
    items: Mapping[int, StoredInput] | None = None
    """Items of an array that is given item by item, or is an uploaded array of arrays."""
    companion: UUID | None = None
    """The upload that holds the GeoJSON beside an image."""
    from_default: bool = False
    warnings: tuple[Problem, ...] = ()
    """What was odd about it when it was given."""

    def has_value(self) -> bool:
        """Whether it has a value of its own: a companion alone is none."""
        return self.value is not None or self.upload is not None or self.items is not None

    def uploads(self) -> set[UUID]:
        """Every upload whose bytes this input needs."""
        found = {upload for upload in (self.upload, self.companion) if upload}
        for item in (self.items or {}).values():
            found |= item.uploads()
        return found

    def array_size(self) -> int | None:
        """Number of items; None for what is no array."""
        if self.items is not None:
            return len(self.items)
        if isinstance(self.value, ArrayValue):
            return len(self.value.items)
        return self.size

    def missing_index(self) -> int | None:
        """The first gap among items that were given one by one; None where there is none."""
        found = self.items or {}
        for index in range(len(found)):
            if index not in found or not found[index].has_value():
                return index
        return None

    def all_warnings(self) -> Iterator[Problem]:
        """Its own and those of its items."""
        yield from self.warnings
        for item in (self.items or {}).values():
            yield from item.all_warnings()


@dataclass(frozen=True, slots=True)
class StoredInputs:
    """All inputs of a run. Changing one makes a new set."""

    by_name: Mapping[str, StoredInput] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Inputs that have a value of their own: what only has a companion does not count."""
        return {name for name, given in self.by_name.items() if given.has_value()}

    def uploads(self) -> set[UUID]:
        """Every upload whose bytes are needed."""
        return {upload for given in self.by_name.values() for upload in given.uploads()}

    def arrays(self) -> dict[str, Value]:
        """Arrays of the right sizes, without their items: what matching groups look at."""
        return {
            name: ArrayValue((NullValue(),) * size)
            for name, given in self.by_name.items()
            if (size := given.array_size()) is not None
        }

    def warnings(self) -> list[Problem]:
        """What was odd about the values that the inputs have now."""
        return [one for given in self.by_name.values() for one in given.all_warnings()]

    def with_input(self, name: str, given: StoredInput) -> StoredInputs:
        """The same with this input replaced completely."""
        return StoredInputs({**self.by_name, name: given})

    def with_items(self, name: str, items: Mapping[Index, StoredInput]) -> StoredInputs:
        """The same with these items of an array added or replaced."""
        return self.with_input(name, _with_items(self.by_name.get(name), items))

    def with_companion(self, name: str, upload: UUID, index: Index = ()) -> StoredInputs:
        """The same with the GeoJSON beside an image replaced; `index` says which of an array."""
        before = _item_at(self.by_name.get(name), index)
        given = replace(before, companion=upload)
        return self.with_items(name, {index: given}) if index else self.with_input(name, given)

    def values(self) -> Iterator[tuple[str, Index, Value]]:
        """Every value in the row, with its input and, of an item given by itself, its index."""
        for name, given in self.by_name.items():
            for index, value in _values_of(given, ()):
                yield name, index, value

    def with_values(self, values: Iterable[tuple[str, Index, Value]]) -> StoredInputs:
        """The same with some of these values replaced, and what belongs to them kept."""
        found = dict(self.by_name)
        several: defaultdict[str, dict[Index, Value]] = defaultdict(dict)
        for name, index, value in values:
            several[name][index] = value
        for name, by_index in several.items():
            found[name] = _with_values(found[name], by_index)
        return StoredInputs(found)

    def references(self) -> Iterator[tuple[str, ReferenceValue]]:
        """Every file of a dataset, and how problems name it."""
        for name, index, value in self.values():
            yield from _references(value, item_label(name, index))

    def without(self, name: str) -> StoredInputs:
        """The same with this input cleared."""
        return StoredInputs({other: v for other, v in self.by_name.items() if other != name})


def _with_items(before: StoredInput | None, items: Mapping[Index, StoredInput]) -> StoredInput:
    found = dict(_items_of(before or StoredInput()))
    deeper: defaultdict[int, dict[Index, StoredInput]] = defaultdict(dict)
    for (first, *rest), item in items.items():
        if rest:
            deeper[first][tuple(rest)] = item
        else:
            found[first] = item
    for first, inner in deeper.items():
        found[first] = _with_items(found.get(first), inner)
    return StoredInput(items=found, warnings=before.warnings if before else ())


def _item_at(given: StoredInput | None, index: Index) -> StoredInput:
    for number in index:
        given = _items_of(given or StoredInput()).get(number)
    return given or StoredInput()


def _values_of(given: StoredInput, at: Index) -> Iterator[tuple[Index, Value]]:
    if given.value is not None:
        yield at, given.value
    for number, item in (given.items or {}).items():
        yield from _values_of(item, (*at, number))


def _with_values(given: StoredInput, values: Mapping[Index, Value]) -> StoredInput:
    if () in values:
        given = replace(given, value=values[()])
    items: defaultdict[int, dict[Index, Value]] = defaultdict(dict)
    for index, value in values.items():
        if index:
            items[index[0]][index[1:]] = value
    if not items:
        return given
    before = given.items or {}
    changed = {number: _with_values(before[number], inner) for number, inner in items.items()}
    return replace(given, items={**before, **changed})


def _items_of(given: StoredInput) -> Mapping[int, StoredInput]:
    """The items of an array, also of one that was given whole: they may be replaced."""
    if isinstance(given.value, ArrayValue):
        return {index: StoredInput(value=item) for index, item in enumerate(given.value.items)}
    if given.upload is not None and given.size is not None:
        return {index: StoredInput(upload=given.upload) for index in range(given.size)}
    return given.items or {}


def _references(value: Value, at: str) -> Iterator[tuple[str, ReferenceValue]]:
    if isinstance(value, ReferenceValue):
        yield at, value
    elif isinstance(value, ArrayValue):
        for index, item in enumerate(value.items):
            yield from _references(item, f"{at}[{index}]")


def inputs_to_json(inputs: StoredInputs) -> Json:
    """As `runs.inputs` keeps them."""
    return {name: _to_json(given) for name, given in inputs.by_name.items()}


def inputs_from_json(found: Json) -> StoredInputs:
    """The inverse of `inputs_to_json`."""
    return StoredInputs({name: _from_json(given) for name, given in found.items()})


def _to_json(given: StoredInput) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if given.value is not None:
        found["value"] = to_json(given.value)
    if given.upload:
        found["upload"] = str(given.upload)
    if given.size is not None:
        found["size"] = given.size
    if given.items is not None:
        found["items"] = {str(index): _to_json(item) for index, item in given.items.items()}
    if given.companion:
        found["companion"] = str(given.companion)
    if given.from_default:
        found["from_default"] = True
    if given.warnings:
        found["warnings"] = [problem_json(warning) for warning in given.warnings]
    return found


def _from_json(found: Json) -> StoredInput:
    items = found.get("items")
    return StoredInput(
        value=from_json(found["value"]) if "value" in found else None,
        upload=_upload_id(found["upload"]) if "upload" in found else None,
        size=found.get("size"),
        items=None
        if items is None
        else {int(index): _from_json(item) for index, item in items.items()},
        companion=_upload_id(found["companion"]) if "companion" in found else None,
        from_default=found.get("from_default", False),
        warnings=tuple(problem_of(warning) for warning in found.get("warnings", ())),
    )


@lru_cache(maxsize=256)
def _upload_id(text: str) -> UUID:
    """One value for all items of an upload: making a new one takes longer than all else of it."""
    return UUID(text)
