from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from appengine_server.database.notifications import Listener
from appengine_server.database.pool import ConnectTo, Database


class Heard:
    def __init__(self) -> None:
        self.notifications: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.connected: asyncio.Queue[None] = asyncio.Queue()

    def on_notification(self, channel: str, payload: str) -> None:
        self.notifications.put_nowait((channel, payload))

    def on_connected(self) -> None:
        self.connected.put_nowait(None)


@asynccontextmanager
async def listening(connect_to: ConnectTo, *, silence_seconds: float = 15) -> AsyncIterator[Heard]:
    heard = Heard()
    listener = Listener(
        connect_to,
        ["runs", "tasks"],
        on_notification=heard.on_notification,
        on_connected=heard.on_connected,
        silence_seconds=silence_seconds,
    )
    task = asyncio.create_task(listener.run_forever())
    try:
        await heard.connected.get()
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def notify(database: Database, channel: str, payload: str) -> None:
    async with database.connection() as connection:
        await connection.execute("SELECT pg_notify($1, $2)", channel, payload)


async def end_listening_sessions(database: Database) -> int:
    async with database.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return count


async def test_notifications_of_its_channels_come_in_order(
    database: Database, connect_to: ConnectTo
) -> None:
    async with listening(connect_to) as heard:
        await notify(database, "runs", "a")
        await notify(database, "others", "not heard")
        await notify(database, "tasks", "b")
        assert await heard.notifications.get() == ("runs", "a")
        assert await heard.notifications.get() == ("tasks", "b")


async def test_it_connects_again_and_says_so(database: Database, connect_to: ConnectTo) -> None:
    async with listening(connect_to) as heard:
        for round_number in range(3):
            assert await end_listening_sessions(database) == 1
            await heard.connected.get()
            await notify(database, "runs", str(round_number))
            assert await heard.notifications.get() == ("runs", str(round_number))


async def test_a_silent_connection_is_tried(database: Database, connect_to: ConnectTo) -> None:
    async with listening(connect_to, silence_seconds=0.02) as heard:
        for _ in range(500):
            async with database.connection() as connection:
                tried = await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1'"
                    " AND datname = current_database()"
                )
            if tried:
                break
            await asyncio.sleep(0.01)
        assert tried == 1
        assert heard.connected.empty()


async def test_it_waits_for_a_database_that_is_away() -> None:
    nowhere = ConnectTo(host="/does/not/exist", database="d", user="u")
    heard = Heard()
    listener = Listener(
        nowhere, ["runs"], on_notification=heard.on_notification, on_connected=heard.on_connected
    )
    task = asyncio.create_task(listener.run_forever())
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert heard.connected.empty()
