"""The project's own images do their work: a run through the server's, a refusal for the agent's."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import aiodocker
import pytest
from aiodocker.containers import DockerContainer
from appengine.v1 import run_pb2, task_pb2
from appengine_client import connect
from appengine_server.scheduling.scheduler import AttemptRef

from tests.container.bundles import make_bundle
from tests.container.project_images import (
    ProjectImages,
    Target,
    container,
    loaded,
    log_of,
)

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the first build downloads packages

_START_SECONDS = 60
_CONFINED = {
    "ReadonlyRootfs": True,
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
}
"""What a pod of the restricted kind allows the agent."""


@pytest.fixture(scope="module")
async def images(docker: aiodocker.Docker, project_images: ProjectImages) -> dict[Target, str]:
    """The names of both images in the engine. Builders keep their layers, and the engine these."""
    targets: tuple[Target, ...] = ("server", "transfer-agent")
    names: dict[Target, str] = {}
    for target in targets:
        archive = await asyncio.to_thread(project_images.archive, target)
        names[target] = await loaded(docker, archive)
    return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server in a container, on the network of this machine."""

    container: DockerContainer
    address: str
    storage: Path


@asynccontextmanager
async def serving(docker: aiodocker.Docker, image: str, engine_url: str) -> AsyncIterator[Served]:
    socket = engine_url.removeprefix("unix://")
    # Tasks of any user walk down to it, which the folders of pytest do not allow.
    with tempfile.TemporaryDirectory(prefix="appengine-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port_file = folder / "port"
        environment = {
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": "0",
            "PORT_FILE": str(port_file),
            "STORAGE_BASE_PATH": str(folder),
            "STORAGE_LOW_WATER": "0",
            "DOCKER_HOST": engine_url,
        }
        async with container(
            docker,
            Image=image,
            Env=[f"{name}={value}" for name, value in environment.items()],
            HostConfig={
                "NetworkMode": "host",
                # Tasks get their folders from the engine: they need the same path on both sides.
                "Binds": [f"{folder}:{folder}", f"{socket}:{socket}"],
            },
        ) as made:
            port = await _port(made, port_file)
            yield Served(container=made, address=f"127.0.0.1:{port}", storage=folder)


async def _port(made: DockerContainer, port_file: Path) -> str:
    async with asyncio.timeout(_START_SECONDS):
        while not (port_file.exists() and (port := port_file.read_text())):
            facts = await made.show()
            assert facts["State"]["Running"], await log_of(made)
            await asyncio.sleep(0.1)
    return port


async def health(made: DockerContainer) -> int:
    """The exit code of the image's health check."""
    check = await made.exec(["/opt/appengine/bin/appengine-server", "health"])
    async with check.start() as stream:
        while await stream.read_out() is not None:
            pass
    return int((await check.inspect())["ExitCode"])


async def exists(asking: Awaitable[object]) -> bool:
    try:
        await asking
    except aiodocker.DockerError as error:
        # podman answers 500 for an image that vanishes while it is looked at.
        if error.status != 404 and "image not known" not in str(error):
            raise
        return False
    return True


async def test_a_run_through_the_servers_image_succeeds_and_leaves_nothing(
    docker: aiodocker.Docker, images: dict[Target, str], engine_url: str, tmp_path: Path
) -> None:
    bundle = make_bundle(
        tmp_path / "bundle.zip",
        namespace="org.example.image",
        inputs={"word": "string"},
        outputs={"answer": "string"},
        script="tr a-z A-Z < /inputs/word > /outputs/answer",
        user="12345:12345",
        files={"marker": uuid4().bytes},  # an image that no other test has
    )
    async with serving(docker, images["server"], engine_url) as served:
        async with connect(served.address) as client:
            task = await client.tasks.upload(bundle)
            assert task.state == task_pb2.TASK_STATE_READY, task.failure
            run = await client.runs.create(task.id, {"word": "hello"}, start=True)
            run = await client.runs.wait(run.id)
            assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run.failure
            (answer,) = await client.runs.outputs(run.id)
            assert answer.value.string == "HELLO"
            assert await health(served.container) == 0
            await client.runs.delete(run.id)
            await client.tasks.delete(task.id)
        async with asyncio.timeout(30):
            while await exists(docker.images.inspect(task.image)):
                await asyncio.sleep(0.1)
        attempt = docker.containers.container(AttemptRef(UUID(run.id), 1).name)
        assert not await exists(attempt.show())
        await served.container.stop(t=30)
        ended = (await served.container.show())["State"]
        assert ended["ExitCode"] == 0, await log_of(served.container)


async def test_the_agents_image_starts_confined_and_says_how_to_use_it(
    docker: aiodocker.Docker, images: dict[Target, str]
) -> None:
    image = images["transfer-agent"]
    code, said = await confined(docker, image, "--help", network="none")
    assert code == 0, said
    assert "exit codes:" in said
    code, said = await confined(docker, image, "fetch", network="none")
    assert (code, "APPENGINE_SERVER is not set" in said) == (2, True), said


async def test_the_agent_ends_when_its_token_is_not_known(
    docker: aiodocker.Docker, images: dict[Target, str], engine_url: str
) -> None:
    async with serving(docker, images["server"], engine_url) as served:
        token = served.storage / "token"
        token.write_text("known-to-no-server")
        token.chmod(0o644)
        code, said = await confined(
            docker,
            images["transfer-agent"],
            "transfer",
            network="host",
            binds=[f"{token}:/token:ro"],
            APPENGINE_SERVER=f"http://{served.address}",
            APPENGINE_TOKEN_FILE="/token",
            APPENGINE_RUN_ID="0b7e7c3e-4a64-4d6c-b6a5-0f5a1a4f7a11",
            APPENGINE_ATTEMPT="1",
            APPENGINE_FOLDER="/outputs",
        )
    assert code == 4, said
    assert said.strip().endswith("with the token of their attempt")


async def confined(
    docker: aiodocker.Docker,
    image: str,
    *command: str,
    network: str,
    binds: list[str] | None = None,
    **environment: str,
) -> tuple[int, str]:
    """The exit code of the image's own program, as its own user, and what it said."""
    async with container(
        docker,
        Image=image,
        Cmd=list(command),
        Env=[f"{name}={value}" for name, value in environment.items()],
        HostConfig={**_CONFINED, "NetworkMode": network, "Binds": binds or []},
    ) as made:
        code = (await made.wait(timeout=60))["StatusCode"]
        return int(code), await log_of(made)
