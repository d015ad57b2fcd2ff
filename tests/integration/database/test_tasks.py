"""Rows of tasks: what an upload found is kept with its task, and an identity is taken once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from appengine_contract.descriptor import read_descriptor
from appengine_server.database import tasks
from appengine_server.database.pool import Connection, Database
from appengine_server.database.tasks import ImageUse
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


async def going(connection: Connection, version: str, *, ready: bool = True) -> UUID:
    """A task that goes, with the image that all of them have."""
    new = replace(NEW, id=uuid4(), version=version)
    await tasks.insert(connection, new)
    if ready:
        claimed = await tasks.claim_publishing(
            connection, owner=uuid4(), lease=timedelta(seconds=9)
        )
        assert claimed is not None
        assert await tasks.set_ready(connection, new.id, fence=claimed.fence, image="i", user=None)
        await tasks.set_deleting(connection, new.id)
    return new.id


async def test_of_tasks_that_go_at_once_the_last_takes_the_image_along(database: Database) -> None:
    async with database.transaction() as connection:
        ids = [await going(connection, f"1.0.{number}") for number in range(8)]

    async def leave(task_id: UUID) -> ImageUse:
        async with database.transaction() as connection:
            return await tasks.leave_image(connection, task_id, "i")

    uses = await asyncio.gather(*map(leave, ids))
    assert sorted(uses) == [ImageUse.ALONE, *[ImageUse.SHARED] * 7]
    async with database.connection() as connection:
        assert await tasks.existing(connection, ids) == {ids[uses.index(ImageUse.ALONE)]}


async def test_an_image_stays_while_another_is_published_that_may_be_the_same(
    database: Database,
) -> None:
    async with database.transaction() as connection:
        first = await going(connection, "1.0.0")
        second = await going(connection, "2.0.0", ready=False)
        assert await tasks.leave_image(connection, first, "i") is ImageUse.UNKNOWN
        await tasks.set_deleting(connection, second)
        assert await tasks.leave_image(connection, first, "i") is ImageUse.ALONE


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
