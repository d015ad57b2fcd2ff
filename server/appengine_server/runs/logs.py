"""The logs of tasks: collected while they run, kept with the run, read from a byte cursor.

A log is one file. The scheduler gives the same bytes every time it is asked, and a byte is always
written at its own position: collecting twice, or going on after a crash, writes the same file.

Of a log that is too long the beginning is kept, and the end: that is where errors stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from appengine_server.bell import Bells
from appengine_server.scheduling.scheduler import AttemptRef, LogIncomplete, Scheduler
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.quota import is_full

log = structlog.get_logger(__name__)

_TAIL_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_LAST_WORDS = timedelta(seconds=20)
"""How long the scheduler may take to give the rest of a log after the task's end."""


class LogFile:
    """Writes one log, up to its limit and as far as the disk has room. Every call does file I/O."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self._path = path
        self._limit = limit_bytes
        self._seen = 0
        self._tail = bytearray()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """Take the next bytes of the log."""
        head = data[: max(0, self._limit - self._seen)]
        written = self._put(head, self._seen)
        if written < len(head):  # no room on the disk: a task does not fail for its log
            log.warning("log.disk_full", path=str(self._path), kept_bytes=self._seen + written)
            head = head[:written]
            self._limit = self._seen + written
        self._seen += len(data)
        self._tail += data[len(head) :]
        del self._tail[:-_TAIL_BYTES]

    def close(self) -> int:
        """Write the end of a log that was too long; answers the size of the file."""
        size = min(self._seen, self._limit)
        left_out = self._seen - self._limit - len(self._tail)
        try:
            if self._tail:
                marker = b"\n[... %d bytes left out ...]\n" % left_out if left_out > 0 else b""
                size += self._put(marker + bytes(self._tail), size)
        finally:
            os.close(self._descriptor)
        return size

    def _put(self, data: bytes, position: int) -> int:
        """Write as much as there is room for; answers how much that was."""
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], position + done)
        except OSError as error:
            if not is_full(error):
                raise
        return done


class Logs:
    """Collects and reads logs. Borrows everything that it is given."""

    def __init__(
        self, *, layout: StorageLayout, scheduler: Scheduler, bells: Bells, limit_bytes: int
    ) -> None:
        self._layout = layout
        self._scheduler = scheduler
        self._bells = bells
        self._limit = limit_bytes
        self._collecting: dict[AttemptRef, asyncio.Task[int]] = {}
        self._soon: dict[AttemptRef, asyncio.TimerHandle] = {}

    def follow(self, ref: AttemptRef) -> None:
        """Collect the log of a running attempt from now on; once is enough."""
        if ref not in self._collecting:
            task = asyncio.create_task(self._collect(ref), name=f"collect log {ref.name}")
            self._collecting[ref] = task
            task.add_done_callback(partial(self._collected, ref))

    def _collected(self, ref: AttemptRef, task: asyncio.Task[int]) -> None:
        """Forget what failed, so that the next who asks collects it again."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.warning("log.collecting_failed", attempt=ref.name, error=str(error))
        if self._collecting.get(ref) is task:
            del self._collecting[ref]

    def follow_soon(self, ref: AttemptRef, after: timedelta) -> None:
        """Collect the log once the attempt has run for a while, unless it ends before."""
        if ref not in self._collecting and ref not in self._soon:
            loop = asyncio.get_running_loop()
            self._soon[ref] = loop.call_later(after.total_seconds(), self._follow_now, ref)

    def _follow_now(self, ref: AttemptRef) -> None:
        del self._soon[ref]
        self.follow(ref)

    def is_collected_here(self, ref: AttemptRef) -> bool:
        """Whether its bell rings: the log of a run that another server drives grows in silence."""
        return ref in self._collecting

    async def finish(self, ref: AttemptRef) -> int:
        """Collect the rest of the log of an attempt that has ended; answers its size in bytes.

        Raises SchedulerUnavailable: try again, for the log is lost once the attempt is deleted.
        """
        if timer := self._soon.pop(ref, None):
            timer.cancel()
        self.follow(ref)
        task = self._collecting[ref]
        try:
            async with asyncio.timeout(_LAST_WORDS.total_seconds()):
                return await task
        except TimeoutError:
            log.warning("log.cut_short", attempt=ref.name)
            return await asyncio.to_thread(_size, self._layout.log(ref.run_id, ref.number))
        finally:
            self._collecting.pop(ref, None)
            self._bells.ring(log_bell(ref))

    async def close(self) -> None:
        """Stop collecting; the next server goes on."""
        for timer in self._soon.values():
            timer.cancel()
        self._soon.clear()
        for task in self._collecting.values():
            task.cancel()
        await asyncio.gather(*self._collecting.values(), return_exceptions=True)
        self._collecting.clear()

    async def _collect(self, ref: AttemptRef) -> int:
        while True:
            try:
                return await self._collect_once(ref)
            except LogIncomplete as error:
                log.warning("log.collected_again", attempt=ref.name, error=str(error))

    async def _collect_once(self, ref: AttemptRef) -> int:
        path = self._layout.log(ref.run_id, ref.number)
        try:
            file = await asyncio.to_thread(LogFile, path, self._limit)
        except FileNotFoundError:  # the run was deleted
            return 0
        try:
            async with aclosing(self._scheduler.logs(ref)) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
                    self._bells.ring(log_bell(ref))
        finally:
            size = await asyncio.shield(asyncio.to_thread(file.close))
        return size

    async def read(self, ref: AttemptRef, cursor: int) -> bytes:
        """Up to 64 KiB of a log from a position; empty at its end, or where there is none yet."""
        path = self._layout.log(ref.run_id, ref.number)
        return await asyncio.to_thread(_read, path, cursor)

    async def size(self, ref: AttemptRef) -> int:
        """Bytes of a log so far."""
        return await asyncio.to_thread(_size, self._layout.log(ref.run_id, ref.number))


def log_bell(ref: AttemptRef) -> tuple[str, AttemptRef]:
    """What rings when a log has grown or is whole."""
    return ("log", ref)


def _read(path: Path, cursor: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        if cursor >= os.fstat(descriptor).st_size:  # too far behind, reading is an error
            return b""
        return os.pread(descriptor, _PIECE_BYTES, cursor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
