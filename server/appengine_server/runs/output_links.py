"""What becomes of the links in outputs that were checked and are right.

The content of the run's own folders takes the place of the link, as hard links that cost nothing;
what lies in a dataset stays there, and the link to it becomes a reference.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from appengine_contract.layout import ARRAY_METADATA, GEOJSON_SUFFIX, is_item_name
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.type import ParameterType

from appengine_server.runs.task_view import TaskView
from appengine_server.storage.commit import commit_tree

_FOLDER_MODE = 0o755
_PLAIN = FileType()


class TooManyLinks(Exception):
    """More entries would be made of links than outputs may have."""


class OutputLinks:
    """Makes what stands for links, then puts all of it in their place. What a crash left undone is
    done by doing it again.
    """

    def __init__(self, view: TaskView, scratch: Path, *, most_entries: int) -> None:
        self._view = view
        self._scratch = scratch
        self._left = most_entries
        self._references: dict[Path, None] = {}
        self._made: list[tuple[Path, Path]] = []

    def follow(self, type_: ParameterType, path: Path) -> None:
        """Make what the links of one output stand for, which lies at `path`. Raises OSError,
        TooManyLinks.
        """
        found = path.lstat().st_mode
        if stat.S_ISLNK(found):
            self._follow_link(type_, path)
        elif stat.S_ISDIR(found) and isinstance(type_, ArrayType):
            for item_type, item in _parts(type_, path):
                self.follow(item_type, item)
        elif stat.S_ISDIR(found):
            for _, file in _parts(type_, path):
                if file.is_symlink():
                    self._follow_link(type_, file)

    @property
    def made(self) -> bool:
        """Whether there is anything to be put in place."""
        return bool(self._made)

    def put_in_place(self) -> None:
        """Put what was made in the place of the links. Raises OSError."""
        for fresh, path in self._made:
            if fresh.is_dir() and not fresh.is_symlink():
                commit_tree(fresh, path)
            else:
                os.replace(fresh, path)

    def references(self) -> Iterable[Path]:
        """What was found to lie in datasets."""
        return self._references

    def _follow_link(self, type_: ParameterType, path: Path) -> None:
        target = self._view.resolve(path)
        if target is None:  # it lies beside what was read: nobody looks at it
            return
        fresh = self._scratch / uuid4().hex
        self._take(type_, target, fresh)
        self._made.append((fresh, path))

    def _take(self, type_: ParameterType, source: Path, target: Path) -> None:
        """Make `target` what `source` is, whose path has no links."""
        self._left -= 1
        if self._left < 0:
            raise TooManyLinks
        is_array = isinstance(type_, ArrayType) and source.is_dir()
        if self._view.is_in_datasets(source) and not is_array:
            self._references[source] = None
            os.symlink(source, target)
        elif source.is_dir():
            target.mkdir()
            target.chmod(_FOLDER_MODE)
            for inner_type, inner in _parts(type_, source):
                resolved = self._view.resolve(inner) if inner.is_symlink() else inner
                if resolved is not None and (is_array or resolved.is_file()):
                    self._take(inner_type, resolved, target / inner.name)
        elif source.is_file():
            _link_or_copy(source, target)


def _parts(type_: ParameterType, folder: Path) -> Iterable[tuple[ParameterType, Path]]:
    """What a folder holds of an output: the items of an array, or the files of an image."""
    for name in sorted(os.listdir(folder)):
        if not isinstance(type_, ArrayType):
            yield type_, folder / name
        elif name == ARRAY_METADATA:
            yield _PLAIN, folder / name
        elif is_item_name(name.removesuffix(GEOJSON_SUFFIX)):
            yield type_.subtype, folder / name


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except PermissionError:  # the system may forbid links to what other users own
        shutil.copyfile(source, target, follow_symlinks=False)
