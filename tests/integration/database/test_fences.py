"""A server that was overtaken writes nothing: each of its late writes names a fence that is old."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from appengine_server.database import attempts, runs
from appengine_server.database.pool import Connection, Database


@pytest.fixture
async def run_id(database: Database) -> UUID:
    """A run that is PENDING, with an attempt that nobody has submitted."""
    task_id, made = uuid4(), uuid4()
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO tasks (id, project, owner, namespace, version, state, cpus, ram_bytes,"
            " gpus, has_logo) VALUES ($1, 'lab', 'anna', 'org.x', '1', 'READY', 1, 1, 0, false)",
            task_id,
        )
        await connection.execute(
            "INSERT INTO runs (id, project, owner, task_id, state, attempt)"
            " VALUES ($1, 'lab', 'anna', $2, 'PENDING', 1)", made, task_id,
        )  # fmt: skip
        held = attempts.Held(cpus=1, ram_bytes=1, gpus=0, gpu_devices=())
        await attempts.insert(connection, made, 1, held=held, phases=[])
    return made


async def claim(connection: Connection, run_id: UUID) -> int:
    claimed = await runs.claim(
        connection, run_id, owner=UUID(int=1), lease=timedelta(seconds=1), look_again=timedelta(0)
    )
    assert claimed is not None
    return claimed.fence


async def test_phases_and_failures_of_an_old_fence_are_not_written(
    database: Database, run_id: UUID
) -> None:
    async with database.connection() as connection:
        old = await claim(connection, run_id)
        new = await claim(connection, run_id)
        await attempts.set_phases(connection, run_id, 1, [{"name": "new"}], fence=new)
        await attempts.set_phases(connection, run_id, 1, [{"name": "old"}], fence=old)
        assert not await attempts.set_failure(connection, run_id, 1, {"reason": "OLD"}, fence=old)
        assert await attempts.set_failure(connection, run_id, 1, {"reason": "NEW"}, fence=new)
        run = await runs.get(connection, run_id, None)
    assert run is not None
    assert [phase["name"] for phase in run.attempts[0].phases] == ["new"]
    assert run.attempts[0].failure == {"reason": "NEW"}


async def test_an_attempt_is_to_be_submitted_until_the_scheduler_has_it(
    database: Database, run_id: UUID
) -> None:
    async with database.connection() as connection:
        assert await attempts.is_to_be_submitted(connection, run_id, 1)
        assert not await attempts.is_to_be_submitted(connection, run_id, 2)
        assert await attempts.set_submitted(connection, run_id, 1)
        assert not await attempts.is_to_be_submitted(connection, run_id, 1)


async def test_a_run_whose_attempt_is_just_being_submitted_is_held_by_nobody(
    database: Database, run_id: UUID
) -> None:
    hour, owner = timedelta(hours=1), UUID(int=1)

    async def take(connection: Connection, look_again: timedelta) -> bool:
        taken = await runs.claim(connection, run_id, owner=owner, lease=hour, look_again=look_again)
        return taken is not None

    async def due(connection: Connection, look_again: timedelta) -> list[UUID]:
        return await runs.due(connection, owner=owner, look_again=look_again, limit=10)

    async with database.connection() as connection:
        await connection.execute("UPDATE runs SET next_look_at = now()")
        assert await due(connection, hour) == []
        assert not await take(connection, hour)
        assert await due(connection, timedelta(0)) == [run_id]
        await attempts.set_submitted(connection, run_id, 1)
        assert await due(connection, hour) == [run_id]
        assert await take(connection, hour)


@pytest.mark.parametrize("state", ["CANCELLING", "SUCCEEDED", "QUEUED"])
async def test_an_attempt_that_is_over_is_not_to_be_submitted(
    database: Database, run_id: UUID, state: str
) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE runs SET state = $2 WHERE id = $1", run_id, state)
        assert not await attempts.is_to_be_submitted(connection, run_id, 1)
