"""Sends a source: one generic loop over state without I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from appengine.v1 import storage_service_pb2 as pb

from appengine_client._rpc.retries import Patience, is_resumable
from appengine_client._transfer import framing
from appengine_client._transfer.allocator import suit_transfers
from appengine_client._transfer.places import ChunkPlan, UploadState
from appengine_client._transfer.reader import ChunkReader, from_proto, keep_alive, to_proto
from appengine_client._transfer.source import Source
from appengine_client.errors import AppEngineError, BrokenTransfer

KEEP_ALIVE_SECONDS = 20.0
"""A stream on which the local disk brings nothing for so long gets an empty chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a transfer is."""

    done_bytes: int
    total_bytes: int
    done_files: int
    total_files: int
    waiting_because: str = ""
    """Why nothing moves at the moment; empty while it does."""


OnProgress = Callable[[Progress], None]


class UploadRemote(Protocol):
    """The server's side of one upload."""

    @property
    def upload_id(self) -> str:
        """The id that StartUpload answered."""

    async def send(self, messages: AsyncGenerator[bytes, None]) -> pb.Upload:
        """Send serialised UploadRequests on one stream, and await the answer."""

    async def get(self) -> pb.Upload:
        """How far the server has persisted this upload."""


@dataclass(slots=True, kw_only=True)
class Push:
    """One source on its way to one upload. `writer_id` is the same through all resumptions."""

    source: Source
    remote: UploadRemote
    state: UploadState
    writer_id: str
    patience: Patience
    on_progress: OnProgress | None = None

    async def run(self, *, resume: bool = False) -> pb.Upload:
        """Send everything, and finish the upload. Blocks until the server has checked it.

        `resume` asks first what the server already holds, for an upload that was begun earlier.
        Raises the last error once nothing has got through for as long as `patience` allows.
        """
        suit_transfers()
        error: AppEngineError | None = None
        while True:
            try:
                if resume and (finished := await self._rewind()):
                    return finished
                return await self.remote.send(self._messages())
            except AppEngineError as refusal:
                error = refusal
            if is_resumable(error):
                self._report(waiting_because=error.message)
            await self.patience.wait(error)
            resume = True

    async def _rewind(self) -> pb.Upload | None:
        upload = await self.remote.get()
        match upload.state:
            case pb.UPLOAD_STATE_FINISHED:
                self._check_whole(upload)
                return upload
            case pb.UPLOAD_STATE_OPEN:
                if self.state.rewind(from_proto(upload.persisted)):
                    self.patience.progressed()
                return None
            case _:
                raise BrokenTransfer(
                    f"the upload {upload.id} was refused or cancelled: start a new one"
                )

    def _check_whole(self, upload: pb.Upload) -> None:
        if from_proto(upload.persisted) != self.source.outline.end:
            raise BrokenTransfer(
                f"another client has finished the upload {upload.id} with other files: "
                "start a new upload"
            )

    async def _messages(self) -> AsyncGenerator[bytes, None]:
        yield framing.begin_message(self.remote.upload_id, self.writer_id)
        reader = ChunkReader(self.source)
        try:
            async with aclosing(self._read_ahead(reader)) as chunks:
                async for message in chunks:
                    yield message
        finally:
            reader.close()
        yield framing.finish_message(to_proto(self.source.outline.end))

    async def _read_ahead(self, reader: ChunkReader) -> AsyncGenerator[bytes, None]:
        """The messages of all chunks; while one is sent, the next one is read."""
        plans = self.state.chunks()
        upcoming = _start(reader, plans)
        try:
            while upcoming is not None:
                plan, reading = upcoming
                while not reading.done():
                    if not (await asyncio.wait({reading}, timeout=KEEP_ALIVE_SECONDS))[0]:
                        yield keep_alive(plan.place)
                message = reading.result()
                upcoming = _start(reader, plans)
                yield message
                self._report(plan.after.bytes, self.source.outline.files_before(plan.after))
        finally:
            if upcoming is not None:  # the thread must have left the file before it is closed
                await asyncio.gather(upcoming[1], return_exceptions=True)

    def _report(
        self, done_bytes: int | None = None, done_files: int = 0, *, waiting_because: str = ""
    ) -> None:
        if self.on_progress is None:
            return
        if done_bytes is None:
            done_bytes = self.state.persisted.bytes
            done_files = self.source.outline.files_before(self.state.persisted)
        self.on_progress(
            Progress(
                done_bytes=done_bytes,
                total_bytes=self.source.total_bytes,
                done_files=done_files,
                total_files=self.source.outline.end.entries,
                waiting_because=waiting_because,
            )
        )


def _start(
    reader: ChunkReader, plans: Iterator[ChunkPlan]
) -> tuple[ChunkPlan, asyncio.Future[bytes]] | None:
    plan = next(plans, None)
    if plan is None:
        return None
    return plan, asyncio.get_running_loop().run_in_executor(None, reader.message, plan)
