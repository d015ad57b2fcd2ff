"""One writer of one upload: chunks in, places out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from appengine_server.errors import (
    AppEngineError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    UploadTaken,
)
from appengine_server.storage import generations
from appengine_server.storage.limits import Claim, UploadLimits
from appengine_server.storage.quota import from_os_error
from appengine_server.storage.tree import Chunk, Place
from appengine_server.storage.upload_files import UploadFiles

T = TypeVar("T")

_DUE = 0.75
"""Of `persist_seconds`: the age at which persisting begins, for it takes a while itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTree:
    """A whole upload. `commit.commit_tree` moves its tree, or a file of it, to its final place."""

    root: Path
    """The tree; gone once it was committed."""
    entries: int
    bytes: int


class UploadWriter:
    """Writes one upload until it is closed or superseded. Made by `Uploads.open_writer`.

    Calls of `write`, `persist` and `finish` come one after the other. Whatever one of them raises,
    the stream is over: the caller leaves the writer, and what was received so far stays, except
    after InvalidArgument, which ends the upload with nothing kept.
    """

    def __init__(
        self,
        upload: Path,
        files: UploadFiles,
        limits: UploadLimits,
        *,
        finished: bool,
        claim: Claim | None = None,
    ) -> None:
        self._upload = upload
        self._files = files
        self._limits = limits
        self._finished = finished
        self._claim = claim
        self._reached = files.reached()
        self._persisted = self._reached.place
        self._persisted_at = self._settled_at = time.monotonic()
        self._refusal: AppEngineError | None = None
        self._dropped = False
        self._running: set[asyncio.Future[object]] = set()
        self._persisting = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._timer = asyncio.create_task(self._persist_in_time(), name=f"persist {upload.name}")

    @property
    def received(self) -> Place:
        """How far the transfer is; not all of it may be persisted."""
        return self._reached.place

    @property
    def persisted(self) -> Place:
        """What survives a crash. It never shrinks."""
        return self._persisted

    async def write(self, chunk: Chunk) -> None:
        """Write what is new in a chunk.

        Raises InvalidArgument, PlaceOutOfRange, ChunkCorrupt, UploadTaken, ResourceExhausted,
        FailedPrecondition when the upload is finished or failed, and Unavailable.
        """
        self._check_usable()
        if self._finished:
            self._check_known(chunk)
            return
        if not chunk.data and not chunk.entries and not chunk.ends:
            return
        if self._claim is not None:
            missing_bytes = self._files.missing_bytes(chunk)
            await self._claim.cover(self._reached.place.bytes + missing_bytes)
        self._reached = await self._guarded(self._files.apply, chunk, written=chunk)
        await self._persist_when_far()

    async def persist(self) -> None:
        """Persist all that was received."""
        self._check_usable()
        await self._persist()

    async def finish(self, end: Place) -> FinishedTree:
        """Close the transfer, which must end at `end` with every file whole.

        Calling it again, also with another writer, gives the same answer. Raises what `write`
        raises.
        """
        self._check_usable()
        if self._finished and end != self._persisted:
            raise FailedPrecondition(
                "the upload is finished, and ended at another place", reason="UPLOAD_STATE"
            )
        if not self._finished:
            await self._guarded(self._files.check_end, end)
            await self._persist()
        await self._guarded(self._files.finish, end)
        self._finished = True
        return FinishedTree(
            root=generations.published(self._upload), entries=end.entries, bytes=end.bytes
        )

    async def close(self) -> None:
        """Persist what was received and leave. Calling it twice does nothing."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name=f"close {self._upload.name}")
        await asyncio.shield(self._closing)

    async def supersede(self, refusal: AppEngineError) -> None:
        """Leave to another writer; from now on every call here raises `refusal`."""
        if self._refusal is None:
            self._refusal = refusal
        await self.close()

    async def _close(self) -> None:
        self._timer.cancel()
        await asyncio.gather(self._timer, return_exceptions=True)
        await self._wait_for_threads()
        try:
            if not (self._finished or self._dropped or self._files.torn):
                self._reached = self._files.reached()
                await self._persist()
                await self._guarded(self._files.sync_records)
        except AppEngineError as error:
            self._refusal = self._refusal or error
        finally:
            self._refusal = self._refusal or _closed()
            await asyncio.to_thread(self._files.close)

    def _check_usable(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        if self._closing is not None:
            raise _closed()

    def _check_known(self, chunk: Chunk) -> None:
        end = self._persisted
        if (
            chunk.place.bytes + len(chunk.data) > end.bytes
            or chunk.place.entries + len(chunk.entries) > end.entries
        ):
            raise FailedPrecondition("the upload is finished", reason="UPLOAD_STATE")

    async def _persist_when_far(self) -> None:
        ahead = self._reached.place.bytes - self._persisted.bytes
        if ahead >= self._limits.persist_bytes:
            await self._persist()

    async def _persist_in_time(self) -> None:
        due = self._limits.persist_seconds * _DUE
        while True:
            left = self._persisted_at + due - time.monotonic()
            await asyncio.sleep(max(left, due / 2) + 0.002)  # uvloop may wake us 1 ms too early
            try:
                if self._finished:
                    continue
                await self._guarded(self._files.check_newest)
                now = time.monotonic()
                if now - self._persisted_at >= due:
                    await self._persist()
                if now - self._settled_at >= due:
                    await self._guarded(self._files.sync_records)
                    self._settled_at = now
            except AppEngineError:
                # Told by the next call. Leaving at once frees the lock for who took over.
                self._closing = asyncio.create_task(self._close(), name="close")
                return

    async def _persist(self) -> None:
        async with self._persisting:
            reached = self._reached
            if reached.place == self._persisted:
                return
            begun_at = time.monotonic()
            await self._guarded(self._files.persist, reached)
            self._persisted, self._persisted_at = reached.place, begun_at

    async def _guarded(
        self, work: Callable[..., T], *args: object, written: Chunk | None = None
    ) -> T:
        """Run `work` in a thread; remember what makes this writer useless."""
        if self._dropped and self._refusal is not None:
            raise self._refusal
        try:
            return await self._in_thread(work, *args)
        except OSError as error:
            needed_bytes = self._files.missing_bytes(written)
            refusal = from_os_error(error, folder=self._upload, needed_bytes=needed_bytes)
            whole = self._reached if written is not None else None
            await self._drop(refusal, self._files.roll_back, whole)
            raise refusal from error
        except InvalidArgument as error:
            await self._drop(error, self._files.fail, error.message)
            raise
        except (UploadTaken, NotFound) as error:
            self._refusal = self._refusal or error
            raise

    async def _drop(
        self, refusal: AppEngineError, clean_up: Callable[..., None], *args: object
    ) -> None:
        """Give bytes back. No other thread may write or record meanwhile, nor later."""
        if self._dropped:
            return
        self._dropped = True
        self._refusal = self._refusal or refusal
        await self._wait_for_threads()
        with suppress(OSError):  # the next writer, or the sweep, does the same again
            await self._in_thread(clean_up, *args)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        """A cancelled caller does not wait, but `close` does: the thread cannot be stopped."""
        future = asyncio.get_running_loop().run_in_executor(None, work, *args)
        self._running.add(future)  # type: ignore[arg-type]  # a set of futures of anything
        future.add_done_callback(self._thread_ended)
        return await asyncio.shield(future)

    def _thread_ended(self, future: asyncio.Future[T]) -> None:
        self._running.discard(future)
        if not future.cancelled():
            future.exception()  # nobody may be left to hear of it

    async def _wait_for_threads(self) -> None:
        while self._running:
            await asyncio.wait(self._running)


def _closed() -> FailedPrecondition:
    return FailedPrecondition("this writer of the upload is closed", reason="UPLOAD_STATE")
