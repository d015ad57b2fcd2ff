"""A folder for what is being made, beside what it will become a part of, and a turn to make it."""

from __future__ import annotations

import fcntl
import os
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


@contextmanager
def turn_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else changes what is in the folder, in this process or another one.

    A call whose client has gone away works on in its thread, and the client may be back already.
    Blocks. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
