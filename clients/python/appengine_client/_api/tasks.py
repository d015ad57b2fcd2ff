"""`client.tasks`: packaged algorithms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from appengine.v1 import problem_pb2, task_pb2
from appengine.v1 import task_service_pb2 as pb
from appengine.v1.task_service_pb2_grpc import TaskServiceStub

from appengine_client._api.following import following
from appengine_client._api.names import task_name
from appengine_client._api.refusals import with_all_problems
from appengine_client._api.uploads import Uploads
from appengine_client._rpc.connection import Connection, new_id
from appengine_client._rpc.retries import UnaryRetries
from appengine_client._transfer.source import following_links

if TYPE_CHECKING:
    from appengine.v1.task_service_pb2_grpc import TaskServiceAsyncStub

    from appengine_client.transfer import OnProgress

_CHECKING = UnaryRetries(total_seconds=300.0)
"""CreateTask reads the bundle's table of contents and its descriptor before it answers."""


class Tasks:
    """Uploads, finds and deletes tasks. A task is named by `NAMESPACE:VERSION` or its id."""

    def __init__(self, connection: Connection, uploads: Uploads) -> None:
        self._connection = connection
        self._uploads = uploads

    @cached_property
    def _stub(self) -> TaskServiceAsyncStub:
        return TaskServiceStub(self._connection.channel)

    async def upload(
        self,
        bundle: Path,
        *,
        on_progress: OnProgress | None = None,
        on_change: Callable[[task_pb2.Task], None] | None = None,
    ) -> task_pb2.Task:
        """Upload a bundle, make a task of it, and wait until it is published.

        Args:
            bundle: A zip with the descriptor and the container image.
            on_progress: Called in the event loop while bytes are sent.
            on_change: Called with the task while it is published.

        Returns:
            The task, READY or FAILED; then `failure` says why.

        Raises:
            InvalidArgument: The bundle has problems; every one is in the error.
            AlreadyExists: The project has this namespace and version.
            Refused: The server does not take it for another reason.
            Unavailable: The server cannot be reached.
            LocalFileError: The bundle cannot be read.
        """
        source = following_links([(bundle.name, bundle)])
        upload = await self._uploads.send_bundle(source, on_progress=on_progress)
        task = await self.create(upload.id)
        async for changed in self.watch(task.id):
            task = changed
            if on_change is not None:
                on_change(task)
        return task

    async def create(self, upload_id: str) -> task_pb2.Task:
        """Make a task of an uploaded bundle, and do not wait until it is published."""
        return await self._create(pb.CreateTaskRequest(upload_id=upload_id))

    async def create_from_image(
        self, descriptor_yaml: bytes, image_reference: str, *, logo: bytes = b""
    ) -> task_pb2.Task:
        """Make a task of an image that is in a registry already."""
        image = pb.ImageSource(
            descriptor_yaml=descriptor_yaml, image_reference=image_reference, logo=logo
        )
        return await self._create(pb.CreateTaskRequest(image=image))

    async def get(self, task: str) -> task_pb2.Task:
        """One task. Raises NotFound when there is none of that name."""
        request = pb.GetTaskRequest(task=self._name(task))
        return (await self._connection.call(self._stub.GetTask, request)).task

    async def list(
        self,
        *,
        namespace: str = "",
        states: Sequence[task_pb2.TaskState.ValueType] = (),
        include_shared: bool = True,
    ) -> AsyncIterator[task_pb2.Task]:
        """All tasks that match, newest first; pages are fetched as they are needed."""
        request = pb.ListTasksRequest(
            project=self._connection.settings.project,
            namespace=namespace,
            states=states,
            include_shared=include_shared,
        )
        while True:
            page = await self._connection.call(self._stub.ListTasks, request)
            for task in page.tasks:
                yield task
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def delete(self, task: str, *, force: bool = False) -> None:
        """Delete a task. With `force` its runs that have not ended are cancelled first."""
        request = pb.DeleteTaskRequest(task=self._name(task), force=force)
        await self._connection.call(self._stub.DeleteTask, request)

    async def descriptor(self, task: str) -> bytes:
        """The descriptor, byte for byte as it was uploaded."""
        request = pb.GetTaskDescriptorRequest(task=self._name(task))
        answer = await self._connection.call(self._stub.GetTaskDescriptor, request)
        return answer.descriptor_yaml

    async def logo(self, task: str) -> bytes:
        """The logo, a PNG. Raises NotFound when the task has none."""
        request = pb.GetTaskLogoRequest(task=self._name(task))
        return (await self._connection.call(self._stub.GetTaskLogo, request)).logo

    async def watch(self, task: str) -> AsyncIterator[task_pb2.Task]:
        """The task as it is, then after every change; ends when it is READY, FAILED or gone."""
        request = pb.WatchTaskRequest(task=self._name(task))
        async for answer in following(
            lambda: self._connection.stream(self._stub.WatchTask, request)
        ):
            request.after_revision = answer.task.revision
            yield answer.task

    def _name(self, task: str) -> pb.TaskName:
        return task_name(task, self._connection.settings.project)

    async def _create(self, request: pb.CreateTaskRequest) -> task_pb2.Task:
        request.request_id = new_id()
        request.project = self._connection.settings.project

        def call() -> Awaitable[pb.CreateTaskResponse]:
            return self._connection.call(self._stub.CreateTask, request, retries=_CHECKING)

        async def validate() -> Sequence[problem_pb2.Problem]:
            trial = pb.CreateTaskRequest()
            trial.CopyFrom(request)
            trial.request_id, trial.validate_only = new_id(), True
            answer = await self._connection.call(self._stub.CreateTask, trial, retries=_CHECKING)
            return answer.problems

        return (await with_all_problems(call, validate)).task
