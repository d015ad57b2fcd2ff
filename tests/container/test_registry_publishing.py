"""Bundles whose images go to a registry, of any size, and what happens while it is away."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from uuid import uuid4

import psutil
import pytest
from appengine.v1 import storage_service_pb2, task_pb2
from appengine_client._transfer.source import following_links

from tests.container.bundles import make_bundle, make_layered_bundle
from tests.container.conftest import running_engine
from tests.container.engine_server import REAL, Engine, RunState, started, wait_for
from tests.registry import ImageRegistry, running_registry

pytestmark = REAL

MIB = 1 << 20
READY, FAILED = task_pb2.TASK_STATE_READY, task_pb2.TASK_STATE_FAILED


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="module")
def trusting_engine_url(
    registry: ImageRegistry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An engine that pulls from the registry without TLS, as Docker does on loopback."""
    config = tmp_path_factory.mktemp("registries") / "registries.conf"
    config.write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
    without_engine = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    with running_engine({**without_engine, "CONTAINERS_REGISTRIES_CONF": str(config)}) as url:
        yield url


@contextlib.contextmanager
def serving(
    registry: ImageRegistry, engine_url: str, folder: Path, **settings: str
) -> Iterator[Engine]:
    """A server that publishes to the registry, with folders for its faults and temporary files."""
    ours = {"REGISTRY_URL": f"http://{registry.host}", "TMPDIR": str(folder / "temporary")}
    ours["APPENGINE_FAULT_FOLDER"] = str(folder / "faults")
    for name in ("temporary", "faults"):
        (folder / name).mkdir()
    with started(folder, engine_url, {**ours, **settings}) as engine:
        yield engine


@pytest.fixture(scope="module")
def engine(
    registry: ImageRegistry, trusting_engine_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    with serving(registry, trusting_engine_url, tmp_path_factory.mktemp("publishing")) as engine:
        yield engine


def send(engine: Engine, bundle: Path) -> storage_service_pb2.Upload:
    sent: storage_service_pb2.Upload = engine.client.uploads.send_bundle(
        following_links([(bundle.name, bundle)])
    )
    return sent


def published(engine: Engine, task: task_pb2.Task, seconds: float = 40) -> task_pb2.Task:
    """The task once publishing has ended."""

    def ended() -> task_pb2.Task | None:
        found = engine.client.tasks.get(task.id)
        return found if found.state in (READY, FAILED) else None

    found: task_pb2.Task = wait_for(ended, seconds)
    return found


def layered(folder: Path, namespace: str, version: str, *sizes: tuple[bytes, int]) -> Path:
    return make_layered_bundle(
        folder / f"{version}.zip", sizes, namespace=namespace, version=version, script="true"
    )


def publishing_folders(engine: Engine) -> list[Path]:
    return list((engine.server.storage / "tasks").glob("*/publishing.*"))


@pytest.mark.rule("image.nothing-sent-twice")
def test_a_second_version_sends_only_the_layer_that_changed(
    engine: Engine, registry: ImageRegistry, tmp_path: Path
) -> None:
    namespace, sent = f"org.example.t{uuid4().hex[:12]}", len(registry.sent_blobs())
    seeds = [uuid4().bytes for _ in range(3)]
    first = layered(tmp_path, namespace, "1.0.0", (seeds[0], 8 * MIB), (seeds[1], MIB))
    second = layered(tmp_path, namespace, "2.0.0", (seeds[0], 8 * MIB), (seeds[2], MIB))
    task = engine.client.tasks.upload(first)
    assert task.state == READY, task.failure
    before = registry.sent_blobs()[sent:]
    assert len(before) == len(set(before)) == 4  # busybox, two layers, the config
    task = engine.client.tasks.upload(second)
    assert task.state == READY, task.failure
    again = registry.sent_blobs()[sent + len(before) :]
    assert len(again) == 2  # the changed layer, the config
    assert not set(again) & set(before)
    run = engine.client.runs.wait(engine.client.runs.create(task.id, start=True).id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure


async def test_a_named_user_becomes_numbers_at_publishing(engine: Engine) -> None:
    task = engine.task("id -u > /outputs/uid", outputs={"uid": "integer"}, user="nobody")
    [row] = await engine.fetch("SELECT image_user FROM tasks WHERE id = $1", task.id)
    assert row["image_user"] == "65534:65534"
    refused = engine.client.tasks.upload(engine.bundle(user="stranger"))
    assert refused.state == FAILED
    assert "stranger" in refused.failure.message
    assert "/etc/passwd" in refused.failure.message


def test_a_registry_that_is_away_for_a_while_only_delays(
    engine: Engine, registry: ImageRegistry
) -> None:
    registry.stop()
    try:
        task = engine.client.tasks.create(send(engine, engine.bundle()).id)
        wait_for(lambda: "publish.waits" in engine.server.log.read_text())
        assert engine.client.tasks.get(task.id).state == task_pb2.TASK_STATE_PUBLISHING
    finally:
        registry.start()
    assert published(engine, task).state == READY
    assert not publishing_folders(engine)


def test_a_registry_that_stays_away_is_told_in_the_end(
    registry: ImageRegistry, trusting_engine_url: str, tmp_path: Path
) -> None:
    quick = {"TASK_PUBLISH_STALL_LIMIT": "2"}
    with serving(registry, trusting_engine_url, tmp_path, **quick) as engine:
        registry.stop()
        try:
            task = published(engine, engine.client.tasks.create(send(engine, engine.bundle()).id))
        finally:
            registry.start()
    assert task.state == FAILED
    assert task.failure.reason == "TIMEOUT"
    assert f"the registry {registry.host} cannot be reached" in task.failure.message


def test_the_image_of_a_deleted_task_leaves_registry_and_engine(
    engine: Engine, registry: ImageRegistry
) -> None:
    kept, deleted = (engine.task() for _ in range(2))

    def in_registry(task: task_pb2.Task) -> bool:
        path = f"default/{task.namespace.replace('.', '/')}/manifests/task-{task.id}"
        try:
            return bool(registry.get(path))
        except HTTPError as answer:
            answer.close()
            return False

    assert in_registry(kept)
    assert in_registry(deleted)
    engine.client.tasks.delete(deleted.id)
    wait_for(lambda: not in_registry(deleted) and not engine.has_image(deleted.image))
    assert in_registry(kept)
    assert engine.has_image(kept.image)


def test_an_image_in_a_registry_becomes_a_task(
    engine: Engine, registry: ImageRegistry, tmp_path: Path
) -> None:
    namespace = f"org.example.t{uuid4().hex[:12]}"
    bundle = make_bundle(tmp_path / "bundle.zip", namespace=namespace, script="true")
    first = engine.client.tasks.upload(bundle)
    assert first.state == READY, first.failure
    tag = f"{registry.host}/default/{namespace.replace('.', '/')}:task-{first.id}"
    missing = tag.replace("task-", "none-")
    descriptor = engine.client.tasks.descriptor(first.id).replace(b"1.0.0", b"2.0.0")
    task = published(engine, engine.client.tasks.create_from_image(descriptor, tag))
    assert task.state == READY, task.failure
    descriptor = descriptor.replace(b"2.0.0", b"3.0.0")
    task = published(engine, engine.client.tasks.create_from_image(descriptor, missing))
    assert task.state == FAILED
    assert missing in task.failure.message


@dataclass(slots=True)
class Watched:
    """What publishing took at most, looked at again and again in a thread."""

    engine: Engine
    registry: ImageRegistry
    temporary: Path
    memory_bytes: int = 0
    beside_upload_bytes: int = 0
    """In the storage without uploads and the database, and in the folder for temporary files."""
    _done: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.1):
            if self.engine.server.is_running:
                with contextlib.suppress(psutil.Error):
                    self.memory_bytes = max(self.memory_bytes, _resident_bytes(self.engine))
            used = _size_of(self.engine.server.storage / "tasks") + _size_of(self.temporary)
            self.beside_upload_bytes = max(self.beside_upload_bytes, used)


def _resident_bytes(engine: Engine) -> int:
    """Of the server and all its children; what they share is counted once."""
    server = psutil.Process(engine.server.pid)
    return sum(process.memory_full_info().pss for process in [server, *server.children(True)])


def _size_of(folder: Path) -> int:
    done = subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "layer_bytes", [32 * MIB, pytest.param(1000 * 10**6, marks=pytest.mark.soak, id="3 GB")]
)
def test_an_image_is_published_in_little_memory_and_room_also_over_a_kill(
    engine: Engine, registry: ImageRegistry, tmp_path: Path, layer_bytes: int
) -> None:
    namespace, sent = f"org.example.t{uuid4().hex[:12]}", len(registry.sent_blobs())
    seeds = [uuid4().bytes for _ in range(4)]
    bundle = layered(tmp_path, namespace, "1.0.0", *((seed, layer_bytes) for seed in seeds[:3]))
    watched = Watched(engine, registry, engine.folder / "temporary")
    with watched.looking():
        task, told = _publish_with_a_kill(engine, send(engine, bundle), engine.folder / "faults")
    assert task.state == READY, task.failure
    assert told == sorted(told)
    # The small one may be sent between two looks.
    assert len(set(told)) > (3 if layer_bytes > 100 * MIB else 1)
    archive_bytes = task.publish_progress.total_bytes
    report: dict[str, Any] = {
        "archive": archive_bytes // MIB,
        "memory": watched.memory_bytes // MIB,
        "beside the bundle": watched.beside_upload_bytes // MIB,
    }
    print("MiB:", report)
    assert watched.memory_bytes < 300 * MIB
    assert watched.beside_upload_bytes < archive_bytes * 1.01 + 4 * MIB
    assert _size_of(registry.data) >= 3 * layer_bytes
    assert not publishing_folders(engine)
    assert not _size_of(engine.folder / "temporary") > 64 * 1024

    before = registry.sent_blobs()[sent:]
    sizes = [(seed, layer_bytes) for seed in (seeds[0], seeds[1], seeds[3])]
    began = time.monotonic()
    task = engine.client.tasks.upload(layered(tmp_path, namespace, "2.0.0", *sizes))
    print(f"the second version was made, sent and published in {time.monotonic() - began:.1f} s")
    assert task.state == READY, task.failure
    assert len(registry.sent_blobs()[sent + len(before) :]) == 2  # the changed layer, the config


def _publish_with_a_kill(
    engine: Engine, upload: storage_service_pb2.Upload, faults: Path
) -> tuple[task_pb2.Task, list[int]]:
    """Publish, killing the server when the archive is extracted; what progress was told of."""
    (faults / "publish.extracted.armed").touch()
    began = time.monotonic()
    task = engine.client.tasks.create(upload.id)
    took = time.monotonic() - began
    print(f"CreateTask answered in {took:.2f} s")
    assert took < 3
    told = []
    while not (faults / "publish.extracted.held").exists():
        told.append(engine.client.tasks.get(task.id).publish_progress.done_bytes)
        time.sleep(0.1)
    engine.server.kill()
    (faults / "publish.extracted.held").unlink()
    began_again = time.monotonic()
    engine.server.start()
    engine.connect()
    while (task := engine.client.tasks.get(task.id)).state == task_pb2.TASK_STATE_PUBLISHING:
        told.append(task.publish_progress.done_bytes)
        time.sleep(0.1)
    ended = time.monotonic()
    print(
        f"published {ended - began:.1f} s after CreateTask, "
        f"{ended - began_again:.1f} s after the kill"
    )
    return task, told
