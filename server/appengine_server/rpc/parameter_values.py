"""The inputs and outputs of runs as messages, page by page: an array may have 100,000 items."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

from appengine.v1 import run_service_pb2 as pb
from appengine.v1 import value_pb2
from appengine_contract.descriptor import Parameter
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    GeometryValue,
    ReferenceValue,
    Value,
)

from appengine_server.database.records import Json
from appengine_server.errors import InvalidArgument
from appengine_server.identity import Principal
from appengine_server.rpc import pages
from appengine_server.rpc.values import file_reference, value_message
from appengine_server.runs.outputs import (
    Outputs,
    content_path,
    indexed_value,
    large_text_bytes,
)
from appengine_server.runs.read_back import ArrayPart, part_of, read_back_part
from appengine_server.runs.runs import Runs
from appengine_server.runs.stored import StoredInput
from appengine_server.storage.layout import StorageLayout

_MOST_BYTES = 2 << 20
"""Of values in one answer: well below the 4 MiB of a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part is asked for."""

    parameter: str
    items: int
    """Items of arrays at most."""
    token: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesPage:
    """One page of values, and the token of the next."""

    values: Sequence[pb.ParameterValue]
    next_token: str


@dataclass(frozen=True, slots=True)
class _Found:
    """One parameter whose value can be had."""

    name: str
    value: Callable[[range], Awaitable[Value | ArrayPart | None]]
    """Of an array only the items with the given indexes."""
    is_file: Callable[[str], bool]
    """Whether a path is a file of its own in the run's folder, so that it can be fetched."""
    from_default: bool = False


class ParameterValues:
    """Answers values. Borrows everything that it is given."""

    def __init__(self, *, runs: Runs, outputs: Outputs, layout: StorageLayout) -> None:
        self._runs = runs
        self._outputs = outputs
        self._layout = layout

    async def inputs(self, principal: Principal, run_id: UUID, page: Page) -> ValuesPage:
        """The inputs of a run, in the order of the descriptor."""
        run, descriptor, stored = await self._runs.inputs(principal, run_id)
        found = []
        for parameter in _chosen(descriptor.inputs, page.parameter):
            given = stored.by_name.get(parameter.name, StoredInput())
            value = partial(self._input_value, run.id, parameter, given)
            found.append(_Found(parameter.name, value, _always, given.from_default))
        return await _paged(found, page)

    async def outputs(self, principal: Principal, run_id: UUID, page: Page) -> ValuesPage:
        """The outputs of a run that SUCCEEDED, in the order of the descriptor."""
        run, descriptor, index = await self._runs.outputs(principal, run_id)
        attempt = run.outputs_attempt or 0
        root, found = self._layout.outputs(run_id, attempt), []
        for parameter in _chosen(descriptor.outputs, page.parameter):
            entry = index.get(parameter.name)
            value = partial(self._output_value, run_id, attempt, parameter.name, entry)
            found.append(_Found(parameter.name, value, partial(_is_file_in, root)))
        return await _paged(found, page)

    async def _output_value(
        self, run_id: UUID, attempt: int, name: str, entry: Json | None, wanted: range
    ) -> Value | ArrayPart | None:
        if entry is None:
            return None
        value = indexed_value(entry) or await self._outputs.value(run_id, attempt, name)
        return part_of(value, wanted)

    async def _input_value(
        self, run_id: UUID, parameter: Parameter, given: StoredInput, wanted: range
    ) -> Value | ArrayPart | None:
        read = partial(read_back_part, self._layout, run_id, parameter, given, wanted)
        return await asyncio.to_thread(read) if given.uploads() else read()


def _always(_: str) -> bool:
    """Inputs are laid out with a file for each value."""
    return True


def _is_file_in(root: Path, path: str) -> bool:
    """A task may have written all geometries of an array into one file."""
    return (root / path).is_file()


def _message_of(value: Value, path: str, is_file: Callable[[str], bool]) -> value_pb2.Value:
    """The message of a value; a large text is named by the file that holds it."""
    if isinstance(value, ArrayValue):
        items = [
            _message_of(item, f"{path}/{index}", is_file) for index, item in enumerate(value.items)
        ]
        return value_pb2.Value(array=value_pb2.ArrayValue(items=items))
    size_bytes = large_text_bytes(value)
    if size_bytes is None or not is_file(path):
        return value_message(value)
    form = "geojson" if isinstance(value, GeometryValue) else "text"
    large = FileValue(path=path, size_bytes=size_bytes, format=form)
    return value_pb2.Value(file=file_reference(large))


def _chosen(parameters: Sequence[Parameter], name: str) -> list[Parameter]:
    chosen = [parameter for parameter in parameters if name in {"", parameter.name}]
    if name and not chosen:
        known = ", ".join(parameter.name for parameter in parameters) or "none"
        raise InvalidArgument(f"There is no parameter {name}; there are: {known}.")
    return chosen


async def _paged(found: Sequence[_Found], page: Page) -> ValuesPage:
    """From the parameter and item that the token names, as much as fits."""
    first, first_item = pages.read_number_token(page.token, page.query, count=2) or (0, 0)
    filling = _Filling(page)
    for number in range(first, len(found)):
        stopped_at = await filling.add(found[number], first_item if number == first else 0)
        if stopped_at is not None:
            token = pages.make_token(page.query, number, stopped_at)
            return ValuesPage(values=filling.values, next_token=token)
    return ValuesPage(values=filling.values, next_token="")


class _Filling:
    """A page while it is filled."""

    def __init__(self, page: Page) -> None:
        self.values: list[pb.ParameterValue] = []
        self._items_left = page.items
        self._bytes_left = _MOST_BYTES

    async def add(self, found: _Found, first_item: int) -> int | None:
        """Add a parameter; answers the item at which the page is full, None if all fitted."""
        value = await found.value(range(first_item, first_item + max(1, self._items_left)))
        message = pb.ParameterValue(parameter=found.name, from_default=found.from_default)
        if isinstance(value, ArrayPart):
            # In a thread: while 100,000 items become messages, other calls are answered.
            return await asyncio.to_thread(self._add_items, message, found, value)
        if value is not None:
            message.value.CopyFrom(_message_of(value, found.name, found.is_file))
            message.content.CopyFrom(_content(found.name, value))
        if self.values and message.ByteSize() > self._bytes_left:
            return 0
        self._bytes_left -= message.ByteSize()
        self.values.append(message)
        return None

    def _add_items(self, message: pb.ParameterValue, found: _Found, part: ArrayPart) -> int | None:
        if self.values and (self._items_left <= 0 or self._bytes_left <= 0) and part.size:
            return part.first
        items: list[value_pb2.Value] = []
        for index, value in enumerate(part.items, part.first):
            item = _message_of(value, f"{found.name}/{index}", found.is_file)
            if items and (self._items_left <= 0 or item.ByteSize() > self._bytes_left):
                break
            self._items_left -= 1
            self._bytes_left -= item.ByteSize()
            items.append(item)
        end = part.first + len(items)
        message.value.array.items.extend(items)
        message.value.array.SetInParent()
        message.array_size = part.size
        message.first_index = part.first
        message.content.CopyFrom(value_pb2.FileReference(path=found.name))
        self.values.append(message)
        return end if end < part.size else None


def _content(name: str, value: Value) -> value_pb2.FileReference:
    if isinstance(value, FileValue):
        return file_reference(value)
    if isinstance(value, ReferenceValue):
        content = FileValue(name, value.size_bytes, value.file_count, value.format)
        return file_reference(content)
    return value_pb2.FileReference(path=content_path(name, value), file_count=1)
