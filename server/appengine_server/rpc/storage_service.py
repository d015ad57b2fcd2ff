"""StorageService: thin handlers over `runs.transfers`.

Upload and Download do not build protobuf objects around their payload: `framing` reads and writes
their messages by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from appengine.v1 import storage_service_pb2 as pb
from appengine.v1 import storage_service_pb2_grpc as pb_grpc
from appengine.v1 import transfer_pb2
from google.protobuf.duration_pb2 import Duration

from appengine_server.errors import InvalidArgument, UploadStalled
from appengine_server.metrics import Stream, TransferMetrics
from appengine_server.rpc import build, framing, pages, parse
from appengine_server.rpc.interceptors.identity import caller_of, principal_of
from appengine_server.rpc.interceptors.surround import Context
from appengine_server.rpc.turns import Turns
from appengine_server.runs.outputs import INLINE_VALUE_BYTES
from appengine_server.runs.transfers import Transfers, UploadStatus
from appengine_server.settings import StorageSettings
from appengine_server.storage.downloads import read_chunks
from appengine_server.storage.listing import Stretch
from appengine_server.storage.tree import Place
from appengine_server.storage.writer import UploadWriter
from appengine_server.version import VERSION

CHUNK_BYTES = 2 << 20
"""Largest payload of one chunk: larger ones are no faster, and gRPC refuses above 4 MiB."""

_DIGESTS = (transfer_pb2.DIGEST_ALGORITHM_SHA256, transfer_pb2.DIGEST_ALGORITHM_BLAKE3)

FULL_NAME = pb.DESCRIPTOR.services_by_name["StorageService"].full_name


class StorageService(pb_grpc.StorageServiceServicer):
    """Borrows everything that it is given."""

    def __init__(
        self, transfers: Transfers, settings: StorageSettings, metrics: TransferMetrics
    ) -> None:
        self._transfers = transfers
        self._settings = settings
        self._metrics = metrics
        self._turns = Turns()

    async def GetCapabilities(
        self, request: pb.GetCapabilitiesRequest, context: Context
    ) -> pb.GetCapabilitiesResponse:
        return pb.GetCapabilitiesResponse(
            version=VERSION,
            max_chunk_bytes=CHUNK_BYTES,
            max_upload_bytes=self._settings.max_upload_bytes,
            max_upload_entries=self._settings.max_upload_entries,
            max_inline_value_bytes=INLINE_VALUE_BYTES,
            digests=_DIGESTS,
            upload_expiry=_duration(self._settings.upload_expiry.total_seconds()),
        )

    async def StartUpload(
        self, request: pb.StartUploadRequest, context: Context
    ) -> pb.StartUploadResponse:
        upload = await self._transfers.start(caller_of(context), parse.upload_order(request))
        return pb.StartUploadResponse(
            upload_id=str(upload.id),
            chunk_bytes=CHUNK_BYTES,
            expire_time=build.timestamp(upload.expires_at),
        )

    async def Upload(  # type: ignore[override]  # framing reads the messages, not protobuf
        self, messages: AsyncIterator[bytes], context: Context
    ) -> pb.UploadResponse:
        caller, frames = caller_of(context), _frames(messages)
        patience_seconds = self._settings.upload_stall_limit.total_seconds()
        begin = await _begin(frames, patience_seconds)
        upload_id = parse.uuid(begin.upload_id, "begin.upload_id")
        writer_id = str(parse.uuid(begin.writer_id, "begin.writer_id"))
        done = await self._transfers.is_finished(caller, upload_id)
        if done is not None:
            return pb.UploadResponse(upload=_upload(done))
        with self._metrics.stream("upload") as count:
            async with (
                self._transfers.writing(caller, upload_id, writer_id) as writer,
                aclosing(_read_ahead(frames, patience_seconds, self._turns)) as ahead,
            ):
                end = await _receive(ahead, writer, count)
                if end is not None:
                    done = await self._transfers.finish(caller, upload_id, writer, end)
                    return pb.UploadResponse(upload=_upload(done))
                await writer.persist()
        return pb.UploadResponse(upload=_upload(await self._transfers.get(caller, upload_id)))

    async def GetUpload(
        self, request: pb.GetUploadRequest, context: Context
    ) -> pb.GetUploadResponse:
        upload_id = parse.uuid(request.upload_id, "upload_id")
        status = await self._transfers.get(caller_of(context), upload_id)
        return pb.GetUploadResponse(upload=_upload(status))

    async def CancelUpload(
        self, request: pb.CancelUploadRequest, context: Context
    ) -> pb.CancelUploadResponse:
        upload_id = parse.uuid(request.upload_id, "upload_id")
        await self._transfers.cancel(principal_of(context), upload_id)
        return pb.CancelUploadResponse()

    async def ListFiles(
        self, request: pb.ListFilesRequest, context: Context
    ) -> pb.ListFilesResponse:
        query = pages.query_of(request)
        size = pages.page_size(request.page_size, default=1000, largest=10_000)
        first, after = pages.read_path_token(request.page_token, query) or (0, "")
        stretch = Stretch(after=after, first_index=first, limit=size)
        name = parse.resource(request.resource)
        found = await self._transfers.files(caller_of(context), name, stretch)
        entries = [framing.entry_message(entry) for entry in found[:size]]
        token = ""
        if len(found) > size:
            token = pages.make_token(query, first + size, found[size - 1].path)
        return pb.ListFilesResponse(entries=entries, next_page_token=token)

    async def Download(  # type: ignore[override]  # framing writes the messages
        self, request: pb.DownloadRequest, context: Context
    ) -> AsyncIterator[framing.DownloadFrame]:
        limit = parse.not_negative(request.limit_bytes, "limit_bytes")
        name = parse.resource(request.resource)
        tree = await self._transfers.plan(caller_of(context), name, etag=request.etag)
        start = framing.place_value(getattr(request, "from"))
        head = framing.DownloadHead(etag=tree.etag, end=tree.end)
        yield framing.DownloadFrame(head=head)
        chunks = read_chunks(
            tree,
            start,
            limit_bytes=limit,
            chunk_bytes=CHUNK_BYTES,
            make_room=framing.ChunkRoom,
        )
        with self._metrics.stream("download") as count:
            count.began_at_bytes = start.bytes
            async for chunk in chunks:
                await self._turns.next()
                yield framing.DownloadFrame(chunk=chunk)
                count.moved(len(chunk.data))


def add_to_server(servicer: StorageService, server: grpc.aio.Server) -> None:
    """Register the service, its two streams with the hand-written framing."""
    pb_grpc.add_StorageServiceServicer_to_server(servicer, server)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Upload": grpc.stream_unary_rpc_method_handler(
            servicer.Upload,
            response_serializer=pb.UploadResponse.SerializeToString,
        ),
        "Download": grpc.unary_stream_rpc_method_handler(
            servicer.Download,
            request_deserializer=pb.DownloadRequest.FromString,
            response_serializer=framing.serialize_download_response,
        ),
    }
    server.add_registered_method_handlers(FULL_NAME, handlers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(FULL_NAME, handlers),))


async def _receive(
    frames: AsyncIterator[framing.UploadFrame], writer: UploadWriter, count: Stream
) -> Place | None:
    """Write all chunks; answers where the transfer ends, None if the stream ended without it."""
    count.began_at_bytes = writer.received.bytes
    async for frame in frames:
        if frame.chunk is not None:
            held_bytes, sent_bytes = writer.received.bytes, len(frame.chunk.data)
            await writer.write(frame.chunk)
            count.moved(sent_bytes)
            count.repeated_bytes += sent_bytes - (writer.received.bytes - held_bytes)
        if frame.finish is not None:
            return frame.finish
    return None


async def _frames(messages: AsyncIterator[bytes]) -> AsyncIterator[framing.UploadFrame]:
    async for message in messages:
        try:
            yield framing.parse_upload_request(message)
        except ValueError as error:
            raise InvalidArgument("A message of the upload is malformed.") from error


async def _read_ahead(
    frames: AsyncIterator[framing.UploadFrame], patience_seconds: float, turns: Turns
) -> AsyncGenerator[framing.UploadFrame, None]:
    """The frames up to the finish; while one is written, the next one arrives."""
    frame = await _arrived(_start_reading(frames), patience_seconds)
    while frame is not None:
        if frame.finish is not None:
            yield frame
            return
        await turns.next()
        coming = _start_reading(frames)
        try:
            yield frame
            frame = await _arrived(coming, patience_seconds)
        except BaseException:  # nobody else will hear of what was coming
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            raise


_Reading = asyncio.Future[framing.UploadFrame | None]


def _start_reading(frames: AsyncIterator[framing.UploadFrame]) -> _Reading:
    return asyncio.ensure_future(anext(frames, None))


async def _arrived(reading: _Reading, patience_seconds: float) -> framing.UploadFrame | None:
    try:
        if not reading.done():
            await asyncio.wait({reading}, timeout=patience_seconds)
        if reading.done():
            return reading.result()
    finally:
        reading.cancel()
    raise UploadStalled(
        f"nothing came for {patience_seconds:.0f} seconds, so the stream was ended; what was "
        "received is kept: ask GetUpload and go on from there"
    )


async def _begin(
    frames: AsyncIterator[framing.UploadFrame], patience_seconds: float
) -> framing.UploadBegin:
    frame = await _arrived(_start_reading(frames), patience_seconds)
    if frame is None or frame.begin is None or frame.chunk is not None or frame.finish is not None:
        raise InvalidArgument("The first message of an upload holds `begin` alone.")
    return frame.begin


def _upload(status: UploadStatus) -> pb.Upload:
    record = status.record
    return pb.Upload(
        id=str(record.id),
        state=pb.UploadState.Value(f"UPLOAD_STATE_{record.state}"),
        persisted=framing.place_message(status.persisted),
        expire_time=build.timestamp(record.expires_at),
        run=build.run(status.run) if status.run else None,
    )


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromMilliseconds(int(seconds * 1000))
    return message
