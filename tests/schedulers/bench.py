"""Attempts on a scheduler, made and followed through the Protocol alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    Failure,
    Observation,
    Resources,
    Scheduler,
)

from tests.container.images import busybox_archive

MIB = 1024 * 1024
PATIENCE_SECONDS = 60
"""How long a test waits for what comes at once on a machine that is not busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Ids of small images in the place that the scheduler under test takes images from."""

    script: str
    """Runs `/inputs/run.sh` by `/bin/sh`."""
    gone: str
    """One that was there, by its name."""
    no_command: str
    wrong_program: str
    foreign_program: str
    """Its program is for no machine at all."""


_ENTRYPOINTS: dict[str, list[str]] = {
    "script": ["/bin/sh", "/inputs/run.sh"],
    "no_command": [],
    "wrong_program": ["/bin/there-is-no-such-program"],
    "foreign_program": ["/bin/foreign"],
}
_FOREIGN_ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0\xb7\0" + b"\0" * 44


def image_archives(folder: Path, **about: Any) -> dict[str, Path]:
    """An archive of each image that the suite needs, by its name in `Images`."""
    archives = {name: folder / f"{name}.tar" for name in _ENTRYPOINTS}
    for name, archive in archives.items():
        files = {"bin/foreign": _FOREIGN_ELF}
        busybox_archive(archive, entrypoint=_ENTRYPOINTS[name], files=files, **about)
    return archives


@dataclass(slots=True, kw_only=True)
class Bench:
    """Makes attempts and follows them, through the Protocol alone."""

    scheduler: Scheduler
    images: Images
    folder: Path
    kept: Callable[[bytes], bytes] = bytes
    """What of a task's printed bytes its log holds: all, unless container runtimes change them."""
    made: list[AttemptRef] = field(default_factory=list)

    def spec(
        self,
        script: str = "true",
        *,
        image: str | None = None,
        ram_bytes: int = 64 * MIB,
        network: bool = False,
        dataset_paths: tuple[Path, ...] = (),
    ) -> AttemptSpec:
        """An attempt that runs `script` by `/bin/sh`."""
        ref = AttemptRef(uuid4(), 1)
        self.made.append(ref)
        inputs, outputs = self.folder / ref.name / "inputs", self.folder / ref.name / "outputs"
        inputs.mkdir(parents=True)
        outputs.mkdir()
        outputs.chmod(0o777)
        (inputs / "run.sh").write_text(script)
        return AttemptSpec(
            ref=ref,
            project="test",
            image=image or self.images.script,
            resources=Resources(cpus=1, ram_bytes=ram_bytes),
            network=network,
            inputs_path=inputs,
            outputs_path=outputs,
            input_folder="/inputs",
            output_folder="/outputs",
            dataset_paths=dataset_paths,
            run_limit=timedelta(minutes=5),
            cancel_grace=timedelta(seconds=1),
        )

    async def start(self, script: str = "true") -> AttemptSpec:
        """Submit an attempt that runs `script`."""
        spec = self.spec(script)
        await self.scheduler.submit(spec)
        return spec

    async def until(self, ref: AttemptRef, *phases: AttemptPhase) -> Observation:
        """Observe until it is in one of `phases`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (observation := await self.scheduler.observe(ref)).phase not in phases:
                await asyncio.sleep(0.02)
        return observation

    async def ended(self, ref: AttemptRef) -> Observation:
        return await self.until(ref, AttemptPhase.ENDED)

    async def failed(self, ref: AttemptRef) -> Failure:
        """Observe until it has failed, ended or not."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (failure := (await self.scheduler.observe(ref)).failure) is None:
                await asyncio.sleep(0.02)
        return failure

    async def until_exists(self, path: Path) -> None:
        """Wait until the task has made a file."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not path.exists():
                await asyncio.sleep(0.01)

    async def log(self, ref: AttemptRef) -> bytes:
        """The whole log, once the task has ended."""
        return b"".join([chunk async for chunk in self.scheduler.logs(ref)])
