"""`appengine task try`: from a task's folder to the outputs of a run, on this machine alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client.cli.check import Checked
from appengine_client.cli.container_engine import BuildFailed, find_engine
from appengine_client.cli.errors import say
from appengine_client.cli.packing import pack
from appengine_client.cli.reporting import Reporter, reporter
from appengine_client.cli.run import Order, run_task
from appengine_client.errors import AppEngineError

if TYPE_CHECKING:
    from appengine_client._api.client import Client
    from appengine_client.cli.errors import ExitCode

_STEP = ("STEP", "Step")


def build_bundle(checked: Checked, folder: Path, work: Path) -> Path:
    """Build the image of a task's folder and pack it into a bundle in `work`.

    The image keeps its name, so that the next build has its layers. Raises BuildFailed after the
    lines of the build were shown, LocalFileError where no container engine answers.
    """
    assert checked.descriptor is not None
    engine, archive = find_engine(), work / "image.tar"
    name = f"localhost/app-engine/{checked.descriptor.namespace.lower()}:try"
    with reporter() as shown:
        shown.state(f"building the image {name}")
        _build(engine.build(folder, name), shown)
        shown.state("saving the image")
        engine.save(name, archive)
        bundle = pack(checked, archive, work / "bundle.zip", shown)
    archive.unlink()
    return bundle


def _build(lines: Iterator[str], shown: Reporter) -> None:
    told: list[str] = []
    try:
        for line in lines:
            told.append(line)
            if line.startswith(_STEP):
                shown.state(line)
    except BuildFailed:
        for line in told:
            shown.line(line)
        raise


async def try_task(bundle: Path, order: Order, client: Client) -> ExitCode:
    """Upload the bundle, run its task, fetch the outputs, and remove all again."""
    with reporter() as shown:
        shown.state("starting the engine with the task")
        task = await client.tasks.upload(bundle)
    bundle.unlink()
    for problem in task.warnings:
        say(f"Warning: {problem.path}: {problem.message}")
    try:
        return await run_task(order, client)
    finally:
        with contextlib.suppress(AppEngineError):
            async for run in client.runs.list():
                await client.runs.delete(run.id)
            await client.tasks.delete(task.id)
