"""Endless tasks: none ends unnoticed, and all end with their owner."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from appengine_server.jobs import Jobs
from structlog.testing import capture_logs


async def forever() -> None:
    await asyncio.Event().wait()


async def test_leaving_cancels_every_job() -> None:
    stopped: list[str] = []

    async def work(name: str) -> None:
        try:
            await forever()
        finally:
            stopped.append(name)

    ended = asyncio.Event()
    with capture_logs() as logs:
        async with Jobs(on_end=ended.set) as jobs:
            jobs.start("one", work("one"))
            jobs.start("two", work("two"))
            await asyncio.sleep(0)
    assert sorted(stopped) == ["one", "two"]
    assert not ended.is_set()
    assert logs == []


@pytest.mark.parametrize("way", ["returns", "raises", "is cancelled"])
async def test_a_job_that_ends_is_logged_and_told(way: str) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        if way == "raises":
            raise RuntimeError("boom")
        if way == "is cancelled":
            raise asyncio.CancelledError

    ended = asyncio.Event()
    with capture_logs() as logs:
        async with Jobs(on_end=ended.set) as jobs:
            jobs.start("reconcile runs", work())
            await asyncio.wait_for(ended.wait(), 5)
    [line] = logs
    assert (line["event"], line["job"]) == ("job.ended", "reconcile runs")
    assert isinstance(line["exc_info"], RuntimeError) == (way == "raises")


async def test_a_stuck_job_is_named_with_where_it_hangs() -> None:
    release = asyncio.Event()

    async def hang_here() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def work() -> None:
        await hang_here()

    with capture_logs() as logs:
        async with Jobs(on_end=lambda: None, deadline=timedelta(seconds=0.05)) as jobs:
            jobs.start("stubborn", work())
            await asyncio.sleep(0)
    [line] = logs
    assert (line["event"], line["job"]) == ("job.stuck", "stubborn")
    assert any("hang_here" in frame and "test_jobs.py" in frame for frame in line["stack"])
    release.set()
    await asyncio.sleep(0.01)


async def test_an_error_while_stopping_is_logged_and_not_told() -> None:
    async def work() -> None:
        try:
            await forever()
        finally:
            raise RuntimeError("while stopping")

    ended = asyncio.Event()
    with capture_logs() as logs:
        async with Jobs(on_end=ended.set) as jobs:
            jobs.start("clumsy", work())
            await asyncio.sleep(0)
    assert [line["event"] for line in logs] == ["job.failed_while_stopping"]
    assert not ended.is_set()
