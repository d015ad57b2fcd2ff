"""Sweeps away what nobody needs: expired uploads, and files and attempts without a row."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import structlog

from appengine_server.database import agents, attempts, runs, tasks, uploads
from appengine_server.database.pool import Database
from appengine_server.errors import Unavailable
from appengine_server.scheduling.scheduler import Scheduler, SchedulerUnavailable
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.uploads import Uploads

log = structlog.get_logger(__name__)

_AT_ONCE = 500
_YOUNG = timedelta(hours=1)
"""Files are made before their row: younger ones without a row may still get it."""

_TOKENS_KNOWN = timedelta(days=1)
"""An agent that outlives its run for less is told that it is stale, and not that it is unknown."""


class Retention:
    """Sweeps from time to time. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        scheduler: Scheduler,
        upload_bytes: Uploads,
        interval: timedelta = timedelta(minutes=5),
    ) -> None:
        self._database = database
        self._layout = layout
        self._scheduler = scheduler
        self._upload_bytes = upload_bytes
        self._interval = interval

    async def sweep_forever(self) -> None:
        """Sweep at the start and then at intervals; a job."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, SchedulerUnavailable) as error:
                log.warning("sweep.postponed", error=str(error))
            await asyncio.sleep(self._interval.total_seconds())

    async def sweep(self) -> None:
        """Sweep once."""
        await self._expired_uploads()
        await self._orphaned_uploads()
        await self._orphaned_tasks()
        await self._orphaned_runs()
        await self._orphaned_attempts()
        async with self._database.connection() as connection:
            await agents.sweep_tokens(connection, unused_for=_TOKENS_KNOWN)

    async def _expired_uploads(self) -> None:
        while True:
            async with self._database.transaction() as connection:
                expired = await uploads.take_expired(connection, limit=_AT_ONCE)
            for upload in expired:
                await self._upload_bytes.remove(str(upload.id))
                if upload.unfinished_run_id is not None:  # moved by a server that died just then
                    await asyncio.to_thread(
                        self._layout.remove_uploaded, upload.unfinished_run_id, upload.id
                    )
            if len(expired) < _AT_ONCE:
                return

    async def _orphaned_uploads(self) -> None:
        found = await self._upload_bytes.list_ids()
        old = {name for name in found if _is_old(self._layout.upload(name))}
        async with self._database.connection() as connection:
            needed = await uploads.existing(connection, _ids(old))
        for name in old - {str(upload_id) for upload_id in needed}:
            log.info("sweep.upload", upload=name)
            await self._upload_bytes.remove(name)

    async def _orphaned_tasks(self) -> None:
        old = await asyncio.to_thread(
            lambda: {i for i in self._layout.task_ids() if _is_old(self._layout.task(i))}
        )
        async with self._database.connection() as connection:
            needed = await tasks.existing(connection, _ids(old))
        for name in old - {str(task_id) for task_id in needed}:
            log.info("sweep.task", task=name)
            await asyncio.to_thread(self._layout.remove_task, name)

    async def _orphaned_runs(self) -> None:
        old = await asyncio.to_thread(
            lambda: {i for i in self._layout.run_ids() if _is_old(self._layout.run(i))}
        )
        async with self._database.connection() as connection:
            needed = await runs.existing(connection, _ids(old))
        for name in old - {str(run_id) for run_id in needed}:
            log.info("sweep.run", run=name)
            await asyncio.to_thread(self._layout.remove_run, name)

    async def _orphaned_attempts(self) -> None:
        """Containers or Jobs that nobody waits for: made by a server that died just then."""
        found = {(ref.run_id, ref.number): ref for ref in await self._scheduler.list_attempts()}
        async with self._database.connection() as connection:
            awaited = await attempts.awaited(connection, found)
        for key in set(found) - awaited:
            log.info("sweep.attempt", attempt=found[key].name)
            await self._scheduler.delete(found[key])


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _YOUNG.total_seconds()
    except FileNotFoundError:
        return False


def _ids(names: set[str]) -> list[UUID]:
    found = []
    for name in names:
        try:
            found.append(UUID(name))
        except ValueError:
            continue
    return found
