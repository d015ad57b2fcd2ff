"""Bundles that are no good: every problem is told, and nothing of them stays anywhere."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from appengine.v1 import task_pb2
from appengine_client.errors import FailedPrecondition, InvalidArgument

from tests.container.bundles import dump, make_descriptor, write_bundle
from tests.container.engine_server import REAL, Engine, wait_for
from tests.container.images import busybox_image, tar, write_archive

pytestmark = REAL

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A good bundle in parts, for one of them to be spoilt."""

    path: Path
    descriptor: bytes
    image: bytes
    image_id: str

    def write(self, **entries: bytes) -> None:
        """The descriptor and the image, with more entries or other contents."""
        content = {"descriptor.yml": self.descriptor, "image.tar": self.image, **entries}
        write_bundle(self.path, {name: body for name, body in content.items() if body})


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    made = busybox_image(entrypoint=["/bin/true"], environment={"ONLY": uuid4().hex})
    write_archive(tmp_path / "image.tar", made, form="docker")
    descriptor = make_descriptor(namespace=f"org.example.t{uuid4().hex[:12]}")
    descriptor["configuration"]["image"]["file"] = "/image.tar"
    return Parts(
        path=tmp_path / "bundle.zip",
        descriptor=dump(descriptor),
        image=(tmp_path / "image.tar").read_bytes(),
        image_id=made.id,
    )


def truncated(parts: Parts) -> None:
    parts.write()
    parts.path.write_bytes(parts.path.read_bytes()[: MIB // 2])


def cut_at_the_end(parts: Parts) -> None:
    parts.write()
    parts.path.write_bytes(parts.path.read_bytes()[:-10])


def no_zip(parts: Parts) -> None:
    parts.path.write_bytes(b"<html>404 Not Found</html>" * 100)


def empty(parts: Parts) -> None:
    parts.path.write_bytes(b"")


def without_descriptor(parts: Parts) -> None:
    parts.write(**{"descriptor.yml": b""})


def without_image(parts: Parts) -> None:
    parts.write(**{"image.tar": b""})


def zip_slip(parts: Parts) -> None:
    parts.write(**{"../../evil.sh": b"#!/bin/sh"})


def bomb(parts: Parts) -> None:
    with zipfile.ZipFile(parts.path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("descriptor.yml", parts.descriptor)
        with bundle.open("image.tar", "w", force_zip64=True) as entry:
            for _ in range(128):
                entry.write(bytes(MIB))


def nothing_in_it(parts: Parts) -> None:
    write_bundle(parts.path, {"README": b"hello"})


REFUSED: dict[Callable[[Parts], None], set[str]] = {
    truncated: {"BUNDLE_TRUNCATED"},
    cut_at_the_end: {"BUNDLE_TRUNCATED"},
    no_zip: {"BUNDLE_NOT_ZIP"},
    empty: {"BUNDLE_NOT_ZIP"},
    without_descriptor: {"DESCRIPTOR_MISSING"},
    without_image: {"IMAGE_MISSING"},
    zip_slip: {"BUNDLE_UNSAFE_ENTRY"},
    bomb: {"BUNDLE_TOO_LARGE", "IMAGE_NOT_ARCHIVE"},
    nothing_in_it: {"DESCRIPTOR_MISSING", "IMAGE_MISSING"},
}


async def traces(engine: Engine) -> tuple[list[str], dict[str, int]]:
    """Every file and folder of the storage but the database's own, and the numbers of rows."""
    storage = engine.server.storage
    folders = [storage / name for name in ("tasks", "uploads", "runs")]
    files = sorted(str(path) for folder in folders for path in folder.rglob("*"))
    files += sorted(str(path) for path in storage.iterdir())
    rows = {}
    for table in ("tasks", "runs", "outbox"):
        [row] = await engine.fetch(f"SELECT count(*) AS count FROM {table}")
        rows[table] = row["count"]
    return files, rows


@pytest.mark.rule("bundle.image-missing", "bundle.all-or-nothing")
@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
async def test_a_bad_bundle_is_refused_and_leaves_no_trace(
    engine: Engine, parts: Parts, spoil: Callable[[Parts], None]
) -> None:
    before = await traces(engine)
    spoil(parts)
    with pytest.raises(InvalidArgument) as refused:
        engine.client.tasks.upload(parts.path)
    assert {problem.reason for problem in refused.value.problems} == REFUSED[spoil]
    assert all(problem.message for problem in refused.value.problems)
    assert await traces(engine) == before
    assert not engine.has_image(parts.image_id)
    [row] = await engine.fetch("SELECT state FROM uploads ORDER BY created_at DESC LIMIT 1")
    assert row["state"] == "FAILED", "only why it was refused is kept, until that expires"


async def test_an_upload_of_which_a_task_was_made_makes_no_other(
    engine: Engine, parts: Parts
) -> None:
    parts.write()
    task = engine.client.tasks.upload(parts.path)
    [row] = await engine.fetch(f"SELECT upload_id FROM tasks WHERE id = '{task.id}'")
    wait_for(lambda: not engine.server.storage.joinpath("uploads", str(row["upload_id"])).exists())
    with pytest.raises(FailedPrecondition, match="A task was made of this upload already"):
        engine.client.tasks.create(str(row["upload_id"]))


@pytest.mark.rule("report.all-at-once")
async def test_every_problem_is_listed_at_once(engine: Engine, parts: Parts) -> None:
    descriptor = make_descriptor(
        namespace="no spaces allowed", version="one", inputs={"a": "nothing", "b": "integer"}
    )
    del descriptor["name"]
    parts.write(**{"descriptor.yml": dump(descriptor), "../evil": b"x", "image.tar": b"no archive"})
    with pytest.raises(InvalidArgument) as refused:
        engine.client.tasks.upload(parts.path)
    paths = {problem.path for problem in refused.value.problems}
    assert {"namespace", "version", "name", "inputs.a.type", "../evil", "image.tar"} <= paths
    assert len(refused.value.problems) == refused.value.details.problem_count


def not_of_this_machine(parts: Parts) -> None:
    foreign = parts.path.with_name("foreign.tar")
    write_archive(foreign, busybox_image(architecture="s390x"), form="docker")
    parts.write(**{"image.tar": foreign.read_bytes()})


def damaged_layer(parts: Parts) -> None:
    content = bytearray(parts.image)
    at = content.index(b"\x7fELF") + 100_000
    content[at : at + 8] = b"damaged!"
    parts.write(**{"image.tar": bytes(content)})


def not_of_docker_save(parts: Parts) -> None:
    parts.write(**{"image.tar": tar({"README": b"a tar, but not of docker save"})})


def cut_archive(parts: Parts) -> None:
    parts.write(**{"image.tar": parts.image[: len(parts.image) // 2]})


def damaged_zip(parts: Parts) -> None:
    """The zip's own checksum of the image is wrong."""
    parts.write()
    content = bytearray(parts.path.read_bytes())
    content[content.index(b"\x7fELF") + 100_000] ^= 1
    parts.path.write_bytes(content)


def lying_about_its_size(parts: Parts) -> None:
    parts.write()
    content = bytearray(parts.path.read_bytes())
    at = content.rindex(b"PK\x01\x02")  # the image's record in the directory
    content[at + 20 : at + 28] = struct.pack("<II", 0x7FFFFFF0, 0x7FFFFFF0)
    parts.path.write_bytes(content)


@pytest.mark.rule("bundle.failed-publishing")
@pytest.mark.parametrize(
    "spoil",
    [
        not_of_this_machine,
        damaged_layer,
        not_of_docker_save,
        cut_archive,
        damaged_zip,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_a_bad_image_fails_the_task_and_leaves_only_its_reason(
    engine: Engine, parts: Parts, spoil: Callable[[Parts], None]
) -> None:
    """Whole archives are read in the background: the task is there, and says why it failed."""
    uploads = engine.server.storage / "uploads"
    before = set(uploads.iterdir())
    spoil(parts)
    task = engine.client.tasks.upload(parts.path)
    assert task.state == task_pb2.TASK_STATE_FAILED
    assert task.failure.reason
    assert task.failure.message
    wait_for(lambda: set(uploads.iterdir()) <= before)
    assert not engine.has_image(parts.image_id)


@pytest.mark.rule("bundle.limits")
def test_a_zip_that_lies_about_its_size_is_refused_sooner_or_later(
    engine: Engine, parts: Parts
) -> None:
    """Newer Pythons see it in the table of contents, older ones when they read the image."""
    uploads = engine.server.storage / "uploads"
    before = set(uploads.iterdir())
    lying_about_its_size(parts)
    try:
        reason = engine.client.tasks.upload(parts.path).failure.message
    except InvalidArgument as refusal:
        reason = refusal.problems[0].message
    assert reason
    wait_for(lambda: set(uploads.iterdir()) <= before)
    assert not engine.has_image(parts.image_id)
