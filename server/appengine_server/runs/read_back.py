"""The values of inputs as they were given: from the run's row, and from what was uploaded."""

from __future__ import annotations

from collections.abc import Callable
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


def read_back(
    layout: StorageLayout, run_id: UUID, parameter: Parameter, given: StoredInput
) -> Value | None:
    """The value of an input; None where there is none. Items that have not come yet are null.

    Blocks on the disk where something was uploaded.
    """
    return _value(partial(layout.uploaded, run_id), parameter.type, given, parameter.name)


def _value(
    root_of: Callable[[UUID], Path], type_: ParameterType, given: StoredInput, path: str
) -> Value | None:
    if given.value is not None:
        return given.value
    if given.items is not None and isinstance(type_, ArrayType):
        found: list[Value] = [NullValue()] * (max(given.items, default=-1) + 1)
        for number, item in given.items.items():
            value = _value(root_of, type_.subtype, item, f"{path}/{item_name(number)}")
            found[number] = value or NullValue()
        return ArrayValue(tuple(found))
    if given.upload is None:
        return None
    root = root_of(given.upload)
    return type_.read(root / path, path, ReadOptions(root=root, direction="input")).value
