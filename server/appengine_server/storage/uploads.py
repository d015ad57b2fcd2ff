"""Uploads: bytes that arrive in pieces, from writers that come and go.

What an upload is for, whose it is and when it expires stands in the database; here are its bytes
alone. `generations` says how a writer is kept from harming another one's bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from appengine_server.errors import AppEngineError, FailedPrecondition, NotFound
from appengine_server.storage import generations
from appengine_server.storage.beneath import remove_tree, sync_folder
from appengine_server.storage.layout import Id, StorageLayout
from appengine_server.storage.limits import Claim, UploadLimits
from appengine_server.storage.quota import FreeSpace, no_raw_os_errors
from appengine_server.storage.sequence import too_much
from appengine_server.storage.tree import Place
from appengine_server.storage.upload_files import UploadFiles
from appengine_server.storage.writer import FinishedTree, UploadWriter

T = TypeVar("T")

_REMOVED = ".removed"  # no id ends so


class Uploads:
    """All uploads of a storage. One object per process; several processes may share the storage.

    An upload stays, finished or not, until `remove` drops it: whoever committed its tree removes
    it once that is recorded.
    """

    def __init__(self, layout: StorageLayout, limits: UploadLimits, free_space: FreeSpace) -> None:
        self._layout = layout
        self.limits = limits
        self._free_space = free_space
        self._writers: dict[str, UploadWriter] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._written_here: dict[str, Place] = {}

    async def create(self, upload_id: Id, *, expected_bytes: int = 0) -> None:
        """Make room for an upload. Calling it again with the same id changes nothing.

        Raises ResourceExhausted (DISK_LOW, UPLOAD_TOO_LARGE).
        """
        await self._in_thread(self._create, self._layout.upload(upload_id), expected_bytes)

    async def make(self, upload_id: Id) -> None:
        """Make an upload of what runs already: it may use what the low-water mark kept back."""
        await self._in_thread(self._make, self._layout.upload(upload_id))

    async def place(self, upload_id: Id) -> Place:
        """What of an upload survives a crash: it never shrinks.

        Raises NotFound, and FailedPrecondition when the upload has failed.
        """
        return await self._in_thread(self._place, self._layout.upload(upload_id))

    async def flush(self, upload_id: Id) -> None:
        """Persist what was received here until now, so that who asks `place` next sends less again.

        The stream of who asks may be cut without our knowledge, and its writer still be at work.
        """
        writer = self._writers.get(self._layout.upload(upload_id).name)
        if writer is None:
            return
        try:
            await writer.persist()
        except AppEngineError:  # it is leaving, and persists at that what it can
            await writer.close()

    @asynccontextmanager
    async def open_writer(
        self,
        upload_id: Id,
        writer_id: str,
        *,
        limits: UploadLimits | None = None,
        claim: Claim | None = None,
    ) -> AsyncIterator[UploadWriter]:
        """Write an upload. The newest writer wins: an older one's next call raises UploadTaken.

        `limits` are those of this upload where they are not the usual ones; `claim` is asked
        before it grows beyond what was announced.
        The same `writer_id` may come back, one that was superseded may not (UploadTaken). Raises
        NotFound, DataLoss, Unavailable, and FailedPrecondition when the upload has failed.
        """
        upload = self._layout.upload(upload_id)
        writer = await self._take_over(upload, writer_id, limits or self.limits, claim)
        try:
            yield writer
        finally:
            await writer.close()
            self._written_here[upload.name] = writer.persisted
            if self._writers.get(upload.name) is writer:
                del self._writers[upload.name]

    async def finished(self, upload_id: Id) -> FinishedTree | None:
        """The tree of a finished upload, which may have been committed since; None before."""
        upload = self._layout.upload(upload_id)
        state = await self._in_thread(generations.read_state, upload)
        if not state.finished:
            return None
        return FinishedTree(
            root=generations.published(upload), entries=state.place.entries, bytes=state.place.bytes
        )

    async def salvage(self, upload_id: Id) -> Path | None:
        """The whole files of an upload that nobody will finish; None where there are none.

        Only `remove` may follow, once they were moved elsewhere. Raises NotFound, DataLoss.
        """
        upload = self._layout.upload(upload_id)
        await self._stop(upload, generations.taken())
        return await self._in_thread(
            generations.salvage, upload, str(uuid4()), self.limits.takeover_seconds
        )

    async def fail(self, upload_id: Id, message: str) -> None:
        """Drop the bytes of an upload that turned out wrong; later calls say `message`.

        Raises NotFound.
        """
        upload = self._layout.upload(upload_id)
        await self._stop(upload, FailedPrecondition(message, reason="UPLOAD_STATE"))
        await self._in_thread(generations.fail, upload, message)

    async def remove(self, upload_id: Id) -> None:
        """Drop an upload with all its bytes. No such upload is fine."""
        upload = self._layout.upload(upload_id)
        await self._stop(upload, NotFound("this upload was cancelled or has expired"))
        self._written_here.pop(upload.name, None)
        self._opening.pop(upload.name, None)
        await self._in_thread(self._remove, upload)

    async def list_ids(self) -> frozenset[str]:
        """Every upload that has bytes here, also half-removed ones: `remove` ends those."""
        return await self._in_thread(self._list_ids)

    async def close(self) -> None:
        """Persist and close every open writer."""
        for writer in list(self._writers.values()):
            await writer.close()

    async def _take_over(
        self, upload: Path, writer_id: str, limits: UploadLimits, claim: Claim | None
    ) -> UploadWriter:
        async with self._opening.setdefault(upload.name, asyncio.Lock()):
            await self._in_thread(self._check_writer, upload, writer_id)
            await self._stop(upload, generations.taken())
            known = self._written_here.get(upload.name)
            opening = asyncio.ensure_future(
                self._in_thread(self._open_files, upload, writer_id, known, limits)
            )
            try:
                files, finished = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_close_unwanted)
                raise
            writer = UploadWriter(upload, files, limits, finished=finished, claim=claim)
            self._writers[upload.name] = writer
            return writer

    async def _stop(self, upload: Path, refusal: AppEngineError) -> None:
        writer = self._writers.pop(upload.name, None)
        if writer is not None:
            await writer.supersede(refusal)
            self._written_here[upload.name] = writer.persisted

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        with no_raw_os_errors(self._layout.base):
            return await asyncio.to_thread(work, *args)

    def _create(self, upload: Path, expected_bytes: int) -> None:
        if upload.exists():
            return
        if expected_bytes > self.limits.total_bytes:
            raise too_much("bytes", self.limits.total_bytes)
        self._free_space.check(expected_bytes)
        self._make(upload)

    def _make(self, upload: Path) -> None:
        upload.mkdir(mode=0o700, exist_ok=True)
        sync_folder(upload.parent)

    def _place(self, upload: Path) -> Place:
        generations.check_not_failed(upload)
        return generations.read_state(upload).place

    def _check_writer(self, upload: Path, writer_id: str) -> None:
        generations.check_not_failed(upload)
        generations.check_writer(upload, writer_id)

    def _open_files(
        self, upload: Path, writer_id: str, known: Place | None, limits: UploadLimits
    ) -> tuple[UploadFiles, bool]:
        held = generations.take(
            upload, writer_id=writer_id, patience_seconds=limits.takeover_seconds
        )
        files = UploadFiles(held, limits.sequence())
        try:
            if held.state.place != known:
                files.verify_open_file()  # written before this process began, or by another one
            files.announce(writer_id)
        except BaseException:
            files.close()
            raise
        return files, held.state.finished

    def _remove(self, upload: Path) -> None:
        removed = upload.with_name(upload.name + _REMOVED)
        remove_tree(removed)
        try:
            upload.rename(removed)  # at once, so that nobody opens half an upload
        except FileNotFoundError:
            return
        remove_tree(removed)

    def _list_ids(self) -> frozenset[str]:
        folder = self._layout.base / "uploads"
        return frozenset(name.name.removesuffix(_REMOVED) for name in folder.iterdir())


def _close_unwanted(opening: asyncio.Future[tuple[UploadFiles, bool]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()
