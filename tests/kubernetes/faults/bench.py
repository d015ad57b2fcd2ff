"""The bench of faults on a real cluster: it knows pods, their processes, and the nodes' cables."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

from tests.faults.bench import ACTIVE, Bench, Job, serving
from tests.faults.figures import Figures
from tests.kubernetes.cluster.cluster import BootedCluster
from tests.kubernetes.conftest import namespace_on
from tests.kubernetes.engines import RunMode, left_over, server_on

MIB = 1 << 20
Helper = Literal["fetch", "transfer"]
"""The containers of the transfer agent."""

_PATIENCE_SECONDS = 120.0
_SETTLE_SECONDS = 150.0
"""After an outage the controller of Jobs lets go of the pods that it counts within two minutes."""
_NODES_READY_SECONDS = 150.0
"""A kubelet that lost its API server looks at its node again after up to a minute."""


@dataclass(slots=True, kw_only=True)
class ClusterBench(Bench):
    """A bench whose runs are Jobs in a namespace of its own."""

    cluster: BootedCluster
    namespace: str

    def pod_now(self, job: Job, attempt: int = 1) -> dict[str, Any]:
        """The pod of an attempt; empty while there is none."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        mark = f"appengine-{UUID(job.run_id).hex}-{attempt}-"
        found: list[dict[str, Any]] = [
            pod
            for pod in self.cluster.api.get(path)["items"]
            if pod["metadata"]["name"].startswith(mark)
        ]
        return found[0] if found else {}

    async def node_of(self, job: Job, attempt: int = 1) -> str:
        """The node of an attempt, once it has one."""
        return str(
            await self.seen(
                lambda: self.pod_now(job, attempt).get("spec", {}).get("nodeName"),
                "the pod has a node",
            )
        )

    def container_now(self, job: Job, name: str, attempt: int = 1) -> dict[str, Any]:
        """What is shown of a container of an attempt; empty before there is anything."""
        status = self.pod_now(job, attempt).get("status", {})
        every = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        found: list[dict[str, Any]] = [one for one in every if one["name"] == name]
        return found[0] if found else {}

    async def processes(self, job: Job, name: str, attempt: int = 1) -> list[int]:
        """The processes of a container that runs, its first one first."""

        def found() -> list[int]:
            status = self.container_now(job, name, attempt)
            if "running" not in status.get("state", {}):
                return []
            return self.cluster.container_processes(status["containerID"])

        return list(await self.seen(found, f"the container {name} runs"))

    async def kill_worker(self, job: Job, helper: Helper) -> None:
        """kill -9 of the process that moves the data."""
        _, worker, *_ = await self.processes(job, helper)
        os.kill(worker, signal.SIGKILL)

    async def kill_container(self, job: Job, name: str) -> None:
        """kill -9 of the first process of a container, and with it of the others."""
        first, *_ = await self.processes(job, name)
        os.kill(first, signal.SIGKILL)

    def delete_pod(self, job: Job, attempt: int = 1) -> None:
        """Delete a pod as anybody may who is allowed to."""
        name = self.pod_now(job, attempt)["metadata"]["name"]
        self.cluster.api.delete(f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    def throttle(self, bits_per_second: int | None) -> None:
        """Limit the cables of all nodes, or of none."""
        for node in self.cluster.node_names:
            self.cluster.throttle(node, bits_per_second)

    def received(self) -> int:
        """Bytes that all nodes have received."""
        return sum(self.cluster.network_bytes(one).received for one in self.cluster.node_names)

    def sent(self) -> int:
        """Bytes that all nodes have sent."""
        return sum(self.cluster.network_bytes(one).sent for one in self.cluster.node_names)

    async def seen(self, what_is: Callable[[], Any], what: str) -> Any:
        """What a question is answered once the answer is yes; no answer counts as no."""
        try:
            async with asyncio.timeout(self.patience_seconds):
                while True:
                    try:
                        if found := await asyncio.to_thread(what_is):
                            return found
                    except OSError:
                        pass
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"not reached: {what}") from None

    async def fetching(self, chance: random.Random, *, size_bytes: int, **more: Any) -> Job:
        """A run whose inputs are on their way; how far they are is left to chance."""
        before = self.received()
        job = await self.begin(chance, size_bytes=size_bytes, **more)
        part = chance.uniform(0.1, 0.7) * size_bytes
        await self.seen(lambda: self.received() - before > part, "inputs are on their way")
        return job

    async def sending(
        self, chance: random.Random, *, bits_per_second: int, size_bytes: int, copies: int
    ) -> Job:
        """A run whose outputs are on their way through throttled cables, as far as chance says."""
        job = await self.begin(chance, seconds=1, size_bytes=size_bytes, copies=copies)
        await self.processes(job, "transfer")
        self.throttle(bits_per_second)
        before = self.sent()
        part = chance.uniform(0.1, 0.7) * size_bytes * copies
        await self.seen(lambda: self.sent() - before > part, "outputs are on their way")
        return job

    async def mend(self) -> None:
        """Leave a cluster that works, a server that runs, and no run of a test that failed."""
        await asyncio.to_thread(self._mend_cluster)
        await Bench.mend(self)
        for row in await self.query(ACTIVE):
            async with self.client() as client:
                await client.runs.cancel(str(row["id"]))
                await client.runs.wait(str(row["id"]))
        await self.delete_runs()  # some are of 1 GiB

    def _mend_cluster(self) -> None:
        self.throttle(None)
        parts = self.cluster.control_plane
        if not parts.etcd.running:
            parts.etcd.start()
        if not parts.api_server.running:
            self.cluster.start_api_server()
        if not self.cluster.registry_service.running:
            self.cluster.start_registry()
        for node in self.cluster.node_names:
            self.cluster.rejoin(node)
            if not self.cluster.nodes[node].kubelet.running:
                self.cluster.start_kubelet(node)
        every = set(self.cluster.node_names)
        self.cluster.wait_until(
            lambda: self.cluster.ready_nodes() == every,
            "all nodes are Ready",
            seconds=_NODES_READY_SECONDS,
        )


@asynccontextmanager
async def open_cluster_bench(
    cluster: BootedCluster,
    mode: RunMode,
    folder: Path,
    figures: Figures,
    *,
    agent_image: str | None = None,
    **settings: str,
) -> AsyncIterator[ClusterBench]:
    """A server whose tasks run on the cluster, in a namespace of its own."""
    with namespace_on(cluster, f"faults-{uuid4().hex[:12]}", {}) as namespace:
        server = server_on(
            cluster, namespace, mode, folder, agent_image=agent_image,
            **{
                "APPENGINE_FAULT_FOLDER": str(folder / "faults"),
                "RUN_OBSERVE_INTERVAL": "0.5",
                "RUN_CANCEL_GRACE": "3",
                "SCHEDULER_LOST_NODE_TOLERATION": "5",
                **settings,
            },
        )  # fmt: skip

        async def remains(run_id: str) -> list[Any]:
            return await asyncio.to_thread(left_over, cluster, namespace, run_id)

        bench = ClusterBench(
            server=server, task="", figures=figures, left_over=remains, cluster=cluster,
            namespace=namespace, settle_seconds=_SETTLE_SECONDS,
            patience_seconds=_PATIENCE_SECONDS,
        )  # fmt: skip
        async with serving(bench):
            yield bench
