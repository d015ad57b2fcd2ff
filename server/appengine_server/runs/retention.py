"""Sweeps away what is kept no longer: by itself from time to time, or once for an administrator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from appengine_server.database import agents, runs, tasks, uploads
from appengine_server.database.pool import Database
from appengine_server.errors import Unavailable
from appengine_server.metrics import RetentionMetrics
from appengine_server.runs.sweeps import (
    ExpiredUploads,
    FailedAttempts,
    FinishedRuns,
    OrphanedAttempts,
    OrphanedFolders,
    OrphanedImages,
    SomeLeft,
    Sweep,
)
from appengine_server.scheduling.scheduler import Scheduler, SchedulerUnavailable
from appengine_server.settings import RetentionSettings
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.kept_images import KeptImages

log = structlog.get_logger(__name__)

_TOKENS_KNOWN = timedelta(days=1)
"""An agent that outlives its run for less is told that it is stale, and not that it is unknown."""

_NAMED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was removed of one kind, or would be."""

    kind: str
    count: int
    names: Sequence[str]
    """The first of them."""
    left: str = ""
    """Why there may be more that could not be removed now."""


class Retention:
    """Sweeps from time to time. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        scheduler: Scheduler,
        images: KeptImages,
        upload_bytes: Uploads,
        settings: RetentionSettings,
        metrics: RetentionMetrics,
        effects_added: Callable[[], None],
    ) -> None:
        self._database = database
        self._layout = layout
        self._scheduler = scheduler
        self._images = images
        self._upload_bytes = upload_bytes
        self._settings = settings
        self._metrics = metrics
        self._effects_added = effects_added
        self._told_left: dict[str, str] = {}

    async def sweep_forever(self) -> None:
        """Sweep at the start and then at intervals; a job."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, SchedulerUnavailable) as error:
                log.warning("sweep.postponed", error=str(error))
            await asyncio.sleep(self._settings.interval.total_seconds())

    async def sweep(self) -> Sequence[Swept]:
        """Sweep once. Raises Unavailable and SchedulerUnavailable; what was swept stays so."""
        done = [await self._sweep(one) for one in self._sweeps()]
        async with self._database.connection() as connection:
            await agents.sweep_tokens(connection, unused_for=_TOKENS_KNOWN)
        return done

    async def look(self) -> Sequence[Swept]:
        """What a sweep would remove now; changes nothing. Raises as `sweep`."""
        seen = [(one.name, await one.look()) for one in self._sweeps()]
        return [
            Swept(kind=kind, count=there.count, names=there.names, left=there.left)
            for kind, there in seen
        ]

    async def _sweep(self, sweep: Sweep) -> Swept:
        count, names, left = 0, [], ""
        try:
            async for name in sweep.sweep():
                log.info("sweep.removed", kind=sweep.name, name=name)
                self._metrics.swept(sweep.name)
                count += 1
                if count <= _NAMED:
                    names.append(name)
        except SomeLeft as error:
            left = str(error)
        self._tell_left(sweep.name, left)
        return Swept(kind=sweep.name, count=count, names=names, left=left)

    def _tell_left(self, kind: str, why: str) -> None:
        """Warn of what could not be removed, once and not with every sweep."""
        if why and why != self._told_left.get(kind):
            log.warning("sweep.left", kind=kind, why=why)
        self._told_left[kind] = why

    def _sweeps(self) -> Iterator[Sweep]:
        """All kinds, in the order in which they are swept."""
        database, layout, given = self._database, self._layout, self._settings
        if given.finished_runs is not None:
            yield FinishedRuns(database, layout, given.finished_runs, self._effects_added)
        if given.failed_attempts is not None:
            yield FailedAttempts(database, layout, given.failed_attempts)
        yield ExpiredUploads(database, layout, self._upload_bytes)
        yield OrphanedFolders(
            "uploads", database=database, names=self._upload_bytes.list_ids, path=layout.upload,
            existing=uploads.existing, remove=self._upload_bytes.remove, older_than=given.orphans,
        )  # fmt: skip
        yield OrphanedFolders(
            "tasks", database=database, path=layout.task, existing=tasks.existing,
            names=lambda: asyncio.to_thread(lambda: list(layout.task_ids())),
            remove=lambda name: asyncio.to_thread(layout.remove_task, name),
            older_than=given.orphans,
        )  # fmt: skip
        yield OrphanedFolders(
            "runs", database=database, path=layout.run, existing=runs.existing,
            names=lambda: asyncio.to_thread(lambda: list(layout.run_ids())),
            remove=lambda name: asyncio.to_thread(layout.remove_run, name),
            older_than=given.orphans,
        )  # fmt: skip
        yield OrphanedAttempts(database, self._scheduler)
        yield OrphanedImages(self._images, given.orphans)
