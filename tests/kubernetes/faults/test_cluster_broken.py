"""Nodes, kubelets and the control plane that die or are out of reach for a while."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from appengine_server.scheduling.kubernetes.cluster import open_cluster
from appengine_server.scheduling.kubernetes.settings import Connection
from appengine_server.scheduling.kubernetes.watch import Collection
from appengine_server.scheduling.scheduler import SchedulerUnavailable

from tests.faults.bench import Job, under_way
from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.faults.bench import MIB, ClusterBench
from tests.kubernetes.pods import Pods

pytestmark = pytest.mark.timeout(300)


async def two_runs(
    bench: ClusterBench, chance: random.Random, *, least_seconds: float = 8
) -> list[tuple[Job, str]]:
    """One whose task runs, and one whose outputs are sent: each on a node of its own, by name.

    `least_seconds`, and at most three more, is how long the task of the first one takes.
    """
    running = await bench.begin(chance, seconds=least_seconds + chance.uniform(0, 3))
    await bench.reached(running, "RUNNING", "FINALIZING", "SUCCEEDED")
    first = (running, await bench.node_of(running))
    sending = await bench.sending(chance, bits_per_second=40_000_000, size_bytes=4 * MIB, copies=8)
    return [first, (sending, await bench.node_of(sending))]


async def test_a_node_that_is_cut_off_and_rejoins_goes_on(
    cluster_bench: ClusterBench, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("rejoined", round_number)
    both = await two_runs(bench, chance)
    _, node = both[round_number % 2]
    bench.cluster.cut_off(node)
    await asyncio.sleep(chance.uniform(0.5, 5))
    bench.throttle(None)
    bench.cluster.rejoin(node)
    began = time.monotonic()
    for job, _ in both:
        await bench.check(job)
    bench.figures.add("node cut off and rejoined", time.monotonic() - began)


async def test_a_node_that_stays_away_means_an_attempt_on_another(
    cluster_bench: ClusterBench, extra_round: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("not rejoined", extra_round)
    both = await two_runs(bench, chance, least_seconds=30)  # it must still run at the cut
    (lost, node), (other, _) = both if extra_round % 2 else reversed(both)
    container = bench.container_now(lost, "transfer")["containerID"]
    bench.cluster.cut_off(node)
    bench.throttle(None)
    began = time.monotonic()
    assert await bench.node_of(lost, attempt=2) != node
    await bench.check(lost, attempts=[2])
    await bench.check(other)
    run = await bench.wait(lost)
    assert "node" in run.attempts[0].failure.message, run.attempts[0]
    bench.figures.add("node lost", time.monotonic() - began)
    bench.cluster.rejoin(node)
    await bench.seen(
        lambda: not bench.cluster.container_processes(container), "the lost pod ends at last"
    )


async def test_a_kubelet_that_is_killed_only_delays(
    cluster_bench: ClusterBench, round_number: int
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("kubelet", round_number)
    both = await two_runs(bench, chance)
    _, node = both[round_number % 2]
    bench.cluster.kill_kubelet(node)
    await asyncio.sleep(chance.uniform(0.5, 5))
    bench.throttle(None)
    bench.cluster.start_kubelet(node)
    began = time.monotonic()
    for job, _ in both:
        await bench.check(job)
    bench.figures.add("kubelet killed", time.monotonic() - began)


@pytest.mark.parametrize("part", ["api_server", "etcd"])
async def test_a_control_plane_that_is_killed_only_delays(
    cluster_bench: ClusterBench, part: str, extra_round: int
) -> None:
    bench = cluster_bench
    kill: Callable[[], None] = getattr(bench.cluster, f"kill_{part}")
    start: Callable[[], None] = getattr(bench.cluster, f"start_{part}")
    chance = bench.figures.chance(part, extra_round)
    jobs = [job for job, _ in await two_runs(bench, chance)]
    bench.arm("submit.before")
    jobs.append(await bench.begin(chance))
    await bench.held("submit.before")
    await asyncio.to_thread(kill)
    bench.release()
    await asyncio.sleep(chance.uniform(0, 5))
    await asyncio.to_thread(start)
    bench.throttle(None)
    began = time.monotonic()
    for job in jobs:
        await bench.check(job)
    bench.figures.add(f"{part} killed", time.monotonic() - began)


async def test_a_server_that_is_away_when_the_task_ends_only_delays(
    cluster_bench: ClusterBench, local_bench: ClusterBench
) -> None:
    benches = [cluster_bench, local_bench]
    chance = cluster_bench.figures.chance("server away")
    jobs = [await bench.begin(chance, seconds=3) for bench in benches]
    for bench, job in zip(benches, jobs, strict=True):
        await bench.reached(job, "RUNNING")
        await bench.kill()
    await asyncio.sleep(15)
    began = time.monotonic()
    for bench, job in zip(benches, jobs, strict=True):
        await bench.start()
        await bench.check(job)
    cluster_bench.figures.add("server away when the task ends", time.monotonic() - began)


async def test_a_watch_that_has_expired_lists_again(
    cluster: Cluster, pods: Pods, busybox: str
) -> None:
    seen: list[tuple[str, bool]] = []
    lost: list[SchedulerUnavailable] = []
    connection = Connection(kubeconfig=str(cluster.kubeconfig))
    async with open_cluster(connection, pods.namespace) as reached:
        watched = LatePods(
            reached,
            reached.path("api/v1", "pods"),
            on_change=lambda item, gone: seen.append((item["metadata"]["name"], gone)),
            on_lost=lost.append,
            on_synced=lambda: None,
        )
        async with under_way(watched.keep_forever()):
            async with asyncio.timeout(30):
                while watched.lists < 2:
                    await asyncio.sleep(0.02)
            pods.start("later", busybox, "true")
            async with asyncio.timeout(30):
                while ("later", False) not in seen:
                    await asyncio.sleep(0.02)
    assert lost == []


class LatePods(Collection):
    """Goes on from a place in the history that no API server remembers, the first time."""

    lists = 0

    async def _list(self) -> str:
        self.lists += 1
        version = await super()._list()
        return "1" if self.lists == 1 else version
