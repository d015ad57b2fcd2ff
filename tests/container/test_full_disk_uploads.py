"""Uploads to a real file system of 64 MiB that fills up, and that becomes read-only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from appengine.v1 import run_pb2
from appengine.v1 import storage_service_pb2 as pb
from appengine_client.errors import ResourceExhausted, Unavailable
from appengine_client.transfer import (
    Backoff,
    Connection,
    Patience,
    following_links,
    pull,
    push,
    read_settings,
)
from appengine_server.database.pool import ConnectTo

from tests.container.engine_server import REAL, Engine, started, wait_for

pytestmark = REAL

MIB = 1024 * 1024
SIZE_BYTES = 40 * MIB
_MAKE = {
    "tmpfs": "mount -t tmpfs -o size=64m,nr_inodes=2000 tmpfs {disk}",
    "ext4": "truncate -s 64M {disk}.image && mkfs.ext4 -q -m 0 {disk}.image"
    " && mount -o loop {disk}.image {disk}",
}


@dataclass(slots=True, kw_only=True)
class Cramped:
    """A server whose storage is a file system of its own."""

    engine: Engine
    disk: Path
    content: Path
    """A file to send, elsewhere."""
    _fillers: Path

    def run_without_input(self) -> run_pb2.Run:
        task = self.engine.task(inputs={"data": "file"})
        return self.engine.client.runs.create(task.id, {})

    def start_upload(self, run: run_pb2.Run, *, expected_bytes: int = 0) -> str:
        target = pb.InputTarget(run_id=run.id, parameter="data", part=pb.INPUT_PART_WHOLE)
        request = pb.StartUploadRequest(
            request_id=str(uuid4()), input=target, expected_bytes=expected_bytes
        )
        return self.engine.storage.StartUpload(request, timeout=10).upload_id

    def upload(self, upload_id: str) -> pb.Upload:
        request = pb.GetUploadRequest(upload_id=upload_id)
        return self.engine.storage.GetUpload(request, timeout=10).upload

    def push(self, upload_id: str, *, resume: bool = False) -> pb.Upload:
        """Send the content; what cannot be waited for is raised soon."""
        source = following_links([("data", self.content)])
        patience = Patience(stall_seconds=0.5, backoff=Backoff(cap_seconds=0.1))

        async def send() -> pb.Upload:
            settings = read_settings(server=self.engine.server.address, environment={})
            connection = Connection(settings)
            try:
                return await push(source, connection, upload_id, patience=patience, resume=resume)
            finally:
                await connection.close()

        return asyncio.run(send())

    def fetch(self, run: run_pb2.Run, target: Path) -> None:
        async def bring() -> None:
            connection = Connection(
                read_settings(server=self.engine.server.address, environment={})
            )
            await pull(pb.Resource(run_inputs=run.id), target, connection)
            await connection.close()

        asyncio.run(bring())

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take the room of the disk, or all but a part of it; then also the files' names."""
        self._fillers.mkdir(exist_ok=True)
        room = os.statvfs(self.disk)
        with (
            contextlib.suppress(OSError),
            (self._fillers / "bytes").open("ab", buffering=0) as file,
        ):
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leave_bytes)
            while not leave_bytes and file.write(bytes(4096)):
                pass
        with contextlib.suppress(OSError):
            for number in range(0 if leave_bytes else 100_000):
                (self._fillers / str(number)).touch()

    def make_room(self) -> None:
        shutil.rmtree(self._fillers, ignore_errors=True)

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.disk)], check=True)

    def stored(self, run: run_pb2.Run) -> list[Path]:
        """What the run has of uploads."""
        return list((self.disk / "runs" / run.id / "uploaded").glob("*/data"))


@pytest.fixture(params=["tmpfs", "ext4"])
def cramped(
    request: pytest.FixtureRequest, engine_url: str, tmp_path: Path, connect_to: ConnectTo
) -> Iterator[Cramped]:
    disk = tmp_path / "engine" / "server" / "storage"
    disk.mkdir(parents=True)
    mounted = subprocess.run(
        _MAKE[request.param].format(disk=disk), shell=True, check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    content = tmp_path / "content"
    content.write_bytes(random.Random(1).randbytes(SIZE_BYTES))
    settings = {
        "DB_HOST": str(connect_to.host),
        "DB_NAME": connect_to.database,
        "DB_USERNAME": connect_to.user,
        "APPENGINE_FAULT_FOLDER": str(tmp_path / "faults"),
    }
    (tmp_path / "faults").mkdir()
    try:
        with started(tmp_path / "engine", engine_url, settings) as engine:
            made = Cramped(engine=engine, disk=disk, content=content, _fillers=disk / "fillers")
            yield made
            made.make_room()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_an_upload_that_has_no_room_is_refused_at_its_start(cramped: Cramped) -> None:
    run = cramped.run_without_input()
    cramped.fill(leave_bytes=16 * MIB)
    with pytest.raises(ResourceExhausted) as refused:
        cramped.engine.client.runs.provision(run.id, {"data": cramped.content})
    check_told(refused.value, needed_bytes=SIZE_BYTES, free_bytes=16 * MIB)
    assert list((cramped.disk / "uploads").iterdir()) == []


def test_an_upload_that_fills_the_disk_goes_on_once_there_is_room(
    cramped: Cramped, tmp_path: Path
) -> None:
    other = cramped.run_without_input()
    (tmp_path / "small").write_bytes(b"small")
    cramped.engine.client.runs.provision(other.id, {"data": tmp_path / "small"})
    run = cramped.run_without_input()
    upload_id = cramped.start_upload(run)
    cramped.fill(leave_bytes=24 * MIB)
    with pytest.raises(ResourceExhausted) as refused:
        cramped.push(upload_id)
    check_told(refused.value, needed_bytes=SIZE_BYTES - 24 * MIB, free_bytes=0)
    place = cramped.upload(upload_id).persisted.bytes
    assert cramped.stored(run) == []
    check_rest_works(cramped, other, tmp_path)
    with pytest.raises(ResourceExhausted):
        cramped.push(upload_id, resume=True)
    assert cramped.upload(upload_id).persisted.bytes >= place > 0
    cramped.make_room()
    assert cramped.push(upload_id, resume=True).state == pb.UPLOAD_STATE_FINISHED
    assert [path.read_bytes() for path in cramped.stored(run)] == [cramped.content.read_bytes()]


def test_a_disk_that_is_full_at_the_commit_shows_nothing_until_there_is_room(
    cramped: Cramped,
) -> None:
    run = cramped.run_without_input()
    upload_id = cramped.start_upload(run)
    faults = Path(cramped.engine.server.settings["APPENGINE_FAULT_FOLDER"])
    (faults / "upload.received.armed").touch()
    refusals: list[BaseException] = []

    def send() -> None:
        try:
            cramped.push(upload_id)
        except ResourceExhausted as refusal:
            refusals.append(refusal)

    sending = threading.Thread(target=send)
    sending.start()
    wait_for((faults / "upload.received.held").exists)
    cramped.fill()
    (faults / "upload.received.held").unlink()
    sending.join()
    (refused,) = refusals
    assert isinstance(refused, ResourceExhausted)
    assert refused.reason == "DISK_LOW"
    assert cramped.stored(run) == []
    assert cramped.engine.client.runs.get(run.id).state == run_pb2.RUN_STATE_CREATED
    assert cramped.upload(upload_id).persisted.bytes == SIZE_BYTES
    cramped.make_room()
    assert cramped.push(upload_id, resume=True).state == pb.UPLOAD_STATE_FINISHED
    assert [path.read_bytes() for path in cramped.stored(run)] == [cramped.content.read_bytes()]


def test_a_disk_that_became_read_only_is_told_and_the_upload_goes_on_afterwards(
    cramped: Cramped, tmp_path: Path
) -> None:
    run = cramped.run_without_input()
    other = cramped.engine.run("true")
    upload_id = cramped.start_upload(run)
    cramped.remount("ro")
    try:
        with pytest.raises(Unavailable, match="EROFS"):
            cramped.push(upload_id)
        cramped.fetch(other, tmp_path / "fetched")
        assert cramped.engine.client.runs.get(run.id).id == run.id
    finally:
        cramped.remount("rw")
    assert cramped.push(upload_id, resume=True).state == pb.UPLOAD_STATE_FINISHED
    assert [path.read_bytes() for path in cramped.stored(run)] == [cramped.content.read_bytes()]


def check_told(refused: ResourceExhausted, *, needed_bytes: int, free_bytes: int) -> None:
    """The sentence and its fields must say how much is free and how much is needed."""
    assert refused.reason == "DISK_LOW"
    told = {name: int(refused.details.fields[name]) for name in ("free_bytes", "needed_bytes")}
    assert abs(told["needed_bytes"] - needed_bytes) <= 4 * MIB
    assert abs(told["free_bytes"] - free_bytes) <= 4 * MIB
    for value in told.values():
        assert str(value) in refused.message


def check_rest_works(cramped: Cramped, other: run_pb2.Run, tmp_path: Path) -> None:
    """All that needs no room goes on."""
    client = cramped.engine.client
    assert client.runs.get(other.id).id == other.id
    assert [run.id for run in client.runs.list()]
    cramped.fetch(other, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "data").read_bytes() == b"small"
