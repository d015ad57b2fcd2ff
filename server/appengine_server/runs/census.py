"""Counts runs for the metrics: what stands in the database is the one record that all read.

Counting where states change would forget the places that are added later, and what other servers
did. So every server counts all runs of the database, each end once, from its own start on.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from appengine_server.database import census, runs
from appengine_server.database.census import Ended
from appengine_server.database.pool import Database
from appengine_server.errors import Unavailable
from appengine_server.metrics import RunMetrics

log = structlog.get_logger(__name__)

_AT_ONCE = 1000


class Census:
    """Counts from time to time. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        metrics: RunMetrics,
        interval: timedelta = timedelta(seconds=10),
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._interval = interval
        self._place: tuple[str, int] | None = None

    async def count_forever(self) -> None:
        """Count at the start and then at intervals; a job."""
        while True:
            try:
                await self.count()
            except Unavailable as error:
                log.warning("census.postponed", error=str(error))
            await asyncio.sleep(self._interval.total_seconds())

    async def count(self) -> None:
        """Count once."""
        async with self._database.connection() as connection:
            if self._place is None:
                self._place = await runs.present_place(connection)
            while found := await census.ended_since(connection, self._place, limit=_AT_ONCE):
                for ended in found:
                    self._note(ended)
                self._place = found[-1].place
            now = await census.standing(connection)
        self._metrics.stand(
            runs=now.runs, waiting=now.waiting, oldest_waiting_seconds=now.oldest_waiting_seconds,
            overdue_seconds=now.overdue_seconds, effects=now.effects,
            oldest_effect_seconds=now.oldest_effect_seconds,
        )  # fmt: skip

    def _note(self, ended: Ended) -> None:
        for phase in ended.phases:
            if phase["end"] is not None:
                length = datetime.fromisoformat(phase["end"]) - datetime.fromisoformat(
                    phase["start"]
                )
                self._metrics.phase_ended(phase["name"], length.total_seconds())
        if ended.state == "QUEUED":
            self._metrics.attempt_failed(ended.reason or "")
        else:
            self._metrics.run_ended(ended.state, ended.reason or "", ended.seconds)
