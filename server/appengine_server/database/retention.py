"""Queries that find what is kept no longer, and remove its rows, some at a time.

A batch is one short transaction on rows that nobody else works on; rows that somebody has locked
are left for the next time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from appengine_server.database.pool import Connection

_OLD = """
    SELECT id, task_id FROM runs
     WHERE ended_at IS NOT NULL AND ended_at < now() - $1::interval
       AND state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
     ORDER BY ended_at, id LIMIT $2"""

_TAKE_RUNS = f"""
    WITH old AS ({_OLD} FOR UPDATE SKIP LOCKED),
    released AS (
        UPDATE uploads SET held_bytes = 0
         WHERE run_id IN (SELECT id FROM old) AND held_bytes > 0)
    DELETE FROM runs r USING old WHERE r.id = old.id RETURNING r.id, r.task_id"""

_UNSWEPT = """
    SELECT id, attempt, outputs_attempt FROM runs
     WHERE ended_at IS NOT NULL AND attempts_swept_at IS NULL
       AND (outputs_attempt IS NULL OR attempt > 1) AND ended_at < now() - $1::interval
     ORDER BY ended_at, id LIMIT $2"""

_COUNT_RUNS = (
    "SELECT count(*) FROM runs WHERE ended_at IS NOT NULL AND ended_at < now() - $1::interval"
)

_COUNT_UNSWEPT = """
    SELECT coalesce(sum(attempt - CASE WHEN outputs_attempt IS NULL THEN 0 ELSE 1 END), 0)
      FROM runs
     WHERE ended_at IS NOT NULL AND attempts_swept_at IS NULL
       AND (outputs_attempt IS NULL OR attempt > 1) AND ended_at < now() - $1::interval"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneRun:
    """A run whose row is gone."""

    id: UUID
    task_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWithAttempts:
    """A run that ended, and which of its attempts are not its result."""

    id: UUID
    failed_attempts: tuple[int, ...]


async def take_ended_runs(
    connection: Connection, *, older_than: timedelta, limit: int
) -> list[GoneRun]:
    """Remove the rows of runs that ended so long ago, oldest first; their files must follow.

    What their uploads hold counts in the quotas no more.
    """
    rows = await connection.fetch(_TAKE_RUNS, older_than, limit)
    return [GoneRun(id=row["id"], task_id=row["task_id"]) for row in rows]


async def count_ended_runs(connection: Connection, *, older_than: timedelta) -> int:
    """How many `take_ended_runs` would remove."""
    return int(await connection.fetchval(_COUNT_RUNS, older_than))


async def ended_runs(connection: Connection, *, older_than: timedelta, limit: int) -> list[UUID]:
    """The first that `take_ended_runs` would remove."""
    return [row["id"] for row in await connection.fetch(_OLD, older_than, limit)]


async def unswept_attempts(
    connection: Connection, *, older_than: timedelta, limit: int
) -> list[RunWithAttempts]:
    """Runs that ended so long ago, and have files of attempts that are not their result."""
    rows = await connection.fetch(_UNSWEPT, older_than, limit)
    return [
        RunWithAttempts(
            id=row["id"],
            failed_attempts=tuple(
                number
                for number in range(1, row["attempt"] + 1)
                if number != row["outputs_attempt"]
            ),
        )
        for row in rows
    ]


async def count_unswept_attempts(connection: Connection, *, older_than: timedelta) -> int:
    """How many attempts there are like that."""
    return int(await connection.fetchval(_COUNT_UNSWEPT, older_than))


async def set_attempts_swept(connection: Connection, run_ids: list[UUID]) -> None:
    """Only the result and the logs of these runs have files from now on."""
    await connection.execute(
        "UPDATE runs SET attempts_swept_at = now() WHERE id = ANY($1)", run_ids
    )
