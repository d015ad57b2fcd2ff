"""Real servers whose tasks run on a real Kubernetes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tests.container.engine_server import QUICK, Engine
from tests.kubernetes.cluster.cluster import Cluster
from tests.server_process import ServerProcess

RunMode = Literal["local", "cluster"]


def server_on(
    cluster: Cluster,
    namespace: str,
    mode: RunMode,
    folder: Path,
    *,
    agent_image: str | None = None,
    **settings: str,
) -> ServerProcess:
    """A server that is not started yet, on a port of its own that pods reach too."""
    port = _free_port(cluster.server_address)
    scheme = "https" if "TLS_CERTIFICATE_FILE" in settings else "http"
    own = {
        "PORT": str(port),
        "ALLOW_INSECURE": "true",
        "RUN_STORAGE_BASE_PATH": str(folder / "storage"),
        "KUBECONFIG": str(cluster.kubeconfig),
        "SCHEDULER": "kubernetes",
        "SCHEDULER_RUN_MODE": mode,
        "SCHEDULER_TASKS_NAMESPACE": namespace,
        "SCHEDULER_USE_HOST_NETWORK": "false",
        "SCHEDULER_ADVERTISED_URL": f"{scheme}://{cluster.server_address}:{port}",
        "REGISTRY_URL": f"http://{cluster.registry}",
        "SCHEDULER_REGISTRY_ADVERTISED_URL": cluster.registry,
    }
    if agent_image is not None:
        own["TRANSFER_AGENT_IMAGE"] = agent_image
    return ServerProcess(
        folder=folder,
        engine_url="",
        settings={**QUICK, **own, **settings},
        host=cluster.server_address,
    )


@contextlib.contextmanager
def started_on(
    cluster: Cluster,
    namespace: str,
    mode: RunMode,
    folder: Path,
    *,
    agent_image: str | None = None,
    credentials: Mapping[str, Any] | None = None,
    **settings: str,
) -> Iterator[Engine]:
    """A server with a client; in the end it must have removed all that it made."""
    server = server_on(
        cluster, namespace, mode, folder / "server", agent_image=agent_image, **settings
    )
    server.start()
    engine = Engine(server=server, folder=folder, credentials=credentials or {})
    try:
        engine.connect()
        yield engine
        engine.remove_all()
    finally:
        engine.disconnect()
        server.stop()


def left_over(cluster: Cluster, namespace: str, run_id: str = "") -> list[str]:
    """Names of Jobs, pods and Secrets of attempts, of one run or of all."""
    mark = f"appengine-{run_id.replace('-', '')}"
    rooms = (
        f"/apis/batch/v1/namespaces/{namespace}/jobs",
        f"/api/v1/namespaces/{namespace}/pods",
        f"/api/v1/namespaces/{namespace}/secrets",
    )
    return [
        f"{room.rsplit('/', 1)[1]}/{item['metadata']['name']}"
        for room in rooms
        for item in cluster.api.get(room)["items"]
        if item["metadata"]["name"].startswith(mark)
    ]


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
