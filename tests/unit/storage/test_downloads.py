"""Downloads: one order, any place to go on from, and every file's checksum."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_server.errors import (
    EtagMismatch,
    InvalidArgument,
    NotFound,
    PlaceOutOfRange,
)
from appengine_server.storage.downloads import read_chunks
from appengine_server.storage.listing import Tree, plan_tree
from appengine_server.storage.tree import START, Chunk, EntryKind, Place
from appengine_wire.crc32c import crc32c_of

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "b" / "inner").mkdir(parents=True)
    (root / "empty folder").mkdir()
    (root / "a").write_bytes(b"a" * 100)
    (root / "b" / "inner" / "large").write_bytes(os.urandom(3 * MIB + 5))
    (root / "b" / "nothing").write_bytes(b"")
    (root / "b" / "link").symlink_to("inner/large")
    (root / "b!").write_bytes(b"!" * 10)  # sorts before `b/…` as text, not in a walk
    (root / "ü").write_bytes(b"u")
    (root / "run").write_bytes(b"#!")
    (root / "run").chmod(0o700)
    (root / "z").write_bytes(b"")
    return root


async def read_all(tree: Tree, start: Place = START, **more) -> list[Chunk]:
    return [chunk async for chunk in read_chunks(tree, start, **more)]


async def test_the_order_is_a_walk_in_bytewise_order(root):
    tree = await plan_tree(root)
    assert [entry.path for entry in tree.entries] == [
        "a",
        "b",
        "b/inner",
        "b/inner/large",
        "b/link",
        "b/nothing",
        "b!",
        "empty folder",
        "run",
        "z",
        "ü",
    ]
    kinds = {entry.path: entry.kind for entry in tree.entries}
    assert kinds["b"] is EntryKind.FOLDER
    assert kinds["b/link"] is EntryKind.LINK
    assert tree.entries[4].link_target == "inner/large"
    assert {entry.path for entry in tree.entries if entry.mode} == {"run"}
    assert [entry.index for entry in tree.entries] == list(range(11))
    assert tree.end == Place(bytes=3 * MIB + 118, entries=11)
    assert tree.left_out == ()


async def check_chunks(tree: Tree, chunks: list[Chunk], start: Place, limit: int) -> None:
    """Chunks follow one another, match their checksums, stay small and end every file."""
    place = start
    for chunk in chunks:
        assert chunk.place == place
        assert len(chunk.data) <= limit
        assert crc32c_of(chunk.data) == chunk.crc32c
        assert [entry.index for entry in chunk.entries] == list(
            range(place.entries, place.entries + len(chunk.entries))
        )
        place = Place(
            bytes=place.bytes + len(chunk.data), entries=place.entries + len(chunk.entries)
        )
        for end in chunk.ends:
            content = (tree.root / tree.entries[end.index].path).read_bytes()
            assert end.crc32c == crc32c_of(content)
            assert chunk.place.bytes <= tree.starts[end.index + 1] <= place.bytes
    assert place == tree.end
    ended = [end.index for chunk in chunks for end in chunk.ends]
    assert ended == sorted(set(ended))
    assert set(ended) == {
        entry.index
        for entry in tree.entries
        if entry.kind is EntryKind.FILE
        and (entry.index >= start.entries or tree.starts[entry.index + 1] > start.bytes)
    }


@pytest.mark.parametrize("size", [7, 100, 64 * KIB, MIB, 2 * MIB])
async def test_what_is_read_is_what_an_upload_takes(root, uploads, size):
    if size < KIB:
        (root / "b" / "inner" / "large").write_bytes(b"1234567890" * size)
    tree = await plan_tree(root)
    chunks = await read_all(tree, chunk_bytes=size)
    await check_chunks(tree, chunks, START, size)
    upload_id = uuid4()
    await uploads.create(upload_id)
    async with uploads.open_writer(upload_id, "a") as stream:
        for chunk in chunks:
            await stream.write(chunk)
        copy = (await stream.finish(tree.end)).root
    again = await plan_tree(copy)
    assert [(entry.path, entry.kind, entry.size_bytes, entry.mode) for entry in again.entries] == [
        (entry.path, entry.kind, entry.size_bytes, entry.mode) for entry in tree.entries
    ]
    assert again.etag != tree.etag


async def test_it_goes_on_from_any_place(root):
    (root / "b" / "inner" / "large").write_bytes(os.urandom(50))
    tree = await plan_tree(root)
    whole = b"".join(bytes(chunk.data) for chunk in await read_all(tree))
    places = {Place(bytes=chunk.place.bytes, entries=chunk.place.entries) for size in range(1, 40)
              for chunk in await read_all(tree, chunk_bytes=size)} | {tree.end}  # fmt: skip
    assert len(places) > 100
    for place in places:
        chunks = await read_all(tree, place, chunk_bytes=33)
        await check_chunks(tree, chunks, place, 33)
        assert b"".join(bytes(chunk.data) for chunk in chunks) == whole[place.bytes :]


async def test_a_range_is_cut_out(root):
    tree = await plan_tree(root, "b/inner/large")
    content = (root / "b" / "inner" / "large").read_bytes()
    assert tree.end == Place(bytes=len(content), entries=1)
    assert tree.entries[0].path == "b/inner/large"
    chance = random.Random(5)
    for _ in range(20):
        offset = chance.randrange(len(content))
        limit = chance.randrange(1, len(content))
        start = Place(bytes=offset, entries=1)
        chunks = await read_all(tree, start, limit_bytes=limit, chunk_bytes=MIB)
        assert b"".join(bytes(chunk.data) for chunk in chunks) == content[offset : offset + limit]
        assert bool(chunks[-1].ends) == (offset + limit >= len(content))


async def test_a_part_of_the_tree_keeps_its_paths(root):
    tree = await plan_tree(root, "b")
    assert [entry.path for entry in tree.entries] == [
        "b",
        "b/inner",
        "b/inner/large",
        "b/link",
        "b/nothing",
    ]
    await check_chunks(tree, await read_all(tree), START, 2 * MIB)


async def test_places_that_are_none_are_refused(root):
    tree = await plan_tree(root)
    end = tree.end
    for place in (Place(bytes=end.bytes + 1, entries=end.entries), Place(bytes=0, entries=99)):
        with pytest.raises(PlaceOutOfRange):
            await read_all(tree, place)
    for place in (Place(bytes=101, entries=1), Place(bytes=5, entries=3), Place(entries=-1)):
        with pytest.raises(InvalidArgument):
            await read_all(tree, place)
    assert await read_all(tree, end) == []


async def test_the_etag_tells_every_change(root):
    first = (await plan_tree(root)).etag
    assert (await plan_tree(root)).etag == first
    seen = {first}

    async def changed() -> None:
        etag = (await plan_tree(root)).etag
        assert etag not in seen
        seen.add(etag)

    (root / "a").write_bytes(b"b" * 100)
    await changed()
    (root / "new").mkdir()
    await changed()
    (root / "a").rename(root / "c")
    await changed()
    (root / "run").chmod(0o600)
    await changed()
    (root / "b" / "link").unlink()
    (root / "b" / "link").symlink_to("nothing")
    await changed()
    content, found = (root / "c").read_bytes(), (root / "c").stat()
    (root / "twin").write_bytes(content)
    os.utime(root / "twin", ns=(found.st_atime_ns, found.st_mtime_ns))
    (root / "twin").rename(root / "c")
    await changed()


@pytest.mark.parametrize("change", ["shorter", "longer", "gone", "link", "folder is a link"])
async def test_a_file_that_changes_ends_the_download(root, change):
    tree = await plan_tree(root)
    large = root / "b" / "inner" / "large"
    async with aclosing(read_chunks(tree, chunk_bytes=64 * KIB)) as chunks:
        if change == "shorter":
            os.truncate(large, 5)
        elif change == "longer":
            with large.open("ab") as file:
                file.write(b"more")
        elif change == "gone":
            large.unlink()
        elif change == "link":
            large.rename(root / "moved")
            large.symlink_to(root / "moved")
        else:
            (root / "b" / "inner").rename(root / "moved")
            (root / "b" / "inner").symlink_to(root / "moved")
        with pytest.raises(EtagMismatch, match="large"):
            [chunk async for chunk in chunks]


async def test_a_file_that_is_cut_while_it_is_read_ends_the_download(root):
    tree = await plan_tree(root, "b/inner/large")
    async with aclosing(read_chunks(tree, chunk_bytes=64 * KIB)) as chunks:
        await anext(chunks)
        os.truncate(root / "b" / "inner" / "large", 10)
        with pytest.raises(EtagMismatch):
            [chunk async for chunk in chunks]


async def test_what_cannot_travel_is_left_out_and_told(root):
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    (root / "out").symlink_to("/etc/passwd")
    (root / "b" / "up").symlink_to("../../x")
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff"))).write_bytes(b"")
    tree = await plan_tree(root)
    assert len(tree.entries) == 11
    assert {(problem.path, problem.reason) for problem in tree.left_out} == {
        ("pipe", "SPECIAL_FILE"),
        ("socket", "SPECIAL_FILE"),
        ("out", "LINK_ABSOLUTE"),
        ("b/up", "LINK_LEADS_OUT"),
        ("\\udcff", "PATH_NOT_UTF8"),
    }
    await check_chunks(tree, await read_all(tree), START, 2 * MIB)


@pytest.mark.parametrize("path", ["nothing here", "a/below", "b/link/x", "loop/x"])
async def test_what_is_not_there_is_not_found(root, path):
    (root / "loop").symlink_to("loop")
    with pytest.raises(NotFound):
        await plan_tree(root, path)
    with pytest.raises(NotFound):
        await plan_tree(root / "none")


@pytest.mark.parametrize("path", ["..", "/etc", "b/../../x", "b//a", "a\0"])
async def test_paths_that_lead_out_are_refused(root, path):
    with pytest.raises(InvalidArgument):
        await plan_tree(root, path)


async def test_many_small_files_come_in_few_chunks_with_few_descriptors(layout):
    root = layout.base / "many"
    for number in range(5000):
        folder = root / f"d{number % 20}"
        if number < 20:
            folder.mkdir(parents=True)
        (folder / f"{number}").write_bytes(b"%d" % number * 20)
    tree = await plan_tree(root)
    before = len(os.listdir("/proc/self/fd"))
    count = 0
    async with aclosing(read_chunks(tree)) as chunks:
        async for chunk in chunks:
            count += 1
            assert len(os.listdir("/proc/self/fd")) - before <= 4
            assert len(chunk.entries) * 100 < 2 * MIB
    assert count <= 5
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_a_reader_that_is_left_closes_its_files(root):
    tree = await plan_tree(root)
    before = len(os.listdir("/proc/self/fd"))

    async def read_one() -> None:
        async with aclosing(read_chunks(tree, chunk_bytes=64 * KIB)) as chunks:
            async for _ in chunks:
                await asyncio.sleep(10)

    task = asyncio.create_task(read_one())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(os.listdir("/proc/self/fd")) == before


async def test_depth_does_not_matter_up_to_the_limit(tmp_path):
    root = tmp_path / "deep"
    (root / Path(*["d"] * 200)).mkdir(parents=True)
    tree = await plan_tree(root)
    assert len(tree.entries) == 128
    assert [problem.reason for problem in tree.left_out] == ["PATH_TOO_DEEP"]


async def test_an_empty_folder_has_an_end_and_an_etag(tmp_path):
    tree = await plan_tree(tmp_path)
    assert tree.end == START
    assert tree.etag
    assert await read_all(tree) == []
