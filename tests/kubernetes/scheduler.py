"""A scheduler on the test cluster, in local mode, and what the behaviour suite needs with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.scheduling.kubernetes.scheduler import (
    KubernetesScheduler,
    open_kubernetes_scheduler,
)
from appengine_server.scheduling.kubernetes.settings import (
    Connection,
    KubernetesSchedulerSettings,
    LocalMode,
    PodSettings,
)

from tests.kubernetes.cluster.cluster import Cluster
from tests.schedulers.bench import MIB, Bench, Images, image_archives


@pytest.fixture(scope="session")
def session_namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for tests that make no more of it than Jobs of their own."""
    name = f"session-{uuid4().hex[:12]}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def local_settings(
    cluster: Cluster, session_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> KubernetesSchedulerSettings:
    """Settings of a scheduler in local mode."""
    return KubernetesSchedulerSettings(
        engine_id=f"test-{uuid4().hex[:12]}",
        namespace=session_namespace,
        mode=LocalMode(
            storage_path=tmp_path_factory.getbasetemp(),
            dataset_path=tmp_path_factory.getbasetemp(),
        ),
        connection=Connection(kubeconfig=str(cluster.kubeconfig)),
        pods=PodSettings(shm_bytes=16 * MIB),
    )


@pytest.fixture(scope="session")
async def kubernetes_scheduler(
    local_settings: KubernetesSchedulerSettings,
) -> AsyncIterator[KubernetesScheduler]:
    """A scheduler in local mode."""
    async with open_kubernetes_scheduler(local_settings) as scheduler:
        yield scheduler
        for ref in await scheduler.list_attempts():
            await scheduler.delete(ref)


@pytest.fixture(scope="session")
def kubernetes_images(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The images of the behaviour suite, in the cluster's registry."""
    folder = tmp_path_factory.mktemp("images")
    names = {
        name: cluster.push(archive, f"behaviour/{name.replace('_', '-')}:1")
        for name, archive in image_archives(folder, tags=["appengine.test/x:1"]).items()
    }
    gone = f"{cluster.registry}/behaviour/script@sha256:{'1' * 64}"
    return Images(gone=gone, **names)


@pytest.fixture
async def bench(
    kubernetes_scheduler: KubernetesScheduler, kubernetes_images: Images, tmp_path: Path
) -> AsyncIterator[Bench]:
    """Attempts on the scheduler of the session."""
    made = Bench(
        scheduler=kubernetes_scheduler, images=kubernetes_images, folder=tmp_path, kept=_kept
    )
    yield made
    for ref in made.made:
        with contextlib.suppress(Exception):
            await kubernetes_scheduler.delete(ref)


def _kept(printed: bytes) -> bytes:
    """containerd and CRI-O end lines by LF alone."""
    return printed.replace(b"\r\n", b"\n")
