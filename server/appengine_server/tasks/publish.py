"""Publishes the images of tasks in the background: PUBLISHING → READY | FAILED.

Level-triggered like the runs: whatever is PUBLISHING is claimed with a lease and a fence, and done
from the beginning; a server that dies in between only delays it. A task that FAILED keeps its row
and its reason, and no bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog
from appengine_contract.problems import ContractError, Problem

from appengine_server.database import outbox, task_images, tasks
from appengine_server.database.pool import Database
from appengine_server.database.records import TaskRecord
from appengine_server.database.task_images import TaskImage
from appengine_server.errors import AppEngineError, Unavailable
from appengine_server.faultpoints import FaultPoints
from appengine_server.problems_json import problem_json
from appengine_server.scheduling.images import NO_COMMAND, ImageRefused, ImageStore
from appengine_server.scheduling.scheduler import FailureReason, SchedulerUnavailable
from appengine_server.storage.layout import StorageLayout
from appengine_server.tasks.image_archive import inspect_image_archive
from appengine_server.tasks.image_layout import ImageArchive, ImageChoice
from appengine_server.tasks.image_user import numeric_user
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.registry import (
    TASK_ANNOTATION,
    Registry,
    push_image,
    repository_of,
    task_tag,
)
from appengine_server.tasks.skopeo import Meter
from appengine_server.tasks.tasks import REMOVE_UPLOAD, bundle_path
from appengine_server.tasks.untagged import extract_image, untagged_archive
from appengine_server.tasks.zip_archive import EntryStream, open_image_entry

log = structlog.get_logger(__name__)

_LEASE = timedelta(seconds=30)
_PROGRESS_INTERVAL_SECONDS = 1.0
_LOOK_AGAIN_SECONDS = 15.0
_TRY_AGAIN_SECONDS = 5.0

_FOLDER = "publishing."
"""Where an image is unpacked, with the fence behind it: who was overtaken has another one."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """How images are published."""

    platforms: tuple[str, ...]
    registry: Registry | None
    """None: straight into the container engine."""
    stall_limit: timedelta
    keep_free_bytes: int


@dataclass(slots=True)
class _Progress:
    """How far one task is; the passes over the archive count as one run of bytes."""

    total_bytes: int
    done_bytes: int = 0
    abandoned: bool = False
    """Nobody waits for the work any more: threads that still do it end at their next piece."""
    waits_because: str = ""
    """Why the last try to reach a registry or an engine failed."""
    noted: list[TaskImage] = field(default_factory=list)
    """What was made, or is being made."""

    def at(self, done_bytes: int) -> None:
        """Say how far the work is."""
        if self.abandoned:
            raise _Lost
        if done_bytes > self.done_bytes:
            self.done_bytes = min(done_bytes, self.total_bytes)


class _Lost(Exception):
    """Another server has the task now, or it was deleted."""


class _Stalled(Exception):
    """Nothing moved for too long."""


class Publisher:
    """Publishes one task after the other. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        images: ImageStore,
        kept: KeptImages,
        settings: PublishSettings,
        faults: FaultPoints,
    ) -> None:
        self._database = database
        self._layout = layout
        self._images = images
        self._kept = kept
        self._settings = settings
        self._faults = faults
        self._woken = asyncio.Event()
        self._owners: set[UUID] = set()

    def wake(self) -> None:
        """There may be a task to publish."""
        self._woken.set()

    async def publish_forever(self) -> None:
        """Publish whatever is to be published, one task at a time; a job.

        Several may run. Each claims tasks as an owner of its own, or they would take them from
        each other.
        """
        owner = uuid4()
        self._owners.add(owner)
        while True:
            self._woken.clear()
            try:
                while await self._publish_next(owner):
                    pass
                pause = _LOOK_AGAIN_SECONDS
            except Unavailable as error:
                log.warning("publish.database_out_of_reach", error=str(error))
                pause = 1.0
            except SchedulerUnavailable as error:
                log.warning("publish.engine_out_of_reach", error=str(error))
                pause = _TRY_AGAIN_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def release(self) -> None:
        """Let other servers go on at once: a step of a shutdown."""
        for owner in self._owners:
            await self._release(owner)

    async def _release(self, owner: UUID) -> None:
        with contextlib.suppress(Unavailable):
            async with self._database.connection() as connection:
                await tasks.release_leases(connection, owner=owner)

    async def _publish_next(self, owner: UUID) -> bool:
        async with self._database.transaction() as connection:
            claimed = await tasks.claim_publishing(connection, owner=owner, lease=_LEASE)
        if claimed is None:
            return False
        with structlog.contextvars.bound_contextvars(task=str(claimed.task.id)):
            try:
                await self._publish(claimed.task, claimed.fence)
            except (Unavailable, SchedulerUnavailable):
                await self._release(owner)
                raise
        return True

    async def _publish(self, task: TaskRecord, fence: int) -> None:
        progress = _Progress(total_bytes=2 * task.total_bytes)
        try:
            image, user = await self._watched(task, fence, progress)
        except _Lost:
            await self._note_again(progress)
        except ImageRefused as refusal:
            await self._fail(task, fence, _problem(refusal.reason.value, refusal.message))
        except ContractError as refusal:
            await self._fail(task, fence, *refusal.problems)
        except _Stalled:
            limit = int(self._settings.stall_limit.total_seconds())
            why = f" ({progress.waits_because})" if progress.waits_because else ""
            await self._fail(task, fence, _problem(
                "TIMEOUT", f"Publishing the image made no progress for {limit} seconds{why}: "
                "upload the task again, or ask the administrator to look at the registry.",
            ))  # fmt: skip
        except (Unavailable, SchedulerUnavailable):
            raise
        except AppEngineError as refusal:
            await self._fail(task, fence, _problem(refusal.reason, refusal.message))
        except Exception:
            log.exception("publish.failed")
            await self._fail(task, fence, _problem(
                "ENGINE", "The engine failed while it published the image: "
                "ask the administrator to look at its log."))  # fmt: skip
        else:
            await self._faults.reach("publish.before_ready")
            await self._finish(task, fence, progress, image, user)

    async def _finish(
        self, task: TaskRecord, fence: int, progress: _Progress, image: str, user: str | None
    ) -> None:
        async with self._database.transaction() as connection:
            goes = await task_images.is_going(connection, task.id, image)
            ready = not goes and await tasks.set_ready(
                connection, task.id, fence=fence, image=image, user=user
            )
            if ready:
                await _drop_upload(connection, task)
        if ready:
            log.info("publish.ready", image=image)
        elif goes:
            await self._fail(task, fence, _problem(
                FailureReason.IMAGE_PULL.value, f"the image {image} was made for another task and "
                "is removed with it: push it under a name of your own, or upload the task",
            ))  # fmt: skip
        else:
            await self._note_again(progress)

    async def _note_again(self, progress: _Progress) -> None:
        """Another server has the task, or it is gone: what was made late may be noted no more."""
        log.info("publish.lost")
        for image in progress.noted:
            await self._kept.note(image)

    async def _watched(
        self, task: TaskRecord, fence: int, progress: _Progress
    ) -> tuple[str, str | None]:
        """Publish, while progress is recorded and a stall ends it."""
        work = asyncio.create_task(self._image_of(task, fence, progress), name=f"publish {task.id}")
        try:
            await self._record(task, fence, progress, work)
            return await work
        finally:
            progress.abandoned = True
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _record(
        self, task: TaskRecord, fence: int, progress: _Progress, work: asyncio.Task[Any]
    ) -> None:
        recorded, still = -1, 0.0
        while not work.done():
            done = progress.done_bytes // 2
            still = 0.0 if progress.done_bytes != recorded else still + _PROGRESS_INTERVAL_SECONDS
            if still > self._settings.stall_limit.total_seconds():
                raise _Stalled
            recorded = progress.done_bytes
            async with self._database.connection() as connection:
                ours = await tasks.set_progress(
                    connection, task.id, fence=fence, done_bytes=done,
                    total_bytes=task.total_bytes, lease=_LEASE,
                )  # fmt: skip
            if not ours:
                raise _Lost
            await asyncio.wait([work], timeout=_PROGRESS_INTERVAL_SECONDS)

    async def _image_of(
        self, task: TaskRecord, fence: int, progress: _Progress
    ) -> tuple[str, str | None]:
        if task.image_reference is not None:
            return await self._patiently(progress, lambda: self._refer(task, progress))
        archive = await asyncio.to_thread(self._inspect, task, progress)
        _check_command(archive.entrypoint + archive.command)
        user = await asyncio.to_thread(self._user, task, archive, progress)
        await self._faults.reach("publish.checked")
        if self._settings.registry is None:
            return await self._load(task, archive, progress), user
        folder = self._layout.task(task.id) / f"{_FOLDER}{fence}"
        reference = await self._push(task, archive, self._settings.registry, folder, progress)
        log.info("publish.pushed", image=reference)
        return await self._patiently(progress, lambda: self._pull(task, reference, progress)), user

    async def _patiently(self, progress: _Progress, work: Callable[[], Awaitable[T]]) -> T:
        """Try again while something is out of reach; whoever waits for progress ends it."""
        while True:
            try:
                return await work()
            except (Unavailable, SchedulerUnavailable) as error:
                progress.waits_because = str(error)
                log.warning("publish.waits", error=str(error))
            await asyncio.sleep(_TRY_AGAIN_SECONDS)

    async def _note(self, image: TaskImage, progress: _Progress) -> None:
        progress.noted.append(image)
        await self._kept.note(image)

    async def _name(self, task: TaskRecord, progress: _Progress) -> str | None:
        """The name that the image is kept under where it runs; it is noted first."""
        name = self._images.name_of(task.id)
        if name is not None:
            await self._note(TaskImage(task_id=task.id, name=name, pinned=None), progress)
        return name

    async def _pull(self, task: TaskRecord, reference: str, progress: _Progress) -> str:
        return await self._images.pull(reference, name=await self._name(task, progress))

    async def _refer(self, task: TaskRecord, progress: _Progress) -> tuple[str, str]:
        assert task.image_reference is not None
        image = await self._pull(task, task.image_reference, progress)
        facts = await self._images.inspect(image)
        _check_command(facts.entrypoint + facts.command)
        return image, facts.user

    def _open(self, task: TaskRecord) -> EntryStream:
        assert task.upload_id is not None
        assert task.image_entry is not None
        return open_image_entry(bundle_path(self._layout, task.upload_id), task.image_entry)

    def _inspect(self, task: TaskRecord, progress: _Progress) -> ImageArchive:
        wanted = ImageChoice(
            namespace=task.namespace, version=task.version, platforms=self._settings.platforms
        )
        with contextlib.closing(self._open(task)) as stream:
            return inspect_image_archive(stream, wanted, on_progress=progress.at)

    def _user(self, task: TaskRecord, archive: ImageArchive, progress: _Progress) -> str:
        def goes_on(_: int) -> None:
            progress.at(0)

        return numeric_user(lambda: self._open(task), archive, on_progress=goes_on)

    async def _load(self, task: TaskRecord, archive: ImageArchive, progress: _Progress) -> str:
        pieces = untagged_archive(
            lambda: self._open(task),
            archive,
            on_progress=lambda done: progress.at(task.total_bytes + done),
        )
        return await self._images.load(
            _in_thread(pieces), name=await self._name(task, progress),
            config_digest=archive.config_digest.removeprefix("sha256:"),
        )  # fmt: skip

    async def _push(
        self,
        task: TaskRecord,
        archive: ImageArchive,
        registry: Registry,
        folder: Path,
        progress: _Progress,
    ) -> str:
        repository = repository_of(task.project, task.namespace)
        name = f"{repository}:{task_tag(task.id)}"
        image, temporary = folder / "image", folder / "temporary"
        meter = Meter(image, lambda done: progress.at(3 * task.total_bytes // 2 + done // 2))
        try:
            digest = await asyncio.to_thread(self._extract, task, archive, folder, progress)
            await self._faults.reach("publish.extracted")
            made = TaskImage(
                task_id=task.id,
                name=f"{registry.push_host}/{name}",
                pinned=f"{repository}@{digest}",
            )
            await self._note(made, progress)
            await self._patiently(
                progress,
                lambda: push_image(image, registry, name, temporary=temporary, meter=meter),
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return registry.reference(repository, digest)

    def _extract(
        self, task: TaskRecord, archive: ImageArchive, folder: Path, progress: _Progress
    ) -> str:
        for left in folder.parent.glob(f"{_FOLDER}*"):  # of servers that were killed or are late
            shutil.rmtree(left, ignore_errors=True)
        (folder / "image").mkdir(parents=True)
        (folder / "temporary").mkdir()
        return extract_image(
            lambda: self._open(task),
            archive,
            folder / "image",
            annotations={TASK_ANNOTATION: str(task.id)},
            keep_free_bytes=self._settings.keep_free_bytes,
            on_progress=lambda done: progress.at(task.total_bytes + done // 2),
        )

    async def _fail(self, task: TaskRecord, fence: int, *problems: Problem) -> None:
        first = problems[0]
        message = " ".join(dict.fromkeys(problem.message for problem in problems))
        failure = problem_json(Problem(path=first.path, reason=first.reason, message=message))
        async with self._database.transaction() as connection:
            if await tasks.set_failed(connection, task.id, fence=fence, failure=failure):
                await _drop_upload(connection, task)
        log.info("publish.refused", reason=first.reason)


async def _drop_upload(connection: Any, task: TaskRecord) -> None:
    if task.upload_id is not None:
        await outbox.add(connection, REMOVE_UPLOAD, {"upload_id": str(task.upload_id)})


def _check_command(command: tuple[str, ...]) -> None:
    if not command:
        raise ImageRefused(FailureReason.IMAGE_CANNOT_START, NO_COMMAND)


def _problem(reason: str, message: str) -> Problem:
    return Problem(path="image", reason=reason, message=message)


async def _in_thread(pieces: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """The pieces, each made in a thread; the iterator is closed at the end."""
    end = object()
    making: asyncio.Future[object] | None = None
    try:
        while True:
            making = asyncio.ensure_future(asyncio.to_thread(next, pieces, end))
            piece = await asyncio.shield(making)
            if piece is end:
                return
            assert isinstance(piece, bytes)
            yield piece
    finally:
        if making is not None:
            await asyncio.wait([making])  # a generator that runs cannot be closed
        await asyncio.to_thread(pieces.close)
