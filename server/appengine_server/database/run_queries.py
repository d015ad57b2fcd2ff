"""Runs that match a query: pages of them, newest first, and their changes.

A page takes a time that does not grow with the number of runs. It is read off one index, in its
order, until it is full: that of the filter which the fewest runs pass. The other filters are asked
of each run on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from appengine_server.database.pool import Connection
from appengine_server.database.records import EventRecord, RunRecord, RunState
from appengine_server.database.runs import RUN, event_of, run_of

_FEW = 1000
"""So many runs are looked through at once: no other way can be much shorter."""

_ENDS_OF_TIME = """
       AND {at} >= COALESCE($7::timestamptz, '-infinity')
       AND {at} < COALESCE($8::timestamptz, 'infinity')
       AND ({at}, {id}) < (COALESCE($9::timestamptz, 'infinity'),
                           COALESCE($10::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
     ORDER BY {at} DESC, {id} DESC LIMIT $11"""

_OTHERS = """
           ($2::uuid IS NULL OR r.task_id = $2)
       AND ($3::text IS NULL OR r.task_id IN (
               SELECT id FROM tasks
                WHERE namespace = $3 AND ($4::text IS NULL OR version = $4)))
       AND ($5::text[] IS NULL OR r.state = ANY($5))
       AND ($6::jsonb IS NULL OR r.labels @> $6)"""

_IN_ORDER = _ENDS_OF_TIME.format(at="r.created_at", id="r.id")
_IN_ORDER_OF_LABELS = _ENDS_OF_TIME.format(at="l.created_at", id="l.run_id")

_OF_RUNS = f"""
    SELECT r.id, r.created_at FROM runs r
     WHERE r.project = $1 AND {{of}} AND {_OTHERS} {_IN_ORDER}"""

_OF_LABELS = f"""
    SELECT r.id, r.created_at FROM run_labels l JOIN runs r ON r.id = l.run_id
     WHERE l.project = $1 AND l.key = $12 AND l.value = $13 AND {_OTHERS} {_IN_ORDER_OF_LABELS}"""

_PAGE = f"""
    WITH page AS (
        SELECT one.id FROM ({{ways}}) way CROSS JOIN LATERAL ({{found}}) one
         ORDER BY one.created_at DESC, one.id DESC LIMIT $11)
    SELECT {RUN} FROM page JOIN runs r USING (id) JOIN tasks t ON t.id = r.task_id
     ORDER BY r.created_at DESC, r.id DESC"""

_COUNT = f"SELECT count(*) FROM ({{found}} LIMIT {_FEW}) few"


# What a transaction that has not ended may still write is waited for: its events would otherwise
# appear before the reader's token, and be skipped.
_EVENTS = """
    SELECT e.run_id, e.revision, e.state, e.attempt, e.reason, e.message, e.pending_reasons, e.at,
           e.written_by::text AS written_by, e.position
      FROM run_events e JOIN runs r ON r.id = e.run_id JOIN tasks t ON t.id = r.task_id
     WHERE (e.written_by, e.position) > ($1::text::xid8, $2)
       AND e.written_by < pg_snapshot_xmin(pg_current_snapshot())
       AND e.project = $3
       AND ($4::uuid IS NULL OR r.task_id = $4)
       AND ($5::text IS NULL OR t.namespace = $5)
       AND ($6::text IS NULL OR t.version = $6)
       AND ($7::text[] IS NULL OR e.state = ANY($7))
       AND ($8::jsonb IS NULL OR r.labels @> $8)
       AND ($9::timestamptz IS NULL OR r.created_at >= $9)
       AND ($10::timestamptz IS NULL OR r.created_at < $10)
     ORDER BY e.written_by, e.position LIMIT $11"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """Which runs of a project; None means any."""

    project: str
    task_id: UUID | None = None
    task_namespace: str | None = None
    task_version: str | None = None
    states: Sequence[RunState] | None = None
    labels: Mapping[str, str] | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None

    def bound(self) -> tuple[Any, ...]:
        """The values of all statements with such a filter, in their order."""
        return (
            self.project,
            self.task_id,
            self.task_namespace,
            self.task_version,
            self.states,
            dict(self.labels) if self.labels else None,
            self.created_from,
            self.created_before,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One filter as the way to a page: its index gives the runs that pass it, newest first."""

    page: str
    count: str
    """How many pass it, counted up to `_FEW`."""
    counted: tuple[Any, ...] = ()
    """The values of `count`."""
    more: tuple[Any, ...] = ()
    """The values of `page` behind those that all ways have."""


def _page_of_runs(ways: str, of: str) -> str:
    return _PAGE.format(ways=ways, found=_OF_RUNS.format(of=of))


def _count_of_runs(of: str) -> str:
    return _COUNT.format(found=f"SELECT FROM runs r WHERE r.project = $1 AND {of}")


NEWEST_PAGE = _page_of_runs("SELECT", "true")
_STATES_PAGE = _page_of_runs("SELECT DISTINCT unnest($5::text[]) AS state", "r.state = way.state")
_TASK_PAGE = _page_of_runs("SELECT $2::uuid AS id", "r.task_id = way.id")
_NAME_PAGE = _page_of_runs(
    "SELECT id FROM tasks WHERE namespace = $3 AND ($4::text IS NULL OR version = $4)",
    "r.task_id = way.id",
)
_LABEL_PAGE = _PAGE.format(ways="SELECT", found=_OF_LABELS)

_STATES_COUNT = _count_of_runs("r.state = ANY($2)")
_TASK_COUNT = _count_of_runs("r.task_id = $2")
_NAME_COUNT = _count_of_runs(
    "r.task_id IN (SELECT id FROM tasks"
    " WHERE namespace = $2 AND ($3::text IS NULL OR version = $3))"
)
_LABEL_COUNT = _COUNT.format(
    found="SELECT FROM run_labels WHERE project = $1 AND key = $2 AND value = $3"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedEvent:
    """An event with its place among the events of all runs."""

    event: EventRecord
    written_by: str
    position: int


async def list_page(
    connection: Connection, query: RunQuery, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[RunRecord]:
    """Runs that match, newest first, from behind `before` (creation time and id)."""
    way = await shortest(connection, query)
    moment, run_id = before or (None, None)
    rows = await connection.fetch(way.page, *query.bound(), moment, run_id, limit, *way.more)
    return [run_of(row) for row in rows]


async def events(
    connection: Connection, query: RunQuery, *, after: tuple[str, int], limit: int
) -> list[PlacedEvent]:
    """The changes of all runs that match, behind a place (transaction and position), in order."""
    rows = await connection.fetch(_EVENTS, *after, *query.bound(), limit)
    return [
        PlacedEvent(event=event_of(row), written_by=row["written_by"], position=row["position"])
        for row in rows
    ]


def ways_of(query: RunQuery) -> Iterator[Way]:
    """One for each filter of a query that has an index, those first that mostly are narrow."""
    for label in (query.labels or {}).items():
        yield Way(page=_LABEL_PAGE, more=label, count=_LABEL_COUNT, counted=(query.project, *label))
    if query.task_id is not None:
        yield Way(page=_TASK_PAGE, count=_TASK_COUNT, counted=(query.project, query.task_id))
    if query.task_namespace is not None:
        name = (query.task_namespace, query.task_version)
        yield Way(page=_NAME_PAGE, count=_NAME_COUNT, counted=(query.project, *name))
    if query.states:
        yield Way(page=_STATES_PAGE, count=_STATES_COUNT, counted=(query.project, query.states))


async def shortest(connection: Connection, query: RunQuery) -> Way:
    """The way to a page on which the fewest runs are looked at."""
    ways = list(ways_of(query))
    if not ways:
        return Way(page=NEWEST_PAGE, count="")
    if len(ways) == 1:
        return ways[0]
    counts = [await connection.fetchval(way.count, *way.counted) for way in ways]
    return ways[counts.index(min(counts))]
