"""One bench for each mode, shared by all tests of faults."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.figures import Figures
from tests.kubernetes.agent import agent_archive, agent_image
from tests.kubernetes.cluster.cluster import BootedCluster, Cluster
from tests.kubernetes.faults.bench import ClusterBench, open_cluster_bench

__all__ = ["agent_archive", "agent_image"]


@pytest.fixture(scope="session")
async def shared_cluster_bench(
    cluster: Cluster, agent_image: str, tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> AsyncIterator[ClusterBench]:
    folder = tmp_path_factory.mktemp("faults") / "cluster"
    async with open_cluster_bench(
        breakable(cluster), "cluster", folder, figures, agent_image=agent_image
    ) as opened:
        chance = figures.chance("both nodes have the images")
        for job in [await opened.begin(chance, seconds=1) for _ in cluster.node_names]:
            await opened.check(job)
        yield opened


@pytest.fixture
async def cluster_bench(shared_cluster_bench: ClusterBench) -> AsyncIterator[ClusterBench]:
    """A server in cluster mode for most faults, on a cluster that is mended after each."""
    yield shared_cluster_bench
    await shared_cluster_bench.mend()


@pytest.fixture(scope="session")
async def shared_local_bench(
    cluster: Cluster, busybox: str, tmp_path_factory: pytest.TempPathFactory, figures: Figures
) -> AsyncIterator[ClusterBench]:
    folder = tmp_path_factory.mktemp("faults") / "local"
    probing = {"SCHEDULER_PROBE_IMAGE": busybox}
    async with open_cluster_bench(
        breakable(cluster), "local", folder, figures, **probing
    ) as opened:
        yield opened


@pytest.fixture
async def local_bench(shared_local_bench: ClusterBench) -> AsyncIterator[ClusterBench]:
    """The same in local mode."""
    yield shared_local_bench
    await shared_local_bench.mend()


def breakable(cluster: Cluster) -> BootedCluster:
    """The cluster, if it may be broken; else the test is left out."""
    if not isinstance(cluster, BootedCluster):
        pytest.skip("a given cluster is not ours to break.")
    return cluster
