"""What a PostgreSQL says of itself and of our rights in it, for checks before the server starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from appengine_server.database.migrate import (
    MIGRATIONS,
    MigrationRefused,
    check_applied,
    check_version,
    read_migrations,
)
from appengine_server.database.pool import ConnectTo, Record, connect

_FACTS = """
    SELECT clock_timestamp()                                                   AS now,
           current_setting('server_encoding')                                  AS encoding,
           pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean
                                                                               AS read_only,
           current_schema()                                                    AS schema,
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)   AS may_create,
           current_setting('max_connections')::integer
             - current_setting('superuser_reserved_connections')::integer      AS connections,
           to_regclass('schema_migrations') IS NOT NULL                        AS migrated,
           coalesce((SELECT string_agg(tablename, ', ' ORDER BY tablename) FROM pg_tables
                      WHERE schemaname = current_schema()
                        AND NOT pg_has_role(tableowner, 'USAGE')), '')          AS foreign_tables"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What there is to know."""

    now: datetime
    encoding: str
    read_only: bool
    schema: str | None
    """Where tables go; None when nothing of the search path exists."""
    may_create: bool
    """Tables, in that schema."""
    connections: int
    """How many ordinary users may have at once."""
    foreign_tables: str
    """Tables there that belong to others, divided by commas."""
    schema_problem: str | None
    """Why this server cannot work with the tables that are there."""


async def read_facts(connect_to: ConnectTo) -> DatabaseFacts:
    """Ask once. Raises `DatabaseUnusable` for one that is too old or lets us not in, and
    `Unavailable` for one that is out of reach.
    """
    connection = await connect(connect_to)
    try:
        check_version(connection.get_server_version().major)
        row = await connection.fetchrow(_FACTS)
        assert row is not None
        problem = None
        if row["migrated"]:
            applied = await connection.fetch("SELECT number, name, sha256 FROM schema_migrations")
            problem = _problem_of({found["number"]: found for found in applied})
    finally:
        await connection.close()
    values = {name: row[name] for name in DatabaseFacts.__slots__ if name != "schema_problem"}
    return DatabaseFacts(**values, schema_problem=problem)


def _problem_of(applied: Mapping[int, Record]) -> str | None:
    try:
        check_applied(applied, read_migrations(MIGRATIONS))
    except MigrationRefused as error:
        return str(error)
    return None
