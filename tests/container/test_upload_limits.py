"""Uploads beyond a limit, and clients that stall or lie: each is told, and nothing else suffers."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import google_crc32c
import grpc
import pytest
from appengine.v1 import run_pb2, transfer_pb2
from appengine.v1 import storage_service_pb2 as pb
from appengine_client._rpc.statuses import from_rpc_error
from appengine_client.errors import ServerError

from tests.container.engine_server import REAL, Engine, started, wait_for

pytestmark = REAL

MIB = 1024 * 1024
DATA = bytes(range(256)) * 4096
"""1 MiB of content."""


@dataclass(slots=True, kw_only=True)
class Limited:
    """A server with small limits, and a task with one input."""

    engine: Engine
    task: str

    def run(self) -> run_pb2.Run:
        return self.engine.client.runs.create(self.task, {})

    def start(self, run: run_pb2.Run, *, expected_bytes: int = 0) -> str:
        target = pb.InputTarget(run_id=run.id, parameter="data", part=pb.INPUT_PART_WHOLE)
        request = pb.StartUploadRequest(
            request_id=str(uuid4()), input=target, expected_bytes=expected_bytes
        )
        with told():
            return self.engine.storage.StartUpload(request, timeout=10).upload_id

    def upload(self, upload_id: str) -> pb.Upload:
        request = pb.GetUploadRequest(upload_id=upload_id)
        with told():
            return self.engine.storage.GetUpload(request, timeout=10).upload

    def cancel(self, upload_id: str) -> None:
        self.engine.storage.CancelUpload(pb.CancelUploadRequest(upload_id=upload_id), timeout=10)

    def send(
        self, upload_id: str, chunks: Sequence[transfer_pb2.Chunk], end: transfer_pb2.Place | None
    ) -> pb.Upload:
        """Send chunks, and the finish if there is one."""
        with told():
            messages = messages_of(upload_id, chunks, end)
            return self.engine.storage.Upload(iter(messages), timeout=20).upload

    def send_whole(self, upload_id: str, size: int = MIB) -> pb.Upload:
        return self.send(upload_id, chunks_of(size), transfer_pb2.Place(bytes=size, entries=1))


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Raise what the server said as our client's error, with its reason and fields."""
    try:
        yield
    except grpc.RpcError as error:
        refusal: Any = error
        raise from_rpc_error(refusal, "the server") from None


def messages_of(
    upload_id: str, chunks: Sequence[transfer_pb2.Chunk], end: transfer_pb2.Place | None
) -> list[pb.UploadRequest]:
    begin = pb.UploadBegin(upload_id=upload_id, writer_id=str(uuid4()))
    messages = [pb.UploadRequest(begin=begin)]
    messages += [pb.UploadRequest(chunk=chunk) for chunk in chunks]
    if end is not None:
        messages.append(pb.UploadRequest(finish=pb.UploadFinish(end=end)))
    return messages


def chunks_of(size: int, *, declared: int | None = None) -> list[transfer_pb2.Chunk]:
    """One file in chunks of 1 MiB, whose size may be given as another one."""
    content = (DATA * (size // MIB + 1))[:size]
    chunks = [chunk(content[at : at + MIB], at, 1) for at in range(0, size, MIB)]
    chunks[0].place.entries = 0
    kind = transfer_pb2.ENTRY_KIND_FILE
    chunks[0].entries.add(path="data", kind=kind, size_bytes=declared or size)
    chunks[-1].ends.add(index=0, crc32c=google_crc32c.value(content))
    return chunks


def chunk(data: bytes, at: int, entries: int) -> transfer_pb2.Chunk:
    place = transfer_pb2.Place(bytes=at, entries=entries)
    return transfer_pb2.Chunk(place=place, crc32c=google_crc32c.value(data), data=data)


@pytest.fixture(scope="module")
def shared(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Limited]:
    settings = {
        "STORAGE_MAX_UPLOAD": "4Mi",
        "STORAGE_MAX_UPLOAD_ENTRIES": "50",
        "STORAGE_PROJECT_QUOTA": "6Mi",
        "STORAGE_QUOTA": "8Mi",
        "STORAGE_UPLOAD_STALL_LIMIT": "0.5",
    }
    with started(tmp_path_factory.mktemp("limited"), engine_url, settings) as engine:
        task = engine.task(inputs={"data": "file"}).id
        wait_for(lambda: nothing_uploaded(engine))
        yield Limited(engine=engine, task=task)


@pytest.fixture
def limited(shared: Limited) -> Iterator[Limited]:
    """The server, whose quotas are free again after each test."""
    yield shared
    for run in list(shared.engine.client.runs.list()):
        shared.engine.client.runs.delete(run.id)
    wait_for(lambda: not any((shared.engine.server.storage / "runs").iterdir()))


def nothing_uploaded(engine: Engine) -> bool:
    return not any((engine.server.storage / "uploads").iterdir())


def test_an_upload_beyond_its_own_limit_is_refused_at_its_start(limited: Limited) -> None:
    with pytest.raises(ServerError) as refused:
        limited.start(limited.run(), expected_bytes=5 * MIB)
    assert (refused.value.status, refused.value.reason) == (
        "RESOURCE_EXHAUSTED",
        "UPLOAD_TOO_LARGE",
    )
    assert nothing_uploaded(limited.engine)


def test_an_upload_that_announced_nothing_is_refused_when_it_is_too_large(limited: Limited) -> None:
    upload_id = limited.start(limited.run())
    with pytest.raises(ServerError) as refused:
        limited.send_whole(upload_id, 5 * MIB)
    assert (refused.value.status, refused.value.reason) == (
        "RESOURCE_EXHAUSTED",
        "UPLOAD_TOO_LARGE",
    )
    limited.cancel(upload_id)


def test_an_upload_of_too_many_files_is_refused(limited: Limited) -> None:
    upload_id = limited.start(limited.run())
    many = transfer_pb2.Chunk(place=transfer_pb2.Place())
    for number in range(51):
        many.entries.add(index=number, path=str(number), kind=transfer_pb2.ENTRY_KIND_FOLDER)
    with pytest.raises(ServerError) as refused:
        limited.send(upload_id, [many], transfer_pb2.Place(entries=51))
    assert (refused.value.status, refused.value.reason) == (
        "RESOURCE_EXHAUSTED",
        "UPLOAD_TOO_LARGE",
    )
    limited.cancel(upload_id)


def test_announced_bytes_count_for_the_project_until_they_are_cancelled(limited: Limited) -> None:
    run = limited.run()
    first = limited.start(run, expected_bytes=4 * MIB)
    with pytest.raises(ServerError) as refused:
        limited.start(run, expected_bytes=3 * MIB)
    assert (refused.value.status, refused.value.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_PROJECT")
    assert refused.value.details.retry_after_seconds is None
    assert dict(refused.value.details.fields) == {
        "limit_bytes": str(6 * MIB),
        "held_bytes": str(4 * MIB),
        "needed_bytes": str(3 * MIB),
    }
    limited.cancel(first)
    limited.cancel(limited.start(run, expected_bytes=3 * MIB))


def test_what_became_an_input_counts_until_its_run_is_deleted(limited: Limited) -> None:
    run = limited.run()
    limited.send_whole(limited.start(run, expected_bytes=4 * MIB), 3 * MIB)
    other = limited.run()
    with pytest.raises(ServerError, match="they hold 3145728"):
        limited.start(other, expected_bytes=4 * MIB)
    limited.engine.client.runs.delete(run.id)
    wait_for(lambda: allowed(limited, other, 4 * MIB))


def test_an_input_that_is_replaced_counts_once(limited: Limited) -> None:
    run = limited.run()
    limited.send_whole(limited.start(run, expected_bytes=3 * MIB), 3 * MIB)
    limited.send_whole(limited.start(run, expected_bytes=2 * MIB), 2 * MIB)
    wait_for(lambda: allowed(limited, run, 4 * MIB))


def allowed(limited: Limited, run: run_pb2.Run, expected_bytes: int) -> bool:
    try:
        limited.cancel(limited.start(run, expected_bytes=expected_bytes))
    except ServerError:
        return False
    return True


def test_a_quota_that_is_reached_while_bytes_arrive_keeps_them(limited: Limited) -> None:
    """It announced less than it sends; others' bytes come first."""
    run = limited.run()
    other = limited.start(run, expected_bytes=3 * MIB)
    lying = limited.start(run, expected_bytes=1)
    files = [chunk(DATA, at * MIB, at) for at in range(4)]
    for number, one in enumerate(files):
        kind = transfer_pb2.ENTRY_KIND_FILE
        one.entries.add(index=number, path=str(number), kind=kind, size_bytes=MIB)
        one.ends.add(index=number, crc32c=google_crc32c.value(DATA))
    with pytest.raises(ServerError) as refused:
        limited.send(lying, files, None)
    assert (refused.value.status, refused.value.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_PROJECT")
    assert limited.upload(lying).persisted.bytes == 3 * MIB
    assert limited.send_whole(other, 3 * MIB).state == pb.UPLOAD_STATE_FINISHED
    limited.cancel(lying)


def test_a_client_that_sends_nothing_is_left_and_may_go_on(limited: Limited) -> None:
    run = limited.run()
    upload_id = limited.start(run, expected_bytes=3 * MIB)
    chunks = chunks_of(3 * MIB)
    silent = threading.Event()

    def some() -> Iterator[pb.UploadRequest]:
        yield from messages_of(upload_id, chunks[:1], None)
        silent.wait(20)

    with pytest.raises(ServerError) as refused, told():
        limited.engine.storage.Upload(some(), timeout=20)
    silent.set()
    assert (refused.value.status, refused.value.reason) == ("ABORTED", "UPLOAD_STALLED")
    assert limited.upload(upload_id).persisted.bytes == MIB
    assert limited.send_whole(upload_id, 3 * MIB).state == pb.UPLOAD_STATE_FINISHED
    [stalled, resumed] = logged(limited, "transfer.ended")[-2:]
    assert (stalled["outcome"], stalled["moved_bytes"]) == ("refused", MIB)
    assert (resumed["outcome"], resumed["began_at_bytes"]) == ("ended", MIB)
    assert (resumed["moved_bytes"], resumed["repeated_bytes"]) == (3 * MIB, MIB)


def logged(limited: Limited, event: str) -> list[dict[str, Any]]:
    lines = limited.engine.server.log.read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event]


def test_a_stream_that_never_begins_is_left(limited: Limited) -> None:
    silent = threading.Event()

    def nothing() -> Iterator[pb.UploadRequest]:
        silent.wait(20)
        yield from ()

    with pytest.raises(ServerError) as refused, told():
        limited.engine.storage.Upload(nothing(), timeout=20)
    silent.set()
    assert refused.value.reason == "UPLOAD_STALLED"


def _wrong_crc() -> list[transfer_pb2.Chunk]:
    chunks = chunks_of(2 * MIB)
    chunks[-1].ends[0].crc32c ^= 1
    return chunks


def _wrong_digest(algorithm: transfer_pb2.DigestAlgorithm.ValueType) -> list[transfer_pb2.Chunk]:
    chunks = chunks_of(2 * MIB)
    chunks[-1].ends[0].digest.algorithm = algorithm
    chunks[-1].ends[0].digest.value = bytes(32)
    return chunks


def _negative_place() -> list[transfer_pb2.Chunk]:
    chunks = chunks_of(2 * MIB)
    chunks[1].place.bytes = -1
    return chunks


def _negative_size() -> list[transfer_pb2.Chunk]:
    chunks = chunks_of(2 * MIB)
    chunks[0].entries[0].size_bytes = -5
    return chunks


LIES = {
    "a size that is too large": chunks_of(2 * MIB, declared=3 * MIB),
    "a size that is too small": chunks_of(2 * MIB, declared=MIB),
    "a negative size": _negative_size(),
    "a negative place": _negative_place(),
    "the checksum of a file": _wrong_crc(),
    "its sha256": _wrong_digest(transfer_pb2.DIGEST_ALGORITHM_SHA256),
    "its blake3": _wrong_digest(transfer_pb2.DIGEST_ALGORITHM_BLAKE3),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_ends_its_upload_with_nothing_kept(limited: Limited, lie: str) -> None:
    run, honest_run = limited.run(), limited.run()
    honest = limited.start(honest_run, expected_bytes=2 * MIB)
    limited.send(honest, chunks_of(2 * MIB)[:1], None)
    upload_id = limited.start(run, expected_bytes=2 * MIB)
    with pytest.raises(ServerError) as refused:
        limited.send(upload_id, LIES[lie], transfer_pb2.Place(bytes=2 * MIB, entries=1))
    assert refused.value.status == "INVALID_ARGUMENT"
    assert limited.upload(upload_id).state == pb.UPLOAD_STATE_FAILED
    assert not (limited.engine.server.storage / "uploads" / upload_id).exists()
    assert not (limited.engine.server.storage / "runs" / run.id / "uploaded").exists()
    assert limited.engine.client.runs.get(run.id).state == run_pb2.RUN_STATE_CREATED
    assert limited.send_whole(honest, 2 * MIB).state == pb.UPLOAD_STATE_FINISHED


@pytest.mark.parametrize(
    ("spoil", "reason"), [("place", "UPLOAD_PLACE"), ("crc32c", "CHUNK_CORRUPT")]
)
def test_a_chunk_that_does_not_fit_keeps_what_came_before(
    limited: Limited, spoil: str, reason: str
) -> None:
    upload_id = limited.start(limited.run(), expected_bytes=3 * MIB)
    chunks = chunks_of(3 * MIB)
    if spoil == "place":
        chunks[1].place.bytes += 7
    else:
        chunks[1].crc32c ^= 1
    with pytest.raises(ServerError) as refused:
        limited.send(upload_id, chunks, transfer_pb2.Place(bytes=3 * MIB, entries=1))
    assert refused.value.reason == reason
    assert limited.upload(upload_id).persisted.bytes == MIB
    assert limited.send_whole(upload_id, 3 * MIB).state == pb.UPLOAD_STATE_FINISHED
