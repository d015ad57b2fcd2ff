"""Folders for what is being made: one at a time, and gone in the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from appengine_server.runs.scratch import scratch_beside, turn_in


def test_what_a_killed_server_left_goes_first(tmp_path: Path) -> None:
    (tmp_path / "tree.scratch/left").mkdir(parents=True)
    with scratch_beside(tmp_path / "tree") as scratch:
        assert list(scratch.iterdir()) == []
        (scratch / "made").touch()
    assert list(tmp_path.iterdir()) == []


def test_it_goes_also_when_making_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), scratch_beside(tmp_path / "tree"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


def test_two_calls_take_turns_in_a_folder(tmp_path: Path) -> None:
    inside: list[str] = []

    def take(name: str) -> None:
        with turn_in(tmp_path), scratch_beside(tmp_path / "tree") as scratch:
            inside.append(name)
            (scratch / name).touch()
            assert inside == [name]
            assert [path.name for path in scratch.iterdir()] == [name]
            inside.remove(name)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, map(str, range(200))))
