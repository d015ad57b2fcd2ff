"""Pushes to a real registry, and what is asked of it: docker-registry on loopback."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.errors import FailedPrecondition, Unavailable
from appengine_server.scheduling.images import ImageRefused, ImageStays
from appengine_server.scheduling.scheduler import FailureReason, SchedulerUnavailable
from appengine_server.tasks import skopeo
from appengine_server.tasks.image_archive import inspect_image_archive
from appengine_server.tasks.image_layout import ImageArchive, ImageChoice
from appengine_server.tasks.registry import (
    Registry,
    push_image,
    registry_of,
    repository_of,
    task_tag,
)
from appengine_server.tasks.registry_images import RegistryImages, remove_pushed
from appengine_server.tasks.untagged import extract_image

from tests.container.images import Image, digest, tar, write_archive
from tests.registry import ImageRegistry, free_port, running_registry

USER, PASSWORD = "engine", "s3cret-Pass"
USER_FILE = "engine:$2b$04$85XdvwpFM8KTy2N0tjAYpO87NTrv0TD4kqsUcUHDjNxkyULTzRQJO\n"
NAME = f"{repository_of('Shared', 'org.Example.nuclei')}:task-1"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    with running_registry(tmp_path) as made:
        yield made


def ours(registry: ImageRegistry, **options: str) -> Registry:
    username, password = options.get("username", ""), options.get("password", "")
    return registry_of(f"http://{registry.host}", None, username, password)


def images_of(registry: Registry) -> RegistryImages:
    return RegistryImages(registry, ("linux/amd64",))


def make_image(*layers: bytes, **settings: object) -> Image:
    """An image of which `write_archive` writes the one layer, and `extracted` all."""
    config = {
        "os": "linux",
        "architecture": settings.pop("architecture", "amd64"),
        "config": settings,
        "rootfs": {"diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
    }
    return Image(config=json.dumps(config).encode(), layer=layers[0], architecture="amd64")


def write_layers(path: Path, image: Image, layers: tuple[bytes, ...]) -> None:
    manifest = [{"Config": "c.json", "Layers": [f"{digest(layer)}.tar" for layer in layers]}]
    entries = {f"{digest(layer)}.tar": layer for layer in layers}
    manifest_json = json.dumps(manifest).encode()
    path.write_bytes(tar({**entries, "c.json": image.config, "manifest.json": manifest_json}))


def extracted(
    folder: Path, *layers: bytes, form: str = "docker", **settings: object
) -> tuple[ImageArchive, str]:
    """An OCI layout in `folder/oci:1`, what was found in the archive, and the image's digest."""
    layers = layers or (tar({"etc/hello": b"hello" * 1000}),)
    path, image = folder / "image.tar", make_image(*layers, **settings)
    if len(layers) > 1:
        write_layers(path, image, layers)
    else:
        write_archive(path, image, form=form, tags=["debian:12"])  # type: ignore[arg-type]
    wanted = ImageChoice(
        namespace="a.b",
        version="1.0.0",
        platforms=(f"linux/{settings.get('architecture', 'amd64')}",),
    )
    with path.open("rb") as stream:
        found = inspect_image_archive(stream, wanted)
    shutil.rmtree(folder / "oci:1", ignore_errors=True)
    (folder / "oci:1").mkdir()
    return found, extract_image(lambda: path.open("rb"), found, folder / "oci:1")


async def push(folder: Path, registry: Registry, name: str = NAME) -> None:
    await push_image(folder / "oci:1", registry, name, temporary=folder)


async def pushed(folder: Path, registry: Registry, name: str = NAME, **settings: object) -> str:
    _, found = extracted(folder, **settings)
    await push(folder, registry, name)
    return registry.reference(name.partition(":")[0], found)


@pytest.mark.rule("bundle.pinned-image")
@pytest.mark.parametrize("form", ["docker", "oci"])
async def test_an_image_is_found_by_the_digest_of_its_manifest(
    tmp_path: Path, registry: ImageRegistry, form: str
) -> None:
    found, manifest_digest = extracted(tmp_path, form=form)
    await push(tmp_path, ours(registry))
    content = registry.get(f"shared/org/example/nuclei/manifests/{manifest_digest}")
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == manifest_digest
    manifest = json.loads(content)
    assert manifest["config"]["digest"] == found.config_digest
    config = registry.get(f"shared/org/example/nuclei/blobs/{found.config_digest}")
    assert config == found.config
    assert [layer["digest"] for layer in manifest["layers"]] == [found.layers[0].digest]


@pytest.mark.rule("image.nothing-sent-twice")
async def test_layers_that_are_there_are_not_sent_again(
    tmp_path: Path, registry: ImageRegistry
) -> None:
    base, first, second = (tar({"data": os.urandom(1 << 20)}) for _ in range(3))
    extracted(tmp_path, base, first)
    await push(tmp_path, ours(registry), "lab/task:task-1")
    sent = registry.sent_blobs()
    assert f"sha256:{digest(base)}" in sent
    found, _ = extracted(tmp_path, base, second)
    await push(tmp_path, ours(registry), "lab/task:task-2")
    again = registry.sent_blobs()[len(sent) :]
    assert sorted(again) == sorted([f"sha256:{digest(second)}", found.config_digest])
    await push(tmp_path, ours(registry), "lab/task:task-3")
    assert registry.sent_blobs()[len(sent) + len(again) :] == []


async def test_progress_counts_the_bytes_of_layers_once(
    tmp_path: Path, registry: ImageRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skopeo, "METER_SECONDS", 0.005)
    size_bytes = 24 << 20
    extracted(tmp_path, tar({"data": os.urandom(size_bytes)}))
    told: list[int] = []
    meter = skopeo.Meter(tmp_path / "oci:1", told.append)
    for name in ("lab/one:1", "lab/two:1"):  # as if the first try had failed
        await push_image(tmp_path / "oci:1", ours(registry), name, temporary=tmp_path, meter=meter)
    assert told == sorted(told)
    assert 0 < told[-1] <= size_bytes * 1.01


async def test_credentials_reach_the_registry(tmp_path: Path) -> None:
    with running_registry(tmp_path, users=USER_FILE) as registry:
        known = ours(registry, username=USER, password=PASSWORD)
        image = await pushed(tmp_path, known)
        assert await images_of(known).exists(image)
        with pytest.raises(FailedPrecondition, match="credentials") as refused:
            await push(tmp_path, ours(registry))
        assert refused.value.reason == "IMAGE_PUBLISH"
        with pytest.raises(ImageRefused, match="cannot read the image"):
            await images_of(ours(registry)).pull(image, name=None)


async def test_a_registry_that_is_down_is_worth_another_try(tmp_path: Path) -> None:
    extracted(tmp_path)
    away = registry_of(f"http://127.0.0.1:{free_port()}", None, "", "")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await push(tmp_path, away)
    image = f"{away.pull_host}/lab/task@sha256:{'0' * 64}"
    for asking in (
        images_of(away).exists(image),
        images_of(away).pull(image, name=None),
        remove_pushed(away, f"{away.push_host}/{NAME}", image.partition("@")[2]),
    ):
        with pytest.raises(SchedulerUnavailable, match="cannot be reached"):
            await asking


@pytest.mark.rule("bundle.pinned-image")
async def test_images_are_pinned_and_told_of(tmp_path: Path, registry: ImageRegistry) -> None:
    image = await pushed(tmp_path, ours(registry), Entrypoint=["/bin/run"], Cmd=["now"], User="7:8")
    images = images_of(ours(registry))
    by_tag = f"{image.partition('@')[0]}:task-1"
    assert await images.pull(by_tag, name=None) == image
    assert await images.pull(image, name=None) == image
    assert await images.pull(f"{by_tag}@{image.partition('@')[2]}", name=None) == image
    facts = await images.inspect(image)
    assert (facts.id, facts.user, facts.os, facts.architecture) == (image, "7:8", "linux", "amd64")
    assert (facts.entrypoint, facts.command) == (("/bin/run",), ("now",))


async def test_an_image_is_named_as_nodes_reach_it(tmp_path: Path, registry: ImageRegistry) -> None:
    inside = registry_of(f"http://{registry.host}", "http://registry.inside:5000/", "", "")
    image = await pushed(tmp_path, inside)
    assert image.startswith("registry.inside:5000/shared/org/example/nuclei@sha256:")
    images = images_of(inside)
    assert await images.exists(image)
    tagged = f"{registry.host}/shared/org/example/nuclei:task-1"
    assert await images.pull(tagged, name=None) == image


async def test_an_image_for_other_machines_is_refused(
    tmp_path: Path, registry: ImageRegistry
) -> None:
    image = await pushed(tmp_path, ours(registry), architecture="s390x")
    with pytest.raises(ImageRefused, match="linux/s390x; runnable here are linux/amd64") as refused:
        await images_of(ours(registry)).inspect(image)
    assert refused.value.reason is FailureReason.IMAGE_CANNOT_START


async def test_an_image_that_is_not_there_is_refused(registry: ImageRegistry) -> None:
    images = images_of(ours(registry))
    missing = f"{registry.host}/lab/none:1"
    with pytest.raises(ImageRefused, match="lab/none") as refused:
        await images.pull(missing, name=None)
    assert refused.value.reason is FailureReason.IMAGE_PULL
    assert not await images.exists(f"{registry.host}/lab/none@sha256:{'0' * 64}")


async def test_a_manifest_goes_unless_others_have_named_it_too(
    tmp_path: Path, registry: ImageRegistry
) -> None:
    """A registry deletes a manifest with all of its tags, whoever gave them."""
    images, place = images_of(ours(registry)), ours(registry)
    tag = task_tag(uuid4())
    mine = await pushed(tmp_path, place, f"lab/mine:{tag}")
    named = await pushed(tmp_path, place, f"lab/named:{tag}")
    await push(tmp_path, place, "lab/named:stable")
    for image, goes in ((mine, True), (mine, False), (named, False)):
        name, _, image_digest = image.partition("@")
        assert await remove_pushed(place, f"{name}:{tag}", image_digest) is goes
    assert not await images.exists(mine)
    assert await images.exists(named)
    assert await images.exists(f"{registry.host}/lab/named:stable")


async def test_a_registry_that_deletes_nothing_says_so(tmp_path: Path) -> None:
    with running_registry(tmp_path, deletes=False) as registry:
        image = await pushed(tmp_path, ours(registry))
        name, _, image_digest = image.partition("@")
        with pytest.raises(ImageStays, match="REGISTRY_STORAGE_DELETE_ENABLED=true"):
            await remove_pushed(ours(registry), f"{name}:task-1", image_digest)
        assert await images_of(ours(registry)).exists(image)


async def test_a_server_without_skopeo_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extracted(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FailedPrecondition, match="skopeo is not installed"):
        await push(tmp_path, registry_of("http://127.0.0.1:1", None, "", ""))


async def test_skopeo_ends_with_the_push_and_shows_no_secret(tmp_path: Path) -> None:
    extracted(tmp_path)
    async with silent_registry() as (host, connected):
        registry = registry_of(f"http://{host}", None, USER, PASSWORD)
        work = asyncio.create_task(push(tmp_path, registry))
        await connected.wait()
        (pid,) = skopeo_children()
        assert PASSWORD not in Path(f"/proc/{pid}/cmdline").read_text()
        assert PASSWORD not in Path(f"/proc/{pid}/environ").read_text()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert skopeo_children() == []


async def test_a_registry_that_is_silent_is_out_of_reach_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(skopeo, "_ASKING", "--command-timeout=1s")
    async with silent_registry() as (host, _):
        silent = registry_of(f"http://{host}", None, "", "")
        with pytest.raises(SchedulerUnavailable, match="cannot be reached"):
            await remove_pushed(silent, f"{host}/{NAME}", f"sha256:{'0' * 64}")


async def test_a_skopeo_that_is_killed_is_worth_another_try(tmp_path: Path) -> None:
    extracted(tmp_path)
    async with silent_registry() as (host, connected):
        work = asyncio.create_task(push(tmp_path, registry_of(f"http://{host}", None, "", "")))
        await connected.wait()
        [pid] = skopeo_children()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="ended with -9"):
            await work


@asynccontextmanager
async def silent_registry() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A server that takes connections and never answers."""
    connected = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}", connected
    finally:
        server.close()


def skopeo_children() -> list[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "skopeo\n"]
