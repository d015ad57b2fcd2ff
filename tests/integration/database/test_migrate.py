from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from appengine_server.database import migrate as migrate_module
from appengine_server.database.migrate import MigrationRefused, migrate, read_migrations
from appengine_server.database.pool import ConnectTo, connect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int); CREATE TABLE more ();")
    (tmp_path / "0002_pre_second.sql").write_text("ALTER TABLE first ADD COLUMN name text;")
    return tmp_path


async def applied(connect_to: ConnectTo) -> list[str]:
    connection = await connect(connect_to)
    try:
        rows = await connection.fetch("SELECT name FROM schema_migrations ORDER BY number")
        return [row["name"] for row in rows]
    finally:
        await connection.close()


async def test_files_are_applied_once_and_in_order(empty_database: ConnectTo, folder: Path) -> None:
    await migrate(empty_database, folder=folder)
    await migrate(empty_database, folder=folder)
    assert await applied(empty_database) == ["0001_first", "0002_pre_second"]


async def test_the_servers_own_migrations_apply_to_an_empty_database(
    empty_database: ConnectTo,
) -> None:
    await migrate(empty_database)
    known = [migration.name for migration in read_migrations(migrate_module.MIGRATIONS)]
    assert await applied(empty_database) == known


async def test_several_servers_may_migrate_at_once(empty_database: ConnectTo, folder: Path) -> None:
    (folder / "0003_slow.sql").write_text("SELECT pg_sleep(0.2); CREATE TABLE slow ();")
    await asyncio.gather(*(migrate(empty_database, folder=folder) for _ in range(4)))
    assert len(await applied(empty_database)) == 3


async def test_a_later_file_is_added(empty_database: ConnectTo, folder: Path) -> None:
    await migrate(empty_database, folder=folder)
    (folder / "0003_post_third.sql").write_text("CREATE TABLE third ();")
    await migrate(empty_database, folder=folder)
    assert (await applied(empty_database))[-1] == "0003_post_third"


async def test_a_changed_file_is_refused(empty_database: ConnectTo, folder: Path) -> None:
    await migrate(empty_database, folder=folder)
    (folder / "0001_first.sql").write_text("CREATE TABLE other ();")
    with pytest.raises(MigrationRefused, match="0001_first is not the one that was applied"):
        await migrate(empty_database, folder=folder)


async def test_a_newer_database_is_refused(empty_database: ConnectTo, folder: Path) -> None:
    await migrate(empty_database, folder=folder)
    (folder / "0002_pre_second.sql").unlink()
    with pytest.raises(MigrationRefused, match="newer than this server"):
        await migrate(empty_database, folder=folder)


async def test_a_database_with_a_gap_is_refused(empty_database: ConnectTo, folder: Path) -> None:
    await migrate(empty_database, folder=folder)
    connection = await connect(empty_database)
    await connection.execute("DELETE FROM schema_migrations WHERE number = 1")
    await connection.close()
    with pytest.raises(MigrationRefused, match="later migrations but not 0001_first"):
        await migrate(empty_database, folder=folder)


@pytest.mark.parametrize("name", ["0002_twice.sql", "0004_gap.sql", "third.sql"])
async def test_wrongly_numbered_files_are_refused(
    empty_database: ConnectTo, folder: Path, name: str
) -> None:
    (folder / name).write_text("SELECT 1")
    with pytest.raises(MigrationRefused):
        await migrate(empty_database, folder=folder)


async def test_a_failing_file_leaves_nothing_behind(
    empty_database: ConnectTo, folder: Path
) -> None:
    (folder / "0003_wrong.sql").write_text("CREATE TABLE half (); SELECT nonsense;")
    with pytest.raises(MigrationRefused, match="0003_wrong failed"):
        await migrate(empty_database, folder=folder)
    assert await applied(empty_database) == ["0001_first", "0002_pre_second"]
    connection = await connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await connection.close()


def test_an_old_postgresql_is_refused() -> None:
    with pytest.raises(MigrationRefused, match="PostgreSQL 14 is too old: this server needs 15"):
        migrate_module.check_version(14)


async def test_a_user_who_may_not_create_tables_is_told_so(empty_database: ConnectTo) -> None:
    connection = await connect(empty_database)
    await connection.execute("CREATE ROLE visitor LOGIN")
    await connection.close()
    visitor = ConnectTo(host=empty_database.host, database=empty_database.database, user="visitor")
    try:
        with pytest.raises(MigrationRefused, match="visitor may not create tables"):
            await migrate(visitor)
    finally:
        connection = await connect(empty_database)
        await connection.execute("DROP ROLE visitor")
        await connection.close()
