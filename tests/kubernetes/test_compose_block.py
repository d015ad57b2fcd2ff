"""The server's block of the Compose file as it stands, with the tests' cluster in place of k3s.

The names and addresses of Compose's network lead to the parts that the cluster has.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import aiodocker
import pytest
import yaml
from aiodocker.containers import DockerContainer
from appengine.v1 import run_pb2
from appengine_client import Client, Reference, connect

from tests.compose import FOLDER, compose_services, mounts
from tests.container.bundles import make_bundle
from tests.container.conftest import engine_url
from tests.container.images import busybox_archive
from tests.container.project_images import ProjectImages, container, loaded, log_of
from tests.container.test_references import PNG
from tests.kubernetes.cluster.cluster import BootedCluster
from tests.kubernetes.conftest import namespace_on
from tests.postgres import postgres_on

__all__ = ["engine_url"]

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the first build downloads packages

SERVICES = compose_services()
BLOCK: dict[str, Any] = SERVICES["app-engine"]
VARIABLES: dict[str, str] = BLOCK["environment"]
START_SECONDS = 60


@contextmanager
def place_of(path: Path) -> Iterator[None]:
    """An empty folder for nodes to mount something at. Whoever needs it last removes it."""
    while True:
        path.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            break
        os.close(descriptor)
    try:
        yield
    finally:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rmdir()
        except OSError:
            pass  # another one needs it
        os.close(descriptor)


@pytest.fixture
def volumes(booted_cluster: BootedCluster, tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Folders of this machine in place of the block's volumes, which nodes see as k3s does."""
    folders = {source: tmp_path / Path(source).name for source, _ in mounts(BLOCK).values()}
    for folder in folders.values():
        folder.mkdir()
    shutil.copy(booted_cluster.kubeconfig, folders["kubeconfig"] / "config")
    with ExitStack() as stack:
        for place, (source, read_only) in mounts(SERVICES["k3s"]).items():
            if place in mounts(BLOCK):
                stack.enter_context(place_of(Path(place)))
                for node in booted_cluster.nodes.values():
                    node.mount(folders[source], Path(place), read_only=read_only)
        yield folders


@pytest.fixture
def namespace_of_compose(booted_cluster: BootedCluster) -> Iterator[None]:
    """What k3s is told to make at its start."""
    made = yaml.safe_load((FOLDER / "k3s" / "namespace.yaml").read_text())["metadata"]
    with namespace_on(booted_cluster, made["name"], made["labels"]):
        yield


@pytest.fixture
def registry_of_compose(booted_cluster: BootedCluster) -> None:
    """What k3s is told of the registry, with the one that is there."""
    told = yaml.safe_load((FOLDER / "k3s" / "registries.yaml").read_text())["mirrors"]
    for name in told:
        for node in booted_cluster.nodes.values():
            node.trust_registry(name, booted_cluster.registry)


@pytest.fixture
async def network(
    docker: aiodocker.Docker, booted_cluster: BootedCluster, tmp_path: Path
) -> AsyncIterator[tuple[str, str]]:
    """A container that holds a network with a cable to the cluster's; it, and its address there."""
    archive = tmp_path / "network.tar"
    busybox_archive(archive, command=["sleep", "2147483647"])
    image = await loaded(docker, archive)
    async with container(docker, Image=image, HostConfig={"NetworkMode": "none"}) as made:
        facts = await made.show()
        yield facts["Id"], booted_cluster.connect_container(facts["State"]["Pid"])


@pytest.fixture
def hosts(booted_cluster: BootedCluster, tmp_path: Path) -> Path:
    """The names that Compose gives to the other services, which all are at one address here."""
    path = tmp_path / "hosts"
    names = " ".join(name for name in SERVICES if SERVICES[name] is not BLOCK)
    path.write_text(f"127.0.0.1 localhost\n{booted_cluster.server_address} {names}\n")
    return path


@pytest.fixture
async def server(
    docker: aiodocker.Docker, network: tuple[str, str], booted_cluster: BootedCluster,
    volumes: dict[str, Path], hosts: Path, namespace_of_compose: None, registry_of_compose: None,
    project_images: ProjectImages, tmp_path: Path,
) -> AsyncIterator[DockerContainer]:  # fmt: skip
    """The server's own image with the block's environment and mounts, and nothing else."""
    image = await loaded(docker, await asyncio.to_thread(project_images.archive, "server"))
    binds = [
        f"{volumes[source]}:{place}{':ro' if read_only else ''}"
        for place, (source, read_only) in mounts(BLOCK).items()
    ] + [f"{hosts}:/etc/hosts:ro"]
    with postgres_on(
        booted_cluster.server_address, tmp_path / "database", port=int(VARIABLES["DB_PORT"]),
        name=VARIABLES["DB_NAME"], username=VARIABLES["DB_USERNAME"],
        password=VARIABLES["DB_PASSWORD"],
    ):  # fmt: skip
        async with container(
            docker,
            Image=image,
            Env=[f"{name}={value}" for name, value in VARIABLES.items()],
            HostConfig={"NetworkMode": f"container:{network[0]}", "Binds": binds},
        ) as made:
            yield made
            await made.stop(t=30)
            assert (await made.show())["State"]["ExitCode"] == 0, await log_of(made)


@pytest.fixture
async def client(server: DockerContainer, network: tuple[str, str]) -> AsyncIterator[Client]:
    """A client of the server, which serves."""
    address = f"{network[1]}:8080"
    async with asyncio.timeout(START_SECONDS):
        while (await run(server, "appengine-server", "health"))[0] != 0:
            assert (await server.show())["State"]["Running"], await log_of(server)
            await asyncio.sleep(0.1)
    async with connect(address) as client:
        yield client


async def run(made: DockerContainer, *command: str) -> tuple[int, str]:
    """The exit code of a command in the container, as `exec` finds it, and what it printed."""
    execution = await made.exec(list(command))
    printed = b""
    async with execution.start() as stream:
        while (message := await stream.read_out()) is not None:
            printed += message.data
    return int((await execution.inspect())["ExitCode"]), printed.decode()


async def test_the_block_as_it_stands_runs_a_task_on_a_referenced_array_of_images(
    client: Client, server: DockerContainer, volumes: dict[str, Path], tmp_path: Path
) -> None:
    datasets = VARIABLES["REF_STORAGE_BASE_PATH"]
    source, _ = mounts(BLOCK)[datasets]
    slides = volumes[source] / "liver"
    slides.mkdir()
    for number in range(3):
        (slides / f"{number}.png").write_bytes(PNG + b"%d" % number)
    bundle = make_bundle(
        tmp_path / "bundle.zip",
        inputs={"slides": {"type": {"id": "array", "subtype": {"id": "image"}}}},
        outputs={"count": "integer", "links": "string"},
        script="set -e; cat /inputs/slides/[0-9]* > /dev/null; "
        "ls -d /inputs/slides/[0-9]* | wc -l > /outputs/count; "
        "for slide in /inputs/slides/[0-9]*; do readlink $slide; done > /outputs/links",
    )
    task = await client.tasks.upload(bundle)
    assert task.image.startswith(VARIABLES["SCHEDULER_REGISTRY_ADVERTISED_URL"])
    started = await client.runs.create(
        task.id, {"slides": Reference.pattern(f"{datasets}/liver/*.png")}, start=True
    )
    ended = await client.runs.wait(started.id)
    said = b"".join([piece async for piece in client.runs.logs(ended.id)])
    assert ended.state == run_pb2.RUN_STATE_SUCCEEDED, (ended.failure, said)
    found = {one.parameter: one.value for one in await client.runs.outputs(ended.id)}
    assert found["count"].integer == 3
    assert found["links"].string.split() == [f"{datasets}/liver/{n}.png" for n in range(3)]
    async with asyncio.timeout(120):  # on a busy machine a check may be out of patience
        while (await run(server, "appengine-server", "doctor"))[0] != 0:
            pass
