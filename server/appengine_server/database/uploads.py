"""Queries on uploads: whose they are and what they are for. Their bytes are in `storage`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from appengine_server.database.pool import Connection, Record
from appengine_server.database.records import (
    InputPart,
    Json,
    UploadRecord,
    UploadState,
    UploadTarget,
)

_UPLOAD = """
    id, project, owner, target, run_id, attempt, parameter, part, rescue, state, total_bytes,
    total_entries, held_bytes, problems, expires_at, ended_at"""

_INSERT = f"""
    INSERT INTO uploads (id, project, owner, target, run_id, parameter, part, state, request_id,
                         request_hash, expires_at, attempt, rescue)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'OPEN', $8, $9, now() + $10, $11, $12)
    ON CONFLICT DO NOTHING
    RETURNING {_UPLOAD}"""

_GET = f"""
    SELECT {_UPLOAD} FROM uploads
     WHERE id = $1 AND ($2::text[] IS NULL OR project = ANY($2)) AND expires_at > now()"""

_BY_REQUEST = f"""
    SELECT {_UPLOAD}, request_hash FROM uploads
     WHERE project = $1 AND owner = $2 AND request_id = $3"""

_OF_ATTEMPT = f"""
    SELECT {_UPLOAD} FROM uploads
     WHERE run_id = $1 AND attempt = $2 AND target = 'ATTEMPT_OUTPUTS'"""

_DROP_OF_ATTEMPT = """
    UPDATE uploads SET state = 'CANCELLED', ended_at = now()
     WHERE run_id = $1 AND attempt = $2 AND target = 'ATTEMPT_OUTPUTS' AND state = 'OPEN'
    RETURNING id"""

_TOUCH = "UPDATE uploads SET expires_at = now() + $2 WHERE id = $1 AND state = 'OPEN'"

_END = f"""
    UPDATE uploads SET state = $2, total_bytes = $3::bigint, total_entries = $4, problems = $5,
                       ended_at = now(), held_bytes = CASE
                           WHEN $2 = 'FINISHED' AND target <> 'ATTEMPT_OUTPUTS' THEN $3::bigint
                           ELSE 0 END
     WHERE id = $1 AND state = 'OPEN' RETURNING {_UPLOAD}"""

_EXPIRED = """
    SELECT id FROM uploads u WHERE expires_at < now() AND NOT EXISTS (
               SELECT 1 FROM tasks WHERE upload_id = u.id AND state = 'PUBLISHING')
           AND NOT (state = 'FINISHED' AND target = 'INPUT' AND held_bytes > 0
                    AND EXISTS (SELECT 1 FROM runs WHERE id = u.run_id))
           AND NOT EXISTS (
               SELECT 1 FROM runs r WHERE u.target = 'ATTEMPT_OUTPUTS' AND r.id = u.run_id
                  AND r.attempt = u.attempt
                  AND r.state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING'))
     LIMIT $1"""

_TAKE_EXPIRED = f"""
    DELETE FROM uploads WHERE id IN ({_EXPIRED} FOR UPDATE SKIP LOCKED)
    RETURNING id, CASE WHEN state <> 'FINISHED' THEN run_id END AS unfinished_run_id"""

_HELD = """
    SELECT coalesce(sum(held_bytes), 0)::bigint FROM uploads
     WHERE held_bytes > 0 AND id <> $1 AND ($2::text IS NULL OR project = $2)
       AND (state <> 'OPEN' OR expires_at > now())"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredUpload:
    """An upload whose row is gone."""

    id: UUID
    unfinished_run_id: UUID | None
    """The run that it was for, if it did not become an input of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What an upload begins with."""

    id: UUID
    project: str
    owner: str
    target: UploadTarget
    run_id: UUID | None = None
    parameter: str | None = None
    part: InputPart | None = None
    attempt: int | None = None
    rescue: bool = False
    request_id: UUID | None
    request_hash: bytes | None
    expiry: timedelta


async def insert(connection: Connection, new: NewUpload) -> UploadRecord | None:
    """Insert an upload; None if its request id was used before, or its attempt has one."""
    row = await connection.fetchrow(
        _INSERT, new.id, new.project, new.owner, new.target, new.run_id, new.parameter, new.part,
        new.request_id, new.request_hash, new.expiry, new.attempt, new.rescue,
    )  # fmt: skip
    return _upload(row) if row else None


async def by_request(
    connection: Connection, project: str, owner: str, request_id: UUID
) -> tuple[UploadRecord, bytes | None] | None:
    """The upload that a request id made, with the hash of that request."""
    row = await connection.fetchrow(_BY_REQUEST, project, owner, request_id)
    return (_upload(row), row["request_hash"]) if row else None


async def get(
    connection: Connection, upload_id: UUID, projects: Sequence[str] | None
) -> UploadRecord | None:
    """One upload of these projects that has not expired; None for `projects` means any."""
    row = await connection.fetchrow(_GET, upload_id, projects)
    return _upload(row) if row else None


async def of_attempt(connection: Connection, run_id: UUID, attempt: int) -> UploadRecord | None:
    """The upload of an attempt's outputs; None before it was opened."""
    row = await connection.fetchrow(_OF_ATTEMPT, run_id, attempt)
    return _upload(row) if row else None


async def drop_of_attempt(connection: Connection, run_id: UUID, attempt: int) -> UUID | None:
    """End the upload of an attempt's outputs if it is open: its bytes must follow."""
    upload_id: UUID | None = await connection.fetchval(_DROP_OF_ATTEMPT, run_id, attempt)
    return upload_id


async def lock(connection: Connection, upload_id: UUID) -> UploadRecord | None:
    """Hold an upload's row until the transaction ends."""
    row = await connection.fetchrow(
        f"SELECT {_UPLOAD} FROM uploads WHERE id = $1 FOR UPDATE", upload_id
    )
    return _upload(row) if row else None


async def postpone_expiry(connection: Connection, upload_id: UUID, *, expiry: timedelta) -> None:
    """Bytes came: it expires later."""
    await connection.execute(_TOUCH, upload_id, expiry)


async def end(
    connection: Connection,
    upload_id: UUID,
    *,
    state: UploadState,
    total_bytes: int = 0,
    total_entries: int = 0,
    problems: Sequence[Json] = (),
) -> UploadRecord | None:
    """End an open upload; None if it is not open."""
    row = await connection.fetchrow(
        _END, upload_id, state, total_bytes, total_entries, list(problems)
    )
    return _upload(row) if row else None


async def refuse(connection: Connection, upload_id: UUID, problems: Sequence[Json]) -> None:
    """A finished upload turned out to be of no use: keep why, until it expires."""
    await connection.execute(
        "UPDATE uploads SET state = 'FAILED', problems = $2, held_bytes = 0"
        " WHERE id = $1 AND state = 'FINISHED'",
        upload_id, list(problems),
    )  # fmt: skip


async def take_expired(connection: Connection, *, limit: int) -> list[ExpiredUpload]:
    """Remove the rows of uploads that expired, and answer them: their bytes must follow.

    The bytes of a bundle that is still being published are its task's, those of an input are in
    its run and count in the quotas, and whether the outputs of an attempt have arrived is asked
    until its end: those rows stay.
    """
    return [ExpiredUpload(**row) for row in await connection.fetch(_TAKE_EXPIRED, limit)]


async def expired(connection: Connection) -> list[UUID]:
    """What `take_expired` would remove."""
    return [row["id"] for row in await connection.fetch(_EXPIRED, None)]


async def lock_held(connection: Connection) -> None:
    """Let nobody else change or add up what uploads hold until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('uploads.held_bytes'))")


async def held_bytes(connection: Connection, project: str | None, *, besides: UUID) -> int:
    """What the uploads of a project hold, or those of all, without one of them."""
    held: int = await connection.fetchval(_HELD, besides, project)
    return held


async def hold(connection: Connection, upload_id: UUID, held_bytes: int) -> None:
    """Have an open upload count with so many bytes."""
    await connection.execute(
        "UPDATE uploads SET held_bytes = $2 WHERE id = $1 AND state = 'OPEN'", upload_id, held_bytes
    )


async def release(connection: Connection, upload_id: UUID) -> None:
    """The bytes that an input or bundle was made of are gone."""
    await connection.execute("UPDATE uploads SET held_bytes = 0 WHERE id = $1", upload_id)


async def release_bundle(connection: Connection, upload_id: UUID) -> None:
    """The folder of an upload is gone, and with it a bundle; an input has moved into its run."""
    await connection.execute(
        "UPDATE uploads SET held_bytes = 0 WHERE id = $1 AND target = 'TASK_BUNDLE'", upload_id
    )


async def release_run(connection: Connection, run_id: UUID) -> None:
    """The inputs of a run are gone."""
    await connection.execute("UPDATE uploads SET held_bytes = 0 WHERE run_id = $1", run_id)


async def existing(connection: Connection, upload_ids: Collection[UUID]) -> set[UUID]:
    """Those of these ids whose bytes are still needed."""
    rows = await connection.fetch(
        "SELECT id FROM uploads WHERE id = ANY($1) AND state IN ('OPEN', 'FINISHED')"
        " UNION SELECT upload_id FROM tasks WHERE upload_id = ANY($1) AND state = 'PUBLISHING'",
        list(upload_ids),
    )
    return {row["id"] for row in rows}


def _upload(row: Record) -> UploadRecord:
    fields = {name: row[name] for name in UploadRecord.__dataclass_fields__}
    fields["target"] = UploadTarget(fields["target"])
    fields["state"] = UploadState(fields["state"])
    fields["part"] = InputPart(fields["part"]) if fields["part"] else None
    return UploadRecord(**fields)
