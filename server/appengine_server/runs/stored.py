"""The inputs of a run as its row keeps them: values, and where the uploaded bytes are.

Small values are in the row. The bytes of an upload stay in a folder of their own in the run
(`uploaded/<upload_id>/`), laid out by the names of the input folder; the row's change alone decides
that they count, so that a crash in between leaves nothing half provisioned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from appengine_contract.layout import item_label
from appengine_contract.values import ArrayValue, NullValue, ReferenceValue, Value
from appengine_contract.values_json import from_json, to_json

from appengine_server.database.records import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInput:
    """One input, or one item of an array."""

    value: Value | None = None
    """None where the bytes of an upload are all there is."""
    upload: UUID | None = None
    """The upload that holds the bytes."""
    size: int | None = None
    """Items of an array that was uploaded whole."""
    items: Mapping[int, StoredInput] | None = None
    """Items of an array that is given item by item."""
    companion: UUID | None = None
    """The upload that holds the GeoJSON beside an image."""
    from_default: bool = False

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
        items = {index for index, item in (self.items or {}).items() if _has_value(item)}
        return next((index for index in range(len(self.items or {})) if index not in items), None)


@dataclass(frozen=True, slots=True)
class StoredInputs:
    """All inputs of a run. Changing one makes a new set."""

    by_name: Mapping[str, StoredInput] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Inputs that have a value of their own: what only has a companion does not count."""
        return {name for name, given in self.by_name.items() if _has_value(given)}

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

    def with_input(self, name: str, given: StoredInput) -> StoredInputs:
        """The same with this input replaced completely."""
        return StoredInputs({**self.by_name, name: given})

    def with_items(self, name: str, items: Mapping[int, StoredInput]) -> StoredInputs:
        """The same with these items of an array added or replaced."""
        before = self.by_name.get(name)
        kept = _items_of(before) if before else {}
        return self.with_input(name, StoredInput(items={**kept, **items}))

    def with_companion(self, name: str, upload: UUID) -> StoredInputs:
        """The same with the GeoJSON beside an image replaced."""
        before = self.by_name.get(name, StoredInput())
        return self.with_input(name, replace(before, companion=upload))

    def with_item_companion(self, name: str, index: int, upload: UUID) -> StoredInputs:
        """The same with the GeoJSON beside an item of an array of images replaced."""
        items = _items_of(self.by_name.get(name) or StoredInput())
        item = replace(items.get(index, StoredInput()), companion=upload)
        return self.with_items(name, {index: item})

    def values(self) -> Iterator[tuple[str, tuple[int, ...], Value]]:
        """Every value in the row, with its input and, of an item given by itself, its index."""
        for name, given in self.by_name.items():
            if given.value is not None:
                yield name, (), given.value
            for index, item in (given.items or {}).items():
                if item.value is not None:
                    yield name, (index,), item.value

    def with_values(self, values: Iterable[tuple[str, tuple[int, ...], Value]]) -> StoredInputs:
        """The same with some of these values replaced, and what belongs to them kept."""
        found = dict(self.by_name)
        items: defaultdict[str, dict[int, StoredInput]] = defaultdict(dict)
        for name, index, value in values:
            if not index:
                found[name] = replace(found[name], value=value)
                continue
            before = (found[name].items or {})[index[0]]
            items[name][index[0]] = replace(before, value=value)
        for name, several in items.items():
            found[name] = replace(found[name], items={**(found[name].items or {}), **several})
        return StoredInputs(found)

    def references(self) -> Iterator[tuple[str, ReferenceValue]]:
        """Every file of a dataset, and how problems name it."""
        for name, index, value in self.values():
            yield from _references(value, item_label(name, index))

    def without(self, name: str) -> StoredInputs:
        """The same with this input cleared."""
        return StoredInputs({other: v for other, v in self.by_name.items() if other != name})


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


def _has_value(given: StoredInput) -> bool:
    return given.value is not None or given.upload is not None or given.items is not None


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
    return found


def _from_json(found: Json) -> StoredInput:
    items = found.get("items")
    return StoredInput(
        value=from_json(found["value"]) if "value" in found else None,
        upload=UUID(found["upload"]) if "upload" in found else None,
        size=found.get("size"),
        items=None
        if items is None
        else {int(index): _from_json(item) for index, item in items.items()},
        companion=UUID(found["companion"]) if "companion" in found else None,
        from_default=found.get("from_default", False),
    )
