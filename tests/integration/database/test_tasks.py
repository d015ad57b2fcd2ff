"""Rows of tasks: what an upload found is kept with its task, and an identity is taken once."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from appengine_contract.descriptor import read_descriptor
from appengine_server.database import tasks
from appengine_server.database.pool import Database
from appengine_server.problems_json import problem_json
from appengine_server.rpc import build
from appengine_server.tasks.tasks import Task

from tests.container.bundles import dump, make_descriptor

NEW = tasks.NewTask(
    id=uuid4(), project="p", owner="anna", namespace="org.example.task", version="1.0.0",
    request_id=None, request_hash=None, upload_id=None, image_entry="image.tar",
    image_reference=None, cpus=1, ram_bytes=1, gpus=0, has_logo=False, warnings=(), total_bytes=1,
)  # fmt: skip


@pytest.mark.rule("dependency.exposed", "report.warnings-kept")
async def test_whoever_asks_for_a_task_is_told_its_warnings_and_dependencies(
    database: Database,
) -> None:
    array = {"type": {"id": "array", "subtype": {"id": "file"}}}
    dependencies = {"derived_from": "inputs/a", "matching": ["inputs/a"]}
    outputs = {"b": {**array, "dependencies": dependencies}}
    source = make_descriptor(inputs={"a": array}, outputs=outputs)
    checked = read_descriptor(dump({**source, "odd": 1}))
    assert checked.descriptor is not None
    assert [warning.path for warning in checked.warnings] == ["odd"]
    new = replace(NEW, id=uuid4(), warnings=[problem_json(one) for one in checked.warnings])
    async with database.transaction() as connection:
        await tasks.insert(connection, new)
        found = await tasks.get(connection, new.id, None)
    assert found is not None
    told = build.task(Task(found, checked.descriptor))
    assert [(one.path, one.reason) for one in told.warnings] == [("odd", "UNKNOWN_KEY")]
    assert told.outputs[0].derived_from == "inputs/a"
    assert list(told.outputs[0].matching) == ["inputs/a"]


@pytest.mark.rule("bundle.identity-once")
async def test_an_identity_is_taken_once_and_compared_exactly(database: Database) -> None:
    async with database.transaction() as connection:
        assert await tasks.insert(connection, NEW)
        for other in (
            replace(NEW, namespace="org.example.Task"),
            replace(NEW, version="1.0.0+build"),
            replace(NEW, project="q"),
        ):
            assert await tasks.insert(connection, replace(other, id=uuid4()))
        assert await tasks.insert(connection, replace(NEW, id=uuid4())) is None
