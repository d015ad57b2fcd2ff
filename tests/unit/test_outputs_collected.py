"""What a task leaves in its output folder is measured before it is read, however odd it is."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine_contract.descriptor import Descriptor, read_descriptor
from appengine_contract.values import StringValue
from appengine_server.runs.outputs import CollectedOutputs, OutputLimits, Outputs
from appengine_server.runs.references import References
from appengine_server.runs.stored import StoredInputs
from appengine_server.scheduling.scheduler import AttemptRef
from appengine_server.storage.beneath import remove_tree
from appengine_server.storage.datasets import Datasets
from appengine_server.storage.layout import StorageLayout

from tests.container.bundles import dump, make_descriptor


def limits(*, total_bytes: int = 1 << 40, entries: int = 10_000) -> OutputLimits:
    return OutputLimits(total_bytes=total_bytes, entries=entries, unpacked_bytes=1 << 30)


def outputs_in(layout: StorageLayout, limit: OutputLimits) -> Outputs:
    references = References(Datasets(base=layout.base / "datasets"))
    return Outputs(layout=layout, references=references, limits=limit)


async def collect(
    layout: StorageLayout, run_id: UUID, task: Descriptor, limit: OutputLimits | None = None
) -> CollectedOutputs:
    outputs = outputs_in(layout, limit or limits())
    return await outputs.collect(AttemptRef(run_id, 1), "p", task, StoredInputs())


@pytest.mark.parametrize("name", ["d", "d" * 250])
async def test_folders_too_deep_to_open_refuse_the_outputs(tmp_path: Path, name: str) -> None:
    layout, run_id = StorageLayout(tmp_path), uuid4()
    folder = layout.outputs(run_id, 1)
    folder.mkdir(parents=True)
    _nest(folder, name, total_bytes=5000)
    descriptor = read_descriptor(dump(make_descriptor())).descriptor
    assert descriptor is not None
    collected = await collect(layout, run_id, descriptor)
    [problem] = collected.problems
    assert problem.reason == "OUTPUT_UNREADABLE"
    assert "4095 bytes" in problem.message
    remove_tree(folder)
    assert not folder.exists()


async def test_an_output_folder_that_is_gone_refuses_the_outputs(tmp_path: Path) -> None:
    collected = await collect(StorageLayout(tmp_path), uuid4(), _described(n="integer"))
    [problem] = collected.problems
    assert problem.reason == "OUTPUT_UNREADABLE"
    assert "was removed" in problem.message


def _described(**outputs: str) -> Descriptor:
    found = read_descriptor(dump(make_descriptor(outputs=outputs))).descriptor
    assert found is not None
    return found


@pytest.mark.rule("output.limits")
async def test_outputs_within_the_limits_are_taken(tmp_path: Path) -> None:
    layout, run_id = StorageLayout(tmp_path), uuid4()
    layout.prepare()
    folder = layout.make_attempt(run_id, 1)
    (folder / "table").write_bytes(b"abc")
    task = _described(table="file")
    collected = await collect(layout, run_id, task, limits(total_bytes=3))
    assert (collected.problems, collected.total_bytes) == ((), 3)
    collected = await collect(layout, run_id, task, limits(entries=1))
    assert collected.problems == ()


@pytest.mark.rule("output.limits")
@pytest.mark.parametrize("limit", [{"total_bytes": 2}, {"entries": 0}])
async def test_outputs_over_a_limit_are_refused_unread(
    tmp_path: Path, limit: dict[str, int]
) -> None:
    layout, run_id = StorageLayout(tmp_path), uuid4()
    layout.prepare()
    folder = layout.make_attempt(run_id, 1)
    (folder / "table").write_bytes(b"abc")
    collected = await collect(layout, run_id, _described(table="file"), limits(**limit))
    assert [problem.reason for problem in collected.problems] == ["OUTPUT_TOO_LARGE"]


@pytest.mark.rule("output.all-problems")
async def test_with_one_wrong_output_none_is_kept(tmp_path: Path) -> None:
    layout, run_id = StorageLayout(tmp_path), uuid4()
    layout.prepare()
    folder = layout.make_attempt(run_id, 1)
    (folder / "count").write_text("many")
    (folder / "label").write_text("right")
    task = _described(count="integer", label="string")
    collected = await collect(layout, run_id, task)
    assert [problem.path for problem in collected.problems] == ["count"]
    assert collected.index == {}
    assert not layout.manifest(run_id, 1).exists()
    (folder / "count").write_text("5")
    collected = await collect(layout, run_id, task)
    assert list(collected.index) == ["count", "label"]
    outputs = outputs_in(layout, limits())
    assert await outputs.value(run_id, 1, "label") == StringValue("right")


def _nest(folder: Path, name: str, *, total_bytes: int) -> None:
    """Make folders in folders until their path is so long."""
    inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(total_bytes // (len(name) + 1)):
        os.mkdir(name, dir_fd=inner)
        outer, inner = inner, os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
