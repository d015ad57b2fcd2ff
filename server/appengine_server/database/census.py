"""Queries that count: what is there now, and what ended since the last look. For metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appengine_server.database.pool import Connection
from appengine_server.database.records import Json

_STATES = """
    SELECT state, count(*) AS runs FROM runs
     WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED') GROUP BY state"""

_WAITING = """
    SELECT COALESCE(pending_reasons -> 0 ->> 'kind', 'NONE') AS kind, count(*) AS runs,
           extract(epoch FROM now() - min(started_at))::float AS oldest_seconds
      FROM runs WHERE state = 'QUEUED' GROUP BY 1"""

_OVERDUE = """
    SELECT GREATEST(0, extract(epoch FROM now() - min(next_look_at)))::float FROM runs
     WHERE state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING')"""

_OUTBOX = """
    SELECT count(*) AS effects,
           COALESCE(extract(epoch FROM now() - min(created_at)), 0)::float AS oldest_seconds
      FROM outbox"""

# Back in the queue with a reason: an attempt failed, and another one follows.
_ENDED = """
    SELECT e.written_by::text AS written_by, e.position, e.state, e.reason, a.phases,
           extract(epoch FROM r.ended_at - r.started_at)::float AS seconds
      FROM run_events e JOIN runs r ON r.id = e.run_id
      LEFT JOIN attempts a ON a.run_id = e.run_id AND a.number = e.attempt
     WHERE (e.written_by, e.position) > ($1::text::xid8, $2)
       AND e.written_by < pg_snapshot_xmin(pg_current_snapshot())
       AND (e.state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
            OR e.state = 'QUEUED' AND e.attempt > 0 AND e.reason IS NOT NULL)
     ORDER BY e.written_by, e.position LIMIT $3"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is there now."""

    runs: Mapping[str, int]
    """By state; those that have not ended."""
    waiting: Mapping[str, int]
    """Runs in the queue by what they wait for."""
    oldest_waiting_seconds: float
    overdue_seconds: float
    """How long ago the run that waits longest for a look should have had it."""
    effects: int
    """In the outbox."""
    oldest_effect_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that ended, and its run with it unless `state` is QUEUED."""

    state: str
    reason: str | None
    phases: Sequence[Json]
    seconds: float | None
    """From the start of the run to its end."""
    place: tuple[str, int]
    """Among all events, as `runs.present_place` tells it."""


async def standing(connection: Connection) -> Standing:
    """Count what has not ended. Reads indexes of these alone, however many have ended."""
    states = await connection.fetch(_STATES)
    waiting = await connection.fetch(_WAITING)
    overdue = await connection.fetchval(_OVERDUE)
    outbox = await connection.fetchrow(_OUTBOX)
    assert outbox is not None
    return Standing(
        runs={row["state"]: row["runs"] for row in states},
        waiting={row["kind"]: row["runs"] for row in waiting},
        oldest_waiting_seconds=max((row["oldest_seconds"] or 0.0 for row in waiting), default=0.0),
        overdue_seconds=overdue or 0.0,
        effects=outbox["effects"],
        oldest_effect_seconds=outbox["oldest_seconds"],
    )


async def ended_since(
    connection: Connection, place: tuple[str, int], *, limit: int
) -> Sequence[Ended]:
    """What ended behind a place, in order; each once, also where its transaction was slow."""
    rows = await connection.fetch(_ENDED, *place, limit)
    return [
        Ended(
            state=row["state"], reason=row["reason"], phases=row["phases"] or (),
            seconds=row["seconds"], place=(row["written_by"], row["position"]),
        )
        for row in rows
    ]  # fmt: skip
