"""Rows of images that were made for tasks: which may go, and who may still come to need one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from appengine_server.database import migrate as migrations
from appengine_server.database import task_images
from appengine_server.database.pool import ConnectTo, Database, connect
from appengine_server.database.task_images import TaskImage

OLD = timedelta(seconds=-1)
"""An age that everything has."""

DIGEST = f"sha256:{'a' * 64}"
PINNED = f"lab/org/x_y@{DIGEST}"

_INSERT = (
    "INSERT INTO tasks (id, project, owner, namespace, version, state, image, cpus, ram_bytes,"
    " gpus, has_logo)"
    " VALUES ($1, 'lab', 'anna', 'org.x', gen_random_uuid()::text, $2, $3, 1, 1, 0, false)"
)


async def make_task(database: Database, state: str, image: str | None = None) -> UUID:
    task_id = uuid4()
    async with database.connection() as connection:
        await connection.execute(_INSERT, task_id, state, image)
    return task_id


async def make_image(
    database: Database, task_id: UUID | None = None, pinned: str | None = PINNED
) -> TaskImage:
    task_id = task_id or uuid4()
    image = TaskImage(task_id=task_id, name=f"host/lab/org/x_y:task-{task_id}", pinned=pinned)
    async with database.connection() as connection:
        await task_images.note(connection, image)
    return image


async def orphans(database: Database, age: timedelta = OLD) -> list[TaskImage]:
    async with database.connection() as connection:
        return await task_images.orphaned(connection, older_than=age)


@pytest.mark.parametrize(
    ("state", "is_orphan"),
    [("PUBLISHING", False), ("READY", False), ("DELETING", False), ("FAILED", True)],
)
async def test_an_image_is_its_tasks_until_that_failed_or_is_gone(
    database: Database, state: str, is_orphan: bool
) -> None:
    image = await make_image(database, await make_task(database, state))
    assert (await orphans(database) == [image]) is is_orphan
    async with database.connection() as connection:
        await connection.execute("DELETE FROM tasks")
    assert await orphans(database) == [image]
    assert await orphans(database, timedelta(minutes=1)) == [], "a young one is left alone"


@pytest.mark.parametrize(
    ("image", "is_needed"),
    [
        (f"host/{PINNED}", True),
        (f"other.name:5000/with/path/{PINNED}", True),
        (f"host/lab/org/x_y@sha256:{'b' * 64}", False),
        (f"host/lab/org/xzy@{DIGEST}", False),
        (f"host/other-{PINNED}", False),
    ],
)
async def test_an_image_that_another_task_was_made_from_is_needed(
    database: Database, image: str, is_needed: bool
) -> None:
    made = await make_image(database)
    await make_task(database, "READY", image)
    assert (await orphans(database) == []) is is_needed
    async with database.transaction() as connection:
        assert await task_images.begin_removal(connection, made) is not is_needed


async def test_no_task_comes_to_need_an_image_that_goes(database: Database) -> None:
    """Whoever is first: the other one waits for the end of its transaction, and sees it."""
    made, needs = await make_image(database), f"nodes:5000/{PINNED}"

    async def comes_to_need() -> bool:
        async with database.transaction() as connection:
            if await task_images.is_going(connection, uuid4(), needs):
                return False
            await connection.execute(_INSERT, uuid4(), "READY", needs)
            return True

    async with database.transaction() as connection:
        assert await task_images.begin_removal(connection, made)
        coming = asyncio.create_task(comes_to_need())
        await waits_for_a_lock(database)
    assert not await coming

    async with database.connection() as connection:
        await connection.execute("UPDATE task_images SET removing = false")

    async def goes() -> bool:
        async with database.transaction() as connection:
            return await task_images.begin_removal(connection, made)

    async with database.transaction() as connection:
        assert not await task_images.is_going(connection, uuid4(), needs)
        await connection.execute(_INSERT, uuid4(), "READY", needs)
        going = asyncio.create_task(goes())
        await waits_for_a_lock(database)
    assert not await going


async def waits_for_a_lock(database: Database) -> None:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    async with database.connection() as connection, asyncio.timeout(10):
        while not await connection.fetchval(query):
            await asyncio.sleep(0.01)


async def test_one_of_two_servers_is_told_that_it_removed_an_image(database: Database) -> None:
    made = await make_image(database)

    async def forget() -> bool:
        async with database.connection() as connection:
            return await task_images.forget(connection, made)

    assert sorted(await asyncio.gather(forget(), forget())) == [False, True]


async def test_what_a_registry_does_not_remove_is_tried_after_the_others(
    database: Database,
) -> None:
    made = [await make_image(database, pinned=f"lab/x@sha256:{n:064}") for n in range(3)]
    in_engine = await make_image(database, pinned=None)
    async with database.connection() as connection:
        await task_images.set_refused(connection, made[0])
    assert await orphans(database) == [in_engine, made[1], made[2], made[0]]


async def test_images_of_the_first_release_go_with_the_last_of_their_tasks(
    empty_database: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They shared a name in the container engine, made of the image's id."""
    known = migrations.read_migrations(migrations.MIGRATIONS)
    before = [one for one in known if one.number < 8]
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "read_migrations", lambda _: before)
        await migrations.migrate(empty_database)
    connection = await connect(empty_database)
    try:
        image = f"sha256:{'c' * 64}"
        ids = [uuid4(), uuid4()]
        for task_id in ids:
            await connection.execute(_INSERT, task_id, "READY", image)
        await migrations.migrate(empty_database)
        assert await going(connection, ids[0]) is False
        await connection.execute("DELETE FROM tasks WHERE id = $1", ids[0])
        assert await going(connection, ids[1]) is True
        [made] = await task_images.of_task(connection, ids[1])
        assert made.name == f"localhost/appengine-task:{'c' * 64}"
    finally:
        await connection.close()


async def going(connection: asyncpg.Connection[asyncpg.Record], task_id: UUID) -> bool:
    [made] = await task_images.of_task(connection, task_id)
    async with connection.transaction():
        return await task_images.begin_removal(connection, made)


async def test_orphans_among_many_images_are_found_without_comparing_all_with_all(
    database: Database,
) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO tasks (id, project, owner, namespace, version, state, image, cpus,"
            " ram_bytes, gpus, has_logo) SELECT gen_random_uuid(), 'lab', 'anna', 'org.x', n::text,"
            " 'READY', 'host/lab/x@sha256:' || n, 1, 1, 0, false FROM generate_series(1, 3000) n"
        )
        await connection.execute(
            "INSERT INTO task_images (task_id, name, pinned)"
            " SELECT gen_random_uuid(), 'host/lab/x:task', 'lab/x@sha256:' || n"
            " FROM generate_series(1001, 3500) n"
        )
        await connection.execute("ANALYZE")
        rows = await connection.fetch(f"EXPLAIN {task_images._ORPHANED}", OLD)
        plan = "\n".join(row[0] for row in rows)
        assert "Nested Loop" not in plan, plan
        assert "SubPlan" not in plan, plan
    assert len(await orphans(database)) == 500
