"""What is said while the scheduler is out of reach: in the log, and in the runs that wait."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import structlog

from appengine_server.database import runs
from appengine_server.database.pool import Database
from appengine_server.database.records import RunState
from appengine_server.database.runs import RunChange
from appengine_server.runs.state import pending_json
from appengine_server.scheduling.scheduler import PendingKind, PendingReason, SchedulerUnavailable

log = structlog.get_logger(__name__)

_SAY_EVERY_SECONDS = 30.0

_REASON = PendingReason(
    kind=PendingKind.SCHEDULER,
    message="The container engine or cluster that executes tasks cannot be reached. It is asked "
    "again until it answers; if that takes long, tell the administrator.",
)


class Absence:
    """One absence of the scheduler after the other: said at once, then seldom, and at its end."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._said_at = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the scheduler was out of reach when it was last asked."""
        return self._since is not None

    def noticed(self, error: SchedulerUnavailable) -> None:
        """It could not be reached."""
        now = monotonic()
        if self._since is None:
            self._since = now
        elif now - self._said_at < _SAY_EVERY_SECONDS:
            return
        self._said_at = now
        log.warning("scheduler.out_of_reach", error=str(error), seconds=round(now - self._since, 1))

    def over(self) -> None:
        """It has answered."""
        if self._since is not None:
            log.info("scheduler.back", seconds=round(monotonic() - self._since, 1))
            self._since = None


async def show_absence(database: Database, run_id: UUID) -> None:
    """Let a PENDING run say that it waits for the scheduler; the next observation takes it back."""
    async with database.connection() as connection:
        run = await runs.get(connection, run_id, None)
        if run is None or run.state is not RunState.PENDING:
            return
        if _REASON.kind.value in {old["kind"] for old in run.pending_reasons}:
            return
        reasons = [pending_json(_REASON, datetime.now(UTC))]
        change = RunChange(state=RunState.PENDING, pending_reasons=reasons)
        await runs.change(connection, run_id, change, came_from={RunState.PENDING})
