"""Queries on the agents that move the data of attempts: their tokens, and what they said last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from appengine_server.database.pool import Connection, Record
from appengine_server.database.records import Json
from appengine_server.identity import AttemptPrincipal, Direction

CHANNEL = "appengine_agents"
"""Notified with a run's id when an agent of it said something new, or its outputs have arrived."""

_INSERT = """
    INSERT INTO attempt_tokens (token_hash, run_id, attempt, direction) VALUES ($1, $2, $3, $4)"""

_OWNER = "SELECT run_id, attempt, direction FROM attempt_tokens WHERE token_hash = $1"

_SWEEP = """
    DELETE FROM attempt_tokens t WHERE created_at < now() - $1::interval AND NOT EXISTS (
        SELECT 1 FROM runs r WHERE r.id = t.run_id
           AND (r.ended_at IS NULL OR r.ended_at > now() - $1::interval))"""

_AGENT = """
    direction, state, message, terminating, done_bytes, done_entries, missing_outputs,
    unsent, progressed_at, began_at, ended_at"""

# What is said again, and progress sooner than worth a write, changes nothing.
_SAY = f"""
    WITH said AS (
        INSERT INTO agents (run_id, attempt, direction, state, message, terminating, done_bytes,
                            done_entries, missing_outputs, unsent, began_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                CASE WHEN $4 NOT IN ('IDLE', 'FAILED') THEN now() END,
                CASE WHEN $4 IN ('FETCHED', 'UPLOADED', 'FAILED') THEN now() END)
        ON CONFLICT (run_id, attempt, direction) DO UPDATE SET
            state = EXCLUDED.state,
            message = EXCLUDED.message,
            terminating = agents.terminating OR EXCLUDED.terminating,
            done_bytes = EXCLUDED.done_bytes,
            done_entries = EXCLUDED.done_entries,
            missing_outputs = EXCLUDED.missing_outputs,
            unsent = EXCLUDED.unsent,
            said_at = now(),
            progressed_at = CASE
                WHEN agents.state <> EXCLUDED.state OR agents.done_bytes <> EXCLUDED.done_bytes
                  OR agents.done_entries <> EXCLUDED.done_entries
                THEN now() ELSE agents.progressed_at END,
            began_at = COALESCE(agents.began_at, EXCLUDED.began_at),
            ended_at = COALESCE(agents.ended_at, EXCLUDED.ended_at)
         WHERE agents.state <> EXCLUDED.state
            OR agents.terminating < EXCLUDED.terminating
            OR agents.missing_outputs <> EXCLUDED.missing_outputs
            OR agents.unsent <> EXCLUDED.unsent
            OR ((agents.done_bytes <> EXCLUDED.done_bytes
                 OR agents.done_entries <> EXCLUDED.done_entries)
                AND agents.said_at < now() - $11::interval)
        RETURNING run_id)
    SELECT pg_notify('{CHANNEL}', run_id::text) FROM said"""

_OF_ATTEMPT = f"SELECT {_AGENT} FROM agents WHERE run_id = $1 AND attempt = $2"


class AgentState(StrEnum):
    """What an agent says that it does."""

    IDLE = "IDLE"
    FETCHING = "FETCHING"
    FETCHED = "FETCHED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWord:
    """What an agent says."""

    state: AgentState
    message: str = ""
    terminating: bool = False
    done_bytes: int = 0
    done_entries: int = 0
    missing_outputs: Sequence[str] = ()
    unsent: Sequence[Json] = ()
    """Problems with what cannot be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecord:
    """One row of `agents`: what was said last, and since when."""

    direction: Direction
    state: AgentState
    message: str
    terminating: bool
    done_bytes: int
    done_entries: int
    missing_outputs: Sequence[str]
    unsent: Sequence[Json]
    progressed_at: datetime
    """When a number last changed, or the state."""
    began_at: datetime | None
    ended_at: datetime | None


async def add_token(connection: Connection, token_hash: bytes, owner: AttemptPrincipal) -> None:
    """Make a token valid. Those that were made before for the same stay valid."""
    await connection.execute(
        _INSERT, token_hash, owner.run_id, owner.attempt, owner.direction.value
    )


async def owner_of(connection: Connection, token_hash: bytes) -> AttemptPrincipal | None:
    """Whose token has this hash; None for one that was never made, or long ago."""
    row = await connection.fetchrow(_OWNER, token_hash)
    if row is None:
        return None
    return AttemptPrincipal(
        run_id=row["run_id"], attempt=row["attempt"], direction=Direction(row["direction"])
    )


async def sweep_tokens(connection: Connection, *, unused_for: timedelta) -> None:
    """Forget the tokens of runs that ended so long ago."""
    await connection.execute(_SWEEP, unused_for)


async def say(
    connection: Connection, owner: AttemptPrincipal, word: AgentWord, *, at_most_every: timedelta
) -> None:
    """Record what an agent says: news at once, mere progress not more often than this."""
    await connection.execute(
        _SAY, owner.run_id, owner.attempt, owner.direction.value, word.state.value, word.message,
        word.terminating, word.done_bytes, word.done_entries, list(word.missing_outputs),
        list(word.unsent), at_most_every,
    )  # fmt: skip


async def of_attempt(
    connection: Connection, run_id: UUID, attempt: int
) -> Mapping[Direction, AgentRecord]:
    """What the agents of an attempt said last; empty before they say anything."""
    rows = await connection.fetch(_OF_ATTEMPT, run_id, attempt)
    return {agent.direction: agent for agent in map(_agent, rows)}


async def notify(connection: Connection, run_id: UUID) -> None:
    """Wake who drives the run, in this server or another one."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(run_id))


def _agent(row: Record) -> AgentRecord:
    fields = {name: row[name] for name in AgentRecord.__dataclass_fields__}
    fields["direction"] = Direction(fields["direction"])
    fields["state"] = AgentState(fields["state"])
    return AgentRecord(**fields)
