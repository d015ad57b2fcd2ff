"""Random bytes to move, and a look whether they arrived."""

from __future__ import annotations

import filecmp
import os
from pathlib import Path

from benchmarks.transfers.rounds import MIB, Case


def make_source(case: Case, folder: Path) -> Path:
    """The file or folder of a case; a folder is laid out as an array of files is."""
    path = folder / ("files" if case.is_tree else "image")
    if not case.is_tree:
        with path.open("wb", buffering=0) as file:
            for _ in range(0, case.file_bytes, MIB):
                file.write(os.urandom(MIB))
        return path
    path.mkdir()
    (path / "array.yml").write_text(f"size: {case.files}\n")
    for number in range(case.files):
        (path / str(number)).write_bytes(os.urandom(case.file_bytes))
    return path


def check_same(source: Path, arrived: Path) -> None:
    """Raise AssertionError unless both have the same content."""
    if source.is_file():
        assert filecmp.cmp(source, arrived, shallow=False), f"{arrived} is not {source}"
        return
    names = sorted(os.listdir(source))
    assert sorted(os.listdir(arrived)) == names, f"{arrived} has not the names of {source}"
    _, wrong, missing = filecmp.cmpfiles(source, arrived, names, shallow=False)
    assert not wrong
    assert not missing
