"""The server's side of transfers, over gRPC with messages that are framed by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import grpc
import grpc.aio
from appengine.v1 import storage_service_pb2 as pb
from appengine.v1.storage_service_pb2_grpc import StorageServiceStub
from grpc._cython.cygrpc import InternalError  # type: ignore[import-not-found]

from appengine_client._rpc.connection import STREAM_SECONDS, Connection, new_id
from appengine_client._rpc.statuses import translated
from appengine_client._transfer.places import Place
from appengine_client._transfer.reader import to_proto
from appengine_client.errors import Details, Unavailable

Result = TypeVar("Result")

STALL_SECONDS = 60.0
"""A stream on which nothing moves for so long is given up, and resumed on a new one."""
CONNECT_SECONDS = 10.0
FINISH_SECONDS = 3600.0
"""How long the server may check what it got: it reads everything once more."""

_UPLOAD = "/appengine.v1.StorageService/Upload"
_DOWNLOAD = "/appengine.v1.StorageService/Download"


def _as_it_is(message: bytes) -> bytes:
    return message


class GrpcUpload:
    """One upload at the server."""

    def __init__(self, connection: Connection, upload_id: str) -> None:
        self._connection = connection
        self._upload_id = upload_id
        self._storage = StorageServiceStub(connection.channel)
        self._upload = connection.channel.stream_unary(
            _UPLOAD,
            request_serializer=_as_it_is,
            response_deserializer=pb.UploadResponse.FromString,
        )

    @property
    def upload_id(self) -> str:
        """The id that StartUpload answered."""
        return self._upload_id

    async def get(self) -> pb.Upload:
        """How far the server has persisted this upload."""
        request = pb.GetUploadRequest(upload_id=self._upload_id)
        return (await self._connection.call(self._storage.GetUpload, request)).upload

    async def send(self, messages: AsyncGenerator[bytes, None]) -> pb.Upload:
        """Send serialised UploadRequests on one stream, and await the answer."""
        request_id = new_id()
        call = self._upload(timeout=STREAM_SECONDS, metadata=self._connection.metadata(request_id))
        try:
            with translated(self._connection.target, request_id):
                await self._write_all(call, messages)
                response: pb.UploadResponse = await self._moving(call, FINISH_SECONDS)
                return response.upload
        finally:
            call.cancel()
            await messages.aclose()

    async def _write_all(
        self, call: grpc.aio.StreamUnaryCall[Any, Any], messages: AsyncGenerator[bytes, None]
    ) -> None:
        await self._moving(call.wait_for_connection(), CONNECT_SECONDS)
        async with _no_stall(STALL_SECONDS, self._connection.target) as moved:
            async for message in messages:
                moved()
                if call.done() or not await _write(call, message):
                    return  # the server has answered already: the call tells what
                moved()
        with suppress(InternalError):
            await call.done_writing()

    async def _moving(self, step: Awaitable[Result], seconds: float) -> Result:
        return await _within(step, seconds, self._connection.target)


class GrpcDownload:
    """One resource at the server."""

    def __init__(self, connection: Connection, resource: pb.Resource) -> None:
        self._connection = connection
        self._resource = resource
        self._download = connection.channel.unary_stream(
            _DOWNLOAD,
            request_serializer=pb.DownloadRequest.SerializeToString,
            response_deserializer=_as_it_is,
        )

    async def fetch(self, place: Place, etag: str) -> AsyncGenerator[bytes, None]:
        """The serialised DownloadResponses from this place on, on one stream."""
        request = pb.DownloadRequest(resource=self._resource, etag=etag)
        request.__getattribute__("from").CopyFrom(to_proto(place))  # `from` is a keyword
        request_id = new_id()
        call = self._download(
            request, timeout=STREAM_SECONDS, metadata=self._connection.metadata(request_id)
        )
        try:
            with translated(self._connection.target, request_id):
                while True:
                    message = await _within(call.read(), STALL_SECONDS, self._connection.target)
                    if not isinstance(message, bytes):
                        return  # EOF
                    yield message
        finally:
            call.cancel()


async def _write(call: grpc.aio.StreamUnaryCall[Any, Any], message: bytes) -> bool:
    """Write one message. False when the server has ended the stream."""
    # NB: call.write() would put INTERNAL in the place of the server's own status when the stream
    # ends during a write, and the reason of a refusal would be lost.
    try:
        await call._cython_call.send_serialized_message(message)  # type: ignore[attr-defined]
    except InternalError:
        return False
    return True


@asynccontextmanager
async def _no_stall(seconds: float, target: str) -> AsyncIterator[Callable[[], None]]:
    """Raise Unavailable in what goes on inside, once the function was not called for so long.

    One timer for the whole stream: one for each message costs as much as framing it.
    """
    loop = asyncio.get_running_loop()
    async with _limited(seconds, target) as limit:
        renewed = loop.time()

        def moved() -> None:
            nonlocal renewed
            now = loop.time()
            if now - renewed > seconds / 60:
                renewed = now
                limit.reschedule(now + seconds)

        yield moved


async def _within(step: Awaitable[Result], seconds: float, target: str) -> Result:
    async with _limited(seconds, target):
        return await step


@asynccontextmanager
async def _limited(seconds: float, target: str) -> AsyncIterator[asyncio.Timeout]:
    # NB: asyncio.wait_for of Python 3.11 loses a cancellation that comes in the moment in which the
    # step is done, such as that of Ctrl-C.
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield limit
    except TimeoutError:
        if not limit.expired():
            raise
        message = f"the server {target} moved nothing for {seconds:.0f} seconds"
        raise Unavailable(message, Details(status="UNAVAILABLE")) from None
