"""The container engine's service is away for a while; its containers run on."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from appengine.v1 import run_pb2

from tests.faults.bench import Bench, Ending, open_bench, under_way, until
from tests.faults.engine_gate import EngineGate, engine_gate
from tests.faults.figures import Figures

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

MOMENTS = [
    ("submit.before", "PENDING"),
    pytest.param("submit.after", "PENDING", marks=pytest.mark.soak),
    ("follow.running", "RUNNING"),
    ("finalize.begin", "FINALIZING"),
    pytest.param("remove_attempt.before", "ended", marks=pytest.mark.soak),
]
ENDINGS: tuple[Ending, ...] = ("works", "works", "exits", "forgets")
END_STATES = {"works": "SUCCEEDED", "exits": "FAILED", "forgets": "FAILED"}


@pytest.fixture(scope="module")
async def gate(engine_url: str) -> AsyncIterator[EngineGate]:
    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket's name has 107 bytes
        async with engine_gate(engine_url, Path(folder)) as opened:
            yield opened


@pytest.fixture(scope="module")
async def module_bench(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, gate: EngineGate, figures: Figures
) -> AsyncIterator[Bench]:
    """A bench whose server reaches its engine through the gate."""
    folder = tmp_path_factory.mktemp("gated")
    async with open_bench(folder, engine_url, figures, through=gate.url) as opened:
        yield opened


@pytest.fixture
async def gated(module_bench: Bench, gate: EngineGate) -> AsyncIterator[Bench]:
    """The same bench for every test, mended after each."""
    yield module_bench
    await gate.open()
    await module_bench.mend()


@pytest.mark.parametrize(("point", "state"), MOMENTS)
async def test_a_run_goes_on_after_the_engine_was_away(
    gated: Bench, gate: EngineGate, point: str, state: str, extra_round: int
) -> None:
    chance = gated.figures.chance("engine", point, extra_round)
    ending = chance.choice(ENDINGS) if extra_round else "works"
    seconds = chance.uniform(0.6, 1.5) if state == "RUNNING" else None
    gated.arm(point)
    job = await gated.begin(chance, ending=ending, seconds=seconds)
    await gated.held(point)
    assert await gated.state(job) == (END_STATES[ending] if state == "ended" else state)
    await gate.shut()
    gated.release()
    await asyncio.sleep(chance.uniform(0.1, 2))
    began = time.monotonic()
    await gate.open()
    await gated.check(job)
    gated.figures.add(f"engine away, {state}: {point}", time.monotonic() - began)


async def test_a_pending_run_says_that_the_engine_is_away_and_the_log_says_it_once(
    gated: Bench, gate: EngineGate
) -> None:
    def said(event: str) -> int:
        return gated.server.log.read_text().count(f'"{event}"')

    told_away, told_back = said("scheduler.out_of_reach"), said("scheduler.back")
    gated.arm("submit.before")
    job = await gated.begin(gated.figures.chance("engine", "pending", 0), seconds=0.1)
    await gated.held("submit.before")
    await gate.shut()
    gated.release()
    async with gated.client() as client, asyncio.timeout(30):
        kinds: list[int] = []
        async for answer in client.runs.watch(job.run_id):
            kinds = [reason.kind for reason in answer.event.pending_reasons]
            if run_pb2.PENDING_KIND_SCHEDULER in kinds:
                break
        assert answer.event.state == run_pb2.RUN_STATE_PENDING
        await asyncio.sleep(2)  # in which the engine is asked several times
        assert said("scheduler.out_of_reach") == told_away + 1
        await gate.open()
        await gated.check(job)
        assert not (await client.runs.get(job.run_id)).pending_reasons
    await until(lambda: said("scheduler.back") == told_back + 1, "the log says that it is back")


async def test_a_cancel_goes_on_after_the_engine_was_away(
    gated: Bench, gate: EngineGate, extra_round: int
) -> None:
    chance = gated.figures.chance("engine", "cancel", extra_round)
    job = await gated.begin(chance, seconds=600)
    await gated.reached(job, "RUNNING")
    await gate.shut()
    await gated.cancel(job)
    await asyncio.sleep(chance.uniform(0.1, 2))
    began = time.monotonic()
    await gate.open()
    await gated.check(job, cancelled=True)
    gated.figures.add("engine away, CANCELLING", time.monotonic() - began)


async def test_publishing_goes_on_after_the_engine_was_away(
    gated: Bench, gate: EngineGate, extra_round: int, tmp_path: Path
) -> None:
    chance = gated.figures.chance("engine", "publish", extra_round)
    gated.arm("publish.checked")
    async with gated.client() as client:
        source = gated.bundle(tmp_path, f"4.{extra_round}.0")
        async with under_way(client.tasks.upload(source)) as publishing:
            await gated.held("publish.checked")
            await gate.shut()
            gated.release()
            await asyncio.sleep(chance.uniform(0.1, 2))
            began = time.monotonic()
            await gate.open()
            task = await publishing
            assert not task.HasField("failure")
    gated.figures.add("engine away, PUBLISHING", time.monotonic() - began)
