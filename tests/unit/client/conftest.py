"""A server of StorageService in this process, which keeps transfers in memory and fails on demand.

It stands in only for faults that the real server cannot be made to show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import google_crc32c
import grpc
import grpc.aio
import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine.v1 import transfer_pb2
from appengine.v1.storage_service_pb2_grpc import (
    StorageServiceServicer,
    add_StorageServiceServicer_to_server,
)
from appengine_client._rpc.connection import Connection
from appengine_client._rpc.settings import read_settings
from appengine_client.transfer import Backoff, Patience
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


@dataclass
class Fault:
    """Ends a stream with a status once so many chunks have passed."""

    after_chunks: int
    code: grpc.StatusCode
    reason: str = ""
    forget_chunks: int = 0
    """How many of the received chunks are not persisted."""
    finish_first: bool = False
    """The upload is finished all the same: only the answer is lost."""


@dataclass
class FakeStorage(StorageServiceServicer):
    chunk_bytes: int = 1000
    faults: list[Fault] = field(default_factory=list)
    received: list[transfer_pb2.Chunk] = field(default_factory=list)
    persisted: list[transfer_pb2.Chunk] = field(default_factory=list)
    writers: list[str] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    state: pb.UploadState = pb.UPLOAD_STATE_OPEN
    end: tuple[int, int] | None = None
    downloads: list[tuple[int, int]] = field(default_factory=list)
    etag: str = "one"
    etag_fails: int = 0
    content: list[transfer_pb2.Chunk] = field(default_factory=list)

    @property
    def place(self) -> tuple[int, int]:
        return (
            sum(len(chunk.data) for chunk in self.persisted),
            sum(len(chunk.entries) for chunk in self.persisted),
        )

    def files(self) -> dict[str, bytes]:
        """What was uploaded, with every checksum tested."""
        data = b"".join(chunk.data for chunk in self.persisted)
        ends = {end.index: end.crc32c for chunk in self.persisted for end in chunk.ends}
        files = {}
        position = 0
        for entry in (entry for chunk in self.persisted for entry in chunk.entries):
            if entry.kind == transfer_pb2.ENTRY_KIND_FILE:
                content = data[position : position + entry.size_bytes]
                position += entry.size_bytes
                assert google_crc32c.value(content) == ends.pop(entry.index)
                files[entry.path] = content
        assert position == len(data)
        assert not ends
        return files

    def entries(self) -> list[transfer_pb2.Entry]:
        return [entry for chunk in self.persisted for entry in chunk.entries]

    async def Upload(self, request_iterator, context):
        fault = self.faults.pop(0) if self.faults else None
        self.metadata.append(dict(context.invocation_metadata()))
        chunks = 0
        fresh: list[transfer_pb2.Chunk] = []
        async for request in request_iterator:
            if request.HasField("begin"):
                self.writers.append(request.begin.writer_id)
            if request.HasField("chunk"):
                if fault is not None and chunks == fault.after_chunks:
                    break
                chunks += 1
                self.received.append(request.chunk)
                assert google_crc32c.value(request.chunk.data) == request.chunk.crc32c
                place = self.place
                assert (request.chunk.place.bytes, request.chunk.place.entries) == place
                self.persisted.append(request.chunk)
                fresh.append(request.chunk)
            if request.HasField("finish") and (fault is None or fault.finish_first):
                self.finish(request.finish)
                if fault is None:
                    return pb.UploadResponse(upload=self.upload())
        assert fault is not None
        if fault.forget_chunks:
            del self.persisted[-fault.forget_chunks :]
        await refuse(context, fault.code, fault.reason)
        raise AssertionError

    def finish(self, finish: pb.UploadFinish) -> None:
        self.end = (finish.end.bytes, finish.end.entries)
        assert self.end == self.place
        self.state = pb.UPLOAD_STATE_FINISHED

    def upload(self) -> pb.Upload:
        size, entries = self.place
        place = transfer_pb2.Place(bytes=size, entries=entries)
        return pb.Upload(id="u", state=self.state, persisted=place)

    async def GetUpload(self, request, context):
        return pb.GetUploadResponse(upload=self.upload())

    async def Download(self, request, context) -> AsyncIterator[pb.DownloadResponse]:
        start = getattr(request, "from")
        self.downloads.append((start.bytes, start.entries))
        if self.etag_fails and request.etag:
            self.etag_fails -= 1
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "ETAG")
        fault = self.faults.pop(0) if self.faults else None
        end = transfer_pb2.Place(
            bytes=sum(len(chunk.data) for chunk in self.content),
            entries=sum(len(chunk.entries) for chunk in self.content),
        )
        yield pb.DownloadResponse(header=pb.DownloadHeader(etag=self.etag, end=end))
        sent = 0
        for chunk in self.content:
            if (chunk.place.bytes, chunk.place.entries) < (start.bytes, start.entries):
                continue
            if fault is not None and sent == fault.after_chunks:
                if fault.reason == "CORRUPT":
                    bad = transfer_pb2.Chunk()
                    bad.CopyFrom(chunk)
                    bad.crc32c ^= 1
                    yield pb.DownloadResponse(chunk=bad)
                    return
                await refuse(context, fault.code, fault.reason)
            sent += 1
            yield pb.DownloadResponse(chunk=chunk)


async def refuse(context: grpc.aio.ServicerContext, code: grpc.StatusCode, reason: str) -> None:
    status = status_pb2.Status(code=code.value[0], message=f"refused with {reason or code.name}")
    if reason:
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="test"))
    await context.abort_with_status(rpc_status.to_status(status))


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
async def connection(storage: FakeStorage) -> AsyncIterator[Connection]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_StorageServiceServicer_to_server(storage, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = read_settings(server=f"127.0.0.1:{port}", token="secret", environment={})
    connection = Connection(settings)
    yield connection
    await connection.close()
    await server.stop(0)


@pytest.fixture
def patience() -> Patience:
    return Patience(stall_seconds=0.3, backoff=Backoff(first_seconds=0.001, cap_seconds=0.01))


@pytest.fixture
def make_fault():
    def make(
        after: int, code: str, reason: str = "", *, forget: int = 0, finish_first: bool = False
    ) -> Fault:
        return Fault(after, grpc.StatusCode[code], reason, forget, finish_first)

    return make


@pytest.fixture
def free_port_server(storage: FakeStorage):
    """The address of the same server on a loop of its own, for blocking clients."""
    server = grpc.server(ThreadPoolExecutor(2))

    class Blocking(StorageServiceServicer):
        def GetUpload(self, request, context):
            return pb.GetUploadResponse(upload=storage.upload())

    add_StorageServiceServicer_to_server(Blocking(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0)
