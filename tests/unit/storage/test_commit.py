"""A finished upload becomes visible at once, and a repeated commit ends what a crash began."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from appengine_server.storage import commit
from appengine_server.storage.commit import commit_tree


class Crash(Exception):
    pass


def make(path: Path, content: str | dict) -> None:
    if isinstance(content, str):
        path.write_text(content)
        return
    path.mkdir()
    for name, inner in content.items():
        make(path / name, inner)


def read(path: Path) -> str | dict:
    if path.is_dir():
        return {inner.name: read(inner) for inner in path.iterdir()}
    return path.read_text()


SHAPES = ["new", {"new": "n"}, {}]
OLD_SHAPES = [None, "old", {"old": "o"}, {}]


@pytest.mark.parametrize("new", SHAPES)
@pytest.mark.parametrize("old", OLD_SHAPES)
def test_a_tree_takes_the_place_of_another(tmp_path, new, old):
    source, target = tmp_path / "up" / "tree", tmp_path / "in" / "value"
    source.parent.mkdir()
    target.parent.mkdir()
    make(source, new)
    if old is not None:
        make(target, old)
    commit_tree(source, target)
    assert read(target) == new
    assert list(source.parent.iterdir()) == []
    commit_tree(source, target)
    assert read(target) == new
    source.parent.rmdir()
    commit_tree(source, target)


def test_a_commit_of_nothing_to_nowhere_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        commit_tree(tmp_path / "a", tmp_path / "b")


def crash_at(monkeypatch, step: int) -> None:
    """Make the `step`-th change of the file system crash before it happens."""
    left = [step]

    def guarded(real):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(commit.os, "rename", guarded(os.rename))
    monkeypatch.setattr(commit, "_exchange", guarded(commit._exchange))
    monkeypatch.setattr(commit, "remove_tree", guarded(commit.remove_tree))
    monkeypatch.setattr(commit, "sync_folder", guarded(commit.sync_folder))


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("new", SHAPES)
@pytest.mark.parametrize("old", OLD_SHAPES)
def test_a_crash_anywhere_is_mended_by_a_second_call(tmp_path, monkeypatch, new, old, step):
    source, target = tmp_path / "up" / "tree", tmp_path / "in" / "value"
    source.parent.mkdir()
    target.parent.mkdir()
    make(source, new)
    if old is not None:
        make(target, old)
    with monkeypatch.context() as crashing:
        crash_at(crashing, step)
        try:
            commit_tree(source, target)
        except Crash:
            assert not target.exists() or read(target) in (old, new)
    commit_tree(source, target)
    assert read(target) == new
    assert list(source.parent.iterdir()) == []


def test_without_exchange_the_same_happens(tmp_path, monkeypatch):
    class Libc:
        @staticmethod
        def renameat2(*_args):
            commit.ctypes.set_errno(22)
            return -1

    monkeypatch.setattr(commit, "_libc", Libc)
    make(tmp_path / "tree", {"new": "n"})
    make(tmp_path / "value", {"old": "o"})
    commit_tree(tmp_path / "tree", tmp_path / "value")
    assert read(tmp_path / "value") == {"new": "n"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["value"]
