"""What the server and our client frame by hand is what generated classes read and write."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

import google_crc32c
import pytest
from appengine.v1 import storage_service_pb2, transfer_pb2

from tests.container.engine_server import Engine
from tests.container.worlds import whole_upload

pytestmark = [pytest.mark.container, pytest.mark.timeout(60)]

MIB = 1 << 20
_FILES = {"type": {"id": "array", "subtype": {"id": "file"}}}


def _made(folder: Path) -> dict[str, bytes]:
    """A large file, small ones, and an empty one, written to a folder."""
    chance = random.Random(7)
    contents = {"0": chance.randbytes(5 * MIB + 12345), "1": b""}
    contents |= {str(number): chance.randbytes(3000) for number in range(2, 300)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {f"files/{name}": content for name, content in contents.items()}


def _fetched(engine: Engine, run_id: str) -> dict[str, bytes]:
    """The inputs of a run by the plain stub, every checksum compared."""
    request = storage_service_pb2.DownloadRequest(
        resource=storage_service_pb2.Resource(run_inputs=run_id)
    )
    sizes: dict[int, int] = {}
    paths: dict[int, str] = {}
    crcs: dict[int, int] = {}
    content = bytearray()
    end = transfer_pb2.Place()
    for response in engine.storage.Download(request, timeout=30):
        if response.HasField("header"):
            end = response.header.end
        chunk = response.chunk
        assert google_crc32c.value(chunk.data) == chunk.crc32c
        assert not chunk.data or chunk.place.bytes == len(content)
        content += chunk.data
        for entry in chunk.entries:
            paths[entry.index], sizes[entry.index] = entry.path, entry.size_bytes
        crcs |= {one.index: one.crc32c for one in chunk.ends}
    assert (end.bytes, end.entries) == (len(content), len(paths))
    files, position = {}, 0
    for index in sorted(paths):
        data = bytes(content[position : position + sizes[index]])
        position += sizes[index]
        if index in crcs:
            assert google_crc32c.value(data) == crcs[index]
            files[paths[index]] = data
    return files


def test_a_plain_client_fetches_what_ours_has_sent(engine: Engine, tmp_path: Path) -> None:
    contents = _made(tmp_path)
    task = engine.task(inputs={"files": _FILES})
    given = [tmp_path / str(number) for number in range(len(contents))]
    run = engine.client.runs.create(task.id, {"files": given})
    fetched = _fetched(engine, run.id)
    assert fetched.pop("files/array.yml") == b"size: 300\n"
    assert fetched == contents


def test_ours_fetches_what_a_plain_client_has_sent(engine: Engine, tmp_path: Path) -> None:
    content = random.Random(8).randbytes(5 * MIB + 12345)
    run = engine.client.runs.create(engine.task(inputs={"file": "file"}).id, {})
    target = storage_service_pb2.InputTarget(
        run_id=run.id, parameter="file", part=storage_service_pb2.INPUT_PART_WHOLE
    )
    request = storage_service_pb2.StartUploadRequest(request_id=str(uuid4()), input=target)
    upload_id = engine.storage.StartUpload(request, timeout=30).upload_id
    sent = engine.storage.Upload(iter(whole_upload(upload_id, content)), timeout=30)
    assert sent.upload.persisted == transfer_pb2.Place(bytes=len(content), entries=1)
    engine.client.runs.download_inputs(run.id, tmp_path)
    assert (tmp_path / "file").read_bytes() == content
