"""What is kept no longer goes: kind by kind, on a real PostgreSQL, and in nobody's way."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from appengine_server.database import census, runs, uploads
from appengine_server.database import retention as queries
from appengine_server.database.pool import ConnectTo, Database, connect
from appengine_server.database.records import InputPart, RunState, UploadTarget
from appengine_server.metrics import Metrics
from appengine_server.runs.census import Census
from appengine_server.runs.pace import Pace
from appengine_server.runs.retention import Retention
from appengine_server.scheduling.scheduler import AttemptRef
from appengine_server.settings import RetentionSettings
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.registry_images import RegistryImages

pytestmark = pytest.mark.timeout(120)  # some fill the database first

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Attempts:
    """A scheduler that has these attempts."""

    def __init__(self, *refs: AttemptRef) -> None:
        self.refs = set(refs)

    async def list_attempts(self) -> list[AttemptRef]:
        return list(self.refs)

    async def delete(self, ref: AttemptRef) -> None:
        self.refs.discard(ref)


class Bench:
    """A database with a task, a storage, and what sweeps them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.layout = StorageLayout(folder)
        self.layout.prepare()
        self.scheduler = Attempts()
        self.images = KeptImages(database=database, images=RegistryImages(None, ()), registry=None)
        self.metrics = Metrics()
        self.effects = 0
        self.task_id = uuid4()

    def retention(self, **settings: str) -> Retention:
        given = {f"RETENTION_{name.upper()}": value for name, value in settings.items()}
        space = FreeSpace(base=self.layout.base, low_water_bytes=0)
        return Retention(
            database=self.database, layout=self.layout,
            scheduler=self.scheduler,  # type: ignore[arg-type]
            images=self.images,
            upload_bytes=Uploads(self.layout, UploadLimits(), space),
            settings=RetentionSettings(**given),  # type: ignore[arg-type]
            metrics=self.metrics.retention, effects_added=self.note_effects,
        )  # fmt: skip

    def note_effects(self) -> None:
        self.effects += 1

    async def look(self, **settings: str) -> dict[str, int]:
        found = await self.retention(**settings).look()
        return {one.kind: one.count for one in found if one.count}

    async def sweep(self, **settings: str) -> dict[str, int]:
        found = await self.retention(**settings).sweep()
        return {one.kind: one.count for one in found if one.count}

    async def execute(self, statement: str, *values: Any) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement, *values, timeout=60)  # some fill tables

    async def value(self, statement: str, *values: Any) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetchval(statement, *values)

    async def make_task(self) -> None:
        await self.execute(
            "INSERT INTO tasks (id, project, owner, namespace, version, state, cpus, ram_bytes,"
            " gpus, has_logo) VALUES ($1, 'lab', 'anna', 'org.x', '1', 'READY', 1, 1, 0, false)",
            self.task_id,
        )

    async def make_run(
        self,
        state: str = "SUCCEEDED",
        *,
        age: timedelta | None = DAY,
        attempts: int = 1,
        outputs_attempt: int | None = None,
    ) -> UUID:
        """A run with files, that ended so long ago."""
        run_id = uuid4()
        await self.execute(
            "INSERT INTO runs (id, project, owner, task_id, state, attempt, outputs_attempt,"
            " ended_at) VALUES ($1, 'lab', 'anna', $2, $3, $4, $5, now() - $6::interval)",
            run_id, self.task_id, state, attempts, outputs_attempt, age,
        )  # fmt: skip
        for number in range(1, attempts + 1):
            await self.execute(
                "INSERT INTO attempts (run_id, number, cpus, ram_bytes, gpus, released_at)"
                " VALUES ($1, $2, 1, 1, 0, now())", run_id, number,
            )  # fmt: skip
            outputs = self.layout.make_attempt(run_id, number)
            (outputs / "mask.png").write_bytes(b"pixels")
            self.layout.log(run_id, number).write_bytes(b"log")
        return run_id

    async def run_ids(self) -> set[UUID]:
        async with self.database.connection() as connection:
            return {row["id"] for row in await connection.fetch("SELECT id FROM runs")}


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> Bench:
    made = Bench(database, tmp_path)
    await made.make_task()
    return made


async def test_runs_are_kept_for_ever_unless_a_setting_says_otherwise(bench: Bench) -> None:
    run_id = await bench.make_run(age=timedelta(days=4000))
    assert await bench.look() == {}
    assert await bench.sweep() == {}
    assert await bench.run_ids() == {run_id}


async def test_runs_that_ended_long_ago_go_with_their_files_and_no_others(bench: Bench) -> None:
    old = {await bench.make_run(state) for state in ("SUCCEEDED", "FAILED", "CANCELLED")}
    young = await bench.make_run(age=HOUR)
    active = await bench.make_run("RUNNING", age=None)
    assert await bench.look(finished_runs="7200") == {"finished runs": 3}
    assert await bench.run_ids() == {*old, young, active}, "a dry run changes nothing"
    assert await bench.sweep(finished_runs="7200") == {"finished runs": 3}
    assert await bench.run_ids() == {young, active}
    assert set(bench.layout.run_ids()) == {str(young), str(active)}
    assert await bench.value("SELECT count(*) FROM attempts") == 2
    swept = bench.metrics.registry.get_sample_value(
        "appengine_swept_things_total", {"kind": "finished runs"}
    )
    assert swept == 3
    assert await bench.sweep(finished_runs="7200") == {}


async def test_what_the_uploads_of_a_run_held_counts_no_more(bench: Bench) -> None:
    run_id, upload_id = await bench.make_run(), uuid4()
    await insert_upload(bench, upload_id, run_id, expiry=DAY)
    await bench.execute("UPDATE uploads SET held_bytes = 7, state = 'FINISHED'")
    await bench.sweep(finished_runs="60")
    assert await bench.value("SELECT sum(held_bytes) FROM uploads") == 0


async def test_a_deleted_task_goes_with_the_last_of_its_runs(bench: Bench) -> None:
    await bench.make_run()
    await bench.execute("UPDATE tasks SET state = 'DELETING'")
    await bench.sweep(finished_runs="60")
    assert await bench.value("SELECT action FROM outbox") == "REMOVE_TASK"
    assert await bench.value("SELECT subject ->> 'task_id' FROM outbox") == str(bench.task_id)
    assert bench.effects == 1


async def test_files_of_failed_attempts_go_and_logs_and_results_stay(bench: Bench) -> None:
    retried = await bench.make_run(attempts=3, outputs_attempt=3)
    failed = await bench.make_run("FAILED")
    well = await bench.make_run(outputs_attempt=1)
    young = await bench.make_run("FAILED", age=timedelta(0))
    kind = "files of failed attempts"
    assert await bench.look(failed_attempts="3600") == {kind: 3}
    names = [
        one.names for one in await bench.retention(failed_attempts="3600").look()
        if one.kind == kind
    ]  # fmt: skip
    assert set(*names) == {f"{retried}/1", f"{retried}/2", f"{failed}/1"}
    assert await bench.sweep(failed_attempts="3600") == {kind: 3}

    def files(run_id: UUID, number: int) -> list[str]:
        return sorted(path.name for path in bench.layout.outputs(run_id, number).iterdir())

    assert files(retried, 1) == files(retried, 2) == files(failed, 1) == []
    for run_id, number in ((retried, 3), (well, 1), (young, 1)):
        assert files(run_id, number) == ["mask.png"]
    assert bench.layout.log(failed, 1).read_bytes() == b"log"
    assert await bench.look(failed_attempts="3600") == {}


async def test_expired_uploads_are_shown_and_go(bench: Bench) -> None:
    gone, kept = uuid4(), uuid4()
    await insert_upload(bench, gone, uuid4(), expiry=timedelta(seconds=-1))
    await insert_upload(bench, kept, uuid4(), expiry=HOUR)
    for upload_id in (gone, kept):
        bench.layout.upload(upload_id).mkdir()
    assert await bench.look() == {"expired uploads": 1}
    assert bench.layout.upload(gone).exists()
    assert await bench.sweep() == {"expired uploads": 1}
    assert set(bench.layout.upload_ids()) == {str(kept)}


@pytest.mark.parametrize("room", ["uploads", "tasks", "runs"])
async def test_folders_without_a_row_go_once_they_are_old(bench: Bench, room: str) -> None:
    needed = await bench.make_run(age=None, state="RUNNING")
    bench.layout.make_task(bench.task_id)
    old, young = (bench.layout.base / room / str(uuid4()) for _ in range(2))
    strange = bench.layout.base / room / "not-an-id"
    for folder in (old, young, strange):
        (folder / "deep").mkdir(parents=True)
    for folder in (old, strange, bench.layout.run(needed), bench.layout.task(bench.task_id)):
        os.utime(folder, (0, 0))
    assert await bench.look() == {f"orphaned folders of {room}": 1}
    assert await bench.sweep() == {f"orphaned folders of {room}": 1}
    assert not old.exists()
    assert young.exists()
    assert strange.exists(), "what is not ours is left alone"
    assert bench.layout.run(needed).exists()
    assert await bench.look(orphans="86400") == {}


async def test_containers_that_nobody_waits_for_go(bench: Bench) -> None:
    running = await bench.make_run("RUNNING", age=None)
    ended = await bench.make_run()
    awaited = AttemptRef(running, 1)
    bench.scheduler.refs = {awaited, AttemptRef(ended, 1), AttemptRef(uuid4(), 1)}
    assert await bench.look() == {"orphaned containers and Jobs": 2}
    assert await bench.sweep() == {"orphaned containers and Jobs": 2}
    assert bench.scheduler.refs == {awaited}


async def test_a_run_that_somebody_holds_is_left_for_the_next_sweep(bench: Bench) -> None:
    held, free = await bench.make_run(), await bench.make_run()
    async with bench.database.transaction() as connection:
        await runs.lock(connection, held)
        assert await bench.sweep(finished_runs="60") == {"finished runs": 1}
        assert await bench.run_ids() == {held}
    assert free
    assert await bench.sweep(finished_runs="60") == {"finished runs": 1}


async def test_the_size_of_batches_follows_from_how_long_they_take() -> None:
    pace = Pace()
    for _ in range(10):
        await pace.rest(0.0001)
    assert pace.limit == 500
    await pace.rest(0.2)
    assert pace.limit == 50
    for _ in range(5):
        await pace.rest(0.2)
    assert pace.limit == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("count", "most_ms"),
    # The long one is for a machine that does nothing else.
    [(10_000, 1000), pytest.param(100_000, 50, marks=[pytest.mark.soak])],
    ids=["10k", "100k"],
)
async def test_many_runs_go_and_nobody_waits_for_a_lock(
    bench: Bench,
    connect_to: ConnectTo,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    most_ms: int,
) -> None:
    await fill(bench, count)
    took: list[float] = []
    take: Callable[..., Awaitable[Any]] = queries.take_ended_runs

    async def timed(*arguments: Any, **options: Any) -> Any:
        began = time.monotonic()
        found = await take(*arguments, **options)
        took.append(time.monotonic() - began)
        return found

    monkeypatch.setattr(queries, "take_ended_runs", timed)
    writing = asyncio.create_task(write_beside(bench, connect_to, most_ms))
    swept = await bench.sweep(finished_runs="60")
    assert swept == {"finished runs": count}
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert (
        await bench.value("SELECT count(*) FROM runs WHERE ended_at < now() - $1::interval", HOUR)
        == 0
    )
    assert await bench.value("SELECT count(*) FROM run_events WHERE revision = 2") == 0
    # What a machine that is busy with others adds now and then is not the sweep's.
    assert sorted(took)[len(took) * 9 // 10] < most_ms / 1000
    assert len(took) > count / 500


async def test_a_sweep_finds_old_runs_by_their_index_among_many(bench: Bench) -> None:
    await fill(bench, 50_000)
    await bench.execute("ANALYZE runs")
    async with bench.database.connection() as connection:
        for statement, index in (
            (queries._OLD, "runs_ended"),
            (queries._UNSWEPT, "runs_unswept"),
        ):
            rows = await connection.fetch(f"EXPLAIN {statement}", DAY * 365, 100)
            assert any(index in row[0] for row in rows), rows


async def test_counting_reads_what_has_not_ended_however_many_have(bench: Bench) -> None:
    """And what ended since the last look, by the order of events."""
    await fill(bench, 50_000)
    for _ in range(3):
        await bench.make_run("RUNNING", age=None)
    await bench.execute("ANALYZE runs")
    await bench.execute("ANALYZE run_events")
    async with bench.database.connection() as connection:
        place = await runs.present_place(connection)
        for statement, values in (
            (census._STATES, ()),
            (census._OVERDUE, ()),
            (census._WAITING, ()),
            (census._ENDED, (*place, 1000)),
        ):
            rows = await connection.fetch(f"EXPLAIN {statement}", *values)
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan" not in plan, plan
        standing = await census.standing(connection)
        assert standing.runs == {"RUNNING": 3}
        assert await census.ended_since(connection, place, limit=1000) == []
        before = await census.ended_since(connection, ("0", 0), limit=7)
    assert before == [], "these runs have no event of their end"


async def test_each_end_is_counted_once(bench: Bench) -> None:
    metrics = Metrics()
    count = Census(database=bench.database, metrics=metrics.runs).count

    def ended(state: str, reason: str = "") -> float | None:
        labels = {"state": state, "reason": reason}
        return metrics.registry.get_sample_value("appengine_runs_ended_total", labels)

    run_ids = [await bench.make_run("RUNNING", age=None) for _ in range(3)]
    await count()
    assert ended("SUCCEEDED") is None
    async with bench.database.transaction() as connection:
        for run_id, state, reason in zip(
            run_ids, ("SUCCEEDED", "FAILED", "FAILED"), (None, "TIMEOUT", "TIMEOUT"), strict=True
        ):
            changed = await runs.change(
                connection, run_id, runs.RunChange(state=RunState(state), reason=reason),
                came_from={RunState.RUNNING},
            )  # fmt: skip
            assert changed is not None
    for _ in range(2):
        await count()
        assert ended("SUCCEEDED") == 1
        assert ended("FAILED", "TIMEOUT") == 2


async def fill(bench: Bench, count: int) -> None:
    """So many runs that ended yesterday, with attempts and history."""
    await bench.execute(
        "INSERT INTO runs (id, project, owner, task_id, state, attempt, outputs_attempt, ended_at)"
        " SELECT gen_random_uuid(), 'lab', 'anna', $1, 'SUCCEEDED', 1, 1,"
        "        now() - interval '1 day' FROM generate_series(1, $2::integer)",
        bench.task_id, count,
    )  # fmt: skip
    await bench.execute(
        "INSERT INTO attempts (run_id, number, cpus, ram_bytes, gpus, released_at)"
        " SELECT id, 1, 1, 1, 0, now() FROM runs"
    )
    await bench.execute(
        "INSERT INTO run_events (run_id, project, revision, state, attempt)"
        " SELECT id, project, number, 'RUNNING', 1 FROM runs, generate_series(1, 2) AS number"
    )


async def write_beside(bench: Bench, connect_to: ConnectTo, most_ms: int) -> None:
    """Make, change and read runs all the time; PostgreSQL itself refuses a longer wait."""
    connection = await connect(connect_to)
    try:
        await connection.execute(f"SET lock_timeout = '{most_ms}ms'")
        while True:
            run_id = uuid4()
            try:
                await connection.execute(
                    "INSERT INTO runs (id, project, owner, task_id, state)"
                    " VALUES ($1, 'lab', 'anna', $2, 'QUEUED')", run_id, bench.task_id,
                )  # fmt: skip
                await connection.execute(
                    "UPDATE runs SET state = 'PENDING', attempt = 1 WHERE id = $1", run_id
                )
                await connection.fetch(
                    "SELECT id FROM runs WHERE project = 'lab'"
                    " ORDER BY created_at DESC, id DESC LIMIT 50"
                )
            except asyncpg.LockNotAvailableError as error:
                raise AssertionError(f"waited for the sweep for more than {most_ms} ms") from error
            await asyncio.sleep(0.002)
    finally:
        await connection.close()


async def insert_upload(bench: Bench, upload_id: UUID, run_id: UUID, *, expiry: timedelta) -> None:
    new = uploads.NewUpload(
        id=upload_id, project="lab", owner="anna", target=UploadTarget.INPUT, run_id=run_id,
        parameter="image", part=InputPart.WHOLE, request_id=uuid4(), request_hash=b"",
        expiry=expiry,
    )  # fmt: skip
    async with bench.database.transaction() as connection:
        await uploads.insert(connection, new)
