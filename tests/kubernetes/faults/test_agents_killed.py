"""Agents and pods that die while data are on their way, or while the task runs."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.faults.bench import Job
from tests.faults.figures import ROUNDS
from tests.kubernetes.faults.bench import MIB, ClusterBench

pytestmark = pytest.mark.timeout(300)

PIECE = 8 * MIB
RESENT = 32 * MIB
"""What may be moved twice when a worker is killed."""


def scale(round_number: int) -> int:
    """How many pieces an output has: with the soak tests it is 1 GiB."""
    return 8 if round_number < ROUNDS["round_number"][0] else 128


def rate(pieces: int) -> int:
    """Bits a second by which so many pieces take several seconds."""
    return pieces * PIECE * 8 // 4


async def while_fetching(bench: ClusterBench, chance: random.Random, pieces: int) -> Job:
    size = min(pieces, 24) * PIECE
    bench.throttle(rate(size // PIECE))
    return await bench.fetching(chance, size_bytes=size)


async def while_sending(bench: ClusterBench, chance: random.Random, pieces: int) -> Job:
    return await bench.sending(
        chance, bits_per_second=rate(pieces), size_bytes=PIECE, copies=pieces
    )


async def test_a_worker_killed_while_it_fetches_goes_on(
    cluster_bench: ClusterBench, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("worker, fetch", round_number)
    before = bench.received()
    job = await while_fetching(bench, chance, scale(round_number))
    await bench.kill_worker(job, "fetch")
    began = time.monotonic()
    bench.throttle(None)
    await bench.check(job)
    moved = bench.received() - before
    assert len(job.data) < moved < len(job.data) * 1.03 + RESENT
    bench.figures.add("agent's worker killed, fetching", time.monotonic() - began)


async def test_a_worker_killed_while_it_sends_goes_on(
    cluster_bench: ClusterBench, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("worker, transfer", round_number)
    before = bench.sent()
    job = await while_sending(bench, chance, scale(round_number))
    await bench.kill_worker(job, "transfer")
    began = time.monotonic()
    bench.throttle(None)
    await bench.check(job)
    size, moved = len(job.data) * job.copies, bench.sent() - before
    assert size < moved < size * 1.03 + RESENT
    bench.figures.add("agent's worker killed, sending", time.monotonic() - began)


@pytest.mark.parametrize("helper", ["fetch", "transfer"])
async def test_an_agent_whose_container_is_killed_means_another_attempt(
    cluster_bench: ClusterBench, helper: str, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("container", helper, round_number)
    bring = while_fetching if helper == "fetch" else while_sending
    job = await bring(bench, chance, scale(round_number))
    await bench.kill_container(job, helper)
    began = time.monotonic()
    bench.throttle(None)
    await bench.check(job, attempts=[2])
    bench.figures.add(f"agent's container killed, {helper}", time.monotonic() - began)


async def test_a_pod_deleted_while_its_task_runs_means_another_attempt(
    cluster_bench: ClusterBench, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("pod deleted, running", round_number)
    job = await bench.begin(chance, seconds=chance.uniform(3, 4))
    await bench.reached(job, "RUNNING")
    await asyncio.sleep(chance.uniform(0, 1))
    bench.delete_pod(job)
    began = time.monotonic()
    await bench.check(job, attempts=[2])
    bench.figures.add("pod deleted, RUNNING", time.monotonic() - began)


@pytest.mark.parametrize("in_time", [True, False])
async def test_a_pod_deleted_while_outputs_are_sent_loses_none_of_them(
    cluster_bench: ClusterBench, in_time: bool, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("pod deleted, sending", in_time, round_number)
    pieces = scale(round_number)
    job = await bench.sending(
        chance, bits_per_second=rate(pieces) // 6, size_bytes=PIECE, copies=pieces
    )
    bench.delete_pod(job)
    began = time.monotonic()
    if not in_time:  # the grace is over before the upload is
        await bench.seen(lambda: not bench.pod_now(job), "the pod is gone")
    bench.throttle(None)
    await bench.check(job, attempts=[1, 2] if in_time else [2])
    bench.figures.add(f"pod deleted, FINALIZING, saved: {in_time}", time.monotonic() - began)


async def test_an_upload_that_takes_longer_than_the_grace_period_ends_well(
    cluster_bench: ClusterBench,
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("grace")
    size, bits_per_second = 4 * PIECE, 4 * PIECE * 8 // 8
    job = await bench.sending(
        chance, bits_per_second=bits_per_second, size_bytes=PIECE, copies=size // PIECE
    )
    grace_seconds = bench.pod_now(job)["spec"]["terminationGracePeriodSeconds"]
    began = time.monotonic()
    await bench.check(job)
    run = await bench.wait(job)
    [uploading] = [phase for phase in run.attempts[0].phases if phase.name == "uploading outputs"]
    took = uploading.end_time.ToDatetime() - uploading.start_time.ToDatetime()
    assert took.total_seconds() > 1.5 * grace_seconds
    bench.figures.add("upload longer than the grace period", time.monotonic() - began)
