"""Uploads go on where they stopped, and send what is there."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest
from appengine_client import errors
from appengine_client.transfer import (
    Connection,
    Digest,
    Place,
    Progress,
    UploadState,
    following_links,
    keeping_links,
    push,
    read_settings,
)

MIXED = {
    "a": b"",
    "big": random.Random(1).randbytes(5500),
    "exact": random.Random(2).randbytes(1500),
    "n/empty": b"",
    "n/small": b"x",
    "z": random.Random(3).randbytes(999),
}


def tree(folder: Path) -> Path:
    for name, content in MIXED.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "hollow").mkdir()
    return folder


def expected() -> dict[str, bytes]:
    return {f"in/{name}": content for name, content in MIXED.items()}


async def test_a_tree_arrives_whole(storage, connection, tmp_path):
    source = following_links([("in", tree(tmp_path / "t"))])
    seen: list[Progress] = []
    upload = await push(source, connection, "u", chunk_bytes=1000, on_progress=seen.append)
    assert upload.state
    assert storage.files() == expected()
    assert [e.path for e in storage.entries() if e.kind == 2] == ["in", "in/hollow", "in/n"]
    assert all(len(chunk.data) <= 1000 for chunk in storage.received)
    assert len(storage.received) == 8  # 8000 bytes in full chunks
    assert seen[-1].done_bytes == seen[-1].total_bytes == source.total_bytes == 8000
    assert storage.metadata[0]["authorization"] == "Bearer secret"
    assert storage.metadata[0]["x-request-id"]


async def test_a_timeout_of_the_callers_own_is_not_the_servers(storage, connection, tmp_path):
    source = following_links([("in", tree(tmp_path / "t"))])

    def report(_: Progress) -> None:
        raise TimeoutError("the dashboard does not answer")

    with pytest.raises(TimeoutError, match="dashboard"):
        await push(source, connection, "u", chunk_bytes=1000, on_progress=report)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"])
@pytest.mark.parametrize("after", range(9))
async def test_a_cut_upload_goes_on(
    storage, connection, tmp_path, patience, make_fault, code, after
):
    storage.faults = [make_fault(after, code, forget=min(after, 2))]
    source = following_links([("in", tree(tmp_path / "t"))])
    await push(source, connection, "u", chunk_bytes=1000, patience=patience)
    assert storage.files() == expected()
    assert len(storage.received) <= 8 + 2
    assert len(set(storage.writers)) == 1


@pytest.mark.parametrize(
    ("code", "reason"), [("ABORTED", "CHUNK_CORRUPT"), ("OUT_OF_RANGE", "UPLOAD_PLACE")]
)
async def test_a_refused_chunk_is_sent_again(
    storage, connection, tmp_path, patience, make_fault, code, reason
):
    storage.faults = [make_fault(3, code, reason), make_fault(2, code, reason, forget=1)]
    source = following_links([("in", tree(tmp_path / "t"))])
    await push(source, connection, "u", chunk_bytes=1000, patience=patience)
    assert storage.files() == expected()


async def test_a_lost_answer_is_asked_for(storage, connection, tmp_path, patience, make_fault):
    storage.faults = [make_fault(99, "UNAVAILABLE", finish_first=True)]
    source = following_links([("in", tree(tmp_path / "t"))])

    upload = await push(source, connection, "u", chunk_bytes=1000, patience=patience)
    assert upload.state == storage.state
    assert len(storage.writers) == 1


async def test_another_writer_ends_ours(storage, connection, tmp_path, patience, make_fault):
    storage.faults = [make_fault(1, "ABORTED", "UPLOAD_TAKEN")]
    source = following_links([("in", tree(tmp_path / "t"))])
    with pytest.raises(errors.Aborted) as caught:
        await push(source, connection, "u", chunk_bytes=1000, patience=patience)
    assert caught.value.reason == "UPLOAD_TAKEN"
    assert len(storage.writers) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", errors.InvalidArgument),
        ("NOT_FOUND", errors.NotFound),
        ("FAILED_PRECONDITION", errors.FailedPrecondition),
        ("RESOURCE_EXHAUSTED", errors.ResourceExhausted),
        ("UNAUTHENTICATED", errors.Unauthenticated),
    ],
)
async def test_a_refusal_is_final(storage, connection, tmp_path, patience, make_fault, code, kind):
    storage.faults = [make_fault(1, code, "WHY")]
    source = following_links([("in", tree(tmp_path / "t"))])
    with pytest.raises(kind, match="refused with WHY"):
        await push(source, connection, "u", chunk_bytes=1000, patience=patience)


async def test_without_progress_it_gives_up(storage, connection, tmp_path, patience, make_fault):
    storage.faults = [make_fault(0, "UNAVAILABLE") for _ in range(2000)]
    source = following_links([("in", tree(tmp_path / "t"))])
    waiting: list[str] = []
    with pytest.raises(errors.Unavailable):
        await push(
            source,
            connection,
            "u",
            chunk_bytes=1000,
            patience=patience,
            on_progress=lambda progress: waiting.append(progress.waiting_because),
        )
    assert any("cannot be reached" in reason or "UNAVAILABLE" in reason for reason in waiting)


async def test_with_progress_it_never_gives_up(storage, connection, tmp_path, patience, make_fault):
    patience.stall_seconds = 0.05
    storage.faults = [make_fault(1, "UNAVAILABLE") for _ in range(8)]
    source = following_links([("in", tree(tmp_path / "t"))])
    await push(source, connection, "u", chunk_bytes=1000, patience=patience)
    assert storage.files() == expected()


async def test_an_upload_of_an_earlier_process_goes_on(
    storage, connection, tmp_path, patience, make_fault
):
    storage.faults = [make_fault(4, "NOT_FOUND")]
    source = following_links([("in", tree(tmp_path / "t"))])
    with pytest.raises(errors.NotFound):
        await push(source, connection, "u", chunk_bytes=1000)
    again = following_links([("in", tmp_path / "t")])
    await push(again, connection, "u", chunk_bytes=700, resume=True)
    assert storage.files() == expected()


async def test_an_upload_that_others_have_finished_with_other_files_is_no_success(
    storage, connection, tmp_path
):
    await push(following_links([("in", b"theirs")]), connection, "u")
    source = following_links([("in", tree(tmp_path / "t"))])
    with pytest.raises(errors.BrokenTransfer, match="another client has finished the upload"):
        await push(source, connection, "u", resume=True)


async def test_other_files_do_not_continue_an_upload(storage, connection, tmp_path, make_fault):
    storage.faults = [make_fault(8, "NOT_FOUND")]
    source = following_links([("in", tree(tmp_path / "t"))])
    with pytest.raises(errors.NotFound):
        await push(source, connection, "u", chunk_bytes=1000)
    other = following_links([("in", b"short")])
    with pytest.raises(errors.BrokenTransfer, match="start a new upload"):
        await push(other, connection, "u", resume=True)


async def test_a_file_that_changes_is_noticed(storage, connection, tmp_path):
    source = following_links([("in", tree(tmp_path / "t"))])
    (tmp_path / "t" / "z").write_bytes(b"other")
    with pytest.raises(errors.LocalFileError, match="changed while it was sent"):
        await push(source, connection, "u", chunk_bytes=1000)


async def test_bytes_in_memory_are_sent_too(storage, connection, tmp_path):
    (tmp_path / "0").write_bytes(b"zero")
    source = following_links([("s/array.yml", b"size: 1\n"), ("s/0", tmp_path / "0")])
    await push(source, connection, "u")
    assert storage.files() == {"s/array.yml": b"size: 1\n", "s/0": b"zero"}
    assert len(storage.received) == 1


async def test_an_empty_source_is_finished_at_once(storage, connection):
    await push(following_links([]), connection, "u")
    assert storage.end == (0, 0)


def test_links_are_followed_or_kept(tmp_path):
    folder = tree(tmp_path / "t")
    (tmp_path / "outside").write_bytes(b"outside")
    (folder / "inner").symlink_to("n/small")
    kept = keeping_links([("in", folder)])
    assert [e.head.link_target for e in kept.entries if e.head.link_target] == ["n/small"]
    (folder / "outer").symlink_to(tmp_path / "outside")
    followed = following_links([("in", folder)])
    assert followed.file_count == len(MIXED) + 2
    kept = keeping_links([("in", folder)])
    targets = {e.head.link_target for e in kept.entries if e.head.link_target}
    assert targets == {"n/small", str(tmp_path / "outside")}
    (folder / "n" / "round").symlink_to("..")
    with pytest.raises(errors.LocalFileError, match="folder that holds it"):
        following_links([("in", folder)])


def test_what_is_no_file_cannot_be_sent(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.LocalFileError, match="neither a file nor a folder"):
        following_links([("in", tmp_path)])
    with pytest.raises(errors.LocalFileError, match="No such file"):
        following_links([("in", tmp_path / "missing")])


def test_the_persisted_place_never_shrinks():
    state = UploadState(outline=following_links([("in", b"12345")]).outline, chunk_bytes=2)
    assert [plan.after for plan in state.chunks()] == [Place(2, 1), Place(4, 1), Place(5, 1)]
    assert state.rewind(Place(4, 1))
    assert not state.rewind(Place(4, 1))
    with pytest.raises(errors.BrokenTransfer, match="has said 4 before"):
        state.rewind(Place(2, 1))


async def test_an_unreachable_server_is_named(patience):
    connection = Connection(read_settings(server="127.0.0.1:1", environment={}))
    with pytest.raises(errors.Unavailable, match=r"the server 127\.0\.0\.1:1 cannot be reached"):
        await push(following_links([("in", b"1")]), connection, "u", patience=patience)
    await connection.close()


async def test_digests_that_are_known_travel_with_the_ends_of_their_files(
    storage, connection, tmp_path
):
    digest = Digest("sha256", hashlib.sha256(MIXED["big"]).digest())
    source = following_links([("in", tree(tmp_path / "t"))]).checked_by({"in/big": digest})
    await push(source, connection, "u", chunk_bytes=1000)
    index = [entry.path for entry in storage.entries()].index("in/big")
    given = {end.index: end.digest for chunk in storage.persisted for end in chunk.ends}
    assert given[index].value == digest.value
    assert given[index].algorithm == 1
    assert not any(one.value for other, one in given.items() if other != index)


def test_a_digest_of_what_is_not_sent_is_refused():
    with pytest.raises(errors.InvalidValue, match="not sent"):
        following_links([("in", b"1")]).checked_by({"out": Digest("blake3", bytes(32))})


async def test_files_that_share_full_chunks_arrive_whole(storage, connection, tmp_path):
    contents = {f"in/{number}": random.Random(number).randbytes(150_000) for number in range(30)}
    contents |= {"in/30": b"", "in/31": b"x", "in/32": random.Random(32).randbytes(70_000)}
    (tmp_path / "in").mkdir()
    for path, content in contents.items():
        (tmp_path / path).write_bytes(content)
    source = following_links([("in", tmp_path / "in")])
    await push(source, connection, "u")
    assert storage.files() == contents
    assert len(storage.received) == 3
