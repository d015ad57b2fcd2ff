"""Two servers on one database and one storage: one takes over what the other one had."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from appengine_server.database.pool import ConnectTo

from tests.faults.bench import Bench, open_bench, sharing, until
from tests.faults.figures import Figures
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]


@dataclass(frozen=True, slots=True)
class Pair:
    """The bench's own server, and one more that is not started yet."""

    bench: Bench
    other: ServerProcess


@pytest.fixture
async def pair(
    tmp_path: Path, engine_url: str, figures: Figures, connect_to: ConnectTo
) -> AsyncIterator[Pair]:
    shared = sharing(connect_to)
    async with open_bench(tmp_path / "one", engine_url, figures, **shared) as bench:
        bench.connect_to = connect_to
        place = {"STORAGE_BASE_PATH": str(bench.server.storage)}
        other = ServerProcess(
            folder=tmp_path / "other", engine_url=engine_url, settings={**shared, **place}
        )
        try:
            yield Pair(bench, other)
        finally:
            other.stop()


@pytest.mark.parametrize(
    ("point", "state"),
    [
        pytest.param("submit.before", "PENDING", marks=pytest.mark.soak),
        pytest.param("submit.after", "PENDING", marks=pytest.mark.soak),
        pytest.param("follow.running", "RUNNING", marks=pytest.mark.soak),
        ("finalize.checked", "FINALIZING"),
    ],
)
async def test_another_server_goes_on_when_one_was_killed(
    pair: Pair, point: str, state: str
) -> None:
    bench = pair.bench
    chance = bench.figures.chance("other", point)
    bench.arm(point)
    job = await bench.begin(chance, seconds=chance.uniform(0.6, 1.5))
    await bench.held(point)
    pair.other.start()
    await bench.kill()
    assert await bench.state(job) == state
    began = time.monotonic()
    await bench.reached(job, "SUCCEEDED")
    bench.figures.add(f"taken over, {state}: {point}", time.monotonic() - began)
    await bench.start()
    await bench.check(job)


async def test_a_server_that_was_paused_for_longer_than_its_lease_writes_nothing(
    pair: Pair,
) -> None:
    bench = pair.bench
    chance = bench.figures.chance("paused")
    bench.arm("finalize.checked")
    job = await bench.begin(chance)
    await bench.held("finalize.checked")
    os.kill(bench.server.pid, signal.SIGSTOP)
    pair.other.start()
    await bench.reached(job, "SUCCEEDED")
    ended = await bench.query("SELECT revision, outputs, fence FROM runs WHERE id = $1", job.run_id)
    bench.release()
    bench.arm("finalize.committed")  # behind the place where the paused one would write
    os.kill(bench.server.pid, signal.SIGCONT)
    await until((bench.faults / "finalize.committed.held").exists, "the paused server went on")
    bench.release()
    now = await bench.query("SELECT revision, outputs, fence FROM runs WHERE id = $1", job.run_id)
    assert now == ended
    await bench.check(job)
