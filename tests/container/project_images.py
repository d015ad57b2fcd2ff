"""The project's own images, built from its Dockerfile as a user would, and containers of them."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiodocker
from aiodocker.containers import DockerContainer

_ROOT = Path(__file__).parents[2]

Target = Literal["server", "transfer-agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectImages:
    """Archives of the images, each made once for all tests that go side by side."""

    folder: Path

    def archive(self, target: Target) -> Path:
        """One target of the Dockerfile as `docker save` writes it; it stays as it is."""
        archive = self.folder / f"{target}.tar"
        with (self.folder / f"{target}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not archive.exists():
                _build(target, archive.with_suffix(".part"))
                archive.with_suffix(".part").rename(archive)
        return archive


def _build(target: Target, archive: Path) -> None:
    """Takes about a minute the first time and seconds after that: layers are kept."""
    script = 'source scripts/lib/images.sh; build_image . "$1" "localhost/app-engine/$2:test" "$2"'
    built = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "_", archive, target],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr


async def loaded(docker: aiodocker.Docker, archive: Path) -> str:
    """The name of the image, now in the engine."""
    with archive.open("rb") as file:
        parts = [part async for part in docker.images.import_image(file, stream=True)]
    said = [part.get("stream", "") for part in parts]
    name = next(text for text in reversed(said) if "Loaded image" in text)
    return name.split(": ", 1)[1].strip()


@asynccontextmanager
async def container(docker: aiodocker.Docker, **config: Any) -> AsyncIterator[DockerContainer]:
    """A container that runs, and is gone afterwards with its volumes."""
    made = await docker.containers.create(config)
    try:
        await made.start()
        yield made
    except Exception as error:
        error.add_note(await log_of(made))
        raise
    finally:
        await made.delete(force=True, v=True)


async def log_of(made: DockerContainer) -> str:
    """What its program has printed."""
    return "".join(await made.log(stdout=True, stderr=True))
