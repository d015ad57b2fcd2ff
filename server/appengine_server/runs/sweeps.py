"""What is kept no longer, kind by kind: each can be looked at, and swept.

Rows go first and files follow. A server that dies in between leaves files without a row, which are
orphans and have a kind of their own: so nothing is forgotten, and nothing has to be undone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from appengine_server.database import attempts, outbox, retention, tasks, uploads
from appengine_server.database.pool import Connection, Database
from appengine_server.runs.pace import Pace
from appengine_server.scheduling.images import ImageInUse, ImageStays
from appengine_server.scheduling.scheduler import AttemptRef, Scheduler, SchedulerUnavailable
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.tasks import REMOVE_TASK

T = TypeVar("T")

_SHOWN = 1000
_FOLDERS_AT_ONCE = 500
_MOST_REFUSED = 10
"""Images that a registry does not remove, in one sweep: it mostly says so to all of them."""


class SomeLeft(Exception):
    """Why a kind was not swept to its end. The next sweep goes on; other kinds do not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What there is of one kind now."""

    count: int
    names: Sequence[str]
    """The first of them at least."""
    left: str = ""
    """Why there may be more."""


class Sweep(Protocol):
    """One kind of thing that is kept no longer."""

    name: str

    async def look(self) -> Seen:
        """What a sweep would remove now."""

    def sweep(self) -> AsyncIterator[str]:
        """Remove them, and give the name of each. May raise SomeLeft in the end."""


class FinishedRuns:
    """Runs that ended long ago, with all that is of them."""

    name = "finished runs"

    def __init__(
        self,
        database: Database,
        layout: StorageLayout,
        older_than: timedelta,
        effects_added: Callable[[], None],
    ) -> None:
        self._database = database
        self._layout = layout
        self._older_than = older_than
        self._effects_added = effects_added

    async def look(self) -> Seen:
        """How many there are now, and the oldest of them."""
        older_than = self._older_than
        async with self._database.connection() as connection:
            count = await retention.count_ended_runs(connection, older_than=older_than)
            found = await retention.ended_runs(connection, older_than=older_than, limit=_SHOWN)
        return Seen(count=count, names=[str(run_id) for run_id in found])

    async def sweep(self) -> AsyncIterator[str]:
        """Remove them, oldest first."""
        pace = Pace()
        while True:
            began, limit = time.monotonic(), pace.limit
            async with self._database.transaction() as connection:
                gone = await retention.take_ended_runs(
                    connection, older_than=self._older_than, limit=limit
                )
                of_deleted = await self._forget_tasks(connection, {run.task_id for run in gone})
            seconds = time.monotonic() - began
            if of_deleted:
                self._effects_added()
            for run in gone:
                await asyncio.to_thread(self._layout.remove_run, run.id)
                yield str(run.id)
            if not gone:
                return
            await pace.rest(seconds)

    @staticmethod
    async def _forget_tasks(connection: Connection, task_ids: Collection[UUID]) -> bool:
        """A task that was deleted goes with the last of its runs, which may be one of these."""
        deleting = [one for one in task_ids if await tasks.is_deleting(connection, one)]
        for task_id in deleting:
            await outbox.add(connection, REMOVE_TASK, {"task_id": str(task_id)})
        return bool(deleting)


class FailedAttempts:
    """Outputs of attempts that are not the result of their run, which ended long ago.

    Their logs stay, and what is known of them.
    """

    name = "files of failed attempts"

    def __init__(self, database: Database, layout: StorageLayout, older_than: timedelta) -> None:
        self._database = database
        self._layout = layout
        self._older_than = older_than

    async def look(self) -> Seen:
        """How many attempts there are like that, and the oldest of them."""
        older_than = self._older_than
        async with self._database.connection() as connection:
            count = await retention.count_unswept_attempts(connection, older_than=older_than)
            found = await retention.unswept_attempts(
                connection, older_than=older_than, limit=_SHOWN
            )
        names = [f"{run.id}/{number}" for run in found for number in run.failed_attempts]
        return Seen(count=count, names=names)

    async def sweep(self) -> AsyncIterator[str]:
        """Remove their files first: what is marked has none."""
        pace = Pace()
        while True:
            async with self._database.connection() as connection:
                found = await retention.unswept_attempts(
                    connection, older_than=self._older_than, limit=pace.limit
                )
            for run in found:
                for number in run.failed_attempts:
                    await asyncio.to_thread(self._layout.empty_attempt, run.id, number)
                    yield f"{run.id}/{number}"
            if not found:
                return
            began = time.monotonic()
            async with self._database.connection() as connection:
                await retention.set_attempts_swept(connection, [run.id for run in found])
            await pace.rest(time.monotonic() - began)


class ExpiredUploads:
    """Uploads that nobody went on with, and rows of finished ones that are of no more use."""

    name = "expired uploads"

    def __init__(self, database: Database, layout: StorageLayout, upload_bytes: Uploads) -> None:
        self._database = database
        self._layout = layout
        self._upload_bytes = upload_bytes

    async def look(self) -> Seen:
        """How many there are now, and the first of them."""
        async with self._database.connection() as connection:
            found = await uploads.expired(connection)
        return Seen(count=len(found), names=[str(one) for one in found[:_SHOWN]])

    async def sweep(self) -> AsyncIterator[str]:
        """Remove them."""
        pace = Pace()
        while True:
            began, limit = time.monotonic(), pace.limit
            async with self._database.transaction() as connection:
                expired = await uploads.take_expired(connection, limit=limit)
            seconds = time.monotonic() - began
            for upload in expired:
                await self._upload_bytes.remove(str(upload.id))
                if upload.unfinished_run_id is not None:  # moved by a server that died just then
                    await asyncio.to_thread(
                        self._layout.remove_uploaded, upload.unfinished_run_id, upload.id
                    )
                yield str(upload.id)
            if not expired:
                return
            await pace.rest(seconds)


Existing = Callable[[Connection, Collection[UUID]], Awaitable[set[UUID]]]


class OrphanedFolders:
    """Folders without a row: of servers that died between both."""

    def __init__(
        self,
        kind: str,
        *,
        database: Database,
        names: Callable[[], Awaitable[Iterable[str]]],
        path: Callable[[str], Path],
        existing: Existing,
        remove: Callable[[str], Awaitable[None]],
        older_than: timedelta,
    ) -> None:
        self.name = f"orphaned folders of {kind}"
        self._database = database
        self._names = names
        self._path = path
        self._existing = existing
        self._remove = remove
        self._older_than = older_than

    async def look(self) -> Seen:
        """All of them."""
        names = [name async for name in self._orphans()]
        return Seen(count=len(names), names=names)

    async def _orphans(self) -> AsyncIterator[str]:
        for names in _batches(await self._names(), _FOLDERS_AT_ONCE):
            ids = _ids(names)
            async with self._database.connection() as connection:
                needed = {str(one) for one in await self._existing(connection, ids.values())}
            # Files are made before their row: younger ones may still get it.
            without = [name for name, one in ids.items() if str(one) not in needed]
            for name in await asyncio.to_thread(self._old, without):
                yield name

    async def sweep(self) -> AsyncIterator[str]:
        """Remove them."""
        async for name in self._orphans():
            await self._remove(name)
            yield name

    def _old(self, names: list[str]) -> list[str]:
        return [name for name in names if _is_older(self._path(name), self._older_than)]


class OrphanedAttempts:
    """Containers or Jobs that nobody waits for: made by a server that died just then."""

    name = "orphaned containers and Jobs"

    def __init__(self, database: Database, scheduler: Scheduler) -> None:
        self._database = database
        self._scheduler = scheduler

    async def look(self) -> Seen:
        """All of them."""
        names = [ref.name for ref in await self._orphans()]
        return Seen(count=len(names), names=names)

    async def sweep(self) -> AsyncIterator[str]:
        """Remove them."""
        for ref in await self._orphans():
            await self._scheduler.delete(ref)
            yield ref.name

    async def _orphans(self) -> list[AttemptRef]:
        found = {(ref.run_id, ref.number): ref for ref in await self._scheduler.list_attempts()}
        async with self._database.connection() as connection:
            awaited = await attempts.awaited(connection, found)
        return [ref for key, ref in found.items() if key not in awaited]


class OrphanedImages:
    """Images of tasks that failed or are gone: of servers that died or a registry that was away."""

    name = "orphaned images"

    def __init__(self, images: KeptImages, older_than: timedelta) -> None:
        self._images = images
        self._older_than = older_than

    async def look(self) -> Seen:
        """All of them that are there, as far as their places tell."""
        names, left = [], ""
        try:
            for image in await self._images.orphans(self._older_than):
                if await self._images.is_there(image):
                    names.append(image.name)
        except (ImageStays, SchedulerUnavailable) as error:
            left = str(error)
        return Seen(count=len(names), names=names, left=left)

    async def sweep(self) -> AsyncIterator[str]:
        """Remove them, as far as their places do so now."""
        left: list[str] = []
        for image in await self._images.orphans(self._older_than):
            try:
                if await self._images.remove(image):
                    yield image.name
            except (ImageStays, ImageInUse) as error:
                left.append(str(error))
                if len(left) == _MOST_REFUSED:
                    break
            except SchedulerUnavailable as error:
                left.append(str(error))
                break
        if left:
            raise SomeLeft(left[-1])


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _is_older(path: Path, age: timedelta) -> bool:
    try:
        return time.time() - path.stat().st_mtime > age.total_seconds()
    except FileNotFoundError:
        return False


def _ids(names: Iterable[str]) -> dict[str, UUID]:
    found = {}
    for name in names:
        try:
            found[name] = UUID(name)
        except ValueError:
            continue
    return found
