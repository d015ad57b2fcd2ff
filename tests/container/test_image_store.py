"""Images kept by a container engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from uuid import uuid4

import pytest
from appengine_server.scheduling.container.engine import open_engine
from appengine_server.scheduling.container.images import ContainerImages
from appengine_server.scheduling.container.scheduler import ContainerScheduler
from appengine_server.scheduling.images import ImageInUse, ImageRefused, ImageStore
from appengine_server.scheduling.scheduler import FailureReason

from tests.container.conftest import chunks_of
from tests.container.images import Image, busybox_image, write_archive
from tests.schedulers.bench import Bench

pytestmark = pytest.mark.container

NAME = f"localhost/appengine-task:{uuid4()}"


class SourceBroken(Exception):
    """What a caller's own source of bytes may raise."""


@pytest.fixture
def store(container_scheduler: ContainerScheduler) -> ImageStore:
    return container_scheduler.images


def unique_image(**about: str) -> Image:
    """An image that no other test and no user has."""
    return busybox_image(
        entrypoint=["/bin/sh", "-c"],
        command=["true"],
        environment={"ONLY": uuid4().hex},
        user=about.get("user", ""),
    )


@pytest.mark.parametrize("form", ["docker", "oci"])
async def test_a_loaded_image_has_its_own_id_and_facts(
    store: ImageStore, tmp_path: Path, form: Literal["docker", "oci"]
) -> None:
    made = unique_image(user="1000:1000")
    archive = tmp_path / "image.tar"
    write_archive(archive, made, form=form)
    progress: list[int] = []
    image = await store.load(
        chunks_of(archive),
        name=NAME,
        config_digest=made.id.removeprefix("sha256:"),
        on_progress=progress.append,
    )
    try:
        assert image == made.id
        assert progress == sorted(progress)
        assert progress[-1] == archive.stat().st_size
        facts = await store.inspect(image)
        assert (facts.id, facts.user, facts.os) == (image, "1000:1000", "linux")
        assert (facts.entrypoint, facts.command) == (("/bin/sh", "-c"), ("true",))
        assert facts.architecture == made.architecture
    finally:
        await store.remove(NAME)
    assert not await store.exists(image)


async def test_the_id_is_found_without_being_told(store: ImageStore, tmp_path: Path) -> None:
    made = unique_image()
    archive = tmp_path / "image.tar"
    write_archive(archive, made, form="docker")
    image = await store.load(chunks_of(archive), name=NAME)
    assert await store.exists(image)
    assert await store.remove(NAME)
    assert not await store.remove(NAME)
    assert not await store.exists(image)


async def test_an_image_is_named_so_that_pruning_spares_it(
    store: ImageStore, engine_url: str, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    write_archive(archive, unique_image(), form="docker")
    image = await store.load(chunks_of(archive), name=NAME)
    async with open_engine(engine_url) as engine:
        details = await engine.call("GET", f"images/{image}/json")
        assert details["RepoTags"]
    await store.remove(NAME)


async def test_an_image_that_others_have_named_stays_with_them(
    store: ImageStore, engine_url: str, tmp_path: Path
) -> None:
    archive, name = tmp_path / "image.tar", f"localhost/users-own-{uuid4().hex[:8]}"
    write_archive(archive, unique_image(), form="docker")
    image = await store.load(chunks_of(archive), name=NAME)
    async with open_engine(engine_url) as engine:
        await engine.call("POST", f"images/{image}/tag", repo=name, tag="1")
        await store.remove(NAME)
        assert await store.exists(f"{name}:1")
        await engine.call("DELETE", f"images/{name}:1")
    assert not await store.exists(image)


async def test_an_image_of_several_tasks_goes_with_the_last_of_its_names(
    store: ImageStore, tmp_path: Path
) -> None:
    archive, made = tmp_path / "image.tar", unique_image()
    write_archive(archive, made, form="docker")
    names = [store.name_of(uuid4()) for _ in range(2)]
    images = [
        await store.load(
            chunks_of(archive), name=name, config_digest=made.id.removeprefix("sha256:")
        )
        for name in names
    ]
    assert images == [made.id, made.id]
    for left, name in zip((True, False), names, strict=True):
        assert name is not None
        assert await store.remove(name)
        assert await store.exists(made.id) is left


async def test_an_image_that_goes_while_it_is_loaded_anew_is_kept(
    store: ImageStore, tmp_path: Path
) -> None:
    """The orphan of another task is swept at the worst moment of publishing the same image."""
    archive, made = tmp_path / "image.tar", unique_image()
    write_archive(archive, made, form="docker")
    old, new = f"localhost/appengine-task:{uuid4()}", f"localhost/appengine-task:{uuid4()}"
    digits = made.id.removeprefix("sha256:")
    await store.load(chunks_of(archive), name=old, config_digest=digits)

    async def swept_meanwhile() -> AsyncIterator[bytes]:
        async for chunk in chunks_of(archive):
            yield chunk
        await store.remove(old)

    image = await store.load(swept_meanwhile(), name=new, config_digest=digits)
    assert image == made.id
    assert await store.exists(new)
    await store.remove(new)
    assert not await store.exists(image)


async def test_an_image_in_use_is_not_removed_yet(
    bench: Bench, store: ImageStore, tmp_path: Path
) -> None:
    archive = tmp_path / "image.tar"
    write_archive(archive, unique_image(), form="docker")
    image = await store.load(chunks_of(archive), name=NAME)
    spec = bench.spec(image=image)
    await bench.scheduler.submit(spec)
    with pytest.raises(ImageInUse, match="cannot be removed yet"):
        await store.remove(NAME)
    await bench.ended(spec.ref)
    await bench.scheduler.delete(spec.ref)
    await store.remove(NAME)
    assert not await store.exists(image)


async def test_what_is_no_archive_is_refused(store: ImageStore) -> None:
    async def rubbish() -> AsyncIterator[bytes]:
        yield b"this is no tar archive" * 1000

    with pytest.raises(ImageRefused) as refused:
        await store.load(rubbish(), name=NAME)
    assert refused.value.reason is FailureReason.IMAGE_PUBLISH


async def test_what_the_source_raises_comes_out(store: ImageStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"\0" * 512
        await asyncio.sleep(0)
        raise SourceBroken

    with pytest.raises(SourceBroken):
        await store.load(broken(), name=NAME)


async def test_an_image_that_is_not_there_is_said_so(store: ImageStore) -> None:
    missing = f"sha256:{'2' * 64}"
    assert not await store.exists(missing)
    assert not await store.remove(NAME)
    with pytest.raises(ImageRefused, match="no longer in the engine"):
        await store.inspect(missing)


async def test_a_registry_that_does_not_answer_is_a_refusal_to_pull(store: ImageStore) -> None:
    with pytest.raises(ImageRefused) as refused:
        await store.pull("127.0.0.1:9/nothing/here:1", name=NAME)
    assert refused.value.reason is FailureReason.IMAGE_PULL


def test_the_engine_keeps_images_as_the_protocol_says(store: ContainerImages) -> None:
    """The type checker holds the class against the Protocol."""
    checked: ImageStore = store
    assert checked is store
