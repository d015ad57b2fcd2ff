"""SIGTERM: the server leaves in order, what runs outlives it, and the next one goes on at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from appengine.v1 import run_service_pb2 as pb
from appengine.v1.run_service_pb2_grpc import RunServiceStub

from tests.faults.bench import Bench, postmaster, under_way

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]


async def test_a_task_outlives_the_stop_of_its_server(bench: Bench) -> None:
    chance = bench.figures.chance("stop")
    job = await bench.begin(chance, seconds=15)
    await bench.reached(job, "RUNNING")
    async with bench.client() as client:
        stub = RunServiceStub(client.connection.channel)
        watch = stub.WatchRun(pb.WatchRunRequest(run_id=job.run_id), timeout=60)
        events = aiter(watch)
        assert (await anext(events)).event.revision == 1
        async with under_way(_end_of(events)) as ending:
            database = postmaster(bench.server.storage)
            assert await asyncio.to_thread(bench.server.stop) == 0
            assert await ending is grpc.StatusCode.UNAVAILABLE
    assert not Path(f"/proc/{database}").exists(), "PostgreSQL runs on"
    (container,) = await bench.left_over(job.run_id)
    assert container["State"] == "running"
    began = time.monotonic()
    await bench.start()
    await bench.check(job)
    bench.figures.add("server stopped, RUNNING", time.monotonic() - began)


@pytest.mark.parametrize("point", ["submit.before", "submit.after", "finalize.begin"])
async def test_what_a_stop_interrupts_is_gone_on_with_at_once(bench: Bench, point: str) -> None:
    chance = bench.figures.chance("stop", point)
    bench.arm(point)
    job = await bench.begin(chance, seconds=0.2)
    await bench.held(point)
    assert await asyncio.to_thread(bench.server.stop) == 0
    began = time.monotonic()
    await bench.start()
    await bench.check(job)
    bench.figures.add(f"server stopped at {point}", time.monotonic() - began)


async def _end_of(watch: AsyncIterator[pb.WatchRunResponse]) -> object:
    try:
        async for _ in watch:
            pass
    except grpc.aio.AioRpcError as end:
        return end.code()
    return None
