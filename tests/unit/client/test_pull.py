"""Downloads go on where they stopped, and nothing that the server says is trusted."""

from __future__ import annotations

import os

import google_crc32c
import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine.v1 import transfer_pb2
from appengine_client import errors
from appengine_client._transfer.source import link_may_be_absolute, link_stays_inside
from appengine_client.transfer import following_links, keeping_links, pull, push

FILE, FOLDER, LINK = 1, 2, 3
RESOURCE = pb.Resource(run_outputs="r")
FILES = {"count": b"17", "empty": b"", "nuclei/array.yml": b"size: 0\n", "overlay": b"x" * 4321}


async def serve(storage, connection, tmp_path, *, chunk_bytes: int = 500) -> None:
    """Let the server hold FILES, by way of an upload."""
    folder = tmp_path / "served"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "overlay").chmod(0o755)
    (folder / "alias").symlink_to("nuclei/array.yml")
    items = [(name, folder / name) for name in sorted(os.listdir(folder))]
    await push(keeping_links(items), connection, "u", chunk_bytes=chunk_bytes)
    storage.content = list(storage.persisted)


def files_in(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


async def test_a_tree_arrives_whole(storage, connection, tmp_path):
    await serve(storage, connection, tmp_path)
    seen = []
    fetched = await pull(RESOURCE, tmp_path / "out", connection, on_progress=seen.append)
    assert files_in(tmp_path / "out") == FILES
    assert fetched.names == sorted(os.listdir(tmp_path / "out"))
    assert fetched.file_count == len(FILES)
    assert os.readlink(tmp_path / "out" / "alias") == "nuclei/array.yml"
    assert os.access(tmp_path / "out" / "overlay", os.X_OK)
    assert not os.access(tmp_path / "out" / "count", os.X_OK)
    assert seen[-1].done_bytes == seen[-1].total_bytes == fetched.total_bytes


@pytest.mark.parametrize("after", range(9))
async def test_a_cut_download_goes_on(storage, connection, tmp_path, patience, make_fault, after):
    await serve(storage, connection, tmp_path)
    storage.faults = [make_fault(after, "UNAVAILABLE"), make_fault(0, "UNKNOWN", "CORRUPT")]
    await pull(RESOURCE, tmp_path / "out", connection, patience=patience)
    assert files_in(tmp_path / "out") == FILES
    assert storage.downloads[0] == (0, 0)
    assert storage.downloads == sorted(storage.downloads)


async def test_what_was_there_is_replaced_at_the_end(
    storage, connection, tmp_path, patience, make_fault
):
    await serve(storage, connection, tmp_path)
    out = tmp_path / "out"
    (out / "nuclei" / "deep").mkdir(parents=True)
    (out / "count").write_bytes(b"old")
    (out / "mine").write_bytes(b"stays")
    storage.faults = [make_fault(5, "NOT_FOUND")]
    with pytest.raises(errors.NotFound):
        await pull(RESOURCE, out, connection, patience=patience)
    assert (out / "count").read_bytes() == b"old"
    assert sorted(os.listdir(out)) == ["count", "mine", "nuclei"]
    await pull(RESOURCE, out, connection, patience=patience)
    assert files_in(out) == FILES | {"mine": b"stays"}


async def test_changed_content_is_fetched_anew(storage, connection, tmp_path, patience, make_fault):
    await serve(storage, connection, tmp_path)
    storage.faults = [make_fault(3, "UNAVAILABLE")]
    storage.etag_fails = 1
    await pull(RESOURCE, tmp_path / "out", connection, patience=patience)
    assert files_in(tmp_path / "out") == FILES
    assert storage.downloads.count((0, 0)) == 2


async def test_a_stream_that_ends_early_is_not_success(storage, connection, tmp_path, patience):
    await serve(storage, connection, tmp_path)
    whole = storage.content
    storage.content = whole[:-1]
    await pull(RESOURCE, tmp_path / "part", connection, patience=patience)  # a shorter resource
    storage.content = [*whole[:-1], transfer_pb2.Chunk(data=whole[-1].data)]
    with pytest.raises(errors.BrokenTransfer):
        await pull(RESOURCE, tmp_path / "out", connection, patience=patience)
    assert os.listdir(tmp_path / "out") == []


async def test_a_wrong_checksum_of_a_file_is_noticed(storage, connection, tmp_path, patience):
    await serve(storage, connection, tmp_path)
    storage.content[-1].ends[-1].crc32c ^= 1
    with pytest.raises(errors.BrokenTransfer, match="does not match its checksum"):
        await pull(RESOURCE, tmp_path / "out", connection, patience=patience)


def entry(path: str, kind: int = FILE, target: str = "", size: int = 1) -> dict:
    return {"path": path, "kind": kind, "link_target": target, "size_bytes": size * (kind == FILE)}


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../out")],
        [entry("/etc/passwd")],
        [entry("/etc")],
        [entry("a/b/../c")],
        [entry("a/l", LINK, "b"), entry("a/l/c/d")],
        [entry("a/../../b")],
        [entry("a//b")],
        [entry("")],
        [entry(".")],
        [entry("a\0b")],
        [entry("x" * 256)],
        [entry("l", LINK, "/etc")],
        [entry("l", LINK, "..")],
        [entry("l", LINK, "a/../../b")],
        [entry("l", LINK, "")],
        [entry("d", FOLDER), entry("l", LINK, "d"), entry("l/x")],
        [entry("l", LINK, "d"), entry("l/x")],
        [entry("a"), entry("a")],
        [entry("a"), entry("a/b")],
        [entry("a/b"), entry("a", LINK, "c")],
        [entry("a/b"), entry("a")],
        [entry("a", 7)],
    ],
)
async def test_unsafe_trees_are_refused(storage, connection, tmp_path, patience, entries):
    data = b"x" * sum(one["size_bytes"] for one in entries)
    storage.content = [
        transfer_pb2.Chunk(
            place=transfer_pb2.Place(),
            crc32c=google_crc32c.value(data),
            entries=[transfer_pb2.Entry(index=index, **one) for index, one in enumerate(entries)],
            ends=[
                transfer_pb2.FileEnd(index=index, crc32c=google_crc32c.value(b"x"))
                for index, one in enumerate(entries)
                if one["kind"] == FILE
            ],
            data=data,
        )
    ]
    with pytest.raises(errors.BrokenTransfer):
        await pull(RESOURCE, tmp_path / "deep" / "out", connection, patience=patience)
    assert os.listdir(tmp_path / "deep" / "out") == []
    assert os.listdir(tmp_path / "deep") == ["out"]


@pytest.mark.parametrize(
    ("path", "target", "inside"),
    [
        ("l", "a", True),
        ("l", "a/b", True),
        ("d/l", "../a", True),
        ("d/l", "..", True),
        ("d/l", "./a", True),
        ("l", "..", False),
        ("d/l", "../..", False),
        ("d/l", "a/..", False),
        ("d/l", "/a", False),
        ("d/l", "", False),
    ],
)
def test_links_stay_inside(path, target, inside):
    assert link_stays_inside(path, target) is inside
    assert link_may_be_absolute(path, target) is (inside or target == "/a")


@pytest.mark.parametrize("target", ["/a/../b", "/..", "/a\0b", "../a", ""])
def test_links_into_datasets_are_plain(target):
    assert not link_may_be_absolute("l", target)


async def test_links_into_datasets_arrive_where_they_are_mounted(storage, connection, tmp_path):
    link = entry("slides/0", LINK, "/data/set 1/a.tiff")
    storage.content = [
        transfer_pb2.Chunk(place=transfer_pb2.Place(), entries=[transfer_pb2.Entry(**link)])
    ]
    with pytest.raises(errors.BrokenTransfer, match="leads to"):
        await pull(RESOURCE, tmp_path / "out", connection)
    await pull(RESOURCE, tmp_path / "pod", connection, link_rule=link_may_be_absolute)
    assert os.readlink(tmp_path / "pod" / "slides" / "0") == "/data/set 1/a.tiff"


async def test_nothing_is_written_through_a_link_into_datasets(storage, connection, tmp_path):
    (tmp_path / "data").mkdir()
    link, inside = entry("l", LINK, str(tmp_path / "data")), entry("l/x")
    storage.content = [
        transfer_pb2.Chunk(
            place=transfer_pb2.Place(),
            crc32c=google_crc32c.value(b"x"),
            entries=[transfer_pb2.Entry(index=i, **one) for i, one in enumerate([link, inside])],
            ends=[transfer_pb2.FileEnd(index=1, crc32c=google_crc32c.value(b"x"))],
            data=b"x",
        )
    ]
    with pytest.raises(errors.BrokenTransfer):
        await pull(RESOURCE, tmp_path / "pod", connection, link_rule=link_may_be_absolute)
    assert os.listdir(tmp_path / "data") == []


async def test_an_empty_resource_is_no_error(storage, connection, tmp_path):
    fetched = await pull(RESOURCE, tmp_path / "out", connection)
    assert fetched.names == []
    assert (tmp_path / "out").is_dir()


async def test_a_folder_that_cannot_be_made_is_named(storage, connection, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.LocalFileError, match="cannot be written"):
        await pull(RESOURCE, tmp_path / "file" / "out", connection)


async def test_many_small_files_come_packed(storage, connection, tmp_path):
    items = [(f"s/{number}", str(number).encode()) for number in range(3000)]
    await push(following_links(items), connection, "u")
    assert len(storage.received) == 1
    storage.content = list(storage.persisted)
    await pull(RESOURCE, tmp_path / "out", connection)
    assert files_in(tmp_path / "out") == dict(items)
