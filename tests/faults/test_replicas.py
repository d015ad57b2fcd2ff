"""Two servers behind one Service: what one began the other ends, and nothing happens twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from appengine_client import Client
from appengine_server.database.embedded import EmbeddedPostgres

from tests.container.bundles import make_bundle
from tests.faults.bench import LEASE_SECONDS, WHOLE_LOG, Ending, Job, under_way, until
from tests.faults.figures import MIB, Figures
from tests.faults.replicas import Replicas, open_replicas
from tests.fixtures_database import temporary_database
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

GIB = 1024 * MIB
MOST_AGAIN_BYTES = 36 * MIB
"""What one fault may cost: 32 MiB that were not persisted, and what was on its way."""
ENDINGS: tuple[Ending, ...] = ("works", "works", "works", "exits", "forgets")
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


@pytest.fixture(scope="module")
async def shared_replicas(
    engine_url: str,
    figures: Figures,
    postgres: EmbeddedPostgres,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Replicas]:
    folder = tmp_path_factory.mktemp("replicas")
    async with (
        temporary_database(postgres, template=database_template) as place,
        open_replicas(folder, engine_url, figures, place) as opened,
    ):
        yield opened


@pytest.fixture
async def replicas(shared_replicas: Replicas) -> AsyncIterator[Replicas]:
    await shared_replicas.mend()
    yield shared_replicas
    await shared_replicas.mend()


@pytest.mark.parametrize(
    ("count", "every_seconds"),
    [
        (20, 2.5),
        pytest.param(100, 5.0, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_every_run_ends_once_and_right_while_the_replicas_are_killed_in_turn(
    replicas: Replicas, count: int, every_seconds: float
) -> None:
    bench = replicas.bench
    chance = bench.figures.chance("replicas killed in turn", count)
    jobs = []
    began = time.monotonic()
    async with replicas.killed_in_turn(every_seconds):
        for _ in range(count):
            ending, seconds = chance.choice(ENDINGS), round(chance.uniform(0, 0.8), 3)
            jobs.append(await bench.begin(chance, ending=ending, seconds=seconds))
        for job in jobs:
            await bench.reached(job, *ENDED)
    bench.figures.add(f"replicas killed in turn under {count} runs", time.monotonic() - began)
    for job in jobs:
        await bench.check(job)


@pytest.mark.parametrize("way", ["killed", "stopped"])
@pytest.mark.parametrize(
    ("size_bytes", "faults"),
    [
        (64 * MIB, 1),
        pytest.param(GIB, 5, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_an_upload_that_began_at_one_replica_goes_on_at_the_other(
    replicas: Replicas, way: str, size_bytes: int, faults: int
) -> None:
    bench = replicas.bench
    chance = bench.figures.chance("upload moves over", way, size_bytes)
    beyond = MOST_AGAIN_BYTES  # so that going on differs from beginning anew
    step = (size_bytes - beyond) // faults
    places = [beyond + step * number + chance.randrange(step // 2) for number in range(faults)]
    left: list[ServerProcess] = []
    restarts: list[asyncio.Task[None]] = []

    def leave(server: ServerProcess) -> None:
        left.append(server)
        if way == "killed":
            server.signal_kill()
        restarts.append(asyncio.create_task(restart(server)))

    async def restart(server: ServerProcess) -> None:
        await asyncio.to_thread(server.kill if way == "killed" else server.stop)
        await asyncio.to_thread(server.start)

    carried = replicas.service.carried["up"]
    replicas.at_bytes(places, leave)
    began = time.monotonic()
    job = await bench.create(chance, seconds=0, size_bytes=size_bytes)
    bench.figures.add(f"upload of {size_bytes // MIB} MiB, replica {way}", time.monotonic() - began)
    await asyncio.gather(*restarts)
    assert len(left) == faults
    again = replicas.service.carried["up"] - carried - size_bytes
    assert again <= faults * MOST_AGAIN_BYTES, f"{again / MIB:.1f} MiB were sent again"
    await bench.launch(job)
    await bench.check(job)
    await bench.delete_runs()  # and its bytes


async def test_watches_and_logs_move_over_when_a_replica_stops(replicas: Replicas) -> None:
    bench = replicas.bench
    job = await bench.begin(bench.figures.chance("watches move over"), seconds=6)
    await bench.reached(job, "RUNNING")
    seen: list[int] = []
    printed: list[bytes] = []
    async with (
        bench.client() as client,
        under_way(_watch(client, job, seen)) as watching,
        under_way(_tail(client, job, printed)) as tailing,
    ):
        await until(lambda: bool(seen and printed), "both streams are open")
        stopped = replicas.current
        assert await asyncio.to_thread(stopped.stop) == 0
        assert await bench.state(job) == "RUNNING"
        await watching
        await tailing
    assert replicas.current is not stopped
    run = await bench.wait(job)
    assert seen == list(range(1, run.revision + 1))
    assert b"".join(printed) == WHOLE_LOG
    await replicas.start(stopped)
    await bench.check(job)


async def test_a_log_is_followed_at_the_replica_that_does_not_collect_it(
    replicas: Replicas, tmp_path: Path
) -> None:
    bench = replicas.bench
    bundle = make_bundle(
        tmp_path / "chatty.zip",
        namespace="org.example.faults",
        version="3.0.0",
        script="trap 'exit 143' TERM; while :; do echo line; sleep 0.5; done",
        files={"mark": bench.mark},
    )
    await replicas.leave_alone(bench.server)
    async with bench.server.client() as client:
        task = await client.tasks.upload(bundle)
        run = await client.runs.create(task.id, {}, start=True)
        job = Job(run_id=run.id, data=b"", ending="works", copies=0)
        await bench.reached(job, "RUNNING")
    await replicas.start(replicas.other)
    began = 0.0
    pieces: list[bytes] = []
    async with replicas.other.client() as client:
        async for piece in client.runs.logs(run.id, follow=True):
            pieces.append(piece)
            began = began if pieces[1:] else time.monotonic()
            if b"".join(pieces[1:]).count(b"line") >= 3:
                break
        took = time.monotonic() - began
        await client.runs.cancel(run.id)
        await client.runs.wait(run.id)
        await client.runs.delete(run.id)
    assert took < 8, "it looked only when a bell rang, or after ten seconds"


@pytest.mark.parametrize(
    ("point", "seconds"),
    [
        ("submit.before", 0),
        ("submit.asked", 0),
        pytest.param("submit.asking", 0, marks=pytest.mark.soak),
        pytest.param("submit.after", 0, marks=pytest.mark.soak),
        pytest.param("submit.before", 60, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
        pytest.param("submit.asked", 60, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_a_replica_that_was_paused_while_it_submitted_executes_nothing_again(
    replicas: Replicas, point: str, seconds: float
) -> None:
    """Meanwhile the other one has submitted the attempt, ended it and removed its container."""
    bench, paused = replicas.bench, replicas.bench.server
    await replicas.leave_alone(paused)
    bench.arm(point)
    job = await bench.begin(bench.figures.chance("paused", point), seconds=0.2)
    await bench.held(point)
    replicas.pause(paused)
    asleep_until = time.monotonic() + seconds
    await replicas.start(replicas.other)
    await bench.reached(job, "SUCCEEDED")
    await bench.effects_done()
    assert await bench.left_over(job.run_id) == []
    ended = await _all_of(replicas, job)
    await asyncio.sleep(max(0, asleep_until - time.monotonic()))
    log_bytes = paused.log.stat().st_size
    bench.release()
    bench.arm("submit.after")
    replicas.wake()
    if point != "submit.after":
        await until(
            lambda: (
                (bench.faults / "submit.after.held").exists()
                or b"effect.postponed" in paused.log.read_bytes()[log_bytes:]
            ),
            "the paused replica went on",
        )
    bench.release()
    await _answers(paused)
    assert await _all_of(replicas, job) == ended
    await bench.check(job)


async def test_a_replica_that_was_paused_within_a_transaction_holds_nobody_up(
    replicas: Replicas,
) -> None:
    bench, paused = replicas.bench, replicas.bench.server
    await replicas.leave_alone(paused)
    bench.arm("admission.admitted")
    chance = bench.figures.chance("paused in a transaction")
    job = await bench.begin(chance, seconds=0.2)
    await bench.held("admission.admitted")
    replicas.pause(paused)
    began = time.monotonic()
    await replicas.start(replicas.other)
    others = await bench.begin(chance, seconds=0.2)
    for one in (job, others):
        await bench.reached(one, "SUCCEEDED")
    bench.figures.add("replica paused within a transaction", time.monotonic() - began)
    await bench.effects_done()
    ended = await _all_of(replicas, job)
    bench.release()
    replicas.wake()
    await _answers(paused)
    assert await _all_of(replicas, job) == ended
    for one in (job, others):
        await bench.check(one)


@pytest.mark.parametrize(
    ("size_bytes", "seconds"),
    [
        (64 * MIB, 0),
        pytest.param(GIB, 60, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_a_replica_that_was_paused_during_an_upload_cannot_write_to_it(
    replicas: Replicas, size_bytes: int, seconds: float
) -> None:
    """The client is led to the other replica, as if the Service had noticed."""
    bench = replicas.bench
    chance = bench.figures.chance("paused upload", size_bytes)
    paused: list[ServerProcess] = []

    def pause(server: ServerProcess) -> None:
        paused.append(server)
        replicas.pause(server)

    replicas.at_bytes([chance.randrange(size_bytes // 2, size_bytes * 3 // 4)], pause)
    began = time.monotonic()
    job = await bench.create(chance, seconds=0, size_bytes=size_bytes)
    bench.figures.add(
        f"upload of {size_bytes // MIB} MiB, replica paused", time.monotonic() - began
    )
    await asyncio.sleep(max(0, began + seconds - time.monotonic()))
    replicas.wake()
    await _answers(paused[0])
    await bench.launch(job)
    await bench.check(job)
    await bench.delete_runs()  # and its bytes


async def _answers(server: ServerProcess) -> None:
    """Wait until a server that was paused has gone on with all that it was at."""
    async with server.client() as client:
        assert [run async for run in client.runs.list()]
    await asyncio.sleep(LEASE_SECONDS)  # every loop of it has had a turn


async def _all_of(replicas: Replicas, job: Job) -> list[object]:
    """All that the database knows of a run, and how often its task began."""
    bench = replicas.bench
    starts = bench.server.storage / "runs" / job.run_id / "attempts" / "1" / "outputs" / "starts"
    rows = [
        await bench.query(f"SELECT * FROM {table} WHERE {key} = $1 ORDER BY 1", job.run_id)
        for table, key in (("runs", "id"), ("attempts", "run_id"), ("run_events", "run_id"))
    ]
    return [starts.read_text(), *rows]


async def _watch(client: Client, job: Job, seen: list[int]) -> None:
    async for answer in client.runs.watch(job.run_id):
        seen.append(answer.event.revision)


async def _tail(client: Client, job: Job, printed: list[bytes]) -> None:
    async for piece in client.runs.logs(job.run_id, follow=True):
        printed.append(piece)
