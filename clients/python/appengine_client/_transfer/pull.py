"""Fetches a resource into a folder: one generic loop over state without I/O."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appengine_client._rpc.retries import Patience, is_resumable
from appengine_client._transfer.allocator import suit_transfers
from appengine_client._transfer.notes import Notes, read_notes
from appengine_client._transfer.parts import Parts, take_parts
from appengine_client._transfer.places import Place
from appengine_client._transfer.push import OnProgress, Progress
from appengine_client._transfer.source import LinkRule, link_stays_inside
from appengine_client._transfer.writer import TreeWriter
from appengine_client.errors import (
    AppEngineError,
    CutTransfer,
    FailedPrecondition,
    LocalFileError,
)

_MAX_RESTARTS = 3
"""How often a download begins anew because the content has changed meanwhile."""


class DownloadRemote(Protocol):
    """The server's side of one download."""

    def fetch(self, place: Place, etag: str) -> AsyncGenerator[bytes, None]:
        """The serialised DownloadResponses from this place on, on one stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a pull brought."""

    names: Sequence[str]
    """The entries that are new in the target folder, sorted."""
    total_bytes: int
    file_count: int
    etag: str


@dataclass(slots=True, kw_only=True)
class Pull:
    """One resource on its way into one local folder, which is made when it is missing."""

    remote: DownloadRemote
    target: Path
    patience: Patience
    on_progress: OnProgress | None = None
    name: str = ""
    """Of the parts: after a kill, or where nothing came any more, they stay, and a pull with this
    name goes on with them."""
    link_rule: LinkRule = link_stays_inside

    async def run(self) -> Fetched:
        """Fetch everything beside its final place, check it, and move it there.

        What has the same name in the target is replaced. Nothing is in the target before all has
        arrived. Raises the last error once nothing has come for as long as `patience` allows.
        """
        suit_transfers()
        # In the target itself: it may be a mount, and only there a rename is atomic.
        parts = await asyncio.to_thread(take_parts, self.target, self.name)
        is_worth_keeping = False
        try:
            return await self._fetch_into(parts)
        except AppEngineError as error:
            is_worth_keeping = bool(self.name) and is_resumable(error)
            raise
        finally:
            await asyncio.to_thread(parts.leave, keep=is_worth_keeping)

    async def _fetch_into(self, parts: Parts) -> Fetched:
        for restart in range(_MAX_RESTARTS + 1):
            writer = await asyncio.to_thread(self._open, parts, go_on=restart == 0)
            try:
                await self._receive(writer)
                break
            except FailedPrecondition as error:
                if error.reason != "ETAG" or restart == _MAX_RESTARTS:
                    raise
            finally:
                writer.close()
        return await asyncio.to_thread(_place, writer, parts, self.target)

    def _open(self, parts: Parts, *, go_on: bool) -> TreeWriter:
        """A writer into the parts: where a killed one was, or at the beginning."""
        noted = read_notes(parts.notes) if self.name and go_on else None
        if noted is None:
            parts.make_empty()
        kept = Notes(parts.notes) if self.name else None
        writer = TreeWriter(parts.new, kept, link_rule=self.link_rule)
        if noted is not None and not writer.go_on(noted):
            writer.close()
            return self._open(parts, go_on=False)
        return writer

    async def _receive(self, writer: TreeWriter) -> None:
        while True:
            before = writer.state.place
            try:
                await self._receive_stream(writer)
                if writer.state.is_complete:
                    return writer.finish()
                raise CutTransfer("the download ended before its end")
            except AppEngineError as refusal:
                error = refusal
            if writer.state.place != before:
                self.patience.progressed()
            if is_resumable(error):
                self._report(writer, waiting_because=error.message)
            await self.patience.wait(error)

    async def _receive_stream(self, writer: TreeWriter) -> None:
        """Write what one stream brings; while a message is written, the next one arrives."""
        state = writer.state
        loop = asyncio.get_running_loop()
        writing: asyncio.Future[None] | None = None
        try:
            async with aclosing(self.remote.fetch(state.place, state.etag)) as messages:
                async for message in messages:
                    if writing is not None:
                        await asyncio.shield(writing)  # whoever is cancelled waits for it below
                        self._report(writer)
                    writing = loop.run_in_executor(None, writer.apply, message)
        finally:
            if writing is not None:  # the thread must be done before the place is read
                await asyncio.wait({writing})
        if writing is not None:
            await writing
        self._report(writer)

    def _report(self, writer: TreeWriter, *, waiting_because: str = "") -> None:
        if self.on_progress is not None:
            end = writer.state.end or Place()
            self.on_progress(
                Progress(
                    done_bytes=writer.state.place.bytes,
                    total_bytes=end.bytes,
                    done_files=writer.state.place.entries,
                    total_files=end.entries,
                    waiting_because=waiting_because,
                )
            )


def _place(writer: TreeWriter, parts: Parts, target: Path) -> Fetched:
    names = sorted(os.listdir(writer.folder))
    for name in names:
        try:
            if os.path.lexists(target / name):
                os.rename(target / name, parts.old / name)
            os.rename(writer.folder / name, target / name)
        except OSError as error:
            raise LocalFileError(
                f"{target / name} cannot be replaced: {error.strerror or error}"
            ) from error
    return Fetched(
        names=names,
        total_bytes=writer.state.place.bytes,
        file_count=writer.file_count,
        etag=writer.state.etag,
    )
