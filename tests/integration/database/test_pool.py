from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from appengine_server.database import pool as pool_module
from appengine_server.database.pool import (
    Connection,
    ConnectTo,
    Database,
    DatabaseUnusable,
    open_database,
)
from appengine_server.errors import Unavailable

SECOND = timedelta(seconds=1)


@pytest.fixture
async def counter(database: Database) -> Database:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE counter (id int PRIMARY KEY, value int NOT NULL)")
        await connection.execute("INSERT INTO counter VALUES (1, 0), (2, 0)")
    return database


async def values(database: Database) -> list[int]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT value FROM counter ORDER BY id")
        return [row["value"] for row in rows]


@pytest.mark.parametrize("value", [{"a": [1, None, "ü"]}, [], "text", 3, None, True])
async def test_jsonb_takes_and_gives_python_values(database: Database, value: Any) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT $1::jsonb", value) == value


async def test_a_transaction_commits_at_its_end(counter: Database) -> None:
    async with counter.transaction() as connection:
        await connection.execute("UPDATE counter SET value = 5")
    assert await values(counter) == [5, 5]


async def test_a_failing_transaction_leaves_nothing(counter: Database) -> None:
    async def work() -> None:
        async with counter.transaction() as connection:
            await connection.execute("UPDATE counter SET value = 5")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await work()
    assert await values(counter) == [0, 0]


async def test_errors_that_are_not_about_reach_pass_as_they_are(counter: Database) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        async with counter.connection() as connection:
            await connection.execute("INSERT INTO counter VALUES (1, 1)")
    with pytest.raises(FileNotFoundError):
        async with counter.connection():
            Path("/does/not/exist").read_bytes()
    with pytest.raises(asyncpg.DataError):
        async with counter.connection() as connection:
            await connection.fetchval("SELECT $1::int", "closed text")


async def test_the_return_of_a_connection_asks_the_database_nothing(
    database: Database, connect_to: ConnectTo
) -> None:
    async with database.connection() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    async with (
        open_database(connect_to, min_size=1, max_size=1, command_timeout=SECOND) as other,
        other.connection() as connection,
    ):
        last = await connection.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
    assert last == "SELECT pg_backend_pid()"


async def test_of_a_deadlock_one_goes_on_and_the_other_is_unavailable(counter: Database) -> None:
    both_hold_one = asyncio.Barrier(2)

    async def add(first: int, second: int) -> None:
        async with counter.transaction() as connection:
            await connection.execute("SET LOCAL deadlock_timeout = '20ms'")
            await connection.execute("UPDATE counter SET value = value + 1 WHERE id = $1", first)
            await both_hold_one.wait()
            await connection.execute("UPDATE counter SET value = value + 1 WHERE id = $1", second)

    ended = await asyncio.gather(add(1, 2), add(2, 1), return_exceptions=True)
    [lost] = [error for error in ended if error is not None]
    assert isinstance(lost, Unavailable)
    assert "same things at once" in str(lost)
    assert await values(counter) == [1, 1]


async def test_a_slow_statement_is_unavailable_and_the_pool_goes_on(
    connect_to: ConnectTo,
) -> None:
    async with open_database(
        connect_to, min_size=1, max_size=1, command_timeout=timedelta(seconds=0.1)
    ) as database:
        with pytest.raises(Unavailable, match="did not answer in time"):
            async with database.connection() as connection:
                await connection.execute("SELECT pg_sleep(5)")
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_who_is_silent_within_a_transaction_loses_it_with_its_locks(
    connect_to: ConnectTo, counter: Database
) -> None:
    async def be_silent(silent: Database) -> None:
        async with silent.transaction() as connection:
            await connection.execute("UPDATE counter SET value = 7")
            async with counter.transaction() as other:  # waits for the lock, and gets it
                await other.execute("UPDATE counter SET value = value + 1")
            await connection.execute("UPDATE counter SET value = 8")

    async with open_database(
        connect_to, min_size=1, max_size=1, command_timeout=SECOND,
        silence_limit=timedelta(seconds=0.1),
    ) as silent:  # fmt: skip
        with pytest.raises(Unavailable):
            await be_silent(silent)
        assert await values(counter) == [1, 1]
        async with silent.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_full_disk_of_the_database_is_unavailable_and_said_so(database: Database) -> None:
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    with pytest.raises(Unavailable, match="disk of the database is full"):
        async with database.transaction() as connection:
            await connection.execute(full)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_an_exhausted_pool_is_unavailable(
    connect_to: ConnectTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "ACQUIRE_TIMEOUT", timedelta(seconds=0.05))
    async with AsyncExitStack() as stack:
        opening = open_database(connect_to, min_size=1, max_size=1, command_timeout=SECOND)
        database = await stack.enter_async_context(opening)
        await stack.enter_async_context(database.connection())
        with pytest.raises(Unavailable, match="came free"):
            await stack.enter_async_context(database.connection())


async def end_session(database: Database, connection: Connection) -> int:
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    async with database.connection() as killer:
        await killer.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    return pid


@pytest.mark.parametrize("shape", ["connection", "transaction"])
async def test_a_session_ended_by_the_database_is_unavailable_then_replaced(
    database: Database, connect_to: ConnectTo, shape: str
) -> None:
    async with open_database(connect_to, min_size=1, max_size=1, command_timeout=SECOND) as other:
        ended = 0

        async def work() -> None:
            nonlocal ended
            async with getattr(other, shape)() as connection:
                ended = await end_session(database, connection)
                await connection.fetchval("SELECT 1")

        with pytest.raises(Unavailable):
            await work()
        async with other.connection() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") != ended


async def test_a_session_ended_while_a_block_does_something_else_is_unavailable(
    database: Database, connect_to: ConnectTo
) -> None:
    async def work(other: Database) -> None:
        async with other.transaction() as connection:
            await end_session(database, connection)
            with suppress(asyncpg.InterfaceError):  # which it raises once it has left the pool
                while not connection.is_closed():
                    await asyncio.sleep(0.01)
            await connection.fetchval("SELECT 1")

    async with open_database(connect_to, min_size=1, max_size=1, command_timeout=SECOND) as other:
        with pytest.raises(Unavailable):
            await work(other)


async def test_a_database_out_of_reach_is_said_so_without_the_password(tmp_path: Path) -> None:
    nowhere = ConnectTo(host=str(tmp_path), database="d", user="u", password="hidden")
    with pytest.raises(Unavailable, match="is out of reach") as refusal:
        async with open_database(nowhere, min_size=1, max_size=1, command_timeout=SECOND):
            pass
    assert "hidden" not in str(refusal.value) + repr(nowhere)


async def test_a_database_that_is_not_there_is_unusable(connect_to: ConnectTo) -> None:
    missing = replace(connect_to, database="missing")
    with pytest.raises(DatabaseUnusable, match='database "missing" does not exist'):
        async with open_database(missing, min_size=1, max_size=1, command_timeout=SECOND):
            pass
