"""Bundled images on their way into a container engine: the user's own images keep their names."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
from appengine_server.scheduling.container.engine import open_engine
from appengine_server.scheduling.container.scheduler import ContainerScheduler
from appengine_server.tasks.image_archive import inspect_image_archive
from appengine_server.tasks.image_layout import ImageChoice
from appengine_server.tasks.untagged import untagged_archive

from tests.container.conftest import chunks_of
from tests.container.images import Image, busybox_image, digest, tar, write_archive

pytestmark = pytest.mark.container


def unique_image() -> Image:
    return busybox_image(entrypoint=["/bin/true"], environment={"ONLY": uuid4().hex})


async def loaded(scheduler: ContainerScheduler, archive: Path, architecture: str, name: str) -> str:
    wanted = ImageChoice(
        namespace="org.example.task", version="1.0.0", platforms=(f"linux/{architecture}",)
    )
    with archive.open("rb") as stream:
        found = inspect_image_archive(stream, wanted)
    pieces = untagged_archive(lambda: archive.open("rb"), found)
    digits = found.config_digest.removeprefix("sha256:")
    return await scheduler.images.load(slowly(pieces), name=name, config_digest=digits)


async def slowly(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("form", ["docker", "oci"])
@pytest.mark.parametrize("compress", [False, True])
async def test_loading_a_bundle_takes_over_no_name_of_the_users_images(
    container_scheduler: ContainerScheduler,
    engine_url: str,
    tmp_path: Path,
    form: Literal["docker", "oci"],
    compress: bool,
) -> None:
    store = container_scheduler.images
    name = f"localhost/users-own-{uuid4().hex[:8]}:1"
    users, bundled = unique_image(), unique_image()
    write_archive(tmp_path / "users.tar", users, form="docker", tags=[name])
    write_archive(tmp_path / "image.tar", bundled, form=form, tags=[name], compress=compress)
    ours, others = store.name_of(uuid4()), store.name_of(uuid4())
    users_id = await store.load(chunks_of(tmp_path / "users.tar"), name=others)
    image = await loaded(container_scheduler, tmp_path / "image.tar", bundled.architecture, ours)
    try:
        assert image == bundled.id
        async with open_engine(engine_url) as engine:
            still = await engine.call("GET", f"images/{name}/json")
            mine = await engine.call("GET", f"images/{image}/json")
            assert still["Id"].removeprefix("sha256:") == users_id.removeprefix("sha256:")
            assert name not in mine["RepoTags"]
            await engine.call("DELETE", f"images/{name}")
    finally:
        await store.remove(ours)
        await store.remove(others)


@pytest.mark.rule("image.layer-compression")
async def test_an_image_of_compressed_layers_keeps_its_id(
    container_scheduler: ContainerScheduler, tmp_path: Path
) -> None:
    bundled = unique_image()
    layer = gzip.compress(bundled.layer, compresslevel=1)
    config = descriptor(bundled.config, "application/vnd.oci.image.config.v1+json")
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": config,
            "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
    ).encode()
    top = descriptor(manifest, "application/vnd.oci.image.manifest.v1+json")
    blobs = {f"blobs/sha256/{digest(blob)}": blob for blob in (layer, bundled.config, manifest)}
    index = {"schemaVersion": 2, "manifests": [top]}
    archive = tmp_path / "image.tar"
    archive.write_bytes(tar({**blobs, "index.json": json.dumps(index).encode()}))
    name = container_scheduler.images.name_of(uuid4())
    image = await loaded(container_scheduler, archive, bundled.architecture, name)
    assert image == bundled.id
    await container_scheduler.images.remove(name)


def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    name = f"sha256:{digest(content)}"
    return {"mediaType": media_type, "digest": name, "size": len(content)}
