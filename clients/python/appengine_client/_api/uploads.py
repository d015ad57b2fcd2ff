"""`client.uploads`: bytes on their way to the server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from appengine.v1 import storage_service_pb2 as pb
from appengine.v1.storage_service_pb2_grpc import StorageServiceStub

from appengine_client import transfer
from appengine_client._rpc.connection import Connection, new_id
from appengine_client.errors import AppEngineError, LocalFileError

if TYPE_CHECKING:
    from appengine.v1.storage_service_pb2_grpc import StorageServiceAsyncStub

    from appengine_client.transfer import OnProgress, Source

_DROP_SECONDS = 2.0


class Uploads:
    """Starts, sends, asks for and drops uploads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._capabilities: pb.GetCapabilitiesResponse | None = None

    @cached_property
    def _stub(self) -> StorageServiceAsyncStub:
        return StorageServiceStub(self._connection.channel)

    async def capabilities(self) -> pb.GetCapabilitiesResponse:
        """The limits of the server, asked for once."""
        if self._capabilities is None:
            request = pb.GetCapabilitiesRequest()
            self._capabilities = await self._connection.call(self._stub.GetCapabilities, request)
        return self._capabilities

    async def send_bundle(
        self, source: Source, *, project: str | None = None, on_progress: OnProgress | None = None
    ) -> pb.Upload:
        """Upload the bundle of a task: a source of one zip file.

        Args:
            source: What to send.
            project: Where the task will belong; None means the client's project.
            on_progress: Called in the event loop after each chunk.

        Raises:
            Refused: The server does not take it.
            Unavailable: Nothing got through for two minutes.
            LocalFileError: The file cannot be read, or changed meanwhile.
        """
        project = self._connection.settings.project if project is None else project
        target = pb.TaskBundleTarget(project=project)
        return await self._send(pb.StartUploadRequest(task_bundle=target), source, on_progress)

    async def send_input(
        self,
        run_id: str,
        parameter: str,
        source: Source,
        *,
        part: pb.InputPart.ValueType = pb.INPUT_PART_WHOLE,
        on_progress: OnProgress | None = None,
    ) -> pb.Upload:
        """Upload an input of a run, which provisions it.

        Args:
            run_id: The run, which must not be started.
            parameter: Name of the input.
            source: Entries with the paths that they have in the run's input folder.
            part: Whether this is the whole input, items of an array, or companions of images.
            on_progress: Called in the event loop after each chunk.

        Raises:
            Refused: The server does not take it; every problem is in the error.
            Unavailable: Nothing got through for two minutes.
            LocalFileError: A file cannot be read, or changed meanwhile.
        """
        target = pb.InputTarget(run_id=run_id, parameter=parameter, part=part)
        return await self._send(pb.StartUploadRequest(input=target), source, on_progress)

    async def get(self, upload_id: str) -> pb.Upload:
        """How far an upload is. Raises NotFound when there is none, or it has expired."""
        request = pb.GetUploadRequest(upload_id=upload_id)
        return (await self._connection.call(self._stub.GetUpload, request)).upload

    async def cancel(self, upload_id: str) -> None:
        """Drop an upload with its bytes. Raises FailedPrecondition when it is finished."""
        request = pb.CancelUploadRequest(upload_id=upload_id)
        await self._connection.call(self._stub.CancelUpload, request)

    async def _send(
        self, request: pb.StartUploadRequest, source: Source, on_progress: OnProgress | None
    ) -> pb.Upload:
        request.request_id = new_id()
        request.expected_bytes = source.total_bytes
        started = await self._connection.call(self._stub.StartUpload, request)
        chunk_bytes = min(
            started.chunk_bytes or transfer.DEFAULT_CHUNK_BYTES, transfer.DEFAULT_CHUNK_BYTES
        )
        try:
            return await transfer.push(
                source,
                self._connection,
                started.upload_id,
                chunk_bytes=chunk_bytes,
                on_progress=on_progress,
            )
        except (asyncio.CancelledError, LocalFileError):
            await self._drop(started.upload_id)
            raise

    async def _drop(self, upload_id: str) -> None:
        """Free the server's disk. What fails here expires by itself."""
        with suppress(AppEngineError, TimeoutError):
            async with asyncio.timeout(_DROP_SECONDS):
                await self.cancel(upload_id)
