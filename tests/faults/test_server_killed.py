"""kill -9 of the server at known moments: afterwards every run ends as it would have."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.bench import Bench, Ending, names, under_way

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

MOMENTS = [
    ("admission.admitted", "QUEUED"),
    ("submit.before", "PENDING"),
    ("submit.after", "PENDING"),
    pytest.param("follow.pending", "PENDING", marks=pytest.mark.soak),
    ("follow.running", "RUNNING"),
    ("finalize.begin", "FINALIZING"),
    ("finalize.checked", "FINALIZING"),
    ("finalize.committed", "ended"),
    pytest.param("remove_attempt.before", "ended", marks=pytest.mark.soak),
]
CANCEL_MOMENTS = [
    ("cancel.begin", "CANCELLING"),
    pytest.param("cancel.ended", "CANCELLING", marks=pytest.mark.soak),
]
UPLOAD_MOMENTS = [
    ("upload.received", ("OPEN", "CREATED")),
    ("upload.moved", ("OPEN", "CREATED")),
    ("upload.committed", ("FINISHED", "PROVISIONED")),
]
ENDINGS: tuple[Ending, ...] = ("works", "works", "exits", "forgets")
END_STATES = {"works": "SUCCEEDED", "exits": "FAILED", "forgets": "FAILED"}


@pytest.mark.parametrize(("point", "state"), MOMENTS)
async def test_a_run_goes_on_after_its_server_was_killed(
    bench: Bench, point: str, state: str, round_number: int
) -> None:
    chance = bench.figures.chance(point, round_number)
    ending = chance.choice(ENDINGS) if round_number else "works"
    bench.arm(point)
    # what ends at once may never be seen running
    seconds = chance.uniform(0.6, 1.5) if state == "RUNNING" else None
    job = await bench.begin(chance, ending=ending, seconds=seconds)
    await bench.held(point)
    await asyncio.sleep(chance.uniform(0, 0.3))
    await bench.kill()
    assert await bench.state(job) == (END_STATES[ending] if state == "ended" else state)
    await asyncio.sleep(chance.uniform(0, 0.5))
    began = time.monotonic()
    await bench.start()
    await bench.check(job)
    bench.figures.add(f"server killed, {state}: {point}", time.monotonic() - began)


@pytest.mark.parametrize(("point", "state"), CANCEL_MOMENTS)
async def test_a_cancel_goes_on_after_the_server_was_killed(
    bench: Bench, point: str, state: str, round_number: int
) -> None:
    chance = bench.figures.chance(point, round_number)
    job = await bench.begin(chance, seconds=600)
    await bench.reached(job, "RUNNING")
    bench.arm(point)
    await bench.cancel(job)
    await bench.held(point)
    await asyncio.sleep(chance.uniform(0, 0.3))
    await bench.kill()
    assert await bench.state(job) == state
    began = time.monotonic()
    await bench.start()
    await bench.check(job, cancelled=True)
    bench.figures.add(f"server killed, {state}: {point}", time.monotonic() - began)


@pytest.mark.parametrize("point", ["submit.before", "submit.after"])
async def test_a_run_that_is_cancelled_while_it_is_submitted_leaves_no_container(
    bench: Bench, point: str, extra_round: int
) -> None:
    chance = bench.figures.chance("cancel", point, extra_round)
    bench.arm(point)
    job = await bench.begin(chance, seconds=600)
    await bench.held(point)
    await bench.cancel(job)
    await bench.reached(job, *chance.choice([("CANCELLING", "CANCELLED"), ("CANCELLED",)]))
    if chance.random() < 0.5:
        await bench.kill()
        await bench.start()
    bench.release()
    began = time.monotonic()
    await bench.check(job, cancelled=True)
    bench.figures.add(f"cancelled at {point}", time.monotonic() - began)


@pytest.mark.parametrize(
    "point", ["publish.checked", pytest.param("publish.before_ready", marks=pytest.mark.soak)]
)
async def test_publishing_goes_on_after_the_server_was_killed(
    bench: Bench, point: str, round_number: int, tmp_path: Path
) -> None:
    chance = bench.figures.chance(point, round_number)
    version = f"2.{round_number}.{uuid4().int % 10**9}"
    bench.arm(point)
    async with bench.client() as client:
        source = bench.bundle(tmp_path, version)
        async with under_way(client.tasks.upload(source)) as publishing:
            await bench.held(point)
            bench.task, usual = f"org.example.faults:{version}", bench.task
            job = await bench.begin(chance)
            bench.task = usual
            await asyncio.sleep(chance.uniform(0, 0.3))
            await bench.kill()
            rows = await bench.query("SELECT id, state FROM tasks WHERE version = $1", version)
            assert [row["state"] for row in rows] == ["PUBLISHING"]
            assert await bench.state(job) == "QUEUED"
            began = time.monotonic()
            await bench.start()
            task = await publishing
            assert not task.HasField("failure")
            await bench.check(job)
    bench.figures.add(f"server killed, PUBLISHING: {point}", time.monotonic() - began)
    assert names(bench.server.storage / "tasks" / task.id) == {"descriptor.yml"}


@pytest.mark.parametrize(("point", "states"), UPLOAD_MOMENTS)
async def test_an_input_that_was_just_sent_is_provisioned_after_the_server_was_killed(
    bench: Bench, point: str, states: tuple[str, str], extra_round: int
) -> None:
    chance = bench.figures.chance(point, extra_round)
    bench.arm(point)
    # larger than what travels as a value, so that it is an upload
    async with under_way(bench.create(chance, seconds=0.1)) as creating:
        await bench.held(point)
        await asyncio.sleep(chance.uniform(0, 0.3))
        await bench.kill()
        rows = await bench.query(
            "SELECT state, run_id FROM uploads ORDER BY created_at DESC LIMIT 1"
        )
        runs = await bench.query("SELECT state FROM runs WHERE id = $1", rows[0]["run_id"])
        assert (rows[0]["state"], runs[0]["state"]) == states
        began = time.monotonic()
        await bench.start()
        job = await creating
    await bench.launch(job)
    await bench.check(job)
    bench.figures.add(f"server killed, upload: {point}", time.monotonic() - began)
