"""Folders of inputs and outputs as values that can be written and compared."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

Content: TypeAlias = "bytes | Path | Sequence[Content] | Mapping[str, Content]"
"""A file's bytes, a copy of a file or folder, the items of an array, or the entries of a folder."""

Tree = dict[str, bytes]
"""The bytes of every file by its path."""

_PNG = b"\x89PNG\r\n\x1a\n"


def lay_out(content: Content, path: Path) -> None:
    """Write what the contract says that a task finds at this path."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, Path):
        (shutil.copytree if content.is_dir() else shutil.copyfile)(content, path)
    elif isinstance(content, Mapping):
        path.mkdir()
        for name, inner in content.items():
            lay_out(inner, path / name)
    else:
        lay_out(array(*content), path)


def array(*items: Content, **companions: Content) -> Mapping[str, Content]:
    """The folder of an array; `companion_of_0=…` lies beside its first item."""
    beside = {
        f"{name.removeprefix('companion_of_')}.geojson": one for name, one in companions.items()
    }
    numbered = {str(index): item for index, item in enumerate(items)}
    return {"array.yml": f"size: {len(items)}\n".encode(), **numbered, **beside}


def tree_of(folder: Path) -> Tree:
    """All files below a folder; links that were put beside files are left out."""
    found = {}
    for parent, folders, names in os.walk(folder):
        assert not any((Path(parent) / name).is_symlink() for name in folders)
        for name in names:
            path = Path(parent) / name
            if not path.is_symlink():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def with_pixels(tree: Tree) -> dict[str, object]:
    """The same with the pixels of PNG files: another zlib packs the same pixels otherwise."""
    return {path: _pixels(content) for path, content in tree.items()}


def _pixels(content: bytes) -> object:
    if not content.startswith(_PNG):
        return content
    with Image.open(io.BytesIO(content)) as picture:
        return picture.mode, picture.size, picture.tobytes()


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
