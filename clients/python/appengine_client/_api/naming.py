"""Names for items that are files: short, and each once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath


def below_common_folder(paths: Sequence[Path]) -> list[Path]:
    """The paths as they are below the deepest folder that holds them all."""
    whole = [Path(os.path.abspath(path)) for path in paths]
    common = os.path.commonpath([path.parent for path in whole])
    return [path.relative_to(common) for path in whole]


def short_names(paths: Iterable[PurePath]) -> list[str]:
    """The relative paths, without extensions where they do not need them to differ."""
    paths = list(paths)
    taken = Counter(path.with_suffix("") for path in paths)
    taken.update({folder for path in paths for folder in path.parents})
    return [_shortened(path, taken).as_posix() for path in paths]


def _shortened(path: PurePath, taken: Counter[PurePath]) -> PurePath:
    short = path.with_suffix("")
    return short if taken[short] == 1 else path
