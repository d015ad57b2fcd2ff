"""Brings the database to the schema of this server: numbered files, applied once, forward only.

A file is `NNNN_name.sql`. From the second release on its name begins with `pre_` when it works
while the old server still runs, or with `post_` when it comes after it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg
import structlog

from appengine_server.database.pool import ConnectTo, DatabaseUnusable, Record, connect

log = structlog.get_logger(__name__)

MIGRATIONS: Traversable = files("appengine_server.database") / "migrations"

OLDEST_POSTGRESQL = 15

_LOCK = 0x6170705F656E67  # any number that no other program takes: "app_eng" in ASCII
_FILE_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")

_CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number     integer PRIMARY KEY,
        name       text NOT NULL,
        sha256     text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now())"""

_RECORD = "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)"


class MigrationRefused(DatabaseUnusable):
    """The schema cannot be brought to that of this server; nothing was changed by the refusal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of the folder."""

    number: int
    name: str
    sql: str
    sha256: str


async def migrate(connect_to: ConnectTo, *, folder: Traversable = MIGRATIONS) -> None:
    """Apply what is missing, each file in one transaction; several servers may do it at once.

    Raises `MigrationRefused` for a database that this server must not touch, `DatabaseUnusable`
    when it does not let us in, `Unavailable` when it is out of reach.
    """
    migrations = read_migrations(folder)
    connection = await connect(connect_to)
    try:
        check_version(connection.get_server_version().major)
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await _apply(connection, migrations)
        except asyncpg.InsufficientPrivilegeError as error:
            raise MigrationRefused(
                f"the user {connect_to.user} may not create tables in the database "
                f"{connect_to.database}: make it the database's owner ({error})"
            ) from error
    finally:
        await connection.close()  # which gives the lock back


async def check_current(connect_to: ConnectTo) -> None:
    """Raise `MigrationRefused` unless the schema is that of this server; changes nothing."""
    migrations = read_migrations(MIGRATIONS)
    connection = await connect(connect_to)
    try:
        check_version(connection.get_server_version().major)
        applied = {}
        if await connection.fetchval("SELECT to_regclass('schema_migrations')") is not None:
            rows = await connection.fetch("SELECT number, name, sha256 FROM schema_migrations")
            applied = {row["number"]: row for row in rows}
    finally:
        await connection.close()
    check_applied(applied, migrations)
    if len(applied) < len(migrations):
        raise MigrationRefused(
            f"the database {connect_to.database} has not the schema of this server yet: start the "
            "server first, which brings it there"
        )


def read_migrations(folder: Traversable) -> Sequence[Migration]:
    """The files of `folder` in order. `MigrationRefused` unless they are 0001, 0002, … ."""
    found = sorted((entry for entry in folder.iterdir()), key=lambda entry: entry.name)
    migrations = [_read(entry) for entry in found if entry.name.endswith(".sql")]
    for expected, migration in enumerate(migrations, start=1):
        if migration.number != expected:
            raise MigrationRefused(
                f"the migration files of this server are not numbered one by one: "
                f"{migration.name} is where {expected:04} should be"
            )
    return migrations


def _read(entry: Traversable) -> Migration:
    match = _FILE_NAME.fullmatch(entry.name)
    if match is None:
        raise MigrationRefused(f"the migration file {entry.name} is not named NNNN_name.sql")
    content = entry.read_bytes()
    return Migration(
        number=int(match["number"]),
        name=entry.name.removesuffix(".sql"),
        sql=content.decode(),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def check_version(major: int) -> None:
    """`MigrationRefused` for a PostgreSQL that is too old."""
    if major < OLDEST_POSTGRESQL:
        raise MigrationRefused(
            f"PostgreSQL {major} is too old: this server needs {OLDEST_POSTGRESQL} or later"
        )


async def _apply(connection: asyncpg.Connection[Record], migrations: Sequence[Migration]) -> None:
    await connection.execute(_CREATE_TABLE)
    rows = await connection.fetch("SELECT number, name, sha256 FROM schema_migrations")
    applied = {row["number"]: row for row in rows}
    check_applied(applied, migrations)
    for migration in migrations[len(applied) :]:
        await _apply_one(connection, migration)


def check_applied(applied: Mapping[int, Record], migrations: Sequence[Migration]) -> None:
    """`MigrationRefused` unless the rows of `schema_migrations` are what these files made."""
    newest = max(applied, default=0)
    if newest > len(migrations):
        raise MigrationRefused(
            f"the database is newer than this server: it has migration "
            f"{applied[newest]['name']}, this server knows {len(migrations)}; "
            f"start the newer server, or restore the backup from before it"
        )
    for migration in migrations[:newest]:
        row = applied.get(migration.number)
        if row is None:
            raise MigrationRefused(
                f"the database has later migrations but not {migration.name}: restore a backup"
            )
        if row["sha256"] != migration.sha256:
            raise MigrationRefused(
                f"migration {migration.name} is not the one that was applied to this database "
                f"({row['name']}): its file was changed afterwards; start the server that made "
                f"this database"
            )


async def _apply_one(connection: asyncpg.Connection[Record], migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(_RECORD, migration.number, migration.name, migration.sha256)
    except asyncpg.InsufficientPrivilegeError:
        raise
    except asyncpg.PostgresError as error:
        raise MigrationRefused(f"migration {migration.name} failed: {error}") from error
    log.info("database.migrated", migration=migration.name)
