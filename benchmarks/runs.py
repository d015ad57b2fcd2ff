"""What the engine adds to the container engine beneath it: latency, throughput, memory, start.

    .venv/bin/python benchmarks/runs.py [--json] [--runs 200] [--rounds 30]

Every figure of ours stands beside the same containers made by aiodocker alone, in the same rounds:
on a shared machine only the ratio means something. Needs a container engine (DOCKER_HOST, or the
usual sockets).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from aiodocker import Docker
from appengine.v1 import run_pb2, run_service_pb2, run_service_pb2_grpc, task_service_pb2
from appengine_client import Client

from tests.container.bundles import make_bundle
from tests.server_process import ServerProcess

_TASK = "org.example.noop:1.0.0"
_LABEL = "org.example.benchmark"
_CLIENTS = 8
_CALLS = 2000


class RawEngine:
    """The same no-op container by aiodocker alone, its end taken from the event stream."""

    def __init__(self, docker: Docker, image: str, folder: Path) -> None:
        self._docker = docker
        self._image = image
        self._folder = folder
        self._mark = uuid4().hex
        self._ended: dict[str, asyncio.Event] = {}

    async def listen(self) -> None:
        """Take the ends of containers from the event stream; runs until it is cancelled."""
        subscriber = self._docker.events.subscribe(create_task=True)
        while (event := await subscriber.get()) is not None:
            if event.get("Action") == "die" and event["Actor"]["ID"] in self._ended:
                self._ended[event["Actor"]["ID"]].set()

    async def run(self) -> None:
        """Create, start, wait for the end, delete: with the folders and limits that ours has."""
        name = f"raw-{uuid4().hex}"
        inputs, outputs = self._folder / f"{name}-in", self._folder / f"{name}-out"
        inputs.mkdir()
        outputs.mkdir()
        config: dict[str, Any] = {
            "Image": self._image,
            "Labels": {_LABEL: self._mark},
            "HostConfig": {
                "Binds": [f"{inputs}:/inputs:ro", f"{outputs}:/outputs"],
                "NetworkMode": "none",
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "NanoCpus": 1_000_000_000,
                "Memory": 64 << 20,
            },
        }
        container = await self._docker.containers.create(config, name=name)
        ended = self._ended[container.id] = asyncio.Event()
        await container.start()
        await ended.wait()
        await container.delete(force=True)
        del self._ended[container.id]


async def timed(work: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


def spread(samples: list[float]) -> dict[str, float]:
    """Median, minimum, maximum and the 99th percentile, in milliseconds."""
    ordered = sorted(samples)
    return {
        "p50_ms": statistics.median(ordered) * 1000,
        "min_ms": ordered[0] * 1000,
        "p99_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000,
        "max_ms": ordered[-1] * 1000,
    }


async def one_run(client: Client) -> None:
    """Create and start a no-op run, and follow it until it has SUCCEEDED."""
    run = await client.runs.create(_TASK, {}, start=True)
    run = await client.runs.wait(run.id)
    assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run


async def latency(client: Client, raw: RawEngine, rounds: int) -> dict[str, Any]:
    """A no-op run beside the same container, one after the other in each round."""
    ours, theirs = [], []
    for number in range(rounds):
        pair = [(ours, lambda: one_run(client)), (theirs, raw.run)]
        for samples, work in pair if number % 2 else reversed(pair):
            samples.append(await timed(work))
    added = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    return {"ours": spread(ours), "engine": spread(theirs), "added": spread(added)}


async def throughput(client: Client, raw: RawEngine, runs: int, at_once: int) -> dict[str, Any]:
    """Many runs at once beside the same containers, as many at a time; GetRun meanwhile."""
    semaphore = asyncio.Semaphore(at_once)

    async def limited() -> None:
        async with semaphore:
            await raw.run()

    async def all_raw() -> None:
        await asyncio.gather(*(limited() for _ in range(runs)))

    async def all_ours() -> None:
        made = [await client.runs.create(_TASK, {}, start=True) for _ in range(runs)]
        ended = await asyncio.gather(*(client.runs.wait(run.id) for run in made))
        assert all(run.state == run_pb2.RUN_STATE_SUCCEEDED for run in ended)

    probe_run = await client.runs.create(_TASK, {})
    before = await timed(all_raw)
    probing: list[float] = []
    task = asyncio.create_task(probe(client, probe_run.id, probing))
    ours = await timed(all_ours)
    task.cancel()
    after = await timed(all_raw)
    theirs = (before + after) / 2
    return {
        "runs": runs,
        "at_once": at_once,
        "ours_seconds": ours,
        "engine_seconds": [before, after],
        "ratio": ours / theirs,
        "get_run_meanwhile": spread(probing),
    }


async def probe(client: Client, run_id: str, samples: list[float]) -> None:
    """Ask for one run again and again."""
    while True:
        samples.append(await timed(lambda: client.runs.get(run_id)))
        await asyncio.sleep(0.02)


async def calls(address: str) -> dict[str, Any]:
    """CreateRun and GetRun by plain generated stubs: one caller, then eight at once."""
    import grpc.aio

    async with grpc.aio.insecure_channel(address) as channel:
        stub = run_service_pb2_grpc.RunServiceStub(channel)
        name = task_service_pb2.TaskName(namespace="org.example.noop", version="1.0.0")

        async def create() -> str:
            request = run_service_pb2.CreateRunRequest(request_id=str(uuid4()), task=name)
            return (await stub.CreateRun(request, timeout=30)).run.id

        run_id = await create()

        async def get() -> None:
            await stub.GetRun(run_service_pb2.GetRunRequest(run_id=run_id), timeout=30)

        found: dict[str, Any] = {}
        for what, work in (("create_run", create), ("get_run", get)):
            for _ in range(200):
                await work()
            found[what] = spread([await timed(work) for _ in range(_CALLS // 2)])
            found[what][f"per_second_{_CLIENTS}_clients"] = await rate(work)
        return found


async def rate(work: Callable[[], Awaitable[Any]]) -> float:
    """Calls a second with eight callers."""

    async def caller() -> None:
        for _ in range(_CALLS // _CLIENTS):
            await work()

    return _CALLS / await timed(lambda: asyncio.gather(*(caller() for _ in range(_CLIENTS))))


async def clean_up(client: Client) -> None:
    """Remove the runs and the task, so that its image leaves the container engine."""
    async for run in client.runs.list():
        await client.runs.delete(run.id)
    await client.tasks.delete(_TASK)
    await asyncio.sleep(2)


def resident_mib(pid: int) -> float:
    """Resident memory of the server without PostgreSQL."""
    return float(psutil.Process(pid).memory_info().rss) / (1 << 20)


def start_seconds(server: ServerProcess) -> float:
    """From the command to SERVING, on a data folder that exists."""
    started = time.perf_counter()
    server.start()
    return time.perf_counter() - started


@asynccontextmanager
async def raw_engine(engine_url: str, image: str, folder: Path) -> AsyncIterator[RawEngine]:
    """aiodocker on the same engine."""
    async with Docker(url=engine_url) as docker:
        raw = RawEngine(docker, image, folder)
        listening = asyncio.create_task(raw.listen())
        await asyncio.sleep(0.2)
        try:
            yield raw
        finally:
            listening.cancel()


async def measure(engine_url: str, rounds: int, runs: int) -> dict[str, Any]:
    """Everything, with one server."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        server = ServerProcess(
            folder=folder, engine_url=engine_url, settings={"LOG_LEVEL": "warning"}
        )
        found: dict[str, Any] = {"first_start_seconds": start_seconds(server)}
        server.stop()
        found["start_seconds"] = start_seconds(server)
        try:
            await asyncio.sleep(2)
            found["idle_mib"] = resident_mib(server.pid)
            bundle = make_bundle(folder / "noop.zip", namespace="org.example.noop", script="true")
            async with server.client() as client:
                task = await client.tasks.upload(bundle)
                found["calls"] = await calls(server.address)
                async with raw_engine(engine_url, task.image, folder) as raw:
                    await one_run(client)
                    await raw.run()
                    found["latency"] = await latency(client, raw, rounds)
                    found["throughput"] = await throughput(client, raw, runs, os.cpu_count() or 1)
                await clean_up(client)
            found["mib_afterwards"] = resident_mib(server.pid)
        finally:
            server.stop()
        return found


def table(found: dict[str, Any]) -> str:
    """The figures for people, each with what is asked of it."""
    create, get = found["calls"]["create_run"], found["calls"]["get_run"]
    rate_name = f"per_second_{_CLIENTS}_clients"
    many = found["throughput"]
    meanwhile = many["get_run_meanwhile"]
    rows = [
        ("no-op run, added to the engine, median", f"{found['latency']['added']['p50_ms']:.0f} ms",
         "150 ms"),
        ("the engine alone, median", f"{found['latency']['engine']['p50_ms']:.0f} ms", ""),
        (f"{many['runs']} runs at once, ratio", f"{many['ratio']:.2f}", "1.25"),
        ("GetRun meanwhile, p99", f"{meanwhile['p99_ms']:.0f} ms", "100 ms"),
        ("CreateRun, p50", f"{create['p50_ms']:.2f} ms", "2.5 ms"),
        (f"CreateRun, {_CLIENTS} clients", f"{create[rate_name]:.0f}/s", "700/s"),
        ("GetRun, p50", f"{get['p50_ms']:.2f} ms", "1.2 ms"),
        (f"GetRun, {_CLIENTS} clients", f"{get[rate_name]:.0f}/s", ""),
        ("idle server, resident", f"{found['idle_mib']:.0f} MiB", "150 MiB"),
        ("start to SERVING, first time", f"{found['first_start_seconds']:.2f} s", "2 s"),
        ("start to SERVING, again", f"{found['start_seconds']:.2f} s", "2 s"),
    ]  # fmt: skip
    return "\n".join(f"{what:<45}{value:>12}   {goal}" for what, value, goal in rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="of the latency")
    parser.add_argument("--runs", type=int, default=200, help="at once")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    engine_url = os.environ.get("DOCKER_HOST")
    if not engine_url:
        sys.exit("Set DOCKER_HOST to the socket of a container engine, unix:///….")
    found = asyncio.run(measure(engine_url, options.rounds, options.runs))
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
