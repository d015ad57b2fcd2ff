"""The ways of running tasks. What conforms in one of them must conform in all, byte for byte.

A further way is a function here that opens it, and its name in `WAYS`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.container.engine_server import Engine, started
from tests.kubernetes.conftest import RESTRICTED, namespace_on
from tests.kubernetes.engines import RunMode, started_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server that runs tasks in one way."""

    way: str
    engine: Engine
    """The server, its client and its command line."""
    datasets: Path
    """Its REF_STORAGE_BASE_PATH, which tasks see too."""


Opening = Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Place]]
"""Opens a place in a folder of its own, with whatever fixtures it needs."""


@contextlib.contextmanager
def open_container(request: pytest.FixtureRequest, folder: Path) -> Iterator[Place]:
    """A container engine on this machine."""
    datasets = folder / "datasets"
    datasets.mkdir()
    settings = {"REF_STORAGE_BASE_PATH": str(datasets)}
    with started(folder, request.getfixturevalue("engine_url"), settings) as engine:
        yield Place(way="container", engine=engine, datasets=datasets)


def open_local(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Place]:
    """Kubernetes whose nodes see the server's folders."""
    probe = request.getfixturevalue("busybox")
    return _on_kubernetes(request, folder, "local", {}, SCHEDULER_PROBE_IMAGE=probe)


def open_cluster(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[Place]:
    """Kubernetes whose pods get and send everything over the network, references too."""
    return _on_kubernetes(
        request, folder, "cluster", RESTRICTED, agent_image=request.getfixturevalue("agent_image")
    )


def open_cluster_with_volume(
    request: pytest.FixtureRequest, folder: Path
) -> AbstractContextManager[Place]:
    """The same, with the datasets on a volume that the nodes mount."""
    return _on_kubernetes(
        request,
        folder,
        "cluster",
        {},  # the strictest standard admits no folder of the node
        agent_image=request.getfixturevalue("agent_image"),
        SCHEDULER_DATASET_HOST_PATH=str(folder / "datasets"),
    )


@contextlib.contextmanager
def _on_kubernetes(
    request: pytest.FixtureRequest,
    folder: Path,
    mode: RunMode,
    labels: dict[str, str],
    **settings: str,
) -> Iterator[Place]:
    datasets = folder / "datasets"
    datasets.mkdir()
    cluster = request.getfixturevalue("cluster")
    namespace = f"conformance-{uuid4().hex[:8]}"
    settings["REF_STORAGE_BASE_PATH"] = str(datasets)
    with (
        namespace_on(cluster, namespace, labels),
        started_on(cluster, namespace, mode, folder, **settings) as engine,
    ):
        yield Place(way=request.param, engine=engine, datasets=datasets)


FOR_REFERENCES = frozenset({"kubernetes-cluster-volume"})
"""Ways that differ from another one in nothing but references."""

WAYS: dict[str, Opening] = {
    "container": open_container,
    "kubernetes-local": open_local,
    "kubernetes-cluster": open_cluster,
    "kubernetes-cluster-volume": open_cluster_with_volume,
}
