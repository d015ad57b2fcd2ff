"""How often an upload syncs, and what of it survives a power cut when somebody was told of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.uploads import Uploads

KIB = 1024


@dataclass
class Syncs:
    """Every sync of a file, with the bytes that the file had before it."""

    seen: list[tuple[str, int]] = field(default_factory=list)

    def watching(self, sync: Callable[[int], None]) -> Callable[[int], None]:
        def watched(fd: int) -> None:
            size = os.fstat(fd).st_size
            sync(fd)
            self.seen.append((Path(os.readlink(f"/proc/self/fd/{fd}")).name, size))

        return watched

    def of(self, name: str) -> list[int]:
        return [size for seen, size in self.seen if seen == name]


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    syncs = Syncs()
    for call in (os.fsync, os.fdatasync):
        monkeypatch.setattr(os, call.__name__, syncs.watching(call))
    return syncs


@pytest.fixture
async def slow_clock(layout: StorageLayout) -> Uploads:
    """Uploads with steps by bytes alone."""
    limits = UploadLimits(persist_bytes=40 * KIB, persist_seconds=600)
    return Uploads(layout, limits, FreeSpace(base=layout.base, low_water_bytes=0))


async def test_a_step_of_a_large_file_is_one_sync(slow_clock, transfer_of, syncs):
    upload_id = str(uuid4())
    await slow_clock.create(upload_id)
    transfer = transfer_of({"large": os.urandom(800 * KIB)})
    first, *rest = transfer.chunks(10 * KIB)
    async with slow_clock.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await stream.persist()
        syncs.seen.clear()
        for chunk in rest:
            await stream.write(chunk)
        assert 17 <= len(syncs.of("large")) <= 20
        assert len(syncs.seen) == len(syncs.of("large"))
        await stream.finish(transfer.end)
    assert len(syncs.seen) <= 25


async def test_a_place_that_is_told_survives_a_power_cut(slow_clock, transfer_of, syncs, layout):
    upload_id = str(uuid4())
    await slow_clock.create(upload_id)
    journal = layout.upload(upload_id) / "w1" / "journal"
    async with slow_clock.open_writer(upload_id, "a") as stream:
        for chunk in transfer_of({"large": os.urandom(400 * KIB)}).chunks(10 * KIB):
            await stream.write(chunk)
            place = await slow_clock.place(upload_id)
            assert syncs.of("journal")[-1] == journal.stat().st_size
            if place.bytes:
                assert syncs.of("large")[-1] >= place.bytes


async def test_records_do_not_wait_for_somebody_who_asks(layout, transfer_of, syncs):
    limits = UploadLimits(persist_bytes=40 * KIB, persist_seconds=0.2)
    uploads = Uploads(layout, limits, FreeSpace(base=layout.base, low_water_bytes=0))
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    journal = layout.upload(upload_id) / "w1" / "journal"
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in transfer_of({"large": os.urandom(400 * KIB)}).chunks(10 * KIB):
            await stream.write(chunk)
        await until(lambda: stream.persisted == stream.received)
        await until(lambda: syncs.of("journal")[-1] == journal.stat().st_size)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
