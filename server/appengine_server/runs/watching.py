"""Follows runs, tasks and logs: replays what happened after a place, then waits for more.

The database's order is the truth; bells only save the time until the next look.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from appengine_server.bell import Bells
from appengine_server.database import run_queries, runs, tasks
from appengine_server.database.pool import Database
from appengine_server.database.records import (
    EventRecord,
    RunRecord,
    RunState,
    TaskRecord,
    TaskState,
)
from appengine_server.database.run_queries import RunQuery
from appengine_server.errors import InvalidArgument, NotFound, PlaceOutOfRange
from appengine_server.identity import Principal
from appengine_server.runs.logs import Logs, log_bell
from appengine_server.runs.runs import Runs
from appengine_server.runs.state import TERMINAL
from appengine_server.scheduling.scheduler import AttemptRef
from appengine_server.tasks.tasks import Task, TaskName, Tasks

_SILENCE = timedelta(seconds=10)
"""A look at the database even if no bell rang: a notification can be lost."""

_SILENCE_ELSEWHERE = timedelta(seconds=1)
"""The same for a log that another server collects."""

_LOGGING = frozenset({RunState.RUNNING, RunState.FINALIZING, RunState.CANCELLING})

_EVENTS_AT_ONCE = 500

_TOKEN = re.compile(r"([0-9]{1,20})\.(-?[0-9]{1,19})")

ALL_RUNS = "runs"
"""Rings when any run has changed."""


@dataclass(frozen=True, slots=True)
class WatchedEvent:
    """One change, with the run as it is now if this is the newest."""

    event: EventRecord
    run: RunRecord | None


@dataclass(frozen=True, slots=True)
class WatchedRuns:
    """One change of many runs, or only how far the watcher is."""

    event: EventRecord | None
    resume_token: str


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A piece of a log and the position behind it."""

    data: bytes
    next_cursor: int
    attempt: int


class Watching:
    """Streams of what happens. Borrows everything that it is given."""

    def __init__(
        self, *, database: Database, bells: Bells, runs: Runs, tasks: Tasks, logs: Logs
    ) -> None:
        self._database = database
        self._bells = bells
        self._runs = runs
        self._tasks = tasks
        self._logs = logs

    async def run(
        self, principal: Principal, run_id: UUID, after_revision: int
    ) -> AsyncIterator[WatchedEvent]:
        """Every change of a run after a revision, until the one that ends it."""
        with self._bells.listening(run_id) as ringing:
            run = await self._runs.get(principal, run_id)
            if after_revision > run.revision:
                raise InvalidArgument(
                    f"The run has revision {run.revision}, so none after {after_revision}."
                )
            while True:
                async with self._database.connection() as connection:
                    events = await runs.events_of(
                        connection, run_id, after=after_revision, limit=_EVENTS_AT_ONCE
                    )
                if events:
                    run = await self._runs.get(principal, run_id)
                for event in events:
                    newest = event.revision == run.revision
                    yield WatchedEvent(event, run if newest else None)
                    after_revision = event.revision
                if run.state in TERMINAL and after_revision >= run.revision:
                    return
                if not events:
                    await ringing.wait(_SILENCE)
                    run = await self._runs.get(principal, run_id)

    async def many(self, query: RunQuery, resume_token: str) -> AsyncIterator[WatchedRuns]:
        """The changes of all runs that match, from a token on, for ever."""
        with self._bells.listening(ALL_RUNS) as ringing:
            place = await self._place(resume_token)
            yield WatchedRuns(None, _token(place))
            while True:
                async with self._database.connection() as connection:
                    found = await run_queries.events(
                        connection, query, after=place, limit=_EVENTS_AT_ONCE
                    )
                for one in found:
                    place = (one.written_by, one.position)
                    yield WatchedRuns(one.event, _token(place))
                if not found:
                    await ringing.wait(_SILENCE)

    async def task(
        self, principal: Principal, name: TaskName, after_revision: int
    ) -> AsyncIterator[Task]:
        """A task after each of its changes, until it is READY, FAILED or gone."""
        task = await self._tasks.get(principal, name)
        with self._bells.listening(task.record.id) as ringing:
            while True:
                record = await self._task_now(principal, task.record.id)
                if record is None:
                    return
                ended = record.state is not TaskState.PUBLISHING
                if record.revision > after_revision or ended:
                    after_revision = record.revision
                    yield Task(record, task.descriptor)
                if ended:
                    return
                await ringing.wait(_SILENCE)

    async def log(
        self, principal: Principal, run_id: UUID, attempt: int, cursor: int, *, follow: bool
    ) -> AsyncIterator[LogPiece]:
        """The log of an attempt (0: the newest) from a byte position."""
        run = await self._runs.get(principal, run_id)
        number = attempt or run.attempt
        if number > run.attempt or (attempt == 0 and run.attempt == 0 and not follow):
            if run.attempt == 0:
                raise NotFound("No attempt of the run has begun, so there is no log yet.")
            count = "1 attempt" if run.attempt == 1 else f"{run.attempt} attempts"
            raise NotFound(f"The run has {count}, so there is no log of attempt {number}.")
        if number == 0:
            number = await self._first_attempt(principal, run_id)
            if number == 0:
                return
        ref = AttemptRef(run_id, number)
        with self._bells.listening(log_bell(ref), run_id) as ringing:
            begun = False
            while True:
                run = await self._runs.get(principal, run_id)
                whole = _is_whole(run, ref)
                async for piece in self._available(ref, cursor):
                    begun = True
                    cursor = piece.next_cursor
                    yield piece
                if whole and not begun and cursor > await self._logs.size(ref):
                    raise PlaceOutOfRange(f"The log ends before position {cursor}.")
                if whole or not follow:
                    return
                grows_elsewhere = run.state in _LOGGING and not self._logs.is_collected_here(ref)
                await ringing.wait(_SILENCE_ELSEWHERE if grows_elsewhere else _SILENCE)

    async def _available(self, ref: AttemptRef, cursor: int) -> AsyncIterator[LogPiece]:
        while data := await self._logs.read(ref, cursor):
            cursor += len(data)
            yield LogPiece(data, cursor, ref.number)

    async def _first_attempt(self, principal: Principal, run_id: UUID) -> int:
        """Wait for the first attempt; 0 if the run ends without one."""
        with self._bells.listening(run_id) as ringing:
            while True:
                run = await self._runs.get(principal, run_id)
                if run.attempt or run.state in TERMINAL:
                    return run.attempt
                await ringing.wait(_SILENCE)

    async def _task_now(self, principal: Principal, task_id: UUID) -> TaskRecord | None:
        async with self._database.connection() as connection:
            return await tasks.get(connection, task_id, principal.readable_projects)

    async def _place(self, resume_token: str) -> tuple[str, int]:
        if not resume_token:
            async with self._database.connection() as connection:
                return await runs.present_place(connection)
        found = _TOKEN.fullmatch(resume_token)
        if found is None or int(found[1]) >= 2**64 or abs(int(found[2])) >= 2**63:
            raise InvalidArgument("This resume_token was not made by WatchRuns.")
        return found[1], int(found[2])


def _is_whole(run: RunRecord, ref: AttemptRef) -> bool:
    """Whether nothing more of a log can come: the run has ended, or a newer attempt has begun."""
    return run.state in TERMINAL or run.attempt > ref.number


def _token(place: tuple[str, int]) -> str:
    return f"{place[0]}.{place[1]}"
