"""Queries on attempts: the single executions of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from appengine_server.database.pool import Connection
from appengine_server.database.records import Json

_INSERT = """
    INSERT INTO attempts (run_id, number, cpus, ram_bytes, gpus, gpu_devices, phases)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""

_SUBMITTED = """
    UPDATE attempts a SET submitted_at = COALESCE(a.submitted_at, now())
      FROM runs r
     WHERE a.run_id = $1 AND a.number = $2 AND r.id = a.run_id AND r.attempt = a.number
       AND r.state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING')
    RETURNING a.number"""

_TO_SUBMIT = """
    SELECT EXISTS (
        SELECT FROM attempts a JOIN runs r ON r.id = a.run_id
         WHERE a.run_id = $1 AND a.number = $2 AND a.submitted_at IS NULL
           AND r.attempt = a.number AND r.state = 'PENDING')"""

# The run is locked, for the fence must be the newest until the attempt is written.
_HELD = """
    WITH held AS (
        SELECT FROM runs WHERE id = $1 AND ($4::bigint IS NULL OR fence = $4) FOR SHARE)"""

_PHASES = f"""{_HELD}
    UPDATE attempts SET phases = $3
     WHERE run_id = $1 AND number = $2 AND EXISTS (SELECT FROM held)"""

_FAIL = f"""{_HELD}
    UPDATE attempts SET failure = COALESCE(failure, $3)
     WHERE run_id = $1 AND number = $2 AND EXISTS (SELECT FROM held)
    RETURNING number"""

_END = """
    UPDATE attempts SET
        failure = COALESCE($3, failure), exit_code = COALESCE($4, exit_code), phases = $5,
        peak_memory_bytes = COALESCE($6, peak_memory_bytes),
        cpu_seconds = COALESCE($7, cpu_seconds), log_bytes = GREATEST(log_bytes, $8),
        released_at = COALESCE(released_at, now())
     WHERE run_id = $1 AND number = $2"""

_RELEASE = """
    UPDATE attempts SET released_at = COALESCE(released_at, now())
     WHERE run_id = $1 AND number = $2"""

_AWAITED = """
    SELECT id AS run_id, attempt AS number FROM runs
     WHERE id = ANY($1) AND state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING')"""

_IN_USE = """
    SELECT COALESCE(sum(cpus), 0)::bigint AS cpus,
           COALESCE(sum(ram_bytes), 0)::bigint AS ram_bytes,
           COALESCE(sum(gpus), 0)::bigint AS gpus,
           ARRAY(SELECT device FROM attempts, unnest(gpu_devices) AS device
                  WHERE released_at IS NULL) AS gpu_devices
      FROM attempts WHERE released_at IS NULL"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the attempts that have not released it hold together."""

    cpus: int
    ram_bytes: int
    gpus: int
    gpu_devices: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """What is known when an attempt has ended. None where it is not known."""

    failure: Json | None
    exit_code: int | None
    phases: Sequence[Json]
    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    log_bytes: int = 0


async def lock_admission(connection: Connection) -> None:
    """Let only one server at a time admit runs; holds until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('appengine admission'))")


async def in_use(connection: Connection) -> Held:
    """What is held by all attempts of all projects."""
    row = await connection.fetchrow(_IN_USE)
    assert row is not None
    return Held(**row)


async def insert(
    connection: Connection,
    run_id: UUID,
    number: int,
    *,
    held: Held,
    phases: Sequence[Json],
) -> None:
    """Begin an attempt that holds these resources from now on."""
    await connection.execute(
        _INSERT, run_id, number, held.cpus, held.ram_bytes, held.gpus, list(held.gpu_devices),
        list(phases),
    )  # fmt: skip


async def is_to_be_submitted(connection: Connection, run_id: UUID, number: int) -> bool:
    """Whether the scheduler still has to get the attempt."""
    return bool(await connection.fetchval(_TO_SUBMIT, run_id, number))


async def set_submitted(connection: Connection, run_id: UUID, number: int) -> bool:
    """The scheduler has it: from now on its absence means that it was removed.

    False if the run has ended or has another attempt: then nobody waits for this one.
    """
    return await connection.fetchval(_SUBMITTED, run_id, number) is not None


async def set_phases(
    connection: Connection, run_id: UUID, number: int, phases: Sequence[Json], *, fence: int
) -> None:
    """Record how long the parts of an attempt took; nothing where the fence is old."""
    await connection.execute(_PHASES, run_id, number, list(phases), fence)


async def set_failure(
    connection: Connection, run_id: UUID, number: int, failure: Json, *, fence: int | None = None
) -> bool:
    """Record why it fails, if no earlier cause is known; False where the fence is old."""
    return await connection.fetchval(_FAIL, run_id, number, failure, fence) is not None


async def end(connection: Connection, run_id: UUID, number: int, end: AttemptEnd) -> None:
    """Record the end, and free what the attempt held."""
    await connection.execute(
        _END, run_id, number, end.failure, end.exit_code, list(end.phases), end.peak_memory_bytes,
        end.cpu_seconds, end.log_bytes,
    )  # fmt: skip


async def release(connection: Connection, run_id: UUID, number: int) -> None:
    """Free what the attempt held."""
    await connection.execute(_RELEASE, run_id, number)


async def awaited(
    connection: Connection, refs: Collection[tuple[UUID, int]]
) -> set[tuple[UUID, int]]:
    """Those of these attempts that somebody waits for: the newest of runs that have not ended."""
    rows = await connection.fetch(_AWAITED, [run_id for run_id, _ in refs])
    return {(row["run_id"], row["number"]) for row in rows}
