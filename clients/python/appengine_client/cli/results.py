"""Puts the outputs of a run into a folder, with their values in `outputs.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client._api.values import describe, kind_of, to_python
from appengine_client.cli.output import counted, print_table, size
from appengine_client.errors import LocalFileError

if TYPE_CHECKING:
    from appengine.v1 import task_pb2, value_pb2
    from appengine.v1.run_service_pb2 import ParameterValue

VALUES_FILE = "outputs.json"
_EXTENSIONS = {
    "png": ".png",
    "jpeg": ".jpg",
    "tiff": ".tif",
    "dicom": ".dcm",
    "geojson": ".geojson",
}
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"II*\0", ".tif"),
    (0, b"MM\0*", ".tif"),
    (0, b"II+\0", ".tif"),
    (0, b"MM\0+", ".tif"),
    (0, b"BM", ".bmp"),
    (0, b"GIF8", ".gif"),
    (8, b"WEBP", ".webp"),
    (128, b"DICM", ".dcm"),
)
_SHOWN_CHARACTERS = 60
Types = Mapping[str, "task_pb2.ParameterType"]


def write_values(folder: Path, types: Types, outputs: Sequence[ParameterValue]) -> None:
    """Write `outputs.json`: one object with the value of every output."""
    values = {
        output.parameter: _plain(types.get(output.parameter), output.value, folder)
        for output in outputs
    }
    # One output a line: with an indent, each coordinate of each polygon would have its own.
    lines = (f"  {_json(name)}: {_json(value)}" for name, value in values.items())
    _replace(folder / VALUES_FILE, "{\n" + ",\n".join(lines) + "\n}\n")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {error.strerror or error}") from error


def _plain(declared: task_pb2.ParameterType | None, value: value_pb2.Value, folder: Path) -> object:
    """A value as plain Python. Texts and geometries that came as files are read from them."""
    kind = kind_of(declared) if declared is not None else ""
    if declared is not None and kind == "array" and value.WhichOneof("kind") == "array":
        return [_plain(declared.array.subtype, item, folder) for item in value.array.items]
    if value.WhichOneof("kind") == "file" and kind in ("string", "geometry"):
        return _read_large(kind, folder / value.file.path)
    return to_python(value)


def _read_large(kind: str, path: Path) -> object:
    try:
        text = path.read_text("utf-8")
        return json.loads(text) if kind == "geometry" else text.removesuffix("\n")
    except (OSError, ValueError):
        return path.name


def link_with_extensions(folder: Path, types: Types, outputs: Sequence[ParameterValue]) -> None:
    """Beside each image and geometry, make a link with an extension that programs know."""
    for output in outputs:
        declared = types.get(output.parameter)
        if declared is None:
            continue
        for path, extension in _linkable(declared, folder / output.parameter, output.value):
            _link(path, extension)


def _linkable(
    declared: task_pb2.ParameterType, path: Path, value: value_pb2.Value
) -> Iterator[tuple[Path, str]]:
    match kind_of(declared):
        case "geometry":
            yield path, ".geojson"
        case "image":
            yield path, _EXTENSIONS.get(value.file.format) or _sniffed(path)
        case "array" if kind_of(declared.array.subtype) == "geometry":
            yield path, ".geojson"  # only where the task wrote the whole array as one file
        case "array" if kind_of(declared.array.subtype) in ("image", "array"):
            for index, item in enumerate(value.array.items):
                yield from _linkable(declared.array.subtype, path / str(index), item)


def _sniffed(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:  # a folder of WSI-DICOM
        return ""
    matches = (
        extension
        for offset, signature, extension in _SIGNATURES
        if head[offset : offset + len(signature)] == signature
    )
    return next(matches, "")


def _link(path: Path, extension: str) -> None:
    link = path.with_name(path.name + extension)
    if not extension or not path.is_file() or path.is_symlink():
        return
    if link.is_symlink() and os.readlink(link) == path.name:
        return
    if not os.path.lexists(link):  # what the task itself wrote under that name stays
        link.symlink_to(path.name)


def print_results(types: Types, outputs: Sequence[ParameterValue], folder: Path) -> None:
    """Print the outputs as a table: name, type, and the value or what it consists of."""
    rows = []
    for output in outputs:
        declared = types.get(output.parameter)
        shown_type = describe(declared) if declared is not None else ""
        rows.append((output.parameter, shown_type, summary(output, folder)))
    if rows:
        print_table(("OUTPUT", "TYPE", "VALUE"), rows)


def summary(output: ParameterValue, folder: Path) -> str:
    """One line about a value."""
    match output.value.WhichOneof("kind"):
        case "array":
            count = max(output.array_size, len(output.value.array.items))
            return f"{counted(count, 'item')} in {folder / output.parameter}"
        case "file":
            path = folder / output.value.file.path
            return f"{_shown_path(path)} ({size(output.value.file.size_bytes)})"
        case "geometry":
            return f"{_shown_path(folder / output.parameter)}"
        case None:
            return ""
        case _:
            return _short(output.value)


def shown_value(value: ParameterValue) -> str:
    """One line about a value that stays at the server."""
    match value.value.WhichOneof("kind"):
        case "array":
            text = counted(max(value.array_size, len(value.value.array.items)), "item")
        case "file":
            file = value.value.file
            text = ", ".join(filter(None, (file.format, size(file.size_bytes))))
        case None | "null":
            return ""
        case _:
            text = _short(value.value)
    return f"{text} (default)" if value.from_default else text


def _short(value: value_pb2.Value) -> str:
    plain = to_python(value)
    text = plain if isinstance(plain, str) else _json(plain)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _shown_path(path: Path) -> Path:
    """The link with the extension where there is one: that is what a person opens."""
    links = (path.with_name(path.name + extension) for extension in _known_extensions())
    return next((link for link in links if link.is_symlink()), path)


def _known_extensions() -> list[str]:
    return sorted({*_EXTENSIONS.values(), *(extension for *_, extension in _SIGNATURES)})
