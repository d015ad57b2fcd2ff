"""What the bytes of an upload to an input are: checked, and as the run's inputs keep them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from appengine_contract.descriptor import Parameter
from appengine_contract.layout import (
    ARRAY_METADATA,
    GEOJSON_SUFFIX,
    companion_name,
    is_item_name,
    item_label,
    item_name,
)
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.geometry import check_companion
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.reading import ReadOptions
from appengine_contract.values import ArrayValue, FileValue, Value

from appengine_server.database.records import InputPart
from appengine_server.errors import InvalidArgument
from appengine_server.runs.stored import StoredInput, StoredInputs

_LARGEST_COMPANION_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """How the inputs of a run change by an upload."""

    into: Callable[[StoredInputs], StoredInputs]


def check_received(parameter: Parameter, part: InputPart, tree: Path, upload: UUID) -> Received:
    """Check what arrived for a parameter; `tree` has the names of the input folder.

    Raises InvalidArgument with every problem. Blocks on the disk.
    """
    match part:
        case InputPart.WHOLE:
            return _whole(parameter, tree, upload)
        case InputPart.ITEMS:
            return _items(parameter, tree, upload)
        case InputPart.COMPANION:
            return _companion(parameter, tree, upload)


def _whole(parameter: Parameter, tree: Path, upload: UUID) -> Received:
    names = sorted(os.listdir(tree))
    if len(names) != 1:
        raise _refused(parameter.name, "UPLOAD_LAYOUT", f"Send {parameter.name} alone, as one "
                       f"file or folder of that name; found {len(names)} entries.")  # fmt: skip
    if names[0] != parameter.name:
        if (tree / names[0]).is_dir():
            raise _refused(parameter.name, "UPLOAD_LAYOUT",
                           f"The folder must be called {parameter.name}.")  # fmt: skip
        os.rename(tree / names[0], tree / parameter.name)
    value = _read(parameter.type, tree, parameter.name, parameter.name)
    given = StoredInput(upload=upload, value=value if isinstance(value, FileValue) else None)
    if isinstance(value, ArrayValue):
        _unfold(parameter.type, value, tree / parameter.name)
        given = StoredInput(upload=upload, size=len(value.items))
    elif not isinstance(value, FileValue):
        given = StoredInput(value=value)
    return Received(lambda inputs: inputs.with_input(parameter.name, given))


def _items(parameter: Parameter, tree: Path, upload: UUID) -> Received:
    if not isinstance(parameter.type, ArrayType):
        raise _refused(parameter.name, "VALUE_KIND", f"{parameter.name} is no array.")
    folder = tree / parameter.name
    if sorted(os.listdir(tree)) != [parameter.name] or not folder.is_dir():
        message = f"Send items as {parameter.name}/0, {parameter.name}/1 and so on."
        raise _refused(parameter.name, "UPLOAD_LAYOUT", message)
    items: dict[int, StoredInput] = {}
    companions: list[int] = []
    problems: list[Problem] = []
    for name in sorted(os.listdir(folder)):
        stem = name.removesuffix(GEOJSON_SUFFIX)
        if name == ARRAY_METADATA:
            continue
        if stem != name and is_item_name(stem) and isinstance(parameter.type.subtype, ImageType):
            problems += _check_geojson(folder / name, f"{parameter.name}/{name}")
            companions.append(int(stem))
            continue
        if not is_item_name(name) or not _within(parameter.type, int(name)):
            problems.append(Problem(path=f"{parameter.name}/{name}", reason="ARRAY_INDEX",
                                    message=f"{name} is not an index of this array."))  # fmt: skip
            continue
        at = item_label(parameter.name, [int(name)])
        reading = parameter.type.subtype.read(folder / name, at, _options(tree))
        problems += reading.problems
        if reading.value is not None:
            _unfold(parameter.type.subtype, reading.value, folder / name)
        items[int(name)] = StoredInput(upload=upload, value=reading.value)
    if problems:
        raise InvalidArgument("The items are refused.", problems=problems)

    def into(inputs: StoredInputs) -> StoredInputs:
        changed = inputs.with_items(parameter.name, items)
        for index in companions:
            changed = changed.with_item_companion(parameter.name, index, upload)
        return changed

    return Received(into)


def _unfold(type_: ParameterType, value: Value, path: Path) -> None:
    """Make a folder of items of every array that came as one file, a collection of geometries."""
    if not isinstance(type_, ArrayType) or not isinstance(value, ArrayValue):
        return
    if path.is_dir():
        if not isinstance(type_.subtype, ArrayType):
            return
        for index, item in enumerate(value.items):
            _unfold(type_.subtype, item, path / item_name(index))
        return
    for name in type_.names(path.name):
        path.with_name(name).unlink(missing_ok=True)
    type_.write(value, path)


def _companion(parameter: Parameter, tree: Path, upload: UUID) -> Received:
    if not isinstance(parameter.type, ImageType):
        raise _refused(parameter.name, "VALUE_KIND", f"{parameter.name} is no image.")
    name = companion_name(parameter.name)
    names = os.listdir(tree)
    if len(names) != 1 or not (tree / names[0]).is_file():
        raise _refused(name, "UPLOAD_LAYOUT", f"Send one file, {name}.")
    if names[0] != name:
        os.rename(tree / names[0], tree / name)
    if problems := _check_geojson(tree / name, name):
        raise InvalidArgument(f"{name} is refused.", problems=problems)
    return Received(lambda inputs: inputs.with_companion(parameter.name, upload))


def _check_geojson(path: Path, at: str) -> list[Problem]:
    if path.stat().st_size > _LARGEST_COMPANION_BYTES:
        message = f"{at} has more than {_LARGEST_COMPANION_BYTES} bytes."
        return [Problem(path=at, reason="FILE_TOO_LARGE", message=message)]
    return check_companion(path.read_bytes(), at)


def _within(type_: ArrayType, index: int) -> bool:
    return type_.max_size is None or index < type_.max_size


def _read(type_: ParameterType, tree: Path, name: str, at: str) -> Value:
    reading = type_.read(tree / name, at, _options(tree))
    if reading.value is None:
        raise InvalidArgument(f"The value of {at} is refused.", problems=reading.problems)
    return reading.value


def _options(tree: Path) -> ReadOptions:
    return ReadOptions(root=tree, direction="input")


def _refused(at: str, reason: str, message: str) -> InvalidArgument:
    problem = Problem(path=at, reason=reason, message=message)
    return InvalidArgument(message, problems=[problem], reason=reason)
