"""Gives uploaded inputs the form on disk that the contract has for their values.

A client sends files as it likes to write them: `0x10`, with a newline behind it, beside others that
are no items. A task must find the same as if the values had been sent by themselves.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from appengine_contract.layout import ARRAY_METADATA, array_metadata, companion_name, item_name
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.type import ParameterType, TextType, write_file
from appengine_contract.reading import TooLarge, open_folder, read_bytes
from appengine_contract.values import ArrayValue, Value

from appengine_server.storage.beneath import remove_tree
from appengine_server.storage.commit import commit_tree


def make_canonical(
    type_: ParameterType, value: Value, path: Path, scratch: Path, *, texts: bool
) -> None:
    """Rewrite what lies at `path`, and was read as `value`, where its form is not ours.

    `texts` says whether a text may have another form than ours; folders always may. `scratch` is a
    folder on the same file system. The bytes of files and images stay as they are. Raises OSError;
    after a crash at any moment the same value is read there again.
    """
    if isinstance(type_, ArrayType) and isinstance(value, ArrayValue):
        _array(type_, value, path, scratch, texts=texts)
    elif isinstance(type_, TextType) and texts:
        _replace_content(path, type_.encode(value), scratch)


def _array(type_: ArrayType, value: ArrayValue, path: Path, scratch: Path, *, texts: bool) -> None:
    if not path.is_dir():
        _unfold(type_, value, path, scratch)
        return
    if isinstance(type_.subtype, ArrayType):
        for index, item in enumerate(value.items):
            make_canonical(type_.subtype, item, path / item_name(index), scratch, texts=texts)
    elif isinstance(type_.subtype, TextType) and texts:
        _texts(type_.subtype, value, path, scratch)
    _replace_content(path / ARRAY_METADATA, array_metadata(len(value.items)), scratch)
    kept = _names(type_, len(value.items))
    for name in os.listdir(path):
        if name not in kept:
            remove_tree(path / name)
    path.chmod(0o755)


def _texts(subtype: TextType, value: ArrayValue, path: Path, scratch: Path) -> None:
    # An array of 100,000 scalars is usual, and most of them are as they should be.
    with open_folder(path) as folder:
        for index, item in enumerate(value.items):
            content, name = subtype.encode(item), item_name(index)
            if not _is_content(folder, name, content):
                _replace_content(path / name, content, scratch)


def _is_content(folder: int, name: str, content: bytes) -> bool:
    try:
        return read_bytes(folder, name, limit=len(content)) == content
    except TooLarge:
        return False


def _unfold(type_: ArrayType, value: ArrayValue, path: Path, scratch: Path) -> None:
    """Make a folder of items of an array that came as one file, a collection of geometries."""
    fresh = scratch / uuid4().hex
    type_.write(value, fresh)
    commit_tree(fresh, path)
    for name in set(type_.names(path.name)) - {path.name}:
        remove_tree(path.with_name(name))


def _names(type_: ArrayType, size: int) -> set[str]:
    items = [item_name(index) for index in range(size)]
    beside = map(companion_name, items) if isinstance(type_.subtype, ImageType) else ()
    return {ARRAY_METADATA, *items, *beside}


def _replace_content(path: Path, content: bytes, scratch: Path) -> None:
    with open_folder(path.parent) as folder:
        if _is_content(folder, path.name, content):
            return
    # Never in the file itself: another writer's folder may have a hard link to it.
    fresh = scratch / uuid4().hex
    write_file(os.fspath(fresh), content)
    os.replace(fresh, path)
