"""Divides inputs into values that travel in a request and those that travel as uploads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appengine.v1 import run_service_pb2, storage_service_pb2, task_pb2, value_pb2

from appengine_client._api.values import (
    FILE_KINDS,
    InputPython,
    LocalFile,
    Reference,
    ReferencePattern,
    items_of,
    kind_of,
    text_on_disk,
    to_value,
)
from appengine_client._transfer.source import Content, Source, following_links
from appengine_client.errors import InvalidValue

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Values of one request together; gRPC takes 4 MiB."""
_SHORT_KINDS = ("boolean", "integer", "number", "datetime")
"""Many of them are few bytes: as files of an upload they would cost a hundred times that."""
_WHOLE = storage_service_pb2.INPUT_PART_WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedUpload:
    """One upload that provisions an input."""

    parameter: str
    part: storage_service_pb2.InputPart.ValueType
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan:
    """How all given inputs get to the server: the requests first, then the uploads."""

    requests: Sequence[Sequence[run_service_pb2.InputValue]]
    uploads: Sequence[PlannedUpload]

    @property
    def fits_one_request(self) -> bool:
        """Whether a single call is enough."""
        return len(self.requests) <= 1 and not self.uploads


def plan_inputs(
    declared: Iterable[task_pb2.Parameter],
    given: Mapping[str, InputPython],
    max_inline_bytes: int,
) -> InputPlan:
    """Decide for each input how it travels.

    Raises InvalidValue for unknown parameters and wrong kinds, LocalFileError for missing files.
    """
    parameters = {parameter.name: parameter for parameter in declared}
    values: list[run_service_pb2.InputValue] = []
    uploads: list[PlannedUpload] = []
    for name, one in given.items():
        parameter = parameters.get(name)
        if parameter is None:
            known = ", ".join(parameters) or "none"
            raise InvalidValue(f"the task has no input {name!r}; its inputs are: {known}")
        if _has_files(parameter.type, one):
            uploads += _file_uploads(parameter, one)
            values += _item_references(parameter, one)
            continue
        value = to_value(parameter.type, one, name)
        is_short = _leaf_kind(parameter.type) in _SHORT_KINDS
        if value.ByteSize() <= (MAX_REQUEST_BYTES if is_short else max_inline_bytes):
            values.append(run_service_pb2.InputValue(parameter=name, value=value))
        elif _leaf_kind(parameter.type) in FILE_KINDS:  # many references: nothing to upload
            values += _reference_values(name, value)
        else:
            source = following_links(_entries_of(name, value))
            uploads.append(PlannedUpload(parameter=name, part=_WHOLE, source=source))
    return InputPlan(requests=_batches(values), uploads=uploads)


def _has_files(declared: task_pb2.ParameterType, given: object) -> bool:
    if kind_of(declared) in FILE_KINDS:
        return given is not None and not isinstance(given, Reference | ReferencePattern)
    if kind_of(declared) != "array":
        return False
    items = items_of(given)
    return items is not None and any(_has_files(declared.array.subtype, item) for item in items)


def _leaf_kind(declared: task_pb2.ParameterType) -> str:
    while kind_of(declared) == "array":
        declared = declared.array.subtype
    return kind_of(declared)


def _file_uploads(parameter: task_pb2.Parameter, given: object) -> Iterator[PlannedUpload]:
    """The uploads of a file, an image, or an array of them."""
    leaves = list(_leaves(parameter.type, given, parameter.name))
    referenced = [path for path, leaf in leaves if isinstance(leaf, Reference)]
    has_references = bool(referenced)
    # A folder with `array.yml` is an array whole, which clears what is referenced in it.
    in_parts = {folder for path in referenced for folder in _folders_above(path)}
    items: list[tuple[str, Content]] = []
    companions: list[tuple[str, Content]] = []
    for path, leaf in leaves:
        if isinstance(leaf, LocalFile):
            items.append((path, leaf.path))
            if leaf.companion is not None:
                companions.append((f"{path}.geojson", leaf.companion))
        elif isinstance(leaf, bytes) and path.rpartition("/")[0] not in in_parts:
            items.append((path, leaf))
    if kind_of(parameter.type) == "array":  # companions of items lie beside them
        items, companions = items + companions, []
    # Items that are uploaded must not clear those that are referenced.
    part = storage_service_pb2.INPUT_PART_ITEMS if has_references else _WHOLE
    yield PlannedUpload(parameter=parameter.name, part=part, source=following_links(items))
    if companions:
        yield PlannedUpload(
            parameter=parameter.name,
            part=storage_service_pb2.INPUT_PART_COMPANION,
            source=following_links(companions),
        )


def _folders_above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _leaves(
    declared: task_pb2.ParameterType, given: object, path: str
) -> Iterator[tuple[str, LocalFile | Reference | bytes]]:
    """What lies below the parameter's folder: files, references, and the sizes of arrays."""
    if kind_of(declared) in FILE_KINDS:
        yield path, _leaf(given, path)
        return
    items = items_of(given)
    if items is None:
        raise InvalidValue(f"{path}: expected a list of files, found {given!r}")
    yield f"{path}/array.yml", array_metadata(len(items))
    for index, item in enumerate(items):
        yield from _leaves(declared.array.subtype, item, f"{path}/{index}")


def _leaf(given: object, path: str) -> LocalFile | Reference:
    match given:
        case LocalFile() | Reference():
            return given
        case str():
            raise InvalidValue(
                f"{path}: {given!r} is a text; give a pathlib.Path to upload a file, "
                "or a Reference for one that the server has"
            )
        case os.PathLike():
            return LocalFile(path=Path(given))
        case _:
            raise InvalidValue(f"{path}: expected a file to upload, found {given!r}")


def _item_references(
    parameter: task_pb2.Parameter, given: object
) -> Iterator[run_service_pb2.InputValue]:
    """The items of an array of files that are references; the others are uploaded.

    An empty array before them clears what the run may have had there.
    """
    leaves = list(_leaves(parameter.type, given, parameter.name))
    if any(isinstance(leaf, Reference) for _, leaf in leaves):
        empty = value_pb2.Value(array=value_pb2.ArrayValue())
        yield run_service_pb2.InputValue(parameter=parameter.name, value=empty)
    for path, leaf in leaves:
        if isinstance(leaf, Reference):
            reference = value_pb2.DatasetReference(path=leaf.path)
            yield run_service_pb2.InputValue(
                parameter=parameter.name,
                index=[int(part) for part in path.split("/")[1:]],
                value=value_pb2.Value(dataset=reference),
            )


def _reference_values(name: str, value: value_pb2.Value) -> Iterator[run_service_pb2.InputValue]:
    """An array of references whole, or item by item where one request has no room for it."""
    if value.ByteSize() <= MAX_REQUEST_BYTES:
        yield run_service_pb2.InputValue(parameter=name, value=value)
        return
    empty = value_pb2.Value(array=value_pb2.ArrayValue())
    yield run_service_pb2.InputValue(parameter=name, value=empty)
    for index, item in enumerate(value.array.items):
        yield run_service_pb2.InputValue(parameter=name, index=[index], value=item)


def _entries_of(path: str, value: value_pb2.Value) -> Iterator[tuple[str, Content]]:
    """A large value as the files of the run's input folder."""
    if value.WhichOneof("kind") != "array":
        yield path, text_on_disk(value)
        return
    yield f"{path}/array.yml", array_metadata(len(value.array.items))
    for index, item in enumerate(value.array.items):
        yield from _entries_of(f"{path}/{index}", item)


def array_metadata(size: int) -> bytes:
    """Content of `array.yml`."""
    return f"size: {size}\n".encode()


def _batches(
    values: Iterable[run_service_pb2.InputValue],
) -> Sequence[Sequence[run_service_pb2.InputValue]]:
    batches: list[list[run_service_pb2.InputValue]] = []
    room = 0
    for value in values:
        size = value.ByteSize() + 8
        if not batches or size > room:
            batches.append([])
            room = MAX_REQUEST_BYTES
        batches[-1].append(value)
        room -= size
    return batches
