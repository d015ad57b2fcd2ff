"""kill -9 of the server at moments that nobody chose, while several runs are on their way."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.faults.bench import Bench, Ending, Job

pytestmark = [pytest.mark.container, pytest.mark.timeout(180)]

RUNS = 8
KILLS = 3
ENDINGS: tuple[Ending, ...] = ("works", "works", "works", "exits", "forgets")


async def test_every_run_of_a_workload_ends_right_and_once(bench: Bench, extra_round: int) -> None:
    chance = bench.figures.chance("random kills", extra_round)
    jobs: list[Job] = []
    for _ in range(RUNS):
        jobs.append(await bench.begin(chance, ending=chance.choice(ENDINGS)))
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0, 1.2))
        await bench.kill()
        began = time.monotonic()
        await bench.start()
    for job in jobs:
        await bench.check(job)
    bench.figures.add(f"server killed {KILLS} times under {RUNS} runs", time.monotonic() - began)
