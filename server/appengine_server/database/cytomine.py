"""Reads the database of Cytomine's App Engine, the Java one. Nothing here writes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from appengine_server.database.pool import ConnectTo, DatabaseUnusable, connect, refusals_explained

_IS_THERE = "SELECT to_regclass($1) IS NOT NULL"

# Every column as text: which type Hibernate gave it is not ours to know.
_TASKS = """
    SELECT identifier::text AS identifier, coalesce(namespace::text, '') AS namespace,
           coalesce(version::text, '') AS version,
           coalesce(storage_reference::text, '') AS storage_reference,
           coalesce(image_name::text, '') AS image_name
      FROM task ORDER BY namespace, version, identifier"""

_RUNS = "SELECT count(*) FROM run"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldTask:
    """A row of the old engine's table `task`. A text that is missing is empty."""

    identifier: str
    namespace: str
    version: str
    storage_reference: str
    """The folder of its descriptor, in the old storage."""
    image_name: str
    """In the old registry: repository and tag, without a host."""

    @property
    def name(self) -> str:
        """How people call it."""
        return f"{self.namespace}:{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldDatabase:
    """What there is to take over, and what is not."""

    tasks: Sequence[OldTask]
    runs: int | None
    """None where it has no such table."""


async def read_old_database(connect_to: ConnectTo) -> OldDatabase:
    """Read it at one moment; the old engine may run meanwhile.

    Raises DatabaseUnusable where it is not such a database, and Unavailable.
    """
    connection = await connect(connect_to)
    try:
        with refusals_explained(connect_to):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                if not await connection.fetchval(_IS_THERE, "task"):
                    raise _unknown(connect_to, "it has no table `task`")
                rows = await connection.fetch(_TASKS)
                has_runs = await connection.fetchval(_IS_THERE, "run")
                runs = await connection.fetchval(_RUNS) if has_runs else None
    except asyncpg.UndefinedColumnError as error:
        raise _unknown(connect_to, str(error)) from error
    finally:
        await connection.close()
    return OldDatabase(tasks=[OldTask(**row) for row in rows], runs=runs)


def _unknown(connect_to: ConnectTo, why: str) -> DatabaseUnusable:
    return DatabaseUnusable(
        f"the database at {connect_to.address} is not one of Cytomine's App Engine: {why}. "
        "Name its database by --from-database postgresql://USER@HOST:PORT/NAME."
    )
