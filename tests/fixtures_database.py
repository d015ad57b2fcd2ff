"""A real PostgreSQL for the session, and a database of its own for each test that asks."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from appengine_server.database.embedded import EmbeddedPostgres, embedded_postgres
from appengine_server.database.migrate import migrate
from appengine_server.database.pool import ConnectTo, Database, connect, open_database

TEMPLATE = "template_appengine"


@pytest.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """One for the session; each worker of xdist has its own. Tests must not stop it."""
    async with embedded_postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(scope="session")
async def database_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the newest schema and no rows."""
    await _administer(postgres, f"CREATE DATABASE {TEMPLATE}")
    await migrate(replace(postgres.connect_to, database=TEMPLATE))
    return TEMPLATE


@pytest.fixture
async def connect_to(
    postgres: EmbeddedPostgres, database_template: str
) -> AsyncIterator[ConnectTo]:
    """Where this test's own database is, its schema the newest; dropped afterwards."""
    async with temporary_database(postgres, template=database_template) as place:
        yield place


@pytest.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[ConnectTo]:
    """Where a database without any schema is, for tests of the migrations."""
    async with temporary_database(postgres, template="template1") as place:
        yield place


@pytest.fixture
async def database(connect_to: ConnectTo) -> AsyncIterator[Database]:
    """This test's own database, open."""
    async with open_database(
        connect_to, min_size=1, max_size=5, command_timeout=timedelta(seconds=10)
    ) as opened:
        yield opened


@asynccontextmanager
async def temporary_database(
    postgres: EmbeddedPostgres, *, template: str
) -> AsyncIterator[ConnectTo]:
    name = f"test_{uuid.uuid4().hex}"
    await _administer(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield replace(postgres.connect_to, database=name)
    finally:
        await _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(postgres: EmbeddedPostgres, statement: str) -> None:
    connection = await connect(postgres.connect_to)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
