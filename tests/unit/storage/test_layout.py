"""Where things lie, and who may read them."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest
from appengine_server.storage.layout import StorageLayout


def mode(path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.rule("layout.outputs-fresh")
def test_folders_have_the_rights_that_containers_need(tmp_path):
    mask = os.umask(0o077)
    try:
        layout = StorageLayout(tmp_path / "a" / "base")
        layout.prepare()
        layout.prepare()
        run = uuid4()
        inputs, outputs = layout.make_run(run), layout.make_attempt(run, 1)
        layout.make_attempt(run, 1)
    finally:
        os.umask(mask)
    assert inputs == layout.base / "runs" / str(run) / "inputs"
    assert outputs == layout.base / "runs" / str(run) / "attempts" / "1" / "outputs"
    assert (mode(inputs), mode(outputs)) == (0o755, 0o777)
    assert mode(layout.base) == 0o711
    assert {mode(layout.base / room) for room in ("tasks", "uploads", "runs")} == {0o700}
    assert layout.log(run, 1).parent == layout.manifest(run, 1).parent == outputs.parent


@pytest.mark.rule("run.fresh-attempt")
def test_each_attempt_has_an_empty_output_folder(tmp_path):
    layout, run = StorageLayout(tmp_path), uuid4()
    layout.prepare()
    (layout.make_attempt(run, 1) / "count").touch()
    assert list(layout.make_attempt(run, 2).iterdir()) == []
    assert [path.name for path in layout.outputs(run, 1).iterdir()] == ["count"]


def test_what_is_made_is_listed_and_removed(tmp_path):
    layout = StorageLayout(tmp_path)
    assert list(layout.run_ids()) == []
    layout.prepare()
    run, task = str(uuid4()), uuid4()
    layout.make_run(run)
    layout.make_attempt(run, 1)
    layout.make_attempt(run, 2)
    layout.make_task(task)
    assert list(layout.run_ids()) == [run]
    assert list(layout.task_ids()) == [str(task)]
    for _ in range(2):
        layout.remove_run(run)
        layout.remove_task(task)
    assert list(layout.run_ids()) == list(layout.task_ids()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\n", "/etc", "x" * 65, ".hidden"])
def test_only_plain_ids_name_a_folder(tmp_path, name):
    layout = StorageLayout(tmp_path)
    for call in (layout.run, layout.remove_run, layout.remove_task, layout.upload):
        with pytest.raises(ValueError, match="not an id"):
            call(name)
