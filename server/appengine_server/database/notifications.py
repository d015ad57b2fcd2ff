"""Wake-ups from the database: LISTEN on a connection of its own, for as long as the server runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import asyncpg
import structlog

from appengine_server.database.pool import ConnectTo, DatabaseUnusable, connect
from appengine_server.errors import Unavailable

log = structlog.get_logger(__name__)

SILENCE_SECONDS: Final = 15.0
"""After so long without a sign the connection is tried, as a lost network tells nobody."""

ANSWER_SECONDS: Final = 5.0
"""For the answer to that trial, and for each LISTEN."""

_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 5.0
_STEADY_SECONDS = 1.0
"""A connection that lasted so long was a good one: the next loss is not one more failure."""

_LOST = (Unavailable, DatabaseUnusable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


class Listener:
    """Calls back for each notification, and after each time that some may have been missed.

    Both callbacks are called in the event loop and must return at once: set an event, and read
    the state in a task of your own. Notifications are only wake-ups, so read the state slowly as
    well. `on_connected` comes when LISTEN is in effect: what is committed later is not missed.
    """

    def __init__(
        self,
        connect_to: ConnectTo,
        channels: Sequence[str],
        *,
        on_notification: Callable[[str, str], None],
        on_connected: Callable[[], None],
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._connect_to = connect_to
        self._channels = tuple(channels)
        self._on_notification = on_notification
        self._on_connected = on_connected
        self._silence_seconds = silence_seconds

    async def run_forever(self) -> None:
        """Listen, and connect again with growing delays whenever the connection is lost."""
        delay_seconds = _FIRST_DELAY_SECONDS
        while True:
            loop = asyncio.get_running_loop()
            began = loop.time()
            try:
                await self._listen_until_lost()
            except _LOST as error:
                log.warning("listener.lost", error=str(error) or type(error).__name__)
            if loop.time() - began > _STEADY_SECONDS:
                delay_seconds = _FIRST_DELAY_SECONDS
            jittered = random.uniform(delay_seconds / 2, delay_seconds)  # noqa: S311 - only jitter
            await asyncio.sleep(jittered)
            delay_seconds = min(2 * delay_seconds, _LONGEST_DELAY_SECONDS)

    async def _listen_until_lost(self) -> None:
        connection = await connect(self._connect_to)
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _: lost.set())
            async with asyncio.timeout(ANSWER_SECONDS):
                for channel in self._channels:
                    await connection.add_listener(channel, self._notified)
            log.info("listener.connected", channels=self._channels)
            self._on_connected()
            while not await _set_within(lost, self._silence_seconds):
                await connection.execute("SELECT 1", timeout=ANSWER_SECONDS)
        finally:
            connection.terminate()  # nothing to say goodbye for, and the other end may be dead

    def _notified(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._on_notification(channel, str(payload))


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
