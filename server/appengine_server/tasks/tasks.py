"""The use cases of tasks: make one from a bundle or a reference, find it, list it, delete it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from appengine_contract.descriptor import (
    CheckedDescriptor,
    Descriptor,
    ResourceDefaults,
    read_descriptor,
)
from appengine_contract.problems import Problem
from appengine_contract.versions import LATEST, latest

from appengine_server.database import outbox, runs, tasks, uploads
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import (
    TaskRecord,
    TaskState,
    UploadRecord,
    UploadState,
    UploadTarget,
)
from appengine_server.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RequestIdReused,
)
from appengine_server.identity import SHARED_PROJECT, Principal
from appengine_server.problems_json import problem_json, problem_of
from appengine_server.storage.generations import published
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.bundle import BundleLimits, CheckedBundle, read_bundle
from appengine_server.tasks.files import TaskFiles

REMOVE_UPLOAD = "REMOVE_UPLOAD"
"""Outbox: drop the bytes of an upload."""

REMOVE_TASK = "REMOVE_TASK"
"""Outbox: drop the files and the image of a task that has no run left."""


_MOST_PARSED = 512
"""Descriptors that are kept parsed; a few kilobytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskName:
    """One task: by id, or else by project (empty: the default one), namespace and version."""

    id: UUID | None = None
    project: str = ""
    namespace: str = ""
    version: str = ""
    """`latest` is the highest release, or where there is none the highest pre-release."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task with its descriptor."""

    record: TaskRecord
    descriptor: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What makes a request that is sent twice the same."""

    id: UUID | None
    hash: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a bundle or a descriptor is worth: with problems there is no task."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class Publishing(Protocol):
    """What wakes the publisher."""

    def wake(self) -> None:
        """There is a task to publish."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPage:
    """One page of tasks, and where the next one begins."""

    tasks: Sequence[Task]
    next_before: tuple[datetime, UUID] | None


class Tasks:
    """What can be done with tasks. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        upload_bytes: Uploads,
        publishing: Publishing,
        defaults: ResourceDefaults,
        limits: BundleLimits,
    ) -> None:
        self._database = database
        self._layout = layout
        self._upload_bytes = upload_bytes
        self._publishing = publishing
        self._defaults = defaults
        self._limits = limits
        self._files = TaskFiles(layout)
        self._parsed: OrderedDict[UUID, Descriptor] = OrderedDict()

    async def check_upload(self, principal: Principal, upload_id: UUID) -> Checked:
        """Say what `create_from_upload` would refuse; keeps nothing."""
        async with self._database.connection() as connection:
            upload = await self._upload_of(connection, principal, upload_id)
        if upload.state is UploadState.FAILED:
            return Checked(problems=tuple(problem_of(problem) for problem in upload.problems))
        bundle = await self._read(upload)
        return Checked(problems=bundle.errors, warnings=bundle.warnings)

    async def create_from_upload(
        self, principal: Principal, project: str, upload_id: UUID, request: Request
    ) -> Task:
        """Make a task of a finished upload; its image is published in the background.

        Raises InvalidArgument with every problem, and then drops the bundle.
        """
        project = principal.resolve_project(project)
        principal.may_change(project)
        if earlier := await self._earlier(principal, project, request):
            return earlier
        async with self._database.connection() as connection:
            upload = await self._upload_of(connection, principal, upload_id)
        bundle = await self._read(upload)
        if bundle.errors or bundle.descriptor is None:
            await self._refuse(upload, bundle)
            raise InvalidArgument("The bundle is refused.", problems=bundle.errors)
        new = _new_task(
            principal, project, request, bundle.descriptor,
            upload_id=upload_id, image_entry=bundle.image_entry,
            total_bytes=bundle.image_size_bytes, has_logo=bundle.logo is not None,
            warnings=bundle.warnings,
        )  # fmt: skip
        return await self._insert(new, bundle.descriptor_yaml, bundle.logo, request)

    async def check_image(self, descriptor_yaml: bytes) -> Checked:
        """Say what `create_from_image` would refuse; keeps nothing."""
        checked = self.read_descriptor(descriptor_yaml)
        return Checked(problems=checked.errors, warnings=checked.warnings)

    def read_descriptor(self, descriptor_yaml: bytes) -> CheckedDescriptor:
        """Read a descriptor as this server does, with its defaults."""
        return read_descriptor(descriptor_yaml, defaults=self._defaults)

    async def create_from_image(
        self,
        principal: Principal,
        project: str,
        *,
        descriptor_yaml: bytes,
        image_reference: str,
        logo: bytes | None,
        request: Request,
    ) -> Task:
        """Make a task whose image is already in a registry; it is fetched in the background."""
        project = principal.resolve_project(project)
        principal.may_change(project)
        if earlier := await self._earlier(principal, project, request):
            return earlier
        checked = self.read_descriptor(descriptor_yaml)
        if checked.descriptor is None:
            raise InvalidArgument("The descriptor is refused.", problems=checked.errors)
        new = _new_task(
            principal, project, request, checked.descriptor, image_reference=image_reference,
            has_logo=logo is not None, warnings=checked.warnings,
        )  # fmt: skip
        return await self._insert(new, descriptor_yaml, logo, request)

    async def get(self, principal: Principal, name: TaskName) -> Task:
        """One task. Raises NotFound."""
        async with self._database.connection() as connection:
            return await self.find(connection, principal, name)

    async def find(self, connection: Connection, principal: Principal, name: TaskName) -> Task:
        """As `get`, in a transaction of the caller."""
        if name.id is not None:
            record = await tasks.get(connection, name.id, principal.readable_projects)
        else:
            project = principal.resolve_project(name.project)
            record = await _by_name(connection, project, name)
            if record is None and not name.project:
                record = await _by_name(connection, SHARED_PROJECT, name)
        if record is None:
            wanted = str(name.id or f"{name.namespace}:{name.version}")
            raise NotFound(
                f"There is no task {wanted}. List the tasks to see which there are "
                "(appengine task list)."
            )
        return await self.with_descriptor(record)

    async def with_descriptor(self, record: TaskRecord) -> Task:
        """A task's row with its descriptor."""
        return Task(record, await self.descriptor(record.id))

    async def descriptor(self, task_id: UUID) -> Descriptor:
        """The descriptor of a task; a task never changes, so it is read once."""
        known = self._parsed.get(task_id)
        if known is None:
            known = await asyncio.to_thread(self._parse, task_id)
            self._parsed[task_id] = known
            if len(self._parsed) > _MOST_PARSED:
                self._parsed.popitem(last=False)
        return known

    async def list_page(
        self,
        principal: Principal,
        *,
        project: str,
        namespace: str | None,
        states: Sequence[TaskState] | None,
        include_shared: bool,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> TaskPage:
        """Tasks of a project, newest first."""
        projects = [principal.resolve_project(project)]
        if include_shared:
            projects.append(SHARED_PROJECT)
        async with self._database.connection() as connection:
            found = await tasks.list_page(
                connection, projects, namespace=namespace, states=states, before=before,
                limit=limit + 1,
            )  # fmt: skip
        page = [await self.with_descriptor(record) for record in found[:limit]]
        last = page[-1].record if len(found) > limit else None
        return TaskPage(tasks=page, next_before=(last.created_at, last.id) if last else None)

    async def descriptor_yaml(self, principal: Principal, name: TaskName) -> bytes:
        """The descriptor as it was uploaded."""
        task = await self.get(principal, name)
        return await asyncio.to_thread(self._files.descriptor_yaml, task.record.id)

    async def logo(self, principal: Principal, name: TaskName) -> bytes:
        """The logo, a PNG. Raises NotFound where there is none."""
        task = await self.get(principal, name)
        if not task.record.has_logo:
            raise NotFound(f"The task {task.record.namespace} has no logo.")
        return await asyncio.to_thread(self._files.logo, task.record.id)

    async def delete(self, principal: Principal, name: TaskName, *, force: bool) -> list[UUID]:
        """Hide a task. Answers its active runs that `force` says to cancel; the caller does.

        Raises FailedPrecondition (TASK_IN_USE) without `force` while there are any.
        """
        task = await self.get(principal, name)
        principal.may_change(task.record.project)
        async with self._database.transaction() as connection:
            await tasks.set_deleting(connection, task.record.id)
            active = await runs.active_of_task(connection, task.record.id)
            if active and not force:
                raise FailedPrecondition(
                    f"Runs of the task have not ended ({len(active)}): wait for them, cancel them "
                    "(appengine runs list --task shows yours), or delete the task by force "
                    "(appengine task delete --force).",
                    reason="TASK_IN_USE",
                )
            await outbox.add(connection, REMOVE_TASK, {"task_id": str(task.record.id)})
        return active

    async def _earlier(self, principal: Principal, project: str, request: Request) -> Task | None:
        if request.id is None:
            return None
        async with self._database.connection() as connection:
            earlier = await tasks.by_request(connection, project, principal.name, request.id)
        if earlier is None:
            return None
        record, digest = earlier
        if digest != request.hash:
            raise RequestIdReused("The request_id was used for another request: make a new one.")
        return await self.with_descriptor(record)

    async def _upload_of(
        self, connection: Connection, principal: Principal, upload_id: UUID
    ) -> UploadRecord:
        upload = await uploads.get(connection, upload_id, principal.readable_projects)
        if upload is None or upload.target is not UploadTarget.TASK_BUNDLE:
            raise NotFound(
                f"There is no upload {upload_id} of a bundle, or it expired: upload again."
            )
        principal.may_change(upload.project)
        if upload.state is UploadState.OPEN:
            raise FailedPrecondition(
                "The upload is not finished: send the rest of it first.", reason="UPLOAD_STATE"
            )
        if upload.state is UploadState.CANCELLED:
            raise FailedPrecondition(
                "The upload was cancelled: start a new one.", reason="UPLOAD_STATE"
            )
        return upload

    async def _read(self, upload: UploadRecord) -> CheckedBundle:
        if upload.state is UploadState.FAILED:
            problems = tuple(problem_of(problem) for problem in upload.problems)
            raise InvalidArgument("The bundle was refused.", problems=problems)
        try:
            path = await asyncio.to_thread(bundle_path, self._layout, upload.id)
            return await asyncio.to_thread(self._read_bundle, path)
        except FileNotFoundError as error:  # dropped once its image was published
            raise FailedPrecondition(
                "A task was made of this upload already: send the bundle again to make another.",
                reason="UPLOAD_STATE",
            ) from error

    def _read_bundle(self, path: Path) -> CheckedBundle:
        return read_bundle(path, self._limits, defaults=self._defaults)

    async def _refuse(self, upload: UploadRecord, bundle: CheckedBundle) -> None:
        """Keep what was wrong until the upload expires, and nothing else."""
        async with self._database.transaction() as connection:
            await uploads.refuse(
                connection, upload.id, [problem_json(problem) for problem in bundle.errors]
            )
        await self._upload_bytes.remove(str(upload.id))

    async def _insert(
        self, new: tasks.NewTask, descriptor_yaml: bytes, logo: bytes | None, request: Request
    ) -> Task:
        await asyncio.to_thread(self._files.write, new.id, descriptor_yaml, logo)
        async with self._database.transaction() as connection:
            # A failure proves nothing: it may be committed. Files without a row are swept.
            record = await tasks.insert(connection, new)
        if record is None:
            await asyncio.to_thread(self._files.remove, new.id)
            return await self._lost_race(new, request)
        self._publishing.wake()
        return await self.with_descriptor(record)

    async def _lost_race(self, new: tasks.NewTask, request: Request) -> Task:
        principal = Principal(new.owner, frozenset({new.project}), new.project)
        if earlier := await self._earlier(principal, new.project, request):
            return earlier
        raise AlreadyExists(
            f"The project has {new.namespace}:{new.version} already: "
            "give the task a new version, or delete the old one.",
            reason="TASK_EXISTS",
        )

    def _parse(self, task_id: UUID) -> Descriptor:
        checked = self.read_descriptor(self._files.descriptor_yaml(task_id))
        if checked.descriptor is None:
            raise RuntimeError(f"the stored descriptor of task {task_id} cannot be read")
        return checked.descriptor


def bundle_path(layout: StorageLayout, upload_id: UUID) -> Path:
    """The one file of a finished upload of a bundle."""
    [name] = published(layout.upload(upload_id)).iterdir()
    return name


async def _by_name(connection: Connection, project: str, name: TaskName) -> TaskRecord | None:
    version: str | None = name.version
    if version == LATEST:
        version = latest(await tasks.versions(connection, project, name.namespace))
    if version is None:
        return None
    return await tasks.by_name(connection, project, name.namespace, version)


def _new_task(
    principal: Principal,
    project: str,
    request: Request,
    descriptor: Descriptor,
    *,
    upload_id: UUID | None = None,
    image_entry: str | None = None,
    image_reference: str | None = None,
    total_bytes: int = 0,
    has_logo: bool,
    warnings: Sequence[Problem],
) -> tasks.NewTask:
    return tasks.NewTask(
        id=uuid4(),
        project=project,
        owner=principal.name,
        namespace=descriptor.namespace,
        version=descriptor.version,
        request_id=request.id,
        request_hash=request.hash,
        upload_id=upload_id,
        image_entry=image_entry,
        image_reference=image_reference,
        cpus=descriptor.resources.cpus,
        ram_bytes=descriptor.resources.ram_bytes,
        gpus=descriptor.resources.gpus,
        has_logo=has_logo,
        warnings=[problem_json(warning) for warning in warnings],
        total_bytes=total_bytes,
    )
