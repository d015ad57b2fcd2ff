"""Folders of outputs: what is put into them beside the files that a task wrote.

`outputs.json` has the value of every output, and each image and geometry has a link with an
extension that programs know. So a folder tells all of a run without a server.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client._api.values import kind_of, to_python
from appengine_client.errors import LocalFileError

if TYPE_CHECKING:
    from appengine.v1 import task_pb2, value_pb2
    from appengine.v1.run_service_pb2 import ParameterValue

VALUES_FILE = "outputs.json"
EXTENSIONS = {
    "png": ".png",
    "jpeg": ".jpg",
    "tiff": ".tif",
    "dicom": ".dcm",
    "geojson": ".geojson",
}
"""By the format that the server tells."""
SIGNATURES = (
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
"""By what a file begins with, and where."""
Types = Mapping[str, "task_pb2.ParameterType"]


def output_types(task: task_pb2.Task) -> Types:
    """The types of a task's outputs by their names."""
    return {parameter.name: parameter.type for parameter in task.outputs}


def make_folder(folder: Path) -> None:
    """Make the folder, where there is none. Raises LocalFileError, also where it is read-only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise LocalFileError(f"{folder} is a file: name a folder, or a new one") from None
    except OSError as error:
        raise LocalFileError(
            f"the folder {folder} cannot be made: {error.strerror or error}"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LocalFileError(f"the folder {folder} is read-only: name another one")


def make_folder_for(task: task_pb2.Task, folder: Path) -> None:
    """Make the folder for the outputs of a task. Raises LocalFileError.

    Outputs of an earlier fetch, which left its file of values, are replaced; another folder that
    has the name of an output may hold anything, and is not.
    """
    make_folder(folder)
    if (folder / VALUES_FILE).exists():
        return
    for output in task.outputs:
        path = folder / output.name
        if path.is_dir() and not path.is_symlink() and any(path.iterdir()):
            raise LocalFileError(
                f"{path} holds files that no earlier fetch brought, and the output of that name "
                "would replace them: name another folder, or move them away"
            )


def complete_folder(
    folder: Path, types: Types, outputs: Sequence[ParameterValue]
) -> Mapping[str, object]:
    """Write the values and links beside outputs that were fetched, and answer the plain values."""
    values = plain_values(folder, types, outputs)
    # One output a line: with an indent, each coordinate of each polygon would have its own.
    lines = (f"  {_json(name)}: {_json(value)}" for name, value in values.items())
    _replace(folder / VALUES_FILE, "{\n" + ",\n".join(lines) + "\n}\n")
    for output in outputs:
        if (declared := types.get(output.parameter)) is not None:
            for path, extension in _linkable(declared, folder / output.parameter, output.value):
                _link(path, extension)
    return values


def read_values(folder: Path) -> Mapping[str, object]:
    """The plain values that an earlier fetch left. Raises LocalFileError."""
    path = folder / VALUES_FILE
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise LocalFileError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise LocalFileError(f"{path} was changed and is no JSON: remove it") from error
    if not isinstance(values, dict):
        raise LocalFileError(f"{path} was changed and holds no outputs: remove it")
    return values


def plain_values(
    folder: Path | None, types: Types, outputs: Sequence[ParameterValue]
) -> Mapping[str, object]:
    """The values as they stand in JSON. Without a folder, large texts are told by their path."""
    return {
        output.parameter: _plain(types.get(output.parameter), output.value, folder)
        for output in outputs
    }


def _plain(
    declared: task_pb2.ParameterType | None, value: value_pb2.Value, folder: Path | None
) -> object:
    """A value as plain Python. Texts and geometries that came as files are read from them."""
    kind = kind_of(declared) if declared is not None else ""
    if declared is not None and kind == "array" and value.WhichOneof("kind") == "array":
        return [_plain(declared.array.subtype, item, folder) for item in value.array.items]
    if folder and value.WhichOneof("kind") == "file" and kind in ("string", "geometry"):
        return _read_large(kind, folder / value.file.path)
    return to_python(value)


def _read_large(kind: str, path: Path) -> object:
    try:
        text = path.read_text("utf-8")
        return json.loads(text) if kind == "geometry" else text.removesuffix("\n")
    except (OSError, ValueError):
        return path.name


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_text(text, "utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise LocalFileError(f"{path} cannot be written: {error.strerror or error}") from error


def _linkable(
    declared: task_pb2.ParameterType, path: Path, value: value_pb2.Value
) -> Iterator[tuple[Path, str]]:
    match kind_of(declared):
        case "geometry":
            yield path, ".geojson"
        case "image":
            yield path, EXTENSIONS.get(value.file.format) or _sniffed(path)
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
        for offset, signature, extension in SIGNATURES
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
