"""A full disk is told as what it is, and what could not be counted is given back."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.errors import ResourceExhausted, Unavailable
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace, from_os_error, no_raw_os_errors
from appengine_server.storage.uploads import Uploads

MIB = 1 << 20

needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk takes root"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@needs_root
async def test_a_disk_that_fills_up_ends_the_stream_and_keeps_the_place(small_disk, transfer_of):
    layout = StorageLayout(small_disk / "base")
    layout.prepare()
    uploads = Uploads(layout, UploadLimits(), FreeSpace(base=layout.base, low_water_bytes=0))
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    (small_disk / "other").write_bytes(b"x" * 2 * MIB)
    transfer = transfer_of({"a": os.urandom(3 * MIB)})
    chunks = list(transfer.chunks(MIB // 2))
    free_before = FreeSpace(base=layout.base, low_water_bytes=0).free_bytes()

    async def send_all() -> None:
        async with uploads.open_writer(upload_id, "a") as stream:
            for chunk in chunks[:2]:
                await stream.write(chunk)
            await stream.persist()
            for chunk in chunks[2:]:
                await stream.write(chunk)

    with pytest.raises(ResourceExhausted) as refused:
        await send_all()
    assert refused.value.reason == "DISK_LOW"
    assert int(refused.value.fields["free_bytes"]) < MIB
    assert MIB < int(refused.value.fields["needed_bytes"]) <= 2 * MIB  # what the file lacks
    assert refused.value.retry_after is None
    place = await uploads.place(upload_id)
    assert place == chunks[3].place  # behind every chunk that found room
    used = free_before - FreeSpace(base=layout.base, low_water_bytes=0).free_bytes()
    assert used <= place.bytes + 128 * 1024

    (small_disk / "other").unlink()
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in transfer.chunks(MIB // 2, place):
            await stream.write(chunk)
        transfer.check((await stream.finish(transfer.end)).root)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


@needs_root
async def test_a_disk_too_full_for_the_journal_is_told_as_well(small_disk, transfer_of):
    layout = StorageLayout(small_disk / "base")
    layout.prepare()
    uploads = Uploads(layout, UploadLimits(), FreeSpace(base=layout.base, low_water_bytes=0))
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    fill(small_disk / "other")

    async def open_it() -> None:
        async with uploads.open_writer(upload_id, "a"):
            pass

    with pytest.raises(ResourceExhausted):
        await open_it()
    (small_disk / "other").unlink()
    await open_it()


def test_the_low_water_mark_is_kept_free(tmp_path):
    free_bytes = FreeSpace(base=tmp_path, low_water_bytes=0).free_bytes()
    FreeSpace(base=tmp_path, low_water_bytes=free_bytes // 2).check(free_bytes // 4)
    with pytest.raises(ResourceExhausted) as refused:
        FreeSpace(base=tmp_path, low_water_bytes=free_bytes // 2).check(free_bytes)
    assert refused.value.reason == "DISK_LOW"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_quota_is_a_full_disk(tmp_path, number):
    refusal = from_os_error(OSError(number, "full"), folder=tmp_path, needed_bytes=5)
    assert isinstance(refusal, ResourceExhausted)
    assert refusal.fields["needed_bytes"] == "5"


def test_no_path_of_the_server_leaks(tmp_path):
    with pytest.raises(Unavailable) as refused, no_raw_os_errors(tmp_path):
        (tmp_path / "secret").read_bytes()
    assert "secret" not in str(refused.value)
    assert "ENOENT" in str(refused.value)
