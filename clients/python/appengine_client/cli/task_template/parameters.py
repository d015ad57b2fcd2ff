"""Inputs and outputs as the files that the engine gives and expects, by their types.

integer, number, boolean, string, enumeration: int, float, bool, str, str. datetime: datetime with
its zone. geometry: its GeoJSON object. image, file: the Path of an input, and the Path or the bytes
of an output. array: a list. An optional input that was not given is None.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

READ: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "boolean": "true".__eq__,
    "string": str,
    "enumeration": str,
    "datetime": datetime.fromisoformat,
    "geometry": json.loads,
}
WRITE: dict[str, Callable[[Any], str]] = {
    "integer": str,
    "number": str,
    "boolean": lambda value: str(value).lower(),
    "string": str,
    "enumeration": str,
    "datetime": datetime.isoformat,
    "geometry": json.dumps,
}


class Parameters:
    """What a descriptor declares."""

    def __init__(self, descriptor: Path) -> None:
        declared = yaml.safe_load(descriptor.read_text("utf-8"))
        self._inputs = _types(declared.get("inputs"))
        self._outputs = _types(declared.get("outputs"))

    def read(self, folder: Path) -> dict[str, Any]:
        """The value of every input, by its name."""
        return {name: _read(kind, folder / name) for name, kind in self._inputs.items()}

    def write(self, folder: Path, values: dict[str, Any]) -> None:
        """Write every output; one that is missing, or one too many, is a KeyError."""
        if values.keys() != self._outputs.keys():
            raise KeyError(f"outputs are {sorted(self._outputs)}, and not {sorted(values)}")
        for name, value in values.items():
            _write(self._outputs[name], folder / name, value)


def _types(parameters: dict[str, Any] | None) -> dict[str, Any]:
    return {name: parameter["type"] for name, parameter in (parameters or {}).items()}


def _id(kind: Any) -> str:
    """A type is its name, or an object with more about it."""
    return kind["id"] if isinstance(kind, dict) else kind


def _read(kind: Any, path: Path) -> Any:
    if not path.exists():
        return None
    if _id(kind) == "array":
        size = yaml.safe_load((path / "array.yml").read_text("utf-8"))["size"]
        return [_read(kind["subtype"], path / str(index)) for index in range(size)]
    if _id(kind) in ("image", "file"):
        return path
    return READ[_id(kind)](path.read_bytes().decode())


def _write(kind: Any, path: Path, value: Any) -> None:
    if _id(kind) == "array":
        path.mkdir()
        for index, item in enumerate(value):
            _write(kind["subtype"], path / str(index), item)
        (path / "array.yml").write_text(f"size: {len(value)}\n", "utf-8")
    elif isinstance(value, Path):
        shutil.copyfile(value, path)
    elif isinstance(value, bytes):
        path.write_bytes(value)
    else:
        path.write_bytes(WRITE[_id(kind)](value).encode())
