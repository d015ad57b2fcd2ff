"""Lists of runs: each filter gives what it says, by an index, however many runs there are."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from appengine_server.database import run_queries, runs
from appengine_server.database.embedded import EmbeddedPostgres
from appengine_server.database.pool import ConnectTo, Database, connect, open_database
from appengine_server.database.records import RunState
from appengine_server.database.run_queries import RunQuery

from tests import many_runs
from tests.fixtures_database import temporary_database

FINISHED = 20_000

pytestmark = pytest.mark.timeout(120)  # the first one fills the database

FILTERS = many_runs.queries()


@pytest.fixture(scope="module")
async def filled(postgres: EmbeddedPostgres, database_template: str) -> AsyncIterator[ConnectTo]:
    async with temporary_database(postgres, template=database_template) as place:
        connection = await connect(place)
        await many_runs.fill(connection, finished=FINISHED, active=200)
        await connection.close()
        yield place


@pytest.fixture
async def many(filled: ConnectTo) -> AsyncIterator[Database]:
    async with open_database(
        filled, min_size=1, max_size=2, command_timeout=timedelta(seconds=30)
    ) as opened:
        yield opened


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", FILTERS)
async def test_each_filter_reads_its_page_off_an_index(
    many: Database, name: str, mode: str
) -> None:
    query, index = FILTERS[name]
    async with many.transaction() as connection:
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        way = await run_queries.shortest(connection, query)
        values = [*query.bound(), None, None, 101, *way.more]
        plan = await _plan(connection, way.page, values)
    assert re.search(index, plan), plan
    for table in ("runs", "run_labels", "attempts"):
        assert f"Seq Scan on {table} " not in plan, plan
    if len(list(run_queries.ways_of(query))) < 2:
        assert "Bitmap" not in plan, "it would read all that match"


@pytest.mark.parametrize("name", FILTERS)
async def test_each_filter_gives_what_matches_newest_first_page_by_page(
    many: Database, name: str
) -> None:
    query, _ = FILTERS[name]
    async with many.connection() as connection:
        expected = await _expected(connection, query)
        found: list[UUID] = []
        before = None
        while page := await run_queries.list_page(connection, query, before=before, limit=150):
            found += [run.id for run in page]
            before = (page[-1].created_at, page[-1].id)
            if len(found) >= 450:
                break
    assert found == expected[: len(found)]
    assert len(found) >= min(450, len(expected))


async def test_the_filter_that_the_fewest_runs_pass_is_the_way(many: Database) -> None:
    labels = {"site": "north", "rare": "yes"}
    async with many.connection() as connection:
        by_label = await run_queries.shortest(
            connection, RunQuery(project="lab", labels=labels, states=[RunState.SUCCEEDED])
        )
        by_state = await run_queries.shortest(
            connection,
            RunQuery(project="lab", labels={"site": "north"}, states=[RunState.CANCELLED]),
        )
    assert by_label.more == ("rare", "yes")
    assert by_state.more == ()


async def test_labels_are_found_as_soon_as_a_run_is_made_and_go_with_it(many: Database) -> None:
    query = RunQuery(project="lab", labels={"mine": "1"})
    async with many.transaction() as connection:
        new = runs.NewRun(
            id=UUID(int=7), project="lab", owner="anna", task_id=many_runs.task_id(1),
            state=RunState.CREATED, request_id=None, request_hash=None, retry_of=None,
            labels={"mine": "1", "other": "2"}, inputs={}, missing_inputs=(), warnings=(),
        )  # fmt: skip
        assert await runs.insert(connection, new) is not None
        [found] = await run_queries.list_page(connection, query, before=None, limit=10)
        assert found.labels == {"mine": "1", "other": "2"}
        assert await runs.delete(connection, new.id)
        assert not await connection.fetch("SELECT FROM run_labels WHERE run_id = $1", new.id)


async def _plan(connection: Any, statement: str, values: list[Any]) -> str:
    """The plan of a prepared statement, as the mode of the session makes it."""
    await connection.execute(f"PREPARE asked AS {statement}")
    literals = ", ".join([await _literal(connection, value) for value in values])
    try:
        rows = await connection.fetch(f"EXPLAIN EXECUTE asked ({literals})")
    finally:
        await connection.execute("DEALLOCATE asked")
    return "\n".join(row[0] for row in rows)


async def _literal(connection: Any, value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return str(await connection.fetchval("SELECT quote_literal($1::jsonb::text)", value))
    if isinstance(value, (list, tuple)):
        return str(await connection.fetchval("SELECT quote_literal($1::text[]::text)", value))
    return str(await connection.fetchval("SELECT quote_literal($1::text)", str(value)))


async def _expected(connection: Any, query: RunQuery) -> list[UUID]:
    """All that match, found in the plainest way."""
    rows = await connection.fetch(
        """
        SELECT r.id FROM runs r JOIN tasks t ON t.id = r.task_id
         WHERE r.project = $1 AND ($2::uuid IS NULL OR r.task_id = $2)
           AND ($3::text IS NULL OR t.namespace = $3) AND ($4::text IS NULL OR t.version = $4)
           AND ($5::text[] IS NULL OR r.state = ANY($5)) AND ($6::jsonb IS NULL OR r.labels @> $6)
           AND ($7::timestamptz IS NULL OR r.created_at >= $7)
           AND ($8::timestamptz IS NULL OR r.created_at < $8)
         ORDER BY r.created_at DESC, r.id DESC""",
        *query.bound(),
    )
    return [row["id"] for row in rows]
