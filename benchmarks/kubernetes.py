"""What the engine adds to Kubernetes: runs beside bare pods with the same containers and requests.

    .venv/bin/python -m tests.kubernetes.cluster run .venv/bin/python benchmarks/kubernetes.py \\
        --agent-image IMAGE [--rounds 40] [--json]

The cluster is that of KUBECONFIG; CLUSTER_REGISTRY is a registry that this machine and the nodes
reach by plain HTTP, CLUSTER_SERVER_ADDRESS an address of this machine that pods reach. A bare pod
has ended when a watch shows its task's container terminated: kubelets tell that about a second
before they call the pod Succeeded. In each round one of ours and one bare pod follow each other,
each begun at any moment of the second after which kubelets look at their containers again: begun at
the same one, all would miss the same look, or none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.pop(0)  # this folder, whose `kubernetes` is not the library
sys.path.insert(0, str(Path(__file__).parents[1]))

from appengine.v1 import run_pb2, task_pb2
from appengine_client import Client
from kubernetes.aio import client as kubernetes
from kubernetes.aio import config, watch

from tests.container.bundles import make_bundle
from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.cluster.given import given_cluster
from tests.kubernetes.engines import RunMode, server_on

_GIB = 1 << 30
_AT_ONCE = 10
_MANY = 50
_FETCH_SECONDS = 0.2
_KUBELET_LOOKS_SECONDS = 1.0
_SMALL = {"cpu": "50m", "memory": "64Mi"}
_TASK_RESOURCES = {"cpu": "1", "memory": str(64 << 20)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BarePods:
    """Pods without an engine, each watched until the container of its task has terminated."""

    api: kubernetes.CoreV1Api
    namespace: str
    image: str
    requests: dict[str, str]
    node: str | None = None

    async def alone(self) -> None:
        """One pod with the task's container only: what local mode makes."""
        await self._follow(self._pod([self._container("task", "true", self.requests)]))

    async def beside_agents(self) -> None:
        """One pod with three containers of the kind that cluster mode makes."""
        pod = self._pod(
            [
                self._container("task", "true", self.requests),
                self._container("transfer", "sleep 1", _SMALL),
            ]
        )
        fetch = self._container("fetch", f"sleep {_FETCH_SECONDS}", _SMALL)
        pod["spec"]["initContainers"] = [fetch]
        await self._follow(pod)

    def _container(self, name: str, script: str, requests: dict[str, str]) -> dict[str, Any]:
        return {
            "name": name,
            "image": self.image,
            "command": ["/bin/sh", "-c", script],
            "resources": {"requests": requests},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }

    def _pod(self, containers: list[dict[str, Any]]) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": containers,
            # Kubelets look every 0.3 s whether volumes are there, and a task without any is none.
            "volumes": [{"name": "data", "emptyDir": {}}],
        }
        if self.node is not None:
            spec["nodeSelector"] = {"kubernetes.io/hostname": self.node}
        return {"metadata": {"name": f"bare-{uuid4().hex}"}, "spec": spec}

    async def _follow(self, pod: dict[str, Any]) -> None:
        made = await self.api.create_namespaced_pod(self.namespace, pod)
        name = made.metadata.name
        watching = watch.Watch()
        async with watching.stream(
            self.api.list_namespaced_pod,
            self.namespace,
            field_selector=f"metadata.name={name}",
            resource_version=made.metadata.resource_version,
            timeout_seconds=120,
        ) as events:
            async for event in events:
                if _task_has_ended(event["object"]):
                    break
            else:
                raise AssertionError(f"{name} did not end")
        watching.stop()
        asyncio.get_running_loop().create_task(
            self.api.delete_namespaced_pod(name, self.namespace, grace_period_seconds=0)
        )


def _task_has_ended(pod: Any) -> bool:
    states = pod.status.container_statuses or ()
    return any(status.name == "task" and status.state.terminated for status in states)


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def spread(samples: list[float]) -> dict[str, float]:
    """Median, mean, minimum and maximum, in seconds."""
    return {
        "median": statistics.median(samples), "mean": statistics.fmean(samples),
        "min": min(samples), "max": max(samples),
    }  # fmt: skip


async def one_run(client: Client, task: str, **inputs: Any) -> run_pb2.Run:
    """Create and start a run, and follow it until it has SUCCEEDED."""
    run = await client.runs.create(task, inputs, start=True)
    return _succeeded(await client.runs.wait(run.id))


def _succeeded(run: run_pb2.Run) -> run_pb2.Run:
    assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run
    return run


async def latency(
    ours: Callable[[], Awaitable[Any]], theirs: Callable[[], Awaitable[Any]], rounds: int
) -> dict[str, Any]:
    """One of ours and one of theirs in each round, in turn first."""
    await ours()
    await theirs()
    mine: list[float] = []
    bare: list[float] = []
    for number in range(rounds):
        pair = [(mine, ours), (bare, theirs)]
        for samples, work in pair if number % 2 else reversed(pair):
            await asyncio.sleep(0.2 + random.uniform(0, _KUBELET_LOOKS_SECONDS))
            samples.append(await timed(work))
    added = [one - other for one, other in zip(mine, bare, strict=True)]
    return {"ours": spread(mine), "bare": spread(bare), "added": spread(added)}


async def at_once(
    ours: Callable[[], Awaitable[Any]], theirs: Callable[[], Awaitable[Any]], rounds: int
) -> dict[str, Any]:
    """Ten of ours at once, then ten of theirs, a few times."""

    async def ten(work: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    mine, bare = [], []
    for _ in range(rounds):
        mine.append(await timed(lambda: ten(ours)))
        await asyncio.sleep(2)
        bare.append(await timed(lambda: ten(theirs)))
        await asyncio.sleep(2)
    ratios = [one / other for one, other in zip(mine, bare, strict=True)]
    return {"ours": spread(mine), "bare": spread(bare), "ratio": spread(ratios)}


async def large(client: Client, task: str, folder: Path, rounds: int) -> dict[str, float]:
    """1 GiB in and the same out, from StartRun to SUCCEEDED."""
    source = folder / "large"
    with source.open("wb") as file:
        for _ in range(_GIB >> 24):
            file.write(_random_bytes(1 << 24))
    samples = []
    for _ in range(rounds):
        run = await client.runs.create(task, {"data": source})

        async def to_the_end(run_id: str = run.id) -> None:
            await client.runs.start(run_id)
            _succeeded(await client.runs.wait(run_id))

        samples.append(await timed(to_the_end))
        await client.runs.delete(run.id)
    return spread(samples)


def _random_bytes(count: int) -> bytes:
    with Path("/dev/urandom").open("rb") as source:
        return source.read(count)


async def many(client: Client, task: str) -> dict[str, Any]:
    """Fifty at once on every node there is."""
    started = time.perf_counter()
    ended = await asyncio.gather(*(one_run(client, task) for _ in range(_MANY)))
    return {"runs": len(ended), "seconds": time.perf_counter() - started}


@asynccontextmanager
async def serving(
    cluster: Cluster,
    namespace: str,
    mode: RunMode,
    folder: Path,
    agent_image: str | None,
    **settings: str,
) -> AsyncIterator[Client]:
    """A server in one mode, with the tasks `noop` and `copy`."""
    server = server_on(
        cluster, namespace, mode, folder / mode, agent_image=agent_image,
        LOG_LEVEL="warning", **settings,
    )  # fmt: skip
    server.start()
    try:
        async with server.client() as client:
            yield client
            async for run in client.runs.list():
                await client.runs.delete(run.id)
            async for task in client.tasks.list():
                await client.tasks.delete(task.id)
            await asyncio.sleep(3)
    finally:
        server.stop()


async def upload(client: Client, folder: Path, name: str, script: str, **about: Any) -> str:
    """Upload a small task; answers its name."""
    bundle = make_bundle(
        folder / f"{name}.zip", namespace=f"org.example.{name}", script=script, **about
    )
    task = await client.tasks.upload(bundle)
    assert task.state == task_pb2.TASK_STATE_READY, task
    return f"org.example.{name}:1.0.0"


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, both modes one after the other."""
    cluster = given_cluster()
    assert cluster is not None, "KUBECONFIG is not set"
    await config.load_kube_config(str(cluster.kubeconfig))
    namespace = f"benchmark-{uuid4().hex[:8]}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    found: dict[str, Any] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            async with kubernetes.ApiClient() as connection:
                api = kubernetes.CoreV1Api(connection)
                for mode in ("local", "cluster"):
                    found[mode] = await _mode(cluster, namespace, mode, Path(name), api, options)
    finally:
        cluster.api.delete(f"/api/v1/namespaces/{namespace}")
    return found


async def _mode(
    cluster: Cluster, namespace: str, mode: RunMode, folder: Path, api: kubernetes.CoreV1Api,
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    node = cluster.node_names[0]
    on_one_node = {"SCHEDULER_NODE_SELECTOR": f"kubernetes.io/hostname={node}"}
    found: dict[str, Any] = {}
    agent = options.agent_image if mode == "cluster" else None
    async with serving(cluster, namespace, mode, folder, agent, **on_one_node) as client:
        noop = await upload(client, folder, "noop", "true")
        image = (await client.tasks.get(noop)).image
        bare = BarePods(
            api=api, namespace=namespace, image=image, requests=_TASK_RESOURCES, node=node
        )
        theirs = bare.alone if mode == "local" else bare.beside_agents
        _say(f"{mode}: {options.rounds} rounds, one run and one pod in each")
        found["latency"] = await latency(lambda: one_run(client, noop), theirs, options.rounds)
        _say(f"{mode}: ten at once")
        found["ten_at_once"] = await at_once(lambda: one_run(client, noop), theirs, 3)
    async with serving(cluster, namespace, mode, folder, agent) as client:
        noop = await upload(client, folder, "noop", "true")
        _say(f"{mode}: fifty at once")
        found["fifty_at_once"] = await many(client, noop)
        copy = await upload(
            client, folder, "copy", "cp /inputs/data /outputs/data",
            inputs={"data": "file"}, outputs={"data": "file"},
        )  # fmt: skip
        _say(f"{mode}: 1 GiB in and out")
        found["large"] = await large(client, copy, folder, 3)
    return found


def _say(what: str) -> None:
    """What goes on, for who waits."""
    print(f"… {what}", file=sys.stderr)


def table(found: dict[str, Any]) -> str:
    """The figures for people, each with what is asked of it."""
    rows = []
    for mode, limit, gib in (("local", "0.2 s", ""), ("cluster", "0.7 s", "8 s")):
        one, ten = found[mode]["latency"], found[mode]["ten_at_once"]
        rows += [
            (f"{mode}: no-op run, added to a bare pod, median",
             f"{one['added']['median']:+.2f} s", limit),
            (f"{mode}: no-op run, added to a bare pod, mean",
             f"{one['added']['mean']:+.2f} s", ""),
            (f"{mode}: the bare pod alone, median", f"{one['bare']['median']:.2f} s", ""),
            (f"{mode}: ten at once on one node, ratio", f"{ten['ratio']['median']:.2f}", "1.3"),
            (f"{mode}: ten bare pods at once", f"{ten['bare']['median']:.1f} s", ""),
            (f"{mode}: fifty at once on all nodes",
             f"{found[mode]['fifty_at_once']['seconds']:.1f} s", ""),
            (f"{mode}: 1 GiB in and 1 GiB out, median",
             f"{found[mode]['large']['median']:.1f} s", gib),
        ]  # fmt: skip
    return "\n".join(f"{what:<52}{value:>10}   {goal}" for what, value, goal in rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agent-image", required=True, help="of the transfer agent, for the nodes")
    parser.add_argument("--rounds", type=int, default=40, help="of the latency")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
