"""Queries on the outbox: effects that were decided and must happen."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from appengine_server.database.pool import Connection
from appengine_server.database.records import Json, OutboxRow

CHANNEL = "appengine_outbox"
"""Notified when a row is added."""

_ADD = f"""
    WITH row AS (INSERT INTO outbox (action, subject) VALUES ($1, $2) RETURNING id)
    SELECT pg_notify('{CHANNEL}', '') FROM row"""

_CLAIM = """
    UPDATE outbox SET tries = tries + 1, due_at = now() + $1
     WHERE id IN (SELECT id FROM outbox WHERE due_at <= now()
                   ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id, action, subject, tries"""


async def add(connection: Connection, action: str, subject: Json) -> None:
    """Decide an effect, in the transaction of its reason."""
    await connection.execute(_ADD, action, subject)


async def claim_due(connection: Connection, *, lease: timedelta, limit: int) -> list[OutboxRow]:
    """Take effects that are due. Those that are neither done nor kept come back after `lease`."""
    rows = await connection.fetch(_CLAIM, lease, limit)
    return sorted((OutboxRow(**row) for row in rows), key=lambda row: row.id)


async def keep(connection: Connection, row_ids: Collection[int], *, lease: timedelta) -> None:
    """Keep effects that were taken and are not done yet for another `lease`."""
    await connection.execute(
        "UPDATE outbox SET due_at = now() + $2 WHERE id = ANY($1)", list(row_ids), lease
    )


async def done(connection: Connection, row_id: int) -> None:
    """The effect has happened."""
    await connection.execute("DELETE FROM outbox WHERE id = $1", row_id)


async def postpone(connection: Connection, row_id: int, *, delay: timedelta) -> None:
    """The effect could not happen: try again after `delay`."""
    await connection.execute("UPDATE outbox SET due_at = now() + $2 WHERE id = $1", row_id, delay)
