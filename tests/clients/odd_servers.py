"""Servers in this process, for what no real one can be made to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import google_crc32c
import grpc
import grpc.aio
from appengine.v1 import storage_service_pb2 as storage_pb
from appengine.v1 import transfer_pb2 as pb
from appengine.v1.run_service_pb2_grpc import RunServiceServicer, add_RunServiceServicer_to_server
from appengine.v1.storage_service_pb2_grpc import (
    StorageServiceServicer,
    add_StorageServiceServicer_to_server,
)
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

CONTENT = b"content"
FILE, FOLDER, LINK = pb.ENTRY_KIND_FILE, pb.ENTRY_KIND_FOLDER, pb.ENTRY_KIND_LINK


@asynccontextmanager
async def refusing_server(code: grpc.StatusCode) -> AsyncIterator[str]:
    """A server that answers every GetRun with this status."""

    class Refusing(RunServiceServicer):
        async def GetRun(self, request: Any, context: Any) -> Any:
            info = error_details_pb2.ErrorInfo(reason="SOMETHING", metadata={"free_bytes": "5"})
            status = status_pb2.Status(code=code.value[0], message="a sentence")
            status.details.add().Pack(info)
            await context.abort_with_status(rpc_status.to_status(status))

    server = grpc.aio.server()
    add_RunServiceServicer_to_server(Refusing(), server)
    async with _serving(server) as address:
        yield address


@asynccontextmanager
async def sending_server(
    entries: Iterable[pb.Entry], *, crc: int | None = None
) -> AsyncIterator[str]:
    """A server whose downloads have these entries; each file has CONTENT, and this checksum."""
    sent = list(entries)
    for index, entry in enumerate(sent):
        entry.index = index
        entry.size_bytes = len(CONTENT) if entry.kind == FILE else 0
    files = [entry for entry in sent if entry.kind == FILE]
    data = CONTENT * len(files)
    right = google_crc32c.value(CONTENT)
    chunk = pb.Chunk(
        place=pb.Place(),
        entries=sent,
        data=data,
        crc32c=google_crc32c.value(data),
        ends=[pb.FileEnd(index=one.index, crc32c=right if crc is None else crc) for one in files],
    )
    end = pb.Place(bytes=len(data), entries=len(sent))

    class Sending(StorageServiceServicer):
        async def Download(self, request: Any, context: Any) -> AsyncIterator[Any]:
            header = storage_pb.DownloadHeader(etag="e", end=end)
            yield storage_pb.DownloadResponse(header=header)
            yield storage_pb.DownloadResponse(chunk=chunk)

    server = grpc.aio.server()
    add_StorageServiceServicer_to_server(Sending(), server)
    async with _serving(server) as address:
        yield address


@asynccontextmanager
async def _serving(server: grpc.aio.Server) -> AsyncIterator[str]:
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
