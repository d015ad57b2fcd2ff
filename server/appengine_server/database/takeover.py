"""Taking over at once what a server that is certainly dead has held."""

from __future__ import annotations

from appengine_server.database.pool import Database

_RELEASE = (
    "UPDATE runs SET lease_expires_at = NULL, next_look_at = least(next_look_at, now())"
    " WHERE state IN ('PENDING', 'RUNNING', 'FINALIZING', 'CANCELLING')",
    "UPDATE tasks SET lease_expires_at = NULL WHERE state = 'PUBLISHING'",
    "UPDATE outbox SET due_at = now() WHERE due_at > now()",
)


async def release_all(database: Database) -> None:
    """End all leases, and make all effects due: for a server that starts and is the only one.

    With other servers on the same database, leases end by themselves.
    """
    async with database.transaction() as connection:
        for statement in _RELEASE:
            await connection.execute(statement)
