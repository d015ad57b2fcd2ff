"""Uploads survive kill -9, torn journals, paused servers and second servers."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.errors import DataLoss, NotFound, ResourceExhausted, Unavailable, UploadTaken
from appengine_server.storage import journal
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.sequence import OpenFile
from appengine_server.storage.tree import START, Place
from appengine_server.storage.upload_files import UploadFiles
from appengine_server.storage.uploads import Uploads

SCRIPT = Path(__file__).with_name("sending_process.py")
log = logging.getLogger(__name__)


def _script():
    spec = importlib.util.spec_from_file_location("sending_process", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sending():
    return _script()


@pytest.fixture
async def upload_id(uploads: Uploads) -> str:
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    return upload_id


def start_sender(layout, upload_id: str, writer: str, seed: int, *more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(layout.base), upload_id, writer, str(seed), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def stop(process: subprocess.Popen) -> list[str]:
    """Kill it; answers the lines that it printed."""
    process.send_signal(signal.SIGKILL)
    told = process.stdout.read().splitlines()
    process.stdin.close()
    process.stdout.close()
    process.wait()
    return told


def last_place(told: list[str]) -> Place:
    for line in reversed(told):
        parts = line.split()
        if len(parts) == 2:
            return Place(bytes=int(parts[0]), entries=int(parts[1]))
    return START


def copy_of(uploads: Uploads, layout) -> Uploads:
    """The same storage as a server started afresh sees it."""
    return Uploads(layout, uploads.limits, FreeSpace(base=layout.base, low_water_bytes=0))


@pytest.mark.timeout(120)
async def test_an_upload_survives_kill_9_at_any_moment(uploads, upload_id, sending, layout):
    seed = random.randrange(1 << 30)
    log.warning("seed %d", seed)
    print("seed", seed)
    chance = random.Random(seed)
    transfer = sending.transfer_of_seed(seed)
    place = START
    for _ in range(8):
        process = start_sender(layout, upload_id, "a", seed)
        first = process.stdout.readline().strip()  # it is on its way
        time.sleep(chance.random() * 0.06)
        told = [first, *stop(process)]
        reached = await copy_of(uploads, layout).place(upload_id)
        for told_place in (place, last_place(told)):
            assert (reached.bytes, reached.entries) >= (told_place.bytes, told_place.entries)
        place = reached
        print("killed at", place, "of", transfer.end)
        if "finished" in told:
            break
    again = copy_of(uploads, layout)
    async with again.open_writer(upload_id, "a") as stream:
        for chunk in transfer.chunks(50_000, place):
            await stream.write(chunk)
        tree = await stream.finish(transfer.end)
    transfer.check(tree.root)


@pytest.mark.timeout(60)
async def test_a_paused_server_cannot_touch_counted_bytes(uploads, upload_id, sending, layout):
    seed = 7
    transfer = sending.transfer_of_seed(seed)
    process = start_sender(layout, upload_id, "old", seed, "freeze")
    try:
        while True:
            line = process.stdout.readline().split()
            if len(line) == 2 and int(line[0]) > transfer.end.bytes // 3:
                break
        process.send_signal(signal.SIGSTOP)
        told = Place(bytes=int(line[0]), entries=int(line[1]))
        place = await uploads.place(upload_id)
        assert (place.bytes, place.entries) >= (told.bytes, told.entries)
        async with uploads.open_writer(upload_id, "new") as stream:
            assert stream.received == place
            chunks = list(transfer.chunks(30_000, place))
            for chunk in chunks[:5]:
                await stream.write(chunk)
            await stream.persist()
            process.send_signal(signal.SIGCONT)  # it wakes up and writes on where it was
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.wait() != 0
            assert "UploadTaken" not in process.stdout.read()
            for chunk in chunks[5:]:
                await stream.write(chunk)
            tree = await stream.finish(transfer.end)
        transfer.check(tree.root)
    finally:
        stop(process)


@pytest.mark.timeout(120)
async def test_servers_that_race_pause_and_die_leave_one_whole_upload(
    uploads, upload_id, sending, layout
):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    transfer = sending.transfer_of_seed(seed)
    place = START
    senders: list[subprocess.Popen] = []
    try:
        for number in range(10):
            senders.append(start_sender(layout, upload_id, f"w{number}", seed))
            senders[-1].stdout.readline()
            time.sleep(chance.random() * 0.08)
            for sender in chance.sample(senders, min(2, len(senders))):
                action = chance.choice((signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL))
                if sender.poll() is None:
                    sender.send_signal(action)
            reached = await uploads.place(upload_id)
            assert (reached.bytes, reached.entries) >= (place.bytes, place.entries)
            place = reached
        async with uploads.open_writer(upload_id, "last") as stream:
            received = stream.received
            assert (received.bytes, received.entries) >= (place.bytes, place.entries)
            for sender in senders:
                if sender.poll() is None:
                    sender.send_signal(signal.SIGCONT)
            for chunk in transfer.chunks(20_000, received):
                await stream.write(chunk)
                await asyncio.sleep(0.002)
            tree = await stream.finish(transfer.end)
        for sender in senders:
            sender.wait(timeout=30)
        transfer.check(tree.root)
    finally:
        for sender in senders:
            stop(sender)


async def test_a_writer_of_another_server_is_superseded(uploads, upload_id, sending, layout):
    """Two servers share the storage: the newer stream wins, the older one is told."""
    transfer = sending.transfer_of_seed(3)
    other = copy_of(uploads, layout)
    chunks = list(transfer.chunks(30_000))
    async with uploads.open_writer(upload_id, "old") as old:
        for chunk in chunks[:10]:
            await old.write(chunk)
        await old.persist()
        async with other.open_writer(upload_id, "new") as new:
            assert new.received == chunks[10].place
            with pytest.raises(UploadTaken):
                await old.write(chunks[10])
            with pytest.raises(UploadTaken):
                await old.persist()
            for chunk in chunks[10:]:
                await new.write(chunk)
            assert await uploads.place(upload_id) == new.persisted
            tree = await new.finish(transfer.end)
    transfer.check(tree.root)
    with pytest.raises(UploadTaken):
        async with uploads.open_writer(upload_id, "old"):
            pass


async def test_a_living_writer_leaves_so_that_nothing_is_copied(
    uploads, upload_id, sending, layout
):
    transfer = sending.transfer_of_seed(5)
    chunks = list(transfer.chunks(30_000))
    patient = sending.uploads_at(layout.base)
    object.__setattr__(patient.limits, "takeover_seconds", 5.0)
    quick = sending.uploads_at(layout.base)
    async with quick.open_writer(upload_id, "old") as old:
        for chunk in chunks[:9]:
            await old.write(chunk)
        await old.persist()
        tree = layout.upload(upload_id) / "w1" / "tree"
        inodes = {path.stat().st_ino for path in tree.rglob("*") if path.is_file()}
        async with patient.open_writer(upload_id, "new") as new:
            for chunk in chunks[9:]:
                await new.write(chunk)
            root = (await new.finish(transfer.end)).root
    transfer.check(root)
    assert inodes <= {path.stat().st_ino for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("cut", [1, 3, 8, 9, 20, 41])
async def test_a_torn_tail_of_the_journal_is_ignored(
    uploads, upload_id, sending, layout, cut, transfer_of
):
    transfer = transfer_of({"a": os.urandom(300), "b": os.urandom(100)})
    first, second, *_ = chunks = list(transfer.chunks(100))
    path = layout.upload(upload_id) / "w1" / "journal"
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await stream.persist()
        whole = path.stat().st_size
        await stream.write(second)
    assert await uploads.place(upload_id) == chunks[2].place
    os.truncate(path, path.stat().st_size - cut)
    restarted = copy_of(uploads, layout)
    assert await restarted.place(upload_id) == second.place
    async with restarted.open_writer(upload_id, "a") as stream:
        assert path.stat().st_size == whole
        for chunk in chunks[1:]:
            await stream.write(chunk)
        transfer.check((await stream.finish(transfer.end)).root)


@pytest.mark.parametrize(
    "garbage", [b"\0", b"\0" * 64, b"\xff" * 7, random.Random(50).randbytes(50)]
)
async def test_garbage_behind_the_journal_is_ignored(
    uploads, upload_id, transfer_of, layout, garbage
):
    first, second = transfer_of({"a": os.urandom(200)}).chunks(100)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
    with (layout.upload(upload_id) / "w1" / "journal").open("ab") as file:
        file.write(garbage)
    assert await uploads.place(upload_id) == second.place
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(second)
    assert (await uploads.place(upload_id)).bytes == 200


async def test_files_beyond_the_place_are_dropped_on_the_way_back(
    uploads, upload_id, transfer_of, layout
):
    transfer = transfer_of({"a": b"1" * 100, "d/b": b"2" * 100})
    first, second = transfer.chunks(100)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
    tree = layout.upload(upload_id) / "w1" / "tree"
    (tree / "d" / "e").mkdir(parents=True)
    (tree / "d" / "b").write_bytes(b"half")
    (tree / "link").symlink_to("/etc")
    async with uploads.open_writer(upload_id, "a") as stream:
        assert sorted(path.name for path in tree.iterdir()) == ["a"]
        await stream.write(second)
        transfer.check((await stream.finish(transfer.end)).root)


async def test_a_counted_file_that_is_gone_is_data_loss(uploads, upload_id, transfer_of, layout):
    first, *_ = transfer_of({"a": b"1" * 100, "b": b"2" * 100}).chunks(100)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
    (layout.upload(upload_id) / "w1" / "tree" / "a").unlink()
    with pytest.raises(DataLoss):
        async with uploads.open_writer(upload_id, "a"):
            pass


async def test_a_claim_that_was_left_half_done_is_taken_up(uploads, upload_id, sending, layout):
    """A server died right behind its mkdir: no base, no lock, no tree."""
    transfer = sending.transfer_of_seed(11)
    chunks = list(transfer.chunks(30_000))
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in chunks[:8]:
            await stream.write(chunk)
    upload = layout.upload(upload_id)
    for number in (2, 3):
        (upload / f"w{number}").mkdir()
    (upload / "w3" / "building" / "half").mkdir(parents=True)
    assert await uploads.place(upload_id) == chunks[8].place
    async with uploads.open_writer(upload_id, "a") as stream:
        assert stream.received == chunks[8].place
        for chunk in chunks[8:]:
            await stream.write(chunk)
        transfer.check((await stream.finish(transfer.end)).root)


async def test_what_an_old_writer_records_after_the_claim_never_counts(
    uploads, upload_id, sending, layout
):
    transfer = sending.transfer_of_seed(12)
    chunks = list(transfer.chunks(30_000))
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in chunks[:5]:
            await stream.write(chunk)
    upload = layout.upload(upload_id)
    (upload / "w2").mkdir()
    reached = await uploads.place(upload_id)  # fixes the base of generation 2
    with (upload / "w1" / "journal").open("ab") as file:
        file.write(journal.step_record(chunks[7].place, None, ["late"]))
    assert await uploads.place(upload_id) == reached == chunks[5].place
    async with uploads.open_writer(upload_id, "a") as stream:
        assert stream.received == reached


async def test_a_crash_between_the_record_of_the_finish_and_the_rename_is_mended(
    uploads, upload_id, transfer_of, layout
):
    transfer = transfer_of({"a": b"123"})
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in transfer.chunks():
            await stream.write(chunk)
    upload = layout.upload(upload_id)
    with (upload / "w1" / "journal").open("ab") as file:
        file.write(journal.finish_record(transfer.end))
    assert await uploads.place(upload_id) == transfer.end
    async with copy_of(uploads, layout).open_writer(upload_id, "b") as stream:
        transfer.check((await stream.finish(transfer.end)).root)


async def test_an_upload_that_another_server_removed_is_not_found(
    uploads, upload_id, transfer_of, layout
):
    first, second = transfer_of({"a": b"1" * 20}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await copy_of(uploads, layout).remove(upload_id)
        with pytest.raises(NotFound):
            await stream.write(second)
        with pytest.raises(NotFound):
            await stream.persist()


async def test_an_upload_that_was_removed_is_not_found_when_a_file_begins(
    uploads, upload_id, transfer_of, layout
):
    first, second = transfer_of({"a": b"1" * 10, "b": b"2" * 10}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await copy_of(uploads, layout).remove(upload_id)
        with pytest.raises(NotFound):
            await stream.write(second)


async def test_a_writer_that_was_superseded_cannot_fail_the_upload(
    uploads, upload_id, transfer_of, layout
):
    transfer = transfer_of({"a": b"1" * 10, "b": b"2" * 10})
    first, second = transfer.chunks(10)
    _, wrong = transfer_of({"a": b"1" * 10, "a/x": b"2" * 10}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await stream.persist()
        (layout.upload(upload_id) / "w2").mkdir()  # another server begins to take over
        with pytest.raises(UploadTaken):
            await stream.write(wrong)
    async with copy_of(uploads, layout).open_writer(upload_id, "b") as stream:
        await stream.write(second)
        transfer.check((await stream.finish(transfer.end)).root)


async def test_a_record_that_fails_drops_what_was_not_counted(
    uploads, upload_id, transfer_of, monkeypatch
):
    transfer = transfer_of({"a": os.urandom(400)})
    first, second, third, fourth = transfer.chunks(100)
    append = journal.append

    def torn(fd: int, record: bytes) -> None:
        os.write(fd, record[:-3])
        raise OSError(errno.EIO, "broken")

    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await stream.persist()
        await stream.write(second)
        monkeypatch.setattr(journal, "append", torn)
        with pytest.raises(Unavailable, match="EIO"):
            await stream.persist()
        monkeypatch.setattr(journal, "append", append)
        with pytest.raises(Unavailable):
            await stream.write(third)
    assert await uploads.place(upload_id) == second.place
    async with uploads.open_writer(upload_id, "a") as stream:
        assert stream.received == second.place
        for chunk in (second, third, fourth):
            await stream.write(chunk)
        transfer.check((await stream.finish(transfer.end)).root)


async def test_a_failed_write_waits_for_a_record_under_way(
    uploads, upload_id, transfer_of, monkeypatch
):
    """Else bytes would be dropped that the record counts a moment later."""
    transfer = transfer_of({"a": os.urandom(400)})
    first, second, *_ = transfer.chunks(100)
    append, begun, go_on = journal.append, threading.Event(), threading.Event()

    def slow(fd: int, record: bytes) -> None:
        begun.set()
        go_on.wait(10)
        append(fd, record)

    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        monkeypatch.setattr(journal, "append", slow)
        persisting = asyncio.create_task(stream.persist())
        await asyncio.to_thread(begun.wait, 10)

        def full(*_args: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(UploadFiles, "write", full)
        writing = asyncio.create_task(stream.write(second))
        await asyncio.sleep(0.05)
        go_on.set()
        with pytest.raises(ResourceExhausted):
            await writing
        await persisting
        monkeypatch.undo()
    assert await uploads.place(upload_id) == second.place
    transfer_rest = list(transfer.chunks(100, second.place))
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in transfer_rest:
            await stream.write(chunk)
        transfer.check((await stream.finish(transfer.end)).root)


async def test_a_cancelled_write_ends_before_the_files_are_closed(
    uploads, upload_id, transfer_of, monkeypatch
):
    transfer = transfer_of({"a": os.urandom(200)})
    first, second = transfer.chunks(100)
    write, begun, go_on = UploadFiles.write, threading.Event(), threading.Event()

    def slow(self: UploadFiles, data: memoryview) -> None:
        begun.set()
        go_on.wait(10)
        write(self, data)

    async def send() -> None:
        async with uploads.open_writer(upload_id, "a") as stream:
            await stream.write(first)

    monkeypatch.setattr(UploadFiles, "write", slow)
    sending = asyncio.create_task(send())
    await asyncio.to_thread(begun.wait, 10)
    sending.cancel()
    await asyncio.sleep(0.02)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    monkeypatch.undo()
    assert await uploads.place(upload_id) == second.place
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(second)
        transfer.check((await stream.finish(transfer.end)).root)


def test_a_journal_is_what_was_recorded():
    open_file = OpenFile(index=2, path="d/ü", size_bytes=10, written_bytes=4, crc32c=7)
    records = [
        journal.writer_record("a"),
        journal.step_record(Place(bytes=1, entries=2), None, ["x", "d"]),
        journal.writer_record("b"),
        journal.step_record(Place(bytes=5, entries=3), open_file, ["d/ü"]),
    ]
    content = b"".join(records)
    bodies = [body for body, _ in journal.valid_bodies(content)]
    state = journal.state_of(bodies)
    assert state == journal.JournalState(
        place=Place(bytes=5, entries=3), open_file=open_file, writers=("a", "b"), finished=False
    )
    assert list(journal.paths_of(bodies)) == ["x", "d", "d/ü"]
    for cut in range(len(content)):
        counted = journal.valid_bytes(content[:cut])
        assert counted == sum(len(record) for record in records[: _whole(records, cut)])


def _whole(records: list[bytes], cut: int) -> int:
    count = total = 0
    for record in records:
        total += len(record)
        count += total <= cut
    return count
