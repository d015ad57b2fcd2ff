"""Reads `--input` and `--inputs` into the values that the library takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client._api.values import (
    FILE_KINDS,
    InputPython,
    LocalFile,
    Reference,
    kind_of,
    takes_pattern,
)
from appengine_client.errors import InvalidValue

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

_REFERENCE = "ref:"
"""What a path in the server's datasets begins with."""
_WILD = re.compile(r"[*?[]")
_COMPANION = ".geojson"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAME_KEYS = ("parameterName", "param_name", "parameter")
_NAME_AND_INDEX = re.compile(r"([^\[\]=]+)((?:\[[0-9]{1,9}\])+)")
_NUMBER = re.compile(r"[0-9]+")
_METADATA = "array.yml"
_Index = tuple[int, ...]
Declared = Mapping[str, "task_pb2.ParameterType"]


def read_inputs(
    declared: Declared, options: Sequence[str], document: Path | None
) -> dict[str, InputPython]:
    """All inputs of a command; `--input` wins over `--inputs`.

    Raises InvalidValue with a sentence that says what is wrong, and where.
    """
    inputs: dict[str, InputPython] = {}
    if document is not None:
        inputs.update(_from_document(declared, document))
    given: dict[str, list[str]] = {}
    items: dict[str, dict[_Index, str]] = {}
    for option in options:
        name, index, text = _parts_of(option)
        if not index:
            given.setdefault(name, []).append(text)
        elif index in items.setdefault(name, {}):
            raise InvalidValue(f"--input {_labelled(name, index)} is given 2 times")
        else:
            items[name][index] = text
    companions = {
        name.removesuffix(_COMPANION): given.pop(name)
        for name in list(given)
        if name.endswith(_COMPANION)
    }
    for name, texts in given.items():
        inputs[name] = _from_texts(_type_of(declared, name), texts, name)
    for name, several in items.items():
        if name in given:
            raise InvalidValue(f"--input {name} is given whole and by its items")
        inputs[name] = _from_items(_type_of(declared, name), several, name)
    for name, texts in companions.items():
        inputs[name] = _with_companion(inputs.get(name), texts[-1], name)
    return inputs


def _parts_of(option: str) -> tuple[str, _Index, str]:
    """Name, index and value of `NAME=VALUE` or `NAME[0][2]=VALUE`."""
    left, separator, text = option.partition("=")
    found = _NAME_AND_INDEX.fullmatch(left)
    if not separator or not left:
        raise InvalidValue(f"--input {option!r}: expected NAME=VALUE, NAME=@FILE or NAME=ref:PATH")
    if found is None:
        return left, (), text
    return found[1], tuple(int(number) for number in _NUMBER.findall(found[2])), text


def _labelled(name: str, index: _Index) -> str:
    return name + "".join(f"[{number}]" for number in index)


def _from_items(
    declared: task_pb2.ParameterType, items: Mapping[_Index, str], where: str
) -> InputPython:
    """An array whose items are given one by one, in any order."""
    if () in items:
        if len(items) > 1:
            raise InvalidValue(f"--input {where} is given whole and by its items")
        return from_text(declared, items[()], where)
    if kind_of(declared) != "array":
        raise InvalidValue(f"--input {where} is no array: leave out the index")
    inner: dict[int, dict[_Index, str]] = {}
    for (number, *rest), text in items.items():
        inner.setdefault(number, {})[tuple(rest)] = text
    missing = next((number for number in range(len(inner)) if number not in inner), None)
    if missing is not None:
        raise InvalidValue(f"--input {where}[{missing}] is missing: indexes have no gaps")
    return [
        _from_items(declared.array.subtype, inner[number], f"{where}[{number}]")
        for number in range(len(inner))
    ]


def _type_of(declared: Declared, name: str) -> task_pb2.ParameterType:
    if name not in declared:
        known = ", ".join(declared) or "none"
        raise InvalidValue(f"the task has no input {name!r}; its inputs are: {known}")
    return declared[name]


def _from_texts(declared: task_pb2.ParameterType, texts: list[str], name: str) -> InputPython:
    """One input; files of an array may be given one by one."""
    if len(texts) == 1:
        return from_text(declared, texts[0], name)
    if kind_of(declared) == "array" and all(text.startswith(("@", _REFERENCE)) for text in texts):
        subtype = declared.array.subtype
        return [from_text(subtype, text, f"{name}[{i}]") for i, text in enumerate(texts)]
    raise InvalidValue(f"--input {name} is given {len(texts)} times")


def _with_companion(image: InputPython, text: str, name: str) -> InputPython:
    if not isinstance(image, LocalFile) or not text.startswith("@"):
        raise InvalidValue(
            f"--input {name}{_COMPANION}=@FILE goes with an image that is given as {name}=@FILE"
        )
    return LocalFile(path=image.path, companion=_local(text, f"{name}{_COMPANION}"))


def from_text(declared: task_pb2.ParameterType, text: str, where: str) -> InputPython:
    """One value as it is written on a command line."""
    kind = kind_of(declared)
    match kind:
        case "file" | "image":
            if text.startswith(_REFERENCE):
                return Reference(text.removeprefix(_REFERENCE))
            if not text.startswith("@"):
                raise InvalidValue(
                    f"{where} takes a file: write {where}=@{text or 'FILE'}, or "
                    f"{where}={_REFERENCE}{text or 'PATH'} for one of the server's datasets"
                )
            return LocalFile(path=_single(declared, _local(text, where), where))
        case "array" if takes_pattern(declared) and text.startswith(_REFERENCE):
            return _referenced(text)
        case "array":
            return _array_from_text(declared.array.subtype, text, where)
        case "geometry":
            return _read_text(_local(text, where), where) if text.startswith("@") else text
        case "boolean":
            return _boolean(text, where)
        case "integer":
            return _integer(text, where)
        case "number":
            return _number(text, where)
        case _:
            return text


def _local(text: str, where: str) -> Path:
    """The path of `@PATH`; an empty one would be the folder in which one just stands."""
    if text == "@":
        raise InvalidValue(f"{where}=@ names no file: write {where}=@FILE")
    return Path(text[1:])


def _single(declared: task_pb2.ParameterType, path: Path, where: str) -> Path:
    """Refuse a folder where only a file is taken, before all of it is sent."""
    formats = declared.image.formats
    takes_folder = kind_of(declared) == "image" and (not formats or "wsidicom" in formats)
    if path.is_dir() and not takes_folder:
        raise InvalidValue(f"{where} takes one file, and {path} is a folder")
    return path


def _boolean(text: str, where: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidValue(f"{where}: expected true or false, found {text!r}")
    return text.lower() == "true"


def _integer(text: str, where: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidValue(f"{where}: expected an integer, found {text!r}")
    return int(text)


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidValue(f"{where}: expected a number, found {text!r}") from None


def _referenced(text: str) -> InputPython:
    """All files of a pattern, or an array of one file."""
    path = text.removeprefix(_REFERENCE)
    return Reference.pattern(path) if _WILD.search(path) else [Reference(path)]


def _array_from_text(subtype: task_pb2.ParameterType, text: str, where: str) -> InputPython:
    if text.startswith("@"):
        return _array_from_path(subtype, _local(text, where), where)
    return _array_from_json(subtype, text, where, Path())


def _array_from_json(
    subtype: task_pb2.ParameterType, text: str, where: str, folder: Path
) -> InputPython:
    try:
        plain = json.loads(text)
    except ValueError:
        raise InvalidValue(f"{where}: expected a JSON list, found {text[:60]!r}") from None
    if isinstance(plain, dict) and kind_of(subtype) == "geometry":
        return text  # a GeoJSON collection, whose geometries keep their bytes
    return _items(subtype, plain, where, folder)


def _array_from_path(subtype: task_pb2.ParameterType, path: Path, where: str) -> InputPython:
    """A folder has an item for each entry, in natural order; a file is an item, or holds JSON."""
    kind = kind_of(subtype)
    if path.is_dir():
        entries = _natural(path, companions=kind != "image")
        return [_item_from_path(subtype, entry, f"{where}[{i}]") for i, entry in enumerate(entries)]
    if kind in FILE_KINDS:
        return [LocalFile(path=path)]
    return _array_from_json(subtype, _read_text(path, where), where, path.parent)


def local_file(declared: task_pb2.ParameterType, path: Path, where: str) -> LocalFile:
    """A file or image, with the GeoJSON file beside an image. Raises InvalidValue for a folder."""
    _single(declared, path, where)
    return _image_item(path) if kind_of(declared) == "image" else LocalFile(path=path)


def _item_from_path(subtype: task_pb2.ParameterType, path: Path, where: str) -> InputPython:
    match kind_of(subtype):
        case "array":
            return _array_from_path(subtype.array.subtype, path, where)
        case "image":
            return _image_item(path)
        case "file":
            return LocalFile(path=path)
        case "geometry" | "string":
            return _read_text(path, where)
        case _:
            return from_text(subtype, _read_text(path, where).strip(), where)


def _natural(folder: Path, *, companions: bool) -> list[Path]:
    """What a folder holds, with numbers in names ordered by value.

    Hidden files are left out, and `array.yml`, which tells the number of items once more.
    """
    files = [
        file
        for file in folder.iterdir()
        if not file.name.startswith(".") and file.name != _METADATA
    ]
    if not companions:
        stems = {
            name for file in files for name in (file.name, file.stem) if file.suffix != _COMPANION
        }
        files = [f for f in files if f.suffix != _COMPANION or f.stem not in stems]
    return sorted(files, key=lambda file: natural_key(file.name))


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Orders names as people do, with the numbers in them by value."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _image_item(path: Path) -> LocalFile:
    """An image with its GeoJSON file of the same name, if there is one beside it."""
    beside = (path.with_name(path.name + _COMPANION), path.with_suffix(_COMPANION))
    companion = next((file for file in beside if file.is_file()), None)
    return LocalFile(path=path, companion=companion)


def _read_text(path: Path, where: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidValue(f"{where}: {path} is not UTF-8") from None
    except OSError as error:
        raise InvalidValue(f"{where}: {path} cannot be read: {error.strerror or error}") from error


def _from_document(declared: Declared, path: Path) -> dict[str, InputPython]:
    """The list that Cytomine's users know, or one object with a value for each name."""
    try:
        document = json.loads(_read_text(path, "--inputs"))
    except ValueError as error:
        raise InvalidValue(f"--inputs {path} is no JSON: {error}") from None
    inputs: dict[str, InputPython] = {}
    for name, value in _named_values(document, path):
        if name in inputs:
            raise InvalidValue(f"--inputs {path} gives {name!r} twice")
        inputs[name] = from_json(_type_of(declared, name), value, name, path.parent)
    return inputs


def _named_values(document: object, path: Path) -> Iterable[tuple[str, object]]:
    if isinstance(document, dict):
        return document.items()
    if not isinstance(document, list):
        raise InvalidValue(f"--inputs {path}: expected a list of inputs")
    return [_named_value(item, f"--inputs {path}: item {i}") for i, item in enumerate(document)]


def _named_value(item: object, where: str) -> tuple[str, object]:
    if isinstance(item, dict) and "value" in item:
        for key in _NAME_KEYS:
            if isinstance(item.get(key), str):
                return item[key], item["value"]
    raise InvalidValue(f"{where}: expected an object with parameterName and value")


def from_json(
    declared: task_pb2.ParameterType, plain: object, where: str, folder: Path
) -> InputPython:
    """One value as it stands in JSON. `folder` is where relative `@` paths begin.

    A text for a file or image is a path of the server's dataset, with `ref:` or without; with `@`
    it is a local file. A text with `ref:` for an array of them is a pattern.
    """
    match kind_of(declared), plain:
        case (_, None):
            return None  # not given, as Cytomine's lists say it
        case ("file" | "image", str(text)):
            if text.startswith("@"):
                return LocalFile(path=folder / text[1:])
            if not text.startswith(_REFERENCE) and (folder / text).is_file() and text[0] != "/":
                raise InvalidValue(
                    f"{where}: {text!r} is a path of the server's datasets, and there is a local "
                    f'file of that name: write "@{text}" for that one, or "ref:{text}"'
                )
            return Reference(text.removeprefix(_REFERENCE))
        case ("array", str(text)) if takes_pattern(declared) and text.startswith(_REFERENCE):
            return _referenced(text)
        case ("array", _):
            return _items(declared.array.subtype, plain, where, folder)
        case ("number", str(text)) if text.lower() in ("nan", "inf", "-inf"):
            return float(text)
        case _:
            return plain  # type: ignore[return-value]  # the library checks it by its type


def _items(subtype: task_pb2.ParameterType, plain: object, where: str, folder: Path) -> InputPython:
    """A list; its items may say their index, as Cytomine's do."""
    if isinstance(plain, dict) and kind_of(subtype) == "geometry":
        return plain  # a GeoJSON collection
    if not isinstance(plain, list):
        raise InvalidValue(f"{where}: expected a list, found {str(plain)[:60]!r}")
    if plain and all(
        isinstance(item, dict) and item.keys() == {"index", "value"} for item in plain
    ):
        plain = _in_order(plain, where)
    return [from_json(subtype, item, f"{where}[{i}]", folder) for i, item in enumerate(plain)]


def _in_order(items: list[dict[str, object]], where: str) -> list[object]:
    by_index = {item["index"]: item["value"] for item in items if isinstance(item["index"], int)}
    if sorted(by_index) != list(range(len(items))):
        raise InvalidValue(f"{where}: the indexes are not 0 to {len(items) - 1}, each once")
    return [by_index[index] for index in range(len(items))]
