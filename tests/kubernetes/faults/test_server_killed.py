"""kill -9 of the server while runs are in every state: afterwards each ends as it would have."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.bench import Job
from tests.kubernetes.faults.bench import MIB, ClusterBench

pytestmark = pytest.mark.timeout(240)

SLOW = 40_000_000
"""Bits a second: of this link a test sees the middle."""

Bring = Callable[[ClusterBench, random.Random], Awaitable[Job]]


def held_at(point: str) -> Bring:
    """Bring a run to a point of the server, and keep it there."""

    async def bring(bench: ClusterBench, chance: random.Random) -> Job:
        job = await bench.create(chance)  # whose own uploads must not be held
        bench.arm(point)
        await bench.launch(job)
        await bench.held(point)
        return job

    return bring


async def fetching(bench: ClusterBench, chance: random.Random) -> Job:
    bench.throttle(SLOW)
    return await bench.fetching(chance, size_bytes=12 * MIB)


async def running(bench: ClusterBench, chance: random.Random) -> Job:
    job = await bench.begin(chance, seconds=chance.uniform(3, 6))
    await bench.reached(job, "RUNNING")
    return job


async def sending(bench: ClusterBench, chance: random.Random) -> Job:
    return await bench.sending(chance, bits_per_second=SLOW, size_bytes=3 * MIB, copies=6)


def cancelled_at(point: str) -> Bring:
    async def bring(bench: ClusterBench, chance: random.Random) -> Job:
        job = await bench.begin(chance, seconds=600)
        await bench.reached(job, "RUNNING")
        bench.arm(point)
        await bench.cancel(job)
        await bench.held(point)
        return job

    return bring


MOMENTS: dict[str, tuple[str, Bring]] = {
    "admitted": ("QUEUED", held_at("admission.admitted")),
    "before submit": ("PENDING", held_at("submit.before")),
    "its tokens made": ("PENDING", held_at("submit.tokens")),
    "after submit": ("PENDING", held_at("submit.after")),
    "fetching": ("PENDING", fetching),
    "running": ("RUNNING", running),
    "waiting for the upload": ("FINALIZING", held_at("finalize.begin")),
    "uploading": ("FINALIZING", sending),
    "uploaded": ("FINALIZING", held_at("upload.received")),
    "checked": ("FINALIZING", held_at("finalize.checked")),
    "cancelling": ("CANCELLING", cancelled_at("cancel.begin")),
    "cancelled": ("CANCELLING", cancelled_at("cancel.ended")),
}
"""How a run gets there, and the state that it must have then."""

# Each node has room for one pod: at most two of those that run stand together. The admission, as
# nobody is admitted while it is held, and what ends soon stand last.
IN_CLUSTER_MODE = [
    ("before submit", "checked", "fetching"),
    ("its tokens made", "uploaded", "running", "admitted"),
    ("waiting for the upload", "uploading"),
    ("cancelling", "after submit"),
    pytest.param(("cancelled", "before submit", "fetching"), marks=pytest.mark.soak),
]
IN_LOCAL_MODE = [
    ("before submit", "after submit", "checked", "running", "admitted"),
    ("cancelling", "waiting for the upload", "running"),
]


async def kill_while(bench: ClusterBench, moments: tuple[str, ...], chance: random.Random) -> None:
    jobs = [await MOMENTS[moment][1](bench, chance) for moment in moments]
    await asyncio.sleep(chance.uniform(0, 0.2))
    await bench.kill()
    states = [await bench.state(job) for job in jobs]
    assert states == [MOMENTS[moment][0] for moment in moments]
    bench.throttle(None)
    await asyncio.sleep(chance.uniform(0, 1))
    began = time.monotonic()
    await bench.start()
    for moment, job in zip(moments, jobs, strict=True):
        await bench.check(job, cancelled=MOMENTS[moment][0] == "CANCELLING")
    mode = bench.server.settings["SCHEDULER_RUN_MODE"]
    bench.figures.add(f"server killed, {mode}: {', '.join(moments)}", time.monotonic() - began)


@pytest.mark.parametrize("moments", IN_CLUSTER_MODE, ids=", ".join)
async def test_runs_in_cluster_mode_go_on_after_the_server_was_killed(
    cluster_bench: ClusterBench, moments: tuple[str, ...], round_number: int
) -> None:
    chance = cluster_bench.figures.chance("server", moments, round_number)
    await kill_while(cluster_bench, moments, chance)


@pytest.mark.parametrize("moments", IN_LOCAL_MODE, ids=", ".join)
async def test_runs_in_local_mode_go_on_after_the_server_was_killed(
    local_bench: ClusterBench, moments: tuple[str, ...], round_number: int
) -> None:
    chance = local_bench.figures.chance("server, local", moments, round_number)
    await kill_while(local_bench, moments, chance)
