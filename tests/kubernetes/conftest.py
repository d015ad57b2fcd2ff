"""A real Kubernetes cluster for all tests here: booted once a session, or given by KUBECONFIG.

NB: this folder has no `__init__.py`, or it would hide the library called `kubernetes`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from uuid import uuid4

import pytest

from tests.container.images import busybox_archive
from tests.kubernetes.cluster.cluster import BootedCluster, Cluster, boot
from tests.kubernetes.cluster.given import given_cluster
from tests.kubernetes.cluster.programs import NoCluster, ensure_programs
from tests.kubernetes.pods import Pods
from tests.missing import missing

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace that enforces the strictest pod security standard."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("kubernetes")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of this session. In CI it is a failure to have none."""
    try:
        given = given_cluster()
        programs = None if given else ensure_programs()
    except NoCluster as why:
        missing(f"{why}.")
    if given:
        yield given
    elif programs:
        with boot(programs) as booted:
            yield booted


@pytest.fixture
def booted_cluster(cluster: Cluster) -> BootedCluster:
    """The cluster, where its nodes and services may be broken. Whoever breaks one mends it."""
    if not isinstance(cluster, BootedCluster):
        pytest.skip("a given cluster is not ours to break.")
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of this test's own, with its service account."""
    with namespace_on(cluster, f"test-{uuid4().hex[:12]}", {}) as name:
        yield name


@pytest.fixture
def pods(cluster: Cluster, namespace: str) -> Pods:
    """Pods in a namespace of this test's own."""
    return Pods(cluster=cluster, namespace=namespace)


@pytest.fixture
def restricted_namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that enforces the strictest pod security standard."""
    with namespace_on(cluster, f"restricted-{uuid4().hex[:12]}", RESTRICTED) as name:
        yield name


@contextmanager
def namespace_on(cluster: Cluster, name: str, labels: dict[str, str]) -> Iterator[str]:
    """Make a namespace, wait for its service account, and have it deleted in the end."""
    metadata = {"name": name, "labels": labels}
    cluster.api.create("/api/v1/namespaces", {"metadata": metadata})
    try:
        _wait_for_account(cluster, name)
        yield name
    finally:
        cluster.api.delete(f"/api/v1/namespaces/{name}")


def _wait_for_account(cluster: Cluster, namespace: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            cluster.api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
            return
        except HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture(scope="session")
def busybox(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image in the cluster's registry that holds a static busybox and its shell."""
    archive = tmp_path_factory.mktemp("images") / "busybox.tar"
    busybox_archive(archive, tags=["appengine.test/busybox:1"])
    return cluster.push(archive, "tests/busybox:1")
