"""A folder for what is being made, beside what it will become a part of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appengine_server.storage.beneath import remove_tree


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """An empty folder on the file system of `path`, for one at a time; it goes with its content.

    What a killed server left in it goes first.
    """
    scratch = path.with_name(f"{path.name}.scratch")
    remove_tree(scratch)
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        remove_tree(scratch)
