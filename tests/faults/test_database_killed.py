"""kill -9 of PostgreSQL while the server stays up: it mends that by itself, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from appengine.v1 import run_service_pb2 as pb
from appengine.v1.run_service_pb2_grpc import RunServiceStub

from tests.faults.bench import (
    PATIENCE_SECONDS,
    Bench,
    Ending,
    Job,
    kill_postgres,
    postmaster,
    under_way,
    until,
)

if TYPE_CHECKING:
    from appengine.v1.run_service_pb2_grpc import RunServiceAsyncStub

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

MOMENTS = [
    ("admission.admitted", "QUEUED"),
    ("submit.before", "PENDING"),
    pytest.param("submit.after", "PENDING", marks=pytest.mark.soak),
    ("follow.running", "RUNNING"),
    pytest.param("finalize.begin", "FINALIZING", marks=pytest.mark.soak),
    ("finalize.checked", "FINALIZING"),
    pytest.param("finalize.committed", "ended", marks=pytest.mark.soak),
    pytest.param("remove_attempt.before", "ended", marks=pytest.mark.soak),
]
ENDINGS: tuple[Ending, ...] = ("works", "works", "exits", "forgets")
END_STATES = {"works": "SUCCEEDED", "exits": "FAILED", "forgets": "FAILED"}


@asynccontextmanager
async def only_unavailable(bench: Bench, job: Job) -> AsyncIterator[None]:
    """A client that asks all the time, and bears no other refusal than UNAVAILABLE."""
    async with bench.client() as client:
        stub: RunServiceAsyncStub = RunServiceStub(client.connection.channel)
        async with under_way(_ask(stub, job)) as asking:
            yield
            if asking.done():
                await asking


async def _ask(stub: RunServiceAsyncStub, job: Job) -> None:
    while True:
        try:
            await stub.GetRun(pb.GetRunRequest(run_id=job.run_id), timeout=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as refusal:
            if refusal.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(0.02)


async def killed(bench: Bench) -> None:
    """Kill PostgreSQL, and see that the server starts another one."""
    before = postmaster(bench.server.storage)
    kill_postgres(bench.server.storage)

    def another() -> bool:
        with contextlib.suppress(OSError, IndexError, ValueError):
            return postmaster(bench.server.storage) != before
        return False

    await until(another, "PostgreSQL was started again")


@pytest.mark.parametrize(("point", "state"), MOMENTS)
async def test_a_run_goes_on_after_the_database_was_killed(
    bench: Bench, point: str, state: str, round_number: int
) -> None:
    chance = bench.figures.chance("database", point, round_number)
    ending = chance.choice(ENDINGS) if round_number else "works"
    bench.arm(point)
    seconds = chance.uniform(0.6, 1.5) if state == "RUNNING" else None
    job = await bench.begin(chance, ending=ending, seconds=seconds)
    await bench.held(point)
    assert await bench.state(job) == (END_STATES[ending] if state == "ended" else state)
    async with only_unavailable(bench, job), under_way(killed(bench)) as killing:
        began = time.monotonic()
        await asyncio.sleep(chance.choice([0, 0.01, 0.1, 1]))  # while it is dead, or afterwards
        bench.release()
        await killing
        await bench.check(job)
    bench.figures.add(f"database killed, {state}: {point}", time.monotonic() - began)


@pytest.mark.parametrize(
    "point", ["cancel.begin", pytest.param("cancel.ended", marks=pytest.mark.soak)]
)
async def test_a_cancel_goes_on_after_the_database_was_killed(
    bench: Bench, point: str, round_number: int
) -> None:
    chance = bench.figures.chance("database", point, round_number)
    job = await bench.begin(chance, seconds=600)
    await bench.reached(job, "RUNNING")
    bench.arm(point)
    await bench.cancel(job)
    await bench.held(point)
    assert await bench.state(job) == "CANCELLING"
    async with only_unavailable(bench, job):
        began = time.monotonic()
        kill_postgres(bench.server.storage)
        bench.release()
        await bench.check(job, cancelled=True)
    bench.figures.add(f"database killed, CANCELLING: {point}", time.monotonic() - began)


@pytest.mark.parametrize(
    "point", ["publish.checked", pytest.param("publish.before_ready", marks=pytest.mark.soak)]
)
async def test_publishing_goes_on_after_the_database_was_killed(
    bench: Bench, point: str, round_number: int, tmp_path: Path
) -> None:
    chance = bench.figures.chance("database", point, round_number)
    version = f"3.{round_number}.{uuid4().int % 10**9}"
    bench.arm(point)
    async with bench.client() as client:
        source = bench.bundle(tmp_path, version)
        async with under_way(client.tasks.upload(source)) as publishing:
            await bench.held(point)
            rows = await bench.query("SELECT state FROM tasks WHERE version = $1", version)
            assert [row["state"] for row in rows] == ["PUBLISHING"]
            began = time.monotonic()
            kill_postgres(bench.server.storage)
            await asyncio.sleep(chance.choice([0, 0.1, 1]))
            bench.release()
            task = await publishing
            assert not task.HasField("failure")
    bench.figures.add(f"database killed, PUBLISHING: {point}", time.monotonic() - began)


@pytest.mark.parametrize(
    "point", ["upload.moved", pytest.param("upload.committed", marks=pytest.mark.soak)]
)
async def test_an_input_that_was_just_sent_is_provisioned_after_the_database_was_killed(
    bench: Bench, point: str, extra_round: int
) -> None:
    chance = bench.figures.chance("database", point, extra_round)
    bench.arm(point)
    async with under_way(bench.create(chance, seconds=0.1)) as creating:
        await bench.held(point)
        began = time.monotonic()
        kill_postgres(bench.server.storage)
        await asyncio.sleep(chance.choice([0, 0.1, 1]))
        bench.release()
        job = await creating
    await bench.launch(job)
    await bench.check(job)
    bench.figures.add(f"database killed, upload: {point}", time.monotonic() - began)
