"""Uploads: what is kept, where they go on, and when they are whole."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
from uuid import uuid4

import blake3
import pytest
from appengine_server.errors import (
    ChunkCorrupt,
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PlaceOutOfRange,
    ResourceExhausted,
    UploadTaken,
)
from appengine_server.storage.commit import commit_tree
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.tree import (
    START,
    Chunk,
    Digest,
    DigestAlgorithm,
    Entry,
    EntryKind,
    Place,
)
from appengine_server.storage.uploads import Uploads
from appengine_server.storage.writer import FinishedTree

KIB = 1024
MIB = 1024 * KIB
DIGESTS = {DigestAlgorithm.SHA256: hashlib.sha256, DigestAlgorithm.BLAKE3: blake3.blake3}


@pytest.fixture
async def upload_id(uploads: Uploads) -> str:
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    return upload_id


async def send(uploads, upload_id, transfer, *, writer="a", size=MIB, start=START) -> FinishedTree:
    async with uploads.open_writer(upload_id, writer) as stream:
        for chunk in transfer.chunks(size, start):
            await stream.write(chunk)
        return await stream.finish(transfer.end)


def tree_of_everything(transfer_of):
    return transfer_of(
        {
            "empty": b"",
            "folder": transfer_of.FOLDER,
            "folder/inner": b"x" * 100,
            "made/by/itself": b"y" * (300 * KIB),
            "made/by/link": transfer_of.Link("itself"),
            "made/up": transfer_of.Link("../folder/inner"),
            "run.sh": b"#!/bin/sh\n",
            "zero/folder": transfer_of.FOLDER,
            "ünïcödé \n\\ name": b"kept",
            "last": b"",
        },
        executables=frozenset({"run.sh"}),
    )


async def test_one_file_arrives(uploads, upload_id, transfer_of, layout):
    transfer = transfer_of({"slide.tiff": os.urandom(5 * MIB + 17)})
    tree = await send(uploads, upload_id, transfer)
    assert (tree.entries, tree.bytes) == (1, 5 * MIB + 17)
    transfer.check(tree.root)
    commit_tree(tree.root, layout.base / "final")
    transfer.check(layout.base / "final")
    assert not tree.root.exists()


@pytest.mark.parametrize("size", [1, 7, 64, 100, 101, 64 * KIB, MIB])
async def test_a_tree_arrives_whatever_the_chunks(uploads, upload_id, transfer_of, size):
    transfer = tree_of_everything(transfer_of)
    if size < 64:
        transfer = transfer_of(
            {k: v for k, v in transfer.contents.items() if k != "made/by/itself"}
        )
    tree = await send(uploads, upload_id, transfer, size=size)
    transfer.check(tree.root)


async def test_only_the_executable_bit_is_kept(uploads, upload_id, transfer_of):
    tree = await send(uploads, upload_id, tree_of_everything(transfer_of))
    assert (tree.root / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (tree.root / "last").stat().st_mode & 0o7777 == 0o644
    assert (tree.root / "folder").stat().st_mode & 0o7777 == 0o755
    assert tree.root.stat().st_mode & 0o7777 == 0o755


async def test_five_thousand_small_files_arrive(uploads, upload_id, transfer_of):
    transfer = transfer_of({f"d{n % 50}/f{n}": b"%d" % n * (n % 300) for n in range(5000)})
    tree = await send(uploads, upload_id, transfer)
    assert tree.entries == 5000
    transfer.check(tree.root)


async def test_an_empty_transfer_is_an_empty_folder(uploads, upload_id):
    async with uploads.open_writer(upload_id, "a") as stream:
        tree = await stream.finish(START)
    assert list(tree.root.iterdir()) == []


async def test_nothing_is_visible_before_the_finish(uploads, upload_id, transfer_of, layout):
    transfer = transfer_of({"f": b"x" * MIB})
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in transfer.chunks():
            await stream.write(chunk)
        assert not (layout.upload(upload_id) / "tree").exists()
        assert await uploads.finished(upload_id) is None


async def test_a_cut_stream_keeps_what_it_received(uploads, upload_id, transfer_of):
    transfer = transfer_of({"a": os.urandom(3 * MIB), "b": b"", "c": os.urandom(MIB)})
    chunks = list(transfer.chunks(MIB // 2))

    async def cut() -> None:
        async with uploads.open_writer(upload_id, "a") as stream:
            for chunk in chunks[:5]:
                await stream.write(chunk)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await cut()
    place = await uploads.place(upload_id)
    assert place == chunks[5].place
    tree = await send(uploads, upload_id, transfer, start=place)
    transfer.check(tree.root)


async def test_it_goes_on_in_another_process_object(uploads, upload_id, transfer_of, layout):
    transfer = transfer_of({"a": os.urandom(3 * MIB), "b": b"12", "c": b""})
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in list(transfer.chunks(MIB // 2))[:3]:
            await stream.write(chunk)
    other = Uploads(layout, uploads.limits, FreeSpace(base=layout.base, low_water_bytes=0))
    place = await other.place(upload_id)
    assert place.bytes == 3 * MIB // 2
    tree = await send(other, upload_id, transfer, start=place)
    transfer.check(tree.root)


@pytest.mark.parametrize("size", [3, 50, 1000])
async def test_sending_from_below_the_place_is_skipped(uploads, upload_id, transfer_of, size):
    transfer = transfer_of(
        {"a": b"1" * 70, "e": b"", "d": transfer_of.FOLDER, "d/b": b"2" * 200, "z": b""}
    )
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in list(transfer.chunks(97))[:2]:
            await stream.write(chunk)
    tree = await send(uploads, upload_id, transfer, size=size)
    transfer.check(tree.root)


async def test_sending_from_above_the_place_is_refused_and_changes_nothing(
    uploads, upload_id, transfer_of
):
    transfer = transfer_of({"a": os.urandom(300), "b": b""})
    first, second, *_ = transfer.chunks(100)
    async with uploads.open_writer(upload_id, "a") as stream:
        with pytest.raises(PlaceOutOfRange) as refused:
            await stream.write(second)
        assert refused.value.reason == "UPLOAD_PLACE"
        assert refused.value.fields == {"bytes": "0", "entries": "0"}
        await stream.write(first)
        with pytest.raises(PlaceOutOfRange):
            await stream.finish(transfer.end)
    tree = await send(uploads, upload_id, transfer, start=second.place)
    transfer.check(tree.root)


async def test_a_corrupt_chunk_is_dropped_and_the_rest_goes_on(uploads, upload_id, transfer_of):
    transfer = transfer_of({"a": os.urandom(300)})
    first, second, third = transfer.chunks(100)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        with pytest.raises(ChunkCorrupt):
            await stream.write(dataclasses.replace(second, crc32c=second.crc32c ^ 1))
    assert await uploads.place(upload_id) == second.place
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(second)
        await stream.write(third)
        transfer.check((await stream.finish(transfer.end)).root)


async def test_a_keep_alive_changes_nothing(uploads, upload_id):
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(Chunk(place=START, crc32c=0))
        assert stream.received == START


async def refused_with(uploads, upload_id, chunks, reason, *, end: Place | None = None) -> None:
    """Send chunks; the upload must fail for `reason` with nothing kept."""

    async def send_all(stream) -> None:
        for chunk in chunks:
            await stream.write(chunk)
        assert end is not None
        await stream.finish(end)

    async with uploads.open_writer(upload_id, "a") as stream:
        with pytest.raises(InvalidArgument) as refused:
            await send_all(stream)
        with pytest.raises(InvalidArgument):
            await stream.persist()
    assert reason in {problem.reason for problem in refused.value.problems}
    with pytest.raises(FailedPrecondition, match="start a new one"):
        await uploads.place(upload_id)
    with pytest.raises(FailedPrecondition):
        async with uploads.open_writer(upload_id, "b"):
            pass
    upload = uploads._layout.upload(upload_id)
    kept = [path for path in upload.rglob("*") if path.is_file()]
    assert {path.name for path in kept} <= {"failed", "lock", "journal"}
    await uploads.remove(upload_id)
    assert not upload.exists()


@pytest.mark.parametrize("size", [64, 1000])
async def test_a_wrong_file_checksum_fails_the_upload(uploads, upload_id, transfer_of, size):
    transfer = transfer_of({"good": b"1" * 100, "bad": b"2" * 100})
    transfer.ends[1] = dataclasses.replace(transfer.ends[1], crc32c=1)
    await refused_with(uploads, upload_id, transfer.chunks(size), "FILE_CRC32C")


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
async def test_digests_are_checked(uploads, upload_id, transfer_of, algorithm):
    contents = {"small": b"1" * 100, "large": os.urandom(5000), "empty": b""}
    transfer = transfer_of(contents)
    transfer.ends = [
        dataclasses.replace(
            end, digest=Digest(algorithm=algorithm, value=DIGESTS[algorithm](content).digest())
        )
        for end, content in zip(transfer.ends, contents.values(), strict=True)
    ]
    transfer.check((await send(uploads, upload_id, transfer, size=999)).root)
    other = str(uuid4())
    await uploads.create(other)
    transfer.ends[1] = dataclasses.replace(
        transfer.ends[1], digest=Digest(algorithm=algorithm, value=b"\0" * 32)
    )
    await refused_with(uploads, other, transfer.chunks(999), "FILE_DIGEST")


async def test_a_missing_file_end_fails_the_upload(uploads, upload_id, transfer_of):
    chunk = dataclasses.replace(next(transfer_of({"a": b"12"}).chunks()), ends=())
    await refused_with(uploads, upload_id, [chunk], "FILE_END_MISSING")


async def test_a_finish_with_a_half_file_fails_the_upload(uploads, upload_id, transfer_of):
    first, second, *_ = transfer_of({"a": b"12" * 100}).chunks(50)
    await refused_with(uploads, upload_id, [first], "FILE_INCOMPLETE", end=second.place)


async def test_a_finish_before_the_end_fails_the_upload(uploads, upload_id, transfer_of):
    chunks = list(transfer_of({"a": b"12", "b": b"34"}).chunks(2))
    await refused_with(uploads, upload_id, chunks, "END", end=chunks[1].place)


def entry(path: str, kind=EntryKind.FOLDER, index=0, **more) -> Entry:
    return Entry(index=index, path=path, kind=kind, **more)


def of_entries(*entries: Entry) -> Chunk:
    return Chunk(place=START, crc32c=0, entries=entries)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (entry(""), "PATH_EMPTY"),
        (entry("/etc"), "PATH_ABSOLUTE"),
        (entry(".."), "PATH_NOT_PLAIN"),
        (entry("a/../b"), "PATH_NOT_PLAIN"),
        (entry("a/./b"), "PATH_NOT_PLAIN"),
        (entry("a//b"), "PATH_NOT_PLAIN"),
        (entry("a/"), "PATH_NOT_PLAIN"),
        (entry("a\0b"), "PATH_NUL"),
        (entry("a\udcff"), "PATH_NOT_UTF8"),
        (entry("x" * 256), "PATH_TOO_LONG"),
        (entry("ü" * 128), "PATH_TOO_LONG"),
        (entry("/".join(["x" * 200] * 21)), "PATH_TOO_LONG"),
        (entry("/".join(["x"] * 129)), "PATH_TOO_DEEP"),
        (entry("d", size_bytes=1), "ENTRY_SIZE"),
        (entry("f", EntryKind.FILE, size_bytes=-1), "ENTRY_SIZE"),
        (entry("f", EntryKind.FILE, link_target="x"), "ENTRY_LINK"),
        (entry("l", EntryKind.LINK), "LINK_EMPTY"),
        (entry("l", EntryKind.LINK, link_target="/etc/passwd"), "LINK_ABSOLUTE"),
        (entry("l", EntryKind.LINK, link_target=".."), "LINK_LEADS_OUT"),
        (entry("l", EntryKind.LINK, link_target="./../x"), "LINK_LEADS_OUT"),
        (entry("a/b/l", EntryKind.LINK, link_target="../../../x"), "LINK_LEADS_OUT"),
        (entry("a/b/l", EntryKind.LINK, link_target="c/../d"), "LINK_NOT_PLAIN"),
        (entry("l", EntryKind.LINK, link_target="a\0b"), "PATH_NUL"),
        (entry("x", index=1), "ENTRY_INDEX"),
    ],
)
async def test_bad_entries_fail_the_upload(uploads, upload_id, bad, reason):
    await refused_with(uploads, upload_id, [of_entries(bad)], reason)


async def test_all_bad_entries_of_a_chunk_are_told(uploads, upload_id):
    chunk = of_entries(entry(".."), entry("good", index=1), entry("/x", index=2))
    async with uploads.open_writer(upload_id, "a") as stream:
        with pytest.raises(InvalidArgument) as refused:
            await stream.write(chunk)
    assert [problem.path for problem in refused.value.problems] == ["..", "/x"]


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (["x", "x"], "PATH_TWICE"),
        (["x/y", "x"], "PATH_TWICE"),
    ],
)
async def test_a_path_is_sent_once_and_before_what_is_in_it(uploads, upload_id, contents, reason):
    entries = [entry(path, index=index) for index, path in enumerate(contents)]
    await refused_with(uploads, upload_id, [of_entries(*entries)], reason)


@pytest.mark.parametrize("below", ["l/x", "l/deep/x"])
async def test_nothing_is_written_through_a_link_or_a_file(
    uploads, upload_id, transfer_of, below, layout
):
    through = transfer_of({"real/x": b"1", "l": transfer_of.Link("real"), below: b"escaped"})
    await refused_with(uploads, upload_id, through.chunks(), "PATH_NOT_A_FOLDER")
    other = str(uuid4())
    await uploads.create(other)
    inside = transfer_of({"l": b"file", below: b"x"})
    await refused_with(uploads, other, inside.chunks(), "PATH_NOT_A_FOLDER")


async def test_a_link_planted_in_the_storage_is_not_followed(
    uploads, upload_id, transfer_of, layout, tmp_path
):
    """Even a link that did not come by this transfer, to a twin with the same beginning."""
    twin = tmp_path / "out-evil"
    twin.mkdir()
    transfer = transfer_of({"a": b"1" * 10, "out/x": b"2" * 10})
    first, second = transfer.chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        (layout.upload(upload_id) / "w1" / "tree" / "out").symlink_to(twin)
        with pytest.raises(InvalidArgument):
            await stream.write(second)
    assert list(twin.iterdir()) == []


async def test_data_without_a_file_fails_the_upload(uploads, upload_id, transfer_of):
    chunk = dataclasses.replace(next(transfer_of({"a": b"12"}).chunks()), ends=(), entries=())
    await refused_with(uploads, upload_id, [chunk], "DATA_WITHOUT_FILE")


async def test_an_entry_inside_another_file_fails_the_upload(uploads, upload_id, transfer_of):
    chunk = next(transfer_of({"a": b"1" * 10}).chunks(4))
    chunk = dataclasses.replace(chunk, entries=(*chunk.entries, entry("b", index=1)))
    await refused_with(uploads, upload_id, [chunk], "ENTRY_TOO_EARLY")


async def test_a_stray_file_end_fails_the_upload(uploads, upload_id, transfer_of):
    transfer = transfer_of({"a": b"1" * 10})
    chunk = dataclasses.replace(next(transfer.chunks(4)), ends=tuple(transfer.ends))
    await refused_with(uploads, upload_id, [chunk], "FILE_END")


async def test_a_chunk_that_is_too_large_fails_the_upload(uploads, upload_id, transfer_of):
    chunks = transfer_of({"a": b"1" * (2 * MIB + 1)}).chunks(4 * MIB)
    await refused_with(uploads, upload_id, chunks, "CHUNK_TOO_LARGE")


async def test_limits_are_kept_before_anything_is_written(layout, transfer_of):
    limits = UploadLimits(total_bytes=100, entries=3)
    uploads = Uploads(layout, limits, FreeSpace(base=layout.base, low_water_bytes=0))
    for contents in ({"a": b"1" * 60, "b": b"2" * 41}, dict.fromkeys("abcd", b"")):
        upload_id = str(uuid4())
        await uploads.create(upload_id)
        with pytest.raises(ResourceExhausted) as refused:
            await send(uploads, upload_id, transfer_of(contents))
        assert refused.value.reason == "UPLOAD_TOO_LARGE"
        assert await uploads.place(upload_id) == START


async def test_finishing_twice_gives_the_same(uploads, upload_id, transfer_of, layout):
    transfer = transfer_of({"a": b"123", "b": b""})
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in transfer.chunks():
            await stream.write(chunk)
        first = await stream.finish(transfer.end)
        assert await stream.finish(transfer.end) == first
        with pytest.raises(FailedPrecondition):
            await stream.finish(START)
    assert await send(uploads, upload_id, transfer) == first
    commit_tree(first.root, layout.base / "final")
    assert await send(uploads, upload_id, transfer, writer="b") == first
    assert await uploads.finished(upload_id) == first
    assert not first.root.exists()
    more = Chunk(place=transfer.end, crc32c=0, entries=(entry("c", index=2),))
    async with uploads.open_writer(upload_id, "b") as stream:
        with pytest.raises(FailedPrecondition):
            await stream.write(more)


async def test_an_unknown_upload_is_not_found(uploads):
    with pytest.raises(NotFound):
        await uploads.place(uuid4())
    with pytest.raises(NotFound):
        async with uploads.open_writer(uuid4(), "a"):
            pass


async def test_removing_is_idempotent_and_stops_the_writer(uploads, upload_id, transfer_of):
    first, second = transfer_of({"a": b"1" * 20}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await uploads.remove(upload_id)
        await uploads.remove(upload_id)
        with pytest.raises(NotFound):
            await stream.write(second)
    assert await uploads.list_ids() == frozenset()


async def test_orphans_are_listed_also_half_removed_ones(uploads, upload_id, layout):
    gone = str(uuid4())
    (layout.base / "uploads" / f"{gone}.removed" / "w1").mkdir(parents=True)
    assert await uploads.list_ids() == {upload_id, gone}
    await uploads.remove(gone)
    assert await uploads.list_ids() == {upload_id}
    with pytest.raises(ValueError, match="not an id"):
        await uploads.remove("")
    with pytest.raises(ValueError, match="not an id"):
        await uploads.remove("..")


async def test_persisting_lags_no_further_than_told(layout, transfer_of):
    limits = UploadLimits(persist_bytes=4 * MIB, persist_seconds=60)
    uploads = Uploads(layout, limits, FreeSpace(base=layout.base, low_water_bytes=0))
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    async with uploads.open_writer(upload_id, "a") as stream:
        last = START
        for chunk in transfer_of({"a": os.urandom(16 * MIB)}).chunks(MIB):
            await stream.write(chunk)
            place = await uploads.place(upload_id)
            assert stream.received.bytes - place.bytes < 4 * MIB
            assert place.bytes >= last.bytes
            last = place


async def test_persisting_does_not_wait_for_more_bytes(layout, transfer_of):
    limits = UploadLimits(persist_seconds=0.1)
    uploads = Uploads(layout, limits, FreeSpace(base=layout.base, low_water_bytes=0))
    upload_id = str(uuid4())
    await uploads.create(upload_id)
    first, *_ = transfer_of({"a": os.urandom(300)}).chunks(100)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        async with asyncio.timeout(10):
            while (await uploads.place(upload_id)).bytes < 100:
                await asyncio.sleep(0.02)


async def test_stored_bytes_that_changed_are_data_loss(uploads, upload_id, transfer_of, layout):
    first, _ = transfer_of({"a": b"1" * 20}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
    file = layout.upload(upload_id) / "w1" / "tree" / "a"
    file.write_bytes(b"2" * 10)
    restarted = Uploads(layout, uploads.limits, FreeSpace(base=layout.base, low_water_bytes=0))
    with pytest.raises(DataLoss):
        async with restarted.open_writer(upload_id, "a"):
            pass
    file.write_bytes(b"1" * 5)
    with pytest.raises(DataLoss):
        async with uploads.open_writer(upload_id, "a"):
            pass


async def test_a_new_upload_is_refused_below_the_low_water_mark(layout):
    uploads = Uploads(layout, UploadLimits(), FreeSpace(base=layout.base, low_water_bytes=1 << 60))
    with pytest.raises(ResourceExhausted) as refused:
        await uploads.create(uuid4())
    assert refused.value.reason == "DISK_LOW"
    assert set(refused.value.fields) == {"free_bytes", "needed_bytes"}
    assert await uploads.list_ids() == frozenset()


async def test_a_superseded_writer_is_told_and_may_not_come_back(uploads, upload_id, transfer_of):
    transfer = transfer_of({"a": os.urandom(300)})
    first, second, third = transfer.chunks(100)
    async with uploads.open_writer(upload_id, "old") as old:
        await old.write(first)
        async with uploads.open_writer(upload_id, "new") as new:
            assert new.received == second.place  # what the old one received is kept
            with pytest.raises(UploadTaken):
                await old.write(second)
            with pytest.raises(UploadTaken):
                async with uploads.open_writer(upload_id, "old"):
                    pass
            await new.write(second)
        async with uploads.open_writer(upload_id, "new") as again:
            await again.write(third)
            transfer.check((await again.finish(transfer.end)).root)


async def test_many_writers_race_and_one_wins(uploads, upload_id, transfer_of):
    transfer = transfer_of({"a": os.urandom(200_000), "b": b"", "c": os.urandom(1000)})

    async def write(writer: str) -> FinishedTree | None:
        try:
            return await send(uploads, upload_id, transfer, writer=writer, size=5000)
        except UploadTaken:
            return None

    results = await asyncio.gather(*(write(f"w{number}") for number in range(8)))
    done = [result for result in results if result is not None]
    assert done
    transfer.check(done[0].root)


async def test_an_upload_that_is_expected_to_be_too_large_is_refused_at_once(layout):
    limits = UploadLimits(total_bytes=100)
    uploads = Uploads(layout, limits, FreeSpace(base=layout.base, low_water_bytes=0))
    await uploads.create(uuid4(), expected_bytes=100)
    with pytest.raises(ResourceExhausted) as refused:
        await uploads.create(uuid4(), expected_bytes=101)
    assert refused.value.reason == "UPLOAD_TOO_LARGE"


async def test_a_finished_upload_can_still_be_failed(uploads, upload_id, transfer_of):
    tree = await send(uploads, upload_id, transfer_of({"value": b"not an integer"}))
    await uploads.fail(upload_id, "not an integer")
    assert not tree.root.exists()
    with pytest.raises(FailedPrecondition, match="not an integer"):
        await uploads.place(upload_id)
    with pytest.raises(NotFound):
        await uploads.fail(uuid4(), "nothing there")


async def test_failing_an_upload_stops_its_writer(uploads, upload_id, transfer_of):
    first, second = transfer_of({"a": b"1" * 20}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await uploads.fail(upload_id, "the run was started")
        with pytest.raises(FailedPrecondition, match="the run was started"):
            await stream.write(second)


async def test_closing_the_storage_keeps_what_was_received(uploads, upload_id, transfer_of):
    first, second = transfer_of({"a": b"1" * 20}).chunks(10)
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(first)
        await uploads.close()
        assert await uploads.place(upload_id) == second.place
        with pytest.raises(FailedPrecondition):
            await stream.write(second)


async def test_a_place_is_told_once_its_files_and_their_names_are_on_the_disk(
    uploads, upload_id, transfer_of, monkeypatch
):
    synced: set[int] = set()

    def fsync(fd: int) -> None:
        synced.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    transfer = transfer_of({"folder": transfer_of.FOLDER, "folder/large": os.urandom(600)})
    chunks = list(transfer.chunks(300))
    async with uploads.open_writer(upload_id, "a") as stream:
        await stream.write(chunks[0])
        await stream.persist()
        upload = uploads._layout.upload(upload_id)
        tree = upload / "w1" / "tree"
        file = tree / "folder" / "large"
        named = {upload, upload / "w1", tree, tree / "folder", file}
        assert {path.stat().st_ino for path in named} <= synced
        synced.clear()
        for chunk in chunks[1:]:
            await stream.write(chunk)
        await stream.persist()
        assert synced == {file.stat().st_ino}  # its name is there since the last time
