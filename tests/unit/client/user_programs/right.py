"""What a user may write, checked by mypy --strict and never run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from appengine_client import (
    Each,
    Geometry,
    LocalFile,
    Outcome,
    Progress,
    Reference,
    Result,
    RunFailed,
    connect,
    errors,
    sync,
)
from shapely.geometry import Point, box
from shapely.geometry.base import BaseGeometry

TASK = "com.example.nuclei:1.0.0"


def show(progress: Progress) -> None:
    print(progress.done_bytes, progress.total_bytes)


async def one() -> int:
    async with connect("127.0.0.1:8080", token="secret", project="lab") as client:
        try:
            result = await client.run(
                TASK,
                {"labels": 5},
                image=Path("a.png"),
                min_area=20,
                threshold=0.5,
                wanted=True,
                since=datetime.now(UTC),
                region=Point(1, 2),
                regions=[box(0, 0, 1, 1)],
                slides=[Path("b.png"), Reference("/data/a.tiff"), LocalFile(path=Path("c.png"))],
                rows=[[1, 2], []],
                shape={"type": "Point", "coordinates": [1, 2]},
                output_dir=Path("results"),
                labels={"batch": "1"},
                on_progress=show,
            )
        except RunFailed as failure:
            print(failure.reason, failure.message, failure.run.id, len(failure.problems))
            raise
        except errors.Refused as refusal:
            print(refusal.status, refusal.reason, [problem.path for problem in refusal.problems])
            raise
        count: int = result.outputs["count"]
        outline: Geometry = result.outputs["outline"]
        shape: BaseGeometry = outline.to_shapely()
        print(shape, result.run.task_version, result.folder)
        return count


async def many() -> list[Outcome]:
    async with connect() as client:
        slides = Path("slides").glob("*.tiff")
        outcomes = client.map(TASK, image=slides, area=Each([1, 2]), at_once=4)
        failures = [one async for one in outcomes if one.error is not None]
        async for answer in client.runs.watch(failures[0].ended.run):
            print(answer.event.state)
        return failures


def blocking() -> Result:
    with sync.connect() as client:
        for one in client.map(TASK, image=Path("slides").glob("*.tiff"), min_area=20):
            print(one.item, one.error or one.outputs["count"])
        run = client.runs.create(TASK, {"image": Path("a.png")}, start=True)
        for chunk in client.runs.logs(run.id, follow=True):
            print(chunk.decode())
        return client.result(run.id, output_dir=Path("results"))


asyncio.run(one())
