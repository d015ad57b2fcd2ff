"""A container engine, and schedulers on it. Without an engine one is started, or tests fail."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.scheduling.container.scheduler import (
    ContainerScheduler,
    open_container_scheduler,
)
from appengine_server.scheduling.container.settings import ContainerSettings
from appengine_server.scheduling.scheduler import Scheduler

from tests.container.engine_server import engine, start_engine
from tests.missing import missing
from tests.schedulers.bench import MIB, Bench, Images, image_archives

__all__ = ["engine", "start_engine"]  # fixtures for every module here

_ROOT = Path(__file__).parents[2]

# NB: the shell waits for its input to end, so the engine stops even if pytest is killed.
_ENGINE = """
source scripts/lib/engine.sh
trap stop_engine EXIT
ensure_engine >&2
echo "$DOCKER_HOST"
read -r _ || true
"""


@contextlib.contextmanager
def running_engine(environment: Mapping[str, str]) -> Iterator[str]:
    """The engine that answers already, or podman's service for as long as the context is open."""
    with subprocess.Popen(
        ["bash", "-c", _ENGINE],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        url = shell.stdout.readline().strip()
        if not url:
            missing("no container engine answers, and none could be started")
        yield url
        shell.stdin.close()


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    with running_engine(os.environ) as url:
        yield url


@pytest.fixture(scope="session")
def engine_id() -> str:
    """Tells the containers of this session from all others."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def container_settings(engine_url: str, engine_id: str) -> ContainerSettings:
    return ContainerSettings(engine_id=engine_id, url=engine_url, shm_bytes=16 * MIB)


@pytest.fixture(scope="session")
async def container_scheduler(
    container_settings: ContainerSettings,
) -> AsyncIterator[ContainerScheduler]:
    async with open_container_scheduler(container_settings) as scheduler:
        yield scheduler
        for ref in await scheduler.list_attempts():
            await scheduler.delete(ref)


@pytest.fixture(scope="session")
async def container_images(
    container_scheduler: ContainerScheduler, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Images]:
    folder = tmp_path_factory.mktemp("images")
    marker = {"SESSION": uuid4().hex}  # an image of this session alone may be removed in the end
    archives = image_archives(folder, environment=marker)
    kept_as = {name: container_scheduler.images.name_of(uuid4()) for name in archives}
    ids = {
        name: await container_scheduler.images.load(chunks_of(archive), name=kept_as[name])
        for name, archive in archives.items()
    }
    yield Images(gone=f"sha256:{'1' * 64}", **ids)
    for ref in await container_scheduler.list_attempts():
        await container_scheduler.delete(ref)
    for name in kept_as.values():
        await container_scheduler.images.remove(name)


@pytest.fixture
def scheduler(container_scheduler: ContainerScheduler) -> Scheduler:
    return container_scheduler


@pytest.fixture
def images(container_images: Images) -> Images:
    return container_images


@pytest.fixture
async def bench(scheduler: Scheduler, images: Images, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(scheduler=scheduler, images=images, folder=tmp_path)
    yield made
    for ref in made.made:
        with contextlib.suppress(Exception):
            await scheduler.delete(ref)


async def chunks_of(path: Path, *, chunk_bytes: int = 256 * 1024) -> AsyncIterator[bytes]:
    """Read a file in pieces, as an upload comes."""
    with path.open("rb") as file:
        while chunk := file.read(chunk_bytes):
            yield chunk
