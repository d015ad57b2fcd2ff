"""Images that no task has any more, in a real registry that others use too: docker-registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine_server.database import task_images
from appengine_server.database.pool import Database
from appengine_server.database.task_images import TaskImage
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.registry import (
    TASK_ANNOTATION,
    Registry,
    push_image,
    registry_of,
    task_tag,
)
from appengine_server.tasks.registry_images import RegistryImages
from appengine_server.tasks.untagged import extract_image
from structlog.testing import capture_logs

from tests.integration.test_registry_push import extracted, push
from tests.integration.test_retention import Bench
from tests.registry import ImageRegistry, running_registry

KIND = "orphaned images"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Made:
    """An image that was pushed for a task."""

    row: TaskImage
    reference: str
    """As nodes pull it."""


class World(Bench):
    """A server's database and storage, with a registry."""

    registry: Registry

    def use(self, registry: ImageRegistry) -> None:
        self.registry = registry_of(f"http://{registry.host}", "registry.inside:5000", "", "")
        self.images = KeptImages(
            database=self.database, images=RegistryImages(self.registry, ("linux/amd64",)),
            registry=self.registry,
        )  # fmt: skip

    async def publish(
        self,
        state: str | None = None,
        *,
        age: timedelta = DAY,
        repository: str = "lab/org/x",
        noted: bool = True,
    ) -> Made:
        """Push as publishing does, the same layers and config each time. None: the task is gone."""
        task_id, folder = uuid4(), self.layout.base / uuid4().hex
        folder.mkdir()
        found, _ = extracted(folder)
        (folder / "image").mkdir()
        archive = folder / "image.tar"
        digest = extract_image(
            lambda: archive.open("rb"), found, folder / "image",
            annotations={TASK_ANNOTATION: str(task_id)},
        )  # fmt: skip
        name = f"{repository}:{task_tag(task_id)}"
        row = TaskImage(
            task_id=task_id,
            name=f"{self.registry.push_host}/{name}",
            pinned=f"{repository}@{digest}",
        )
        if noted:
            await self.images.note(row)
            await self.execute(
                "UPDATE task_images SET made_at = now() - $1::interval WHERE task_id = $2",
                age, task_id,
            )  # fmt: skip
        await push_image(folder / "image", self.registry, name, temporary=folder)
        reference = self.registry.reference(repository, digest)
        if state is not None:
            await self.insert(task_id, state, None if state == "FAILED" else reference)
        return Made(row, reference)

    async def insert(self, task_id: UUID, state: str, image: str | None) -> None:
        await self.execute(
            "INSERT INTO tasks (id, project, owner, namespace, version, state, image, cpus,"
            " ram_bytes, gpus, has_logo)"
            " VALUES ($1, 'lab', 'anna', 'org.x', gen_random_uuid()::text, $2, $3, 1, 1, 0, false)",
            task_id, state, image,
        )  # fmt: skip

    async def has(self, made: Made) -> bool:
        images = RegistryImages(self.registry, ())
        there = [await images.exists(made.row.name), await images.exists(made.reference)]
        assert there[0] == there[1]
        return there[0]

    async def rows(self) -> int:
        return int(await self.value("SELECT count(*) FROM task_images"))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    (tmp_path / "of-registry").mkdir()
    with running_registry(tmp_path / "of-registry") as made:
        yield made


@pytest.fixture
async def world(database: Database, tmp_path: Path, registry: ImageRegistry) -> World:
    made = World(database, tmp_path / "storage")
    await made.make_task()
    made.use(registry)
    return made


async def test_what_no_task_has_goes_and_all_else_stays(world: World, tmp_path: Path) -> None:
    gone = [await world.publish(), await world.publish("FAILED")]
    kept = [await world.publish(state) for state in ("READY", "PUBLISHING", "DELETING")]
    kept.append(await world.publish(age=timedelta(minutes=1)))
    # of another engine with the same registry, even of the same namespace; of the Java engine
    kept.append(await world.publish(noted=False))
    extracted(tmp_path)
    for name in ("lab/org/x:1.0.0", "org/x:1.0.0"):
        await push(tmp_path, world.registry, name)
    names = {made.row.name for made in gone}

    [shown] = [one for one in await world.retention().look() if one.kind == KIND]
    assert (shown.count, set(shown.names), shown.left) == (2, names, "")
    assert all([await world.has(made) for made in gone]), "a dry run changes nothing"

    [swept] = [one for one in await world.retention().sweep() if one.kind == KIND]
    assert (swept.count, set(swept.names), swept.left) == (2, names, "")
    assert not any([await world.has(made) for made in gone])
    assert all([await world.has(made) for made in kept])
    for name in ("lab/org/x:1.0.0", "org/x:1.0.0"):
        assert await RegistryImages(world.registry, ()).exists(f"{world.registry.push_host}/{name}")
    counted = world.metrics.registry.get_sample_value(
        "appengine_swept_things_total", {"kind": KIND}
    )
    assert counted == 2
    assert KIND not in await world.sweep()


async def test_the_same_image_is_one_of_its_own_for_each_task(
    world: World, registry: ImageRegistry
) -> None:
    """Else deleting the manifest of one would delete all tags of it."""
    orphan, used = await world.publish(), await world.publish("READY")
    configs = [
        json.loads(registry.get(made.row.pinned.replace("@", "/manifests/")))["config"]
        for made in (orphan, used)
        if made.row.pinned
    ]
    assert configs[0] == configs[1], "what is large is shared"
    assert await world.sweep() == {KIND: 1}
    assert await world.has(used)


async def test_what_others_have_named_is_theirs(world: World, registry: ImageRegistry) -> None:
    orphan, of_index = await world.publish(), await world.publish()
    assert of_index.row.digest is not None
    registry.put_index("lab/org/x", "several", of_index.row.digest)
    copied = ["skopeo", "--insecure-policy", "copy", "--preserve-digests"]
    copied += ["--src-tls-verify=false", "--dest-tls-verify=false"]
    places = [f"docker://{orphan.row.name}", f"docker://{world.registry.push_host}/lab/org/x:mine"]
    process = await asyncio.create_subprocess_exec(*copied, *places)
    assert await process.wait() == 0
    assert await world.sweep() == {}
    assert await world.has(orphan)
    assert await world.has(of_index)
    assert await world.rows() == 0


async def test_an_image_that_another_task_was_made_from_goes_after_that(world: World) -> None:
    orphan, other = await world.publish(), uuid4()
    await world.insert(other, "READY", orphan.reference)
    assert await world.look() == {}
    assert await world.sweep() == {}
    assert await world.has(orphan)
    await world.execute("DELETE FROM tasks WHERE id = $1", other)
    assert await world.sweep() == {KIND: 1}
    assert not await world.has(orphan)


async def test_what_a_killed_server_began_to_remove_the_next_one_does(
    world: World, database: Database
) -> None:
    decided, deleted = await world.publish(), await world.publish()
    for made in (decided, deleted):
        async with database.transaction() as connection:
            assert await task_images.begin_removal(connection, made.row)
    assert await world.images._remove(deleted.row)  # and then it was killed
    assert await world.sweep() == {KIND: 1}
    assert not await world.has(decided)
    assert await world.rows() == 0


async def test_what_was_noted_and_never_made_is_forgotten(world: World) -> None:
    for repository in ("lab/never", "lab/org/x"):
        pinned = f"{repository}@sha256:{'0' * 64}"
        name = f"{world.registry.push_host}/{repository}:{task_tag(uuid4())}"
        await world.images.note(TaskImage(task_id=uuid4(), name=name, pinned=pinned))
    await world.execute("UPDATE task_images SET made_at = now() - $1::interval", DAY)
    used = await world.publish("READY")
    assert await world.look() == await world.sweep() == {}
    assert await world.rows() == 1
    assert await world.has(used)


async def test_two_servers_that_sweep_at_once_remove_each_image_once(world: World) -> None:
    made = [await world.publish() for _ in range(3)]
    used = await world.publish("READY")
    swept = await asyncio.gather(*(world.sweep() for _ in range(2)))
    assert sum(one.get(KIND, 0) for one in swept) <= 3
    assert not any([await world.has(one) for one in made])
    assert await world.has(used)
    assert await world.rows() == 1


async def test_a_registry_that_is_away_holds_nothing_else_up(
    world: World, registry: ImageRegistry
) -> None:
    orphan = await world.publish()
    retention = world.retention(finished_runs="60")
    registry.stop()
    with capture_logs() as logs:
        for runs in (1, 0):
            if runs:
                await world.make_run()
            swept = {one.kind: one for one in await retention.sweep()}
            assert swept["finished runs"].count == runs
            assert "cannot be reached" in swept[KIND].left
    [warned] = [line for line in logs if line["log_level"] == "warning"]
    assert (warned["event"], warned["kind"]) == ("sweep.left", KIND)
    assert warned["why"] == swept[KIND].left
    [shown] = [one for one in await retention.look() if one.kind == KIND]
    assert "cannot be reached" in shown.left
    registry.start()
    assert await world.sweep() == {KIND: 1}
    assert not await world.has(orphan)


async def test_a_task_goes_while_the_registry_is_away_and_its_image_afterwards(
    world: World, registry: ImageRegistry
) -> None:
    made = await world.publish("DELETING")
    registry.stop()
    await world.images.remove_of(made.row.task_id)
    registry.start()
    assert await world.has(made)
    await world.execute("DELETE FROM tasks WHERE id = $1", made.row.task_id)
    assert await world.sweep() == {KIND: 1}
    assert not await world.has(made)


async def test_a_registry_that_deletes_nothing_is_told_of_once(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "keeping").mkdir()
    with running_registry(tmp_path / "keeping", deletes=False) as keeping:
        world.use(keeping)
        made = [await world.publish() for _ in range(2)]
        retention = world.retention()
        with capture_logs() as logs:
            for _ in range(2):
                [swept] = [one for one in await retention.sweep() if one.kind == KIND]
                assert swept.count == 0
        assert "REGISTRY_STORAGE_DELETE_ENABLED=true" in swept.left
        assert [line["event"] for line in logs] == ["sweep.left"]
        assert all([await world.has(one) for one in made])
        assert await world.look() == {KIND: 2}


async def test_images_of_another_registry_than_the_settings_is_are_left_alone(
    world: World, tmp_path: Path
) -> None:
    orphan, first = await world.publish(), world.registry
    (tmp_path / "second").mkdir()
    with running_registry(tmp_path / "second") as second:
        world.use(second)
        assert await world.sweep() == {}
        assert await world.rows() == 1
    assert await RegistryImages(first, ()).exists(orphan.row.name)
