"""Looks at PostgreSQL: whether it lets us in, is new enough, and lets us do our work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from appengine_server import from_settings
from appengine_server.checks.check import Finding, LeftOut, Surroundings, fails, refuses, warns
from appengine_server.database.embedded import check_unused
from appengine_server.database.facts import DatabaseFacts, read_facts
from appengine_server.database.pool import DatabaseUnusable
from appengine_server.errors import Unavailable

_SKEW = timedelta(seconds=5)
"""Times of runs come from the database and those of logs from here: more confuses readers."""


async def reach(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether it answers, lets us in, and is new enough."""
    connect_to = from_settings.external_database(surroundings.settings.database)
    if connect_to is None:
        return await _embedded(surroundings)
    try:
        await read_facts(connect_to)
    except Unavailable as error:
        return [refuses("DB_HOST and DB_PORT", f"{error.message}.")]
    except DatabaseUnusable as error:
        return [refuses(_setting_of(error), f"{error}.")]
    return []


def _setting_of(error: DatabaseUnusable) -> str:
    """PostgreSQL's own code for why it does not let us in tells which setting is meant."""
    match getattr(error.__cause__, "sqlstate", None):
        case "3D000":
            return "DB_NAME"
        case "28P01" | "28000":
            return "DB_USERNAME and DB_PASSWORD"
        case "42501":
            return "DB_USERNAME"
        case _:
            return "DB_HOST"


async def _embedded(surroundings: Surroundings) -> Sequence[Finding]:
    folder = surroundings.settings.storage.base_path
    if surroundings.is_served:
        return []
    try:
        await asyncio.to_thread(check_unused, folder)
    except DatabaseUnusable as error:
        return [refuses("STORAGE_BASE_PATH", f"{error}.")]
    return []


async def rights(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether we may make tables and write, and know the tables that are there."""
    facts = await _facts(surroundings)
    given = surroundings.settings.database
    who, where = given.username, f"the database {given.name}"
    findings = []
    if facts.read_only:
        findings.append(
            refuses("DB_HOST", f"{where} only lets us read: name the primary, not a standby.")
        )
    if not facts.may_create:
        findings.append(
            refuses(
                "DB_USERNAME",
                f"the user {who} may not create tables in {where}: make it the database's owner.",
            )
        )
    if facts.foreign_tables:
        findings.append(
            refuses(
                "DB_NAME",
                f"{where} holds tables that do not belong to {who}: {facts.foreign_tables}; name "
                "a database of the engine's own, or give the tables to that user.",
            )
        )
    if facts.encoding != "UTF8":
        findings.append(
            refuses("DB_NAME", f"{where} has the encoding {facts.encoding}: it must be UTF8.")
        )
    if facts.schema_problem:
        findings.append(refuses("DB_NAME", f"{facts.schema_problem}."))
    return findings


async def connections(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether PostgreSQL has as many connections as the pool may take."""
    facts, wanted = await _facts(surroundings), surroundings.settings.database.pool_size + 2
    if facts.connections >= wanted:
        return []
    return [
        fails(
            "DB_POOL_SIZE",
            f"PostgreSQL allows {facts.connections} connections, and a server takes up to {wanted}:"
            " choose a smaller pool, or raise max_connections there.",
        )
    ]


async def clock(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether its clock and ours agree."""
    began = datetime.now(UTC)
    facts = await _facts(surroundings)
    ours = began + (datetime.now(UTC) - began) / 2
    return skew_of(facts.now - ours, "PostgreSQL's", "DB_HOST")


def skew_of(ahead: timedelta, whose: str, setting: str) -> list[Finding]:
    """What there is to say when another clock is so far ahead of ours."""
    if abs(ahead) <= _SKEW:
        return []
    direction = "ahead of" if ahead > timedelta(0) else "behind"
    return [
        warns(
            setting,
            f"{whose} clock is {abs(ahead).total_seconds():.0f} s {direction} this machine's: let "
            "both take the time from one source (NTP).",
        )
    ]


async def _facts(surroundings: Surroundings) -> DatabaseFacts:
    connect_to = from_settings.external_database(surroundings.settings.database)
    if connect_to is None:
        raise LeftOut("the embedded PostgreSQL is the server's own")
    try:
        return await read_facts(connect_to)
    except (Unavailable, DatabaseUnusable) as error:
        raise LeftOut("there is no database to ask") from error
