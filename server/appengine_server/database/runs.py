"""Queries on runs and their history.

Every change of a run is one statement that checks the state it comes from, counts the revision up,
writes the history and wakes the watchers: nothing can change a run and forget one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from appengine_server.database.pool import Connection, Record
from appengine_server.database.records import (
    AttemptRecord,
    ClaimedRun,
    EventRecord,
    Json,
    RunRecord,
    RunState,
)

CHANNEL = "appengine_runs"
"""Notified with a run's id and state after each of its changes."""

RUN = """
    r.id, r.project, r.owner, r.task_id, t.namespace AS task_namespace, t.version AS task_version,
    r.state, r.retry_of, r.labels, r.missing_inputs, r.outputs_attempt, r.pending_reasons,
    r.failure, r.warnings, r.attempt, r.not_before, r.revision, r.state_since, r.created_at,
    r.updated_at, r.started_at, r.ended_at,
    CASE WHEN r.attempt = 0 THEN NULL ELSE
        (SELECT jsonb_agg(to_jsonb(a) - 'run_id' ORDER BY a.number)
           FROM attempts a WHERE a.run_id = r.id) END AS attempts"""

_INSERT = f"""
    WITH r AS (
        INSERT INTO runs (id, project, owner, task_id, state, request_id, request_hash, retry_of,
                          labels, inputs, missing_inputs, pending_reasons, warnings, started_at,
                          next_look_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                CASE WHEN $5 = 'QUEUED' THEN now() END, CASE WHEN $5 = 'QUEUED' THEN now() END)
        ON CONFLICT (project, owner, request_id) DO NOTHING
        RETURNING *),
    event AS (
        INSERT INTO run_events (run_id, project, revision, state, attempt, pending_reasons)
        SELECT id, project, revision, state, attempt, pending_reasons FROM r),
    woken AS (SELECT pg_notify('{CHANNEL}', id::text || ' ' || state) FROM r)
    SELECT {RUN}, (SELECT count(*) FROM woken) AS woken FROM r JOIN tasks t ON t.id = r.task_id"""

GET = f"""
    SELECT {RUN} FROM runs r JOIN tasks t ON t.id = r.task_id
     WHERE r.id = $1 AND ($2::text[] IS NULL OR r.project = ANY($2))"""

_BY_REQUEST = f"""
    SELECT {RUN}, r.request_hash FROM runs r JOIN tasks t ON t.id = r.task_id
     WHERE r.project = $1 AND r.owner = $2 AND r.request_id = $3"""

_WARN = "UPDATE runs SET warnings = warnings || $2 WHERE id = $1 AND NOT warnings @> $2"

# NB: the time of the statement, for the transaction may have waited for a lock before it: what
# came first has the earlier time.
_CHANGE = f"""
    WITH r AS (
        UPDATE runs SET
            state = $3,
            revision = revision + 1,
            updated_at = statement_timestamp(),
            state_since = CASE WHEN state = $3 THEN state_since ELSE statement_timestamp() END,
            pending_reasons = $5,
            failure = COALESCE($6, failure),
            warnings = COALESCE($7, warnings),
            outputs = COALESCE($8, outputs),
            outputs_attempt = COALESCE($9, outputs_attempt),
            attempt = COALESCE($10, attempt),
            not_before = $11,
            started_at = CASE WHEN $3 = 'QUEUED' THEN COALESCE(started_at, statement_timestamp())
                              ELSE started_at END,
            ended_at = CASE WHEN $3 IN ('SUCCEEDED', 'FAILED', 'CANCELLED')
                            THEN statement_timestamp() END,
            next_look_at = CASE WHEN $3 IN ('SUCCEEDED', 'FAILED', 'CANCELLED') THEN NULL
                                ELSE COALESCE($11, statement_timestamp()) END
         WHERE id = $1 AND state = ANY($2) AND ($4::bigint IS NULL OR fence = $4)
        RETURNING *),
    event AS (
        INSERT INTO run_events (run_id, project, revision, state, attempt, reason, message,
                                pending_reasons)
        SELECT id, project, revision, state, attempt, $12, $13, pending_reasons FROM r),
    woken AS (SELECT pg_notify('{CHANNEL}', id::text || ' ' || state) FROM r)
    SELECT {RUN}, (SELECT count(*) FROM woken) AS woken FROM r JOIN tasks t ON t.id = r.task_id"""

_PROVISION = f"""
    WITH r AS (
        UPDATE runs SET
            inputs = $2, missing_inputs = $3, warnings = $5, updated_at = now(),
            revision = revision + 1,
            state = CASE WHEN $3 = '[]'::jsonb THEN 'PROVISIONED' ELSE 'CREATED' END
         WHERE id = $1 AND state IN ('CREATED', 'PROVISIONED')
        RETURNING *),
    event AS (
        INSERT INTO run_events (run_id, project, revision, state, attempt, message)
        SELECT id, project, revision, state, attempt, $4 FROM r),
    woken AS (SELECT pg_notify('{CHANNEL}', id::text || ' ' || state) FROM r)
    SELECT {RUN}, (SELECT count(*) FROM woken) AS woken FROM r JOIN tasks t ON t.id = r.task_id"""

# Nothing can be seen of an attempt that is just being submitted. Who looked all the same would hold
# the run while another server has submitted it and knows more.
_IS_TO_BE_SEEN = """
    NOT (state = 'PENDING' AND state_since > now() - {within}::interval AND EXISTS (
            SELECT FROM attempts a
             WHERE a.run_id = runs.id AND a.number = runs.attempt AND a.submitted_at IS NULL))"""

_CLAIM = f"""
    WITH r AS (
        UPDATE runs SET fence = fence + 1, lease_owner = $2, lease_expires_at = now() + $3,
                        next_look_at = now() + $4
         WHERE id = $1 AND state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING')
           AND (lease_owner = $2 OR lease_expires_at IS NULL OR lease_expires_at < now())
           AND {_IS_TO_BE_SEEN.format(within="$4")}
        RETURNING *)
    SELECT {RUN}, r.fence, r.inputs FROM r JOIN tasks t ON t.id = r.task_id"""

_DUE = f"""
    SELECT id FROM runs
     WHERE state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING') AND next_look_at <= now()
       AND (lease_owner = $1 OR lease_expires_at IS NULL OR lease_expires_at < now())
       AND {_IS_TO_BE_SEEN.format(within="$3")}
     ORDER BY next_look_at LIMIT $2"""

_EXTEND = """
    UPDATE runs SET lease_expires_at = now() + $3 WHERE lease_owner = $1 AND id = ANY($2)"""

_RELEASE_ALL = "UPDATE runs SET lease_expires_at = NULL WHERE lease_owner = $1"

# Fair over projects: a project's next run comes after as many of the others as it already has.
_WAITING = f"""
    WITH busy AS (
        SELECT r.project, count(*) AS runs FROM attempts a JOIN runs r ON r.id = a.run_id
         WHERE a.released_at IS NULL GROUP BY r.project),
    queue AS (
        SELECT q.id, COALESCE(busy.runs, 0)
                   + row_number() OVER (PARTITION BY q.project ORDER BY q.started_at, q.id) AS turn
          FROM runs q JOIN tasks ON tasks.id = q.task_id LEFT JOIN busy ON busy.project = q.project
         WHERE q.state = 'QUEUED' AND (q.not_before IS NULL OR q.not_before <= now())
           AND tasks.state <> 'PUBLISHING' AND tasks.state <> 'FAILED')
    SELECT {RUN}, t.cpus, t.ram_bytes, t.gpus
      FROM queue JOIN runs r USING (id) JOIN tasks t ON t.id = r.task_id
     ORDER BY queue.turn, r.started_at, r.id LIMIT $1"""

_UNPUBLISHED = f"""
    SELECT {RUN}, t.failure AS task_failure
      FROM runs r JOIN tasks t ON t.id = r.task_id
     WHERE r.state = 'QUEUED' AND t.state = 'FAILED' LIMIT 100"""

_EVENTS = """
    SELECT run_id, revision, state, attempt, reason, message, pending_reasons, at
      FROM run_events WHERE run_id = $1 AND revision > $2 ORDER BY revision LIMIT $3"""

_NOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"

_ACTIVE = "('QUEUED', 'PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING')"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What a run begins with."""

    id: UUID
    project: str
    owner: str
    task_id: UUID
    state: RunState
    request_id: UUID | None
    request_hash: bytes | None
    retry_of: UUID | None
    labels: Mapping[str, str]
    inputs: Json
    missing_inputs: Sequence[str]
    warnings: Sequence[Json]
    """Of the inputs."""
    pending_reasons: Sequence[Json] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChange:
    """What becomes of a run. None leaves a column as it is."""

    state: RunState
    pending_reasons: Sequence[Json] = ()
    failure: Json | None = None
    warnings: Sequence[Json] | None = None
    outputs: Json | None = None
    outputs_attempt: int | None = None
    attempt: int | None = None
    not_before: datetime | None = None
    """Nothing is tried before this time."""
    reason: str | None = None
    """For the history."""
    message: str | None = None
    """For the history."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRun:
    """A run in the queue with what admission needs to know."""

    run: RunRecord
    cpus: int
    ram_bytes: int
    gpus: int


async def insert(connection: Connection, new: NewRun) -> RunRecord | None:
    """Insert a run; None if its request id was used before."""
    row = await connection.fetchrow(
        _INSERT, new.id, new.project, new.owner, new.task_id, new.state, new.request_id,
        new.request_hash, new.retry_of, dict(new.labels), new.inputs, list(new.missing_inputs),
        list(new.pending_reasons), list(new.warnings),
    )  # fmt: skip
    return run_of(row) if row else None


async def by_request(
    connection: Connection, project: str, owner: str, request_id: UUID
) -> tuple[RunRecord, bytes | None] | None:
    """The run that a request id made, with the hash of that request."""
    row = await connection.fetchrow(_BY_REQUEST, project, owner, request_id)
    return (run_of(row), row["request_hash"]) if row else None


async def get(
    connection: Connection, run_id: UUID, projects: Sequence[str] | None
) -> RunRecord | None:
    """One run of these projects; None for `projects` means any."""
    row = await connection.fetchrow(GET, run_id, projects)
    return run_of(row) if row else None


async def lock(connection: Connection, run_id: UUID) -> RunState | None:
    """Hold the run's row until the transaction ends; answers its state."""
    state = await connection.fetchval("SELECT state FROM runs WHERE id = $1 FOR UPDATE", run_id)
    return RunState(state) if state else None


async def inputs_of(connection: Connection, run_id: UUID) -> Json | None:
    """The values of a run's inputs, as `runs.inputs` writes them; None if there is no such run."""
    inputs: Json | None = await connection.fetchval("SELECT inputs FROM runs WHERE id = $1", run_id)
    return inputs


async def outputs_of(connection: Connection, run_id: UUID) -> Json | None:
    """The values of a run's outputs; None unless it SUCCEEDED."""
    outputs: Json | None = await connection.fetchval(
        "SELECT outputs FROM runs WHERE id = $1", run_id
    )
    return outputs


async def warn(connection: Connection, run_id: UUID, warning: Json) -> None:
    """Give the run a warning, once; whoever watches sees it with the next change of state."""
    await connection.execute(_WARN, run_id, [warning])


async def change(
    connection: Connection,
    run_id: UUID,
    change: RunChange,
    *,
    came_from: Collection[RunState],
    fence: int | None = None,
) -> RunRecord | None:
    """Change a run that is in one of these states; None if it is not, or the fence is old."""
    row = await connection.fetchrow(
        _CHANGE, run_id, list(came_from), change.state, fence, list(change.pending_reasons),
        change.failure, change.warnings, change.outputs, change.outputs_attempt, change.attempt,
        change.not_before, change.reason, change.message,
    )  # fmt: skip
    return run_of(row) if row else None


async def provision(
    connection: Connection,
    run_id: UUID,
    *,
    inputs: Json,
    missing_inputs: Sequence[str],
    warnings: Sequence[Json],
    message: str,
) -> RunRecord | None:
    """Set the inputs whole, and the warnings, which are theirs until the start; None if the run
    was started.
    """
    row = await connection.fetchrow(
        _PROVISION, run_id, inputs, list(missing_inputs), message, list(warnings)
    )
    return run_of(row) if row else None


async def delete(connection: Connection, run_id: UUID) -> bool:
    """Remove a run that is not active; False if there is none or it is active."""
    done = await connection.execute(
        f"DELETE FROM runs WHERE id = $1 AND state NOT IN {_ACTIVE}", run_id
    )
    return done == "DELETE 1"


async def claim(
    connection: Connection, run_id: UUID, *, owner: UUID, lease: timedelta, look_again: timedelta
) -> ClaimedRun | None:
    """Take an active run to drive it; None if it has ended, another server has it, or its attempt
    is just being submitted, for which it gets as long as there is between two looks.
    """
    row = await connection.fetchrow(_CLAIM, run_id, owner, lease, look_again)
    return ClaimedRun(run=run_of(row), fence=row["fence"], inputs=row["inputs"]) if row else None


async def due(
    connection: Connection, *, owner: UUID, look_again: timedelta, limit: int
) -> list[UUID]:
    """Runs that should be looked at now, and that `owner` may `claim`; oldest first."""
    return [row["id"] for row in await connection.fetch(_DUE, owner, limit, look_again)]


async def with_scheduler(connection: Connection) -> list[UUID]:
    """Runs of which the scheduler has, or should have, an attempt."""
    rows = await connection.fetch(
        "SELECT id FROM runs WHERE state IN ('PENDING', 'RUNNING', 'CANCELLING')"
    )
    return [row["id"] for row in rows]


async def extend_leases(
    connection: Connection, run_ids: Collection[UUID], *, owner: UUID, lease: timedelta
) -> None:
    """Keep these runs for `owner` for another `lease`."""
    await connection.execute(_EXTEND, owner, list(run_ids), lease)


async def release_leases(connection: Connection, *, owner: UUID) -> None:
    """Let other servers take over at once what `owner` drives."""
    await connection.execute(_RELEASE_ALL, owner)


async def waiting(connection: Connection, *, limit: int) -> list[WaitingRun]:
    """Runs in the queue whose task is published, in the order of admission: in turn over
    projects.
    """
    return [
        WaitingRun(run=run_of(row), cpus=row["cpus"], ram_bytes=row["ram_bytes"], gpus=row["gpus"])
        for row in await connection.fetch(_WAITING, limit)
    ]


async def waiting_in_vain(connection: Connection) -> list[tuple[RunRecord, Json]]:
    """Runs in the queue whose task could not be published, with the task's failure."""
    return [(run_of(row), row["task_failure"]) for row in await connection.fetch(_UNPUBLISHED)]


async def next_backoff_end(connection: Connection) -> datetime | None:
    """When the first run that waits after a failure may be tried again."""
    moment: datetime | None = await connection.fetchval(
        "SELECT min(not_before) FROM runs WHERE state = 'QUEUED' AND not_before > now()"
    )
    return moment


async def active_of_task(connection: Connection, task_id: UUID) -> list[UUID]:
    """Runs of a task that have not ended, those not started included."""
    rows = await connection.fetch(
        "SELECT id FROM runs WHERE task_id = $1"
        " AND state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')",
        task_id,
    )
    return [row["id"] for row in rows]


async def existing(connection: Connection, run_ids: Collection[UUID]) -> set[UUID]:
    """Those of these ids that are runs."""
    rows = await connection.fetch("SELECT id FROM runs WHERE id = ANY($1)", list(run_ids))
    return {row["id"] for row in rows}


async def events_of(
    connection: Connection, run_id: UUID, *, after: int, limit: int
) -> list[EventRecord]:
    """A run's changes after a revision, in order."""
    return [event_of(row) for row in await connection.fetch(_EVENTS, run_id, after, limit)]


async def present_place(connection: Connection) -> tuple[str, int]:
    """The place behind every event that can be read now."""
    return await connection.fetchval(_NOW), -1


_RUN_FIELDS = tuple(
    name for name in RunRecord.__dataclass_fields__ if name not in {"state", "attempts"}
)


def run_of(row: Record) -> RunRecord:
    """The run of a row that was selected by `RUN`."""
    return RunRecord(
        **{name: row[name] for name in _RUN_FIELDS},
        state=RunState(row["state"]),
        attempts=tuple(_attempt(attempt) for attempt in row["attempts"] or ()),
    )


def _attempt(found: dict[str, Any]) -> AttemptRecord:
    for moment in ("submitted_at", "released_at"):
        if found[moment] is not None:
            found[moment] = datetime.fromisoformat(found[moment])
    return AttemptRecord(**found)


def event_of(row: Record) -> EventRecord:
    """The event of a row with all its columns."""
    return EventRecord(
        run_id=row["run_id"],
        revision=row["revision"],
        state=RunState(row["state"]),
        attempt=row["attempt"],
        reason=row["reason"],
        message=row["message"],
        pending_reasons=row["pending_reasons"],
        at=row["at"],
    )
