"""The input folder of a run: whole when it is there, and never changed under a task."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_contract.descriptor import Descriptor, read_descriptor
from appengine_contract.values import IntegerValue
from appengine_server.runs.layout import is_laid_out, lay_out_once, lay_out_preview
from appengine_server.runs.stored import StoredInput, StoredInputs
from appengine_server.storage.layout import StorageLayout

from tests.container.bundles import dump, make_descriptor

RUN = uuid4()


@pytest.fixture
def layout(tmp_path: Path) -> StorageLayout:
    made = StorageLayout(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def descriptor() -> Descriptor:
    text = dump(make_descriptor(inputs={"count": "integer"}))
    found = read_descriptor(text).descriptor
    assert found is not None
    return found


def given(count: int) -> StoredInputs:
    return StoredInputs({"count": StoredInput(value=IntegerValue(count))})


def test_a_second_submission_leaves_the_folder_that_the_task_reads_from(
    layout: StorageLayout, descriptor: Descriptor
) -> None:
    folder = lay_out_once(layout, RUN, descriptor, given(1))
    before = (folder.stat().st_ino, (folder / "count").stat().st_ino)
    assert lay_out_once(layout, RUN, descriptor, given(1)) == folder
    assert (folder.stat().st_ino, (folder / "count").stat().st_ino) == before


def test_what_a_killed_server_left_half_made_is_removed(
    layout: StorageLayout, descriptor: Descriptor
) -> None:
    layout.make_run(RUN)
    half = layout.run(RUN) / f"inputs.{uuid4().hex}"
    half.mkdir()
    (half / "count").touch()
    folder = lay_out_once(layout, RUN, descriptor, given(1))
    assert not half.exists()
    assert (folder / "count").read_text().strip() == "1"


def test_a_preview_follows_the_inputs_and_is_not_what_the_task_gets(
    layout: StorageLayout, descriptor: Descriptor
) -> None:
    lay_out_preview(layout, RUN, descriptor, given(1))
    preview = lay_out_preview(layout, RUN, descriptor, given(2))
    assert (preview / "count").read_text().strip() == "2"
    assert not is_laid_out(layout, RUN)
    folder = lay_out_once(layout, RUN, descriptor, given(3))
    assert (folder / "count").read_text().strip() == "3"


def test_the_same_inputs_are_shown_by_the_same_files(
    layout: StorageLayout, descriptor: Descriptor
) -> None:
    first = lay_out_preview(layout, RUN, descriptor, given(1))
    inode = (first / "count").stat().st_ino
    earlier = lay_out_preview(layout, RUN, descriptor, given(2))
    assert lay_out_preview(layout, RUN, descriptor, given(1)) == first
    assert (first / "count").stat().st_ino == inode
    assert (earlier / "count").read_text().strip() == "2"


def test_a_preview_of_earlier_inputs_goes_after_a_while(
    layout: StorageLayout, descriptor: Descriptor
) -> None:
    old = lay_out_preview(layout, RUN, descriptor, given(1))
    os.utime(old, (time.time() - 4000,) * 2)
    recent = lay_out_preview(layout, RUN, descriptor, given(2))
    lay_out_preview(layout, RUN, descriptor, given(3))
    assert not old.exists()
    assert recent.exists()
