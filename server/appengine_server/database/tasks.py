"""Queries on tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from appengine_server.database.pool import Connection, Record
from appengine_server.database.records import Json, TaskRecord, TaskState

CHANNEL = "appengine_tasks"
"""Notified with a task's id after each of its changes."""

_TASK = """
    id, project, owner, namespace, version, state, upload_id, image_entry, image_reference, image,
    image_user, cpus, ram_bytes, gpus, has_logo, warnings, failure, done_bytes, total_bytes,
    revision, created_at, updated_at"""

_INSERT = f"""
    INSERT INTO tasks (id, project, owner, namespace, version, state, request_id, request_hash,
                       upload_id, image_entry, image_reference, cpus, ram_bytes, gpus, has_logo,
                       warnings, total_bytes)
    VALUES ($1, $2, $3, $4, $5, 'PUBLISHING', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
    ON CONFLICT DO NOTHING
    RETURNING {_TASK}"""

_GET = f"""
    SELECT {_TASK} FROM tasks
     WHERE id = $1 AND ($2::text[] IS NULL OR project = ANY($2)) AND state <> 'DELETING'"""

# Of several versions of one name only one is neither failed nor being deleted; it comes first.
_BY_NAME = f"""
    SELECT {_TASK} FROM tasks
     WHERE project = $1 AND namespace = $2 AND version = $3 AND state <> 'DELETING'
     ORDER BY (state = 'FAILED'), created_at DESC LIMIT 1"""

_VERSIONS = """
    SELECT version FROM tasks
     WHERE project = $1 AND namespace = $2 AND state NOT IN ('DELETING', 'FAILED')
     ORDER BY created_at DESC"""

_BY_REQUEST = f"""
    SELECT {_TASK}, request_hash FROM tasks
     WHERE project = $1 AND owner = $2 AND request_id = $3"""

_LIST = f"""
    SELECT {_TASK} FROM tasks
     WHERE project = ANY($1) AND state <> 'DELETING'
       AND ($2::text IS NULL OR namespace = $2)
       AND ($3::text[] IS NULL OR state = ANY($3))
       AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5))
     ORDER BY created_at DESC, id DESC LIMIT $6"""

_CLAIM = f"""
    UPDATE tasks SET fence = fence + 1, lease_owner = $1, lease_expires_at = now() + $2
     WHERE id = (SELECT id FROM tasks
                  WHERE state = 'PUBLISHING'
                    AND (lease_owner = $1 OR lease_expires_at IS NULL OR lease_expires_at < now())
                  ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING {_TASK}, fence"""

_PROGRESS = f"""
    WITH t AS (
        UPDATE tasks SET done_bytes = GREATEST(done_bytes, $3), total_bytes = $4,
                         revision = revision + 1, updated_at = now(),
                         lease_expires_at = now() + $5
         WHERE id = $1 AND fence = $2 AND state = 'PUBLISHING' RETURNING id)
    SELECT pg_notify('{CHANNEL}', id::text) FROM t"""

_READY = f"""
    WITH t AS (
        UPDATE tasks SET state = 'READY', image = $3, image_user = $4, done_bytes = total_bytes,
                         revision = revision + 1, updated_at = now(), lease_expires_at = NULL
         WHERE id = $1 AND fence = $2 AND state = 'PUBLISHING' RETURNING id)
    SELECT pg_notify('{CHANNEL}', id::text) FROM t"""

_FAILED = f"""
    WITH t AS (
        UPDATE tasks SET state = 'FAILED', failure = $3, revision = revision + 1,
                         updated_at = now(), lease_expires_at = NULL
         WHERE id = $1 AND fence = $2 AND state = 'PUBLISHING' RETURNING id)
    SELECT pg_notify('{CHANNEL}', id::text) FROM t"""

_DELETING = f"""
    WITH t AS (
        UPDATE tasks SET state = 'DELETING', revision = revision + 1, updated_at = now()
         WHERE id = $1 AND state <> 'DELETING' RETURNING id)
    SELECT pg_notify('{CHANNEL}', id::text) FROM t"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """What a task begins with."""

    id: UUID
    project: str
    owner: str
    namespace: str
    version: str
    request_id: UUID | None
    request_hash: bytes | None
    upload_id: UUID | None
    image_entry: str | None
    image_reference: str | None
    cpus: int
    ram_bytes: int
    gpus: int
    has_logo: bool
    warnings: Sequence[Json]
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedTask:
    """A task that this server may publish until its lease ends; writes name the fence."""

    task: TaskRecord
    fence: int


async def insert(connection: Connection, new: NewTask) -> TaskRecord | None:
    """Insert a task; None if its name or its request id is taken."""
    row = await connection.fetchrow(
        _INSERT, new.id, new.project, new.owner, new.namespace, new.version, new.request_id,
        new.request_hash, new.upload_id, new.image_entry, new.image_reference, new.cpus,
        new.ram_bytes, new.gpus, new.has_logo, list(new.warnings), new.total_bytes,
    )  # fmt: skip
    return _task(row) if row else None


async def by_request(
    connection: Connection, project: str, owner: str, request_id: UUID
) -> tuple[TaskRecord, bytes | None] | None:
    """The task that a request id made, with the hash of that request."""
    row = await connection.fetchrow(_BY_REQUEST, project, owner, request_id)
    return (_task(row), row["request_hash"]) if row else None


async def get(
    connection: Connection, task_id: UUID, projects: Sequence[str] | None
) -> TaskRecord | None:
    """One task of these projects that is not being deleted; None for `projects` means any."""
    row = await connection.fetchrow(_GET, task_id, projects)
    return _task(row) if row else None


async def by_name(
    connection: Connection, project: str, namespace: str, version: str
) -> TaskRecord | None:
    """One task by its name; a failed one only where there is no other."""
    row = await connection.fetchrow(_BY_NAME, project, namespace, version)
    return _task(row) if row else None


async def versions(connection: Connection, project: str, namespace: str) -> list[str]:
    """The versions of a task that are neither failed nor being deleted, newest row first."""
    rows = await connection.fetch(_VERSIONS, project, namespace)
    return [row["version"] for row in rows]


async def list_page(
    connection: Connection,
    projects: Sequence[str],
    *,
    namespace: str | None,
    states: Sequence[TaskState] | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[TaskRecord]:
    """Tasks of these projects, newest first, from behind `before` (creation time and id)."""
    moment, task_id = before or (None, None)
    rows = await connection.fetch(_LIST, projects, namespace, states, moment, task_id, limit)
    return [_task(row) for row in rows]


async def claim_publishing(
    connection: Connection, *, owner: UUID, lease: timedelta
) -> ClaimedTask | None:
    """Take the oldest task that waits to be published. Two servers never take the same one.

    One that `owner` has claimed before may be claimed again: it publishes one at a time.
    """
    row = await connection.fetchrow(_CLAIM, owner, lease)
    return ClaimedTask(task=_task(row), fence=row["fence"]) if row else None


async def set_progress(
    connection: Connection,
    task_id: UUID,
    *,
    fence: int,
    done_bytes: int,
    total_bytes: int,
    lease: timedelta,
) -> bool:
    """Record progress and extend the lease; False if the task is no longer ours."""
    row = await connection.fetchrow(_PROGRESS, task_id, fence, done_bytes, total_bytes, lease)
    return row is not None


async def set_ready(
    connection: Connection, task_id: UUID, *, fence: int, image: str, user: str | None
) -> bool:
    """The image can be run; False if the task is no longer ours."""
    return await connection.fetchrow(_READY, task_id, fence, image, user) is not None


async def set_failed(connection: Connection, task_id: UUID, *, fence: int, failure: Json) -> bool:
    """The image could not be published; False if the task is no longer ours."""
    return await connection.fetchrow(_FAILED, task_id, fence, failure) is not None


async def release_leases(connection: Connection, *, owner: UUID) -> None:
    """Let other servers take over at once what `owner` publishes."""
    await connection.execute(
        "UPDATE tasks SET lease_expires_at = NULL WHERE lease_owner = $1", owner
    )


async def is_deleting(connection: Connection, task_id: UUID) -> bool:
    """Whether the task is hidden and waits for its last run to go."""
    return bool(
        await connection.fetchval("SELECT state = 'DELETING' FROM tasks WHERE id = $1", task_id)
    )


async def set_deleting(connection: Connection, task_id: UUID) -> None:
    """Hide a task until its last run is gone."""
    await connection.execute(_DELETING, task_id)


async def deletable(connection: Connection) -> list[TaskRecord]:
    """Tasks that are being deleted and have no run left."""
    rows = await connection.fetch(
        f"SELECT {_TASK} FROM tasks t WHERE state = 'DELETING'"
        " AND NOT EXISTS (SELECT 1 FROM runs WHERE task_id = t.id)"
    )
    return [_task(row) for row in rows]


async def delete(connection: Connection, task_id: UUID) -> None:
    """Remove the row of a task without runs."""
    await connection.execute("DELETE FROM tasks WHERE id = $1 AND state = 'DELETING'", task_id)


async def existing(connection: Connection, task_ids: Collection[UUID]) -> set[UUID]:
    """Those of these ids that are tasks."""
    rows = await connection.fetch("SELECT id FROM tasks WHERE id = ANY($1)", list(task_ids))
    return {row["id"] for row in rows}


def _task(row: Record) -> TaskRecord:
    fields = {name: row[name] for name in TaskRecord.__dataclass_fields__}
    fields["state"] = TaskState(fields["state"])
    return TaskRecord(**fields)
