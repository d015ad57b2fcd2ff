"""What a database of a million runs costs: reading, an idle engine, and sweeping.

    .venv/bin/python benchmarks/database.py [--json] [--finished 1000000] [--active 1000]

Starts a PostgreSQL of its own in a temporary folder (`--folder` says where; a million runs take
3 GiB), fills it, and asks what the server asks, by the same statements. What reading takes is
told by PostgreSQL; all other figures are those of a client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

from appengine_server.app import Engine
from appengine_server.database import run_queries, runs
from appengine_server.database.embedded import embedded_postgres
from appengine_server.database.migrate import migrate
from appengine_server.database.pool import ConnectTo, Database, connect, open_database
from appengine_server.database.records import RunState
from appengine_server.jobs import Jobs
from appengine_server.metrics import Metrics
from appengine_server.runs.retention import Retention
from appengine_server.scheduling.scheduler import (
    Admission,
    AttemptPhase,
    AttemptRef,
    InUse,
    MustWait,
    Observation,
    PendingKind,
    PendingReason,
    Resources,
)
from appengine_server.settings import RetentionSettings, read_settings
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.registry_images import RegistryImages
from appengine_server.tracing import Tracing

from tests import many_runs

_PAGE = 101
"""What ListRuns reads for a page of the usual size: one more, to know whether there is a next."""
_TIMEOUT = timedelta(seconds=60)


class Steady:
    """A scheduler of which nothing new is heard: what runs runs on, what waits must wait."""

    moves_data = False
    isolates_network = True

    def admit(self, wanted: Resources, in_use: InUse) -> Admission:
        return MustWait(
            reason=PendingReason(kind=PendingKind.RESOURCES, message="All CPUs are taken.")
        )

    async def observe(self, ref: AttemptRef) -> Observation:
        return Observation(ref=ref, phase=AttemptPhase.RUNNING)

    async def list_attempts(self) -> Sequence[AttemptRef]:
        return []

    async def changes(self) -> AsyncGenerator[AttemptRef, None]:
        await asyncio.Event().wait()
        yield AttemptRef(uuid4(), 1)

    async def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        await asyncio.Event().wait()
        yield b""


async def in_database(connection: Any, statement: str, *values: Any) -> float:
    """Milliseconds that PostgreSQL itself needs for a statement, which it has planned before."""
    shown = await connection.fetchval(
        f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", *values
    )
    found: float = shown[0]["Execution Time"]
    return found


async def page_in_database(connection: Any, query: run_queries.RunQuery) -> float:
    """The same for the first page of a list, with what is counted to find the shortest way."""
    ways = list(run_queries.ways_of(query))
    counted = 0.0
    if len(ways) > 1:
        counted = sum([await in_database(connection, way.count, *way.counted) for way in ways])
    way = await run_queries.shortest(connection, query)
    values = (*query.bound(), None, None, _PAGE, *way.more)
    return counted + await in_database(connection, way.page, *values)


async def times(work: Callable[[], Awaitable[float]], count: int) -> dict[str, float]:
    """What so many calls take, after a tenth of them to warm up."""
    return spread([await work() for _ in range(count + count // 10)][count // 10 :])


def spread(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        "p50_ms": statistics.median(ordered),
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        "max_ms": ordered[-1],
    }


async def reading(database: Database, finished: int, calls: int) -> dict[str, dict[str, float]]:
    """GetRun of any run, and the first page of ListRuns with each filter, in the database."""
    chance = random.Random(7)
    found = {}
    async with database.connection() as connection:

        async def get_run() -> float:
            run_id = many_runs.finished_run_id(chance.randint(1, finished))
            return await in_database(connection, runs.GET, run_id, [many_runs.PROJECT])

        found["GetRun"] = await times(get_run, calls)
        for name, (query, _) in many_runs.queries().items():

            async def list_runs(query: run_queries.RunQuery = query) -> float:
                return await page_in_database(connection, query)

            found[f"ListRuns, {name}"] = await times(list_runs, calls)
    return found


async def idle(place: ConnectTo, folder: Path, seconds: float) -> dict[str, float]:
    """CPU of all loops of an engine in which nothing happens."""
    os.environ["STORAGE_BASE_PATH"] = str(folder)
    settings = read_settings()
    layout = StorageLayout(folder)
    layout.prepare()
    steady: Any = Steady()
    async with (
        open_database(place, min_size=2, max_size=10, command_timeout=_TIMEOUT) as database,
        Jobs(on_end=lambda: sys.exit("a loop has ended")) as jobs,
    ):
        engine = Engine(
            settings, database, layout, (steady, steady), metrics=Metrics(), tracing=Tracing()
        )
        engine.start(jobs, place)
        await asyncio.sleep(20)  # the first look at each run
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        share = (time.process_time() - cpu) / (time.monotonic() - began)
        await engine.close()
    return {"cores": share}


async def sweeping(
    place: ConnectTo, database: Database, folder: Path, count: int
) -> dict[str, Any]:
    """The oldest runs go, while others read and write."""
    async with database.connection() as connection:
        total = await connection.fetchval("SELECT count(*) FROM runs WHERE ended_at IS NOT NULL")
        age = await connection.fetchval(
            "SELECT now() - ended_at FROM runs WHERE ended_at IS NOT NULL"
            " ORDER BY ended_at OFFSET $1 LIMIT 1", count,
        )  # fmt: skip
    layout = StorageLayout(folder)
    retention = Retention(
        database=database, layout=layout, scheduler=Steady(),  # type: ignore[arg-type]
        images=KeptImages(database=database, images=RegistryImages(None, ()), registry=None),
        upload_bytes=Uploads(layout, UploadLimits(), FreeSpace(base=folder, low_water_bytes=0)),
        settings=RetentionSettings.model_construct(
            finished_runs=age, failed_attempts=None, orphans=timedelta(hours=1),
            interval=timedelta(minutes=5),
        ),
        metrics=Metrics().retention, effects_added=lambda: None,
    )  # fmt: skip
    alone = await probed(place, asyncio.sleep(10))
    began = time.monotonic()
    beside = await probed(place, retention.sweep())
    async with database.connection() as connection:
        left = await connection.fetchval("SELECT count(*) FROM runs WHERE ended_at IS NOT NULL")
    return {
        "runs": total - left,
        "seconds": time.monotonic() - began,
        "others_alone": alone,
        "others_beside": beside,
    }


async def probed(place: ConnectTo, work: Awaitable[Any]) -> dict[str, Any]:
    """What calls of others take meanwhile, in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--probe", json.dumps([place.host, place.database, place.user]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    await work
    out, _ = await process.communicate(b"over\n")
    found: dict[str, Any] = json.loads(out)
    return found


async def probe(place: ConnectTo) -> dict[str, dict[str, float]]:
    """Read, create and change runs until somebody says that it is over."""
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
    taken: dict[str, list[float]] = {"GetRun": [], "ListRuns": [], "CreateRun": [], "claim": []}
    query, _ = many_runs.queries()["all"]
    owner, active = uuid4(), [row async for row in _active_ids(place)]
    chance = random.Random(7)
    async with open_database(place, min_size=1, max_size=2, command_timeout=_TIMEOUT) as database:
        print("ready", flush=True)

        async def step(name: str, work: Callable[[Any], Awaitable[Any]]) -> None:
            began = time.perf_counter()
            async with database.connection() as connection:
                await work(connection)
            taken[name].append((time.perf_counter() - began) * 1000)

        while not over.done():
            await step("GetRun", lambda c: runs.get(c, chance.choice(active), None))
            await step(
                "ListRuns", lambda c: run_queries.list_page(c, query, before=None, limit=_PAGE)
            )
            await step("CreateRun", lambda c: runs.insert(c, _new_run()))
            await step(
                "claim",
                lambda c: runs.claim(
                    c, chance.choice(active), owner=owner, lease=_TIMEOUT, look_again=_TIMEOUT
                ),
            )
            await asyncio.sleep(0.005)
    return {name: spread(times) for name, times in taken.items()}


async def _active_ids(place: ConnectTo) -> AsyncGenerator[Any, None]:
    connection = await connect(place)
    for row in await connection.fetch("SELECT id FROM runs WHERE state = 'RUNNING'"):
        yield row["id"]
    await connection.close()


def _new_run() -> runs.NewRun:
    return runs.NewRun(
        id=uuid4(), project="probe", owner="probe", task_id=many_runs.task_id(1),
        state=RunState.CREATED, request_id=uuid4(), request_hash=b"1", retry_of=None,
        labels={"batch": "probe"}, inputs={}, missing_inputs=(), warnings=(),
    )  # fmt: skip


Show = Callable[[str, dict[str, Any]], None]
"""Is told each part of the figures as soon as it is there."""


async def measure(options: argparse.Namespace, show: Show) -> None:
    """Everything, in one database."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as name:
        folder = Path(name)
        async with embedded_postgres(folder) as postgres:
            place = postgres.connect_to
            await migrate(place)
            connection = await connect(place)
            began = time.monotonic()
            await many_runs.fill(connection, finished=options.finished, active=options.active)
            seconds = time.monotonic() - began
            size_bytes = await connection.fetchval("SELECT pg_database_size(current_database())")
            await connection.close()
            show("filled", {"seconds": seconds, "size_bytes": size_bytes})
            async with open_database(
                place, min_size=1, max_size=4, command_timeout=_TIMEOUT
            ) as database:
                show("reading", await reading(database, options.finished, options.calls))
                show("idle", await idle(place, folder, options.idle_seconds))
                count = options.sweep or options.finished // 10
                show("sweeping", await sweeping(place, database, folder, count))


def rows_of(part: str, found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The figures of one part for people, each with what is asked of it."""
    if part == "filled":
        size = f"{found['size_bytes'] / 2**30:.1f} GiB"
        return [("filled", f"{found['seconds']:.0f} s, {size}", "")]
    if part == "reading":
        return [
            (f"{name}, p50 / p99", f"{took['p50_ms']:.2f} / {took['p99_ms']:.2f} ms", "5 ms")
            for name, took in found.items()
        ]
    if part == "idle":
        return [("idle", f"{found['cores']:.1%} of a core", "5 %")]
    rate = found["runs"] / found["seconds"]
    rows = [(f"sweeping {found['runs']} runs", f"{found['seconds']:.0f} s, {rate:.0f}/s", "")]
    for name, beside in found["others_beside"].items():
        for when, took, asked in (
            ("without it", found["others_alone"][name], ""), ("meanwhile", beside, "50 ms"),
        ):  # fmt: skip
            told = f"{took['p99_ms']:.1f} / {took['max_ms']:.1f} ms"
            rows.append((f"{name} {when}, p99 / longest", told, asked))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=int, default=1_000_000, help="runs")
    parser.add_argument("--active", type=int, default=1_000, help="runs")
    parser.add_argument("--calls", type=int, default=1000, help="of each read")
    parser.add_argument("--sweep", type=int, help="runs; a tenth of the finished ones")
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="where there is room")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if options.probe:
        host, database, user = json.loads(options.probe)
        place = ConnectTo(host=host, database=database, user=user)
        print(json.dumps(asyncio.run(probe(place))))
        return
    found: dict[str, Any] = {}

    def show(part: str, figures: dict[str, Any]) -> None:
        found[part] = figures
        if not options.json:
            for what, value, goal in rows_of(part, figures):
                print(f"{what:<50}{value:>24}   {goal}", flush=True)

    asyncio.run(measure(options, show))
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
