"""The folders that a task saw, and where they lie here: for the links that it left behind.

A link means what it meant in the task's container. So it is followed by hand, name by name, and
only below these folders; whatever else it passes through was another system's, and is none of ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from appengine_server.storage.datasets import ReferenceRefused

_MOST_LINKS = 40
"""As many as Linux follows for one path."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One folder that was mounted into a task."""

    there: str
    """Absolute, in the container."""
    here: str
    """Absolute, without links."""


class TaskView:
    """Resolves links as a task saw them."""

    def __init__(self, folders: Iterable[Seen], datasets: Iterable[Path] = ()) -> None:
        """`datasets` lie at the same path there and here, and shadow what lies below them."""
        same = [Seen(there=os.fspath(path), here=os.fspath(path)) for path in datasets]
        self._datasets = tuple(one.here for one in same)
        # What is mounted deeper shadows what is mounted above it.
        self._seen = sorted((*folders, *same), key=lambda one: len(one.there), reverse=True)

    def resolve(self, link: Path) -> Path | None:
        """Where a link of ours leads; None where that is nothing that is there and was seen."""
        start = _moved(os.fspath(link), ((one.here, one.there) for one in self._seen))
        return None if start is None else self._walk(start)

    def is_in_datasets(self, path: Path) -> bool:
        """Whether a resolved path lies in a dataset."""
        return any(_is_below(os.fspath(path), folder) for folder in self._datasets)

    def _walk(self, start: str) -> Path | None:
        waiting = _reversed(start)
        reached: list[str] = []
        followed = 0
        while waiting:
            name = waiting.pop()
            if name == "..":
                reached[-1:] = []
                continue
            reached.append(name)
            target = self._link_at(reached)
            if target is None:
                continue
            followed += 1
            if followed > _MOST_LINKS:
                return None
            reached = [] if target.startswith("/") else reached[:-1]
            waiting += _reversed(target)
        here = self._here(reached)
        return here if here is not None and os.path.lexists(here) else None

    def _link_at(self, reached: list[str]) -> str | None:
        here = self._here(reached)
        try:
            return None if here is None else os.readlink(here)
        except OSError:  # no link, or nothing: the end of the walk tells which
            return None

    def _here(self, reached: list[str]) -> Path | None:
        there = "/" + "/".join(reached)
        found = _moved(there, ((one.there, one.here) for one in self._seen))
        return None if found is None else Path(found)


def folder_opener(open_dataset: Callable[[Path], int], view: TaskView) -> Callable[[Path], int]:
    """Opens the folders of what a view resolves: those of datasets may change meanwhile.

    What it answers raises OSError.
    """

    def open_folder(path: Path) -> int:
        if view.is_in_datasets(path):
            try:
                return open_dataset(path)
            except ReferenceRefused as refused:
                raise OSError(str(refused)) from refused
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    return open_folder


def _reversed(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _moved(path: str, folders: Iterable[tuple[str, str]]) -> str | None:
    """The path in another folder, by the first pair whose first folder holds it."""
    for before, after in folders:
        if _is_below(path, before):
            return after + path[len(before) :]
    return None


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
