"""TaskService: thin handlers over `tasks.Tasks`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from appengine.v1 import task_service_pb2 as pb
from appengine.v1 import task_service_pb2_grpc as pb_grpc

from appengine_server.errors import InvalidArgument
from appengine_server.rpc import build, pages, parse
from appengine_server.rpc.interceptors.identity import principal_of
from appengine_server.rpc.interceptors.surround import Context
from appengine_server.runs.runs import Runs
from appengine_server.runs.watching import Watching
from appengine_server.tasks.tasks import Checked, Tasks


class TaskService(pb_grpc.TaskServiceServicer):
    """Borrows everything that it is given."""

    def __init__(self, tasks: Tasks, runs: Runs, watching: Watching) -> None:
        self._tasks = tasks
        self._runs = runs
        self._watching = watching

    async def CreateTask(
        self, request: pb.CreateTaskRequest, context: Context
    ) -> pb.CreateTaskResponse:
        if request.validate_only:
            return _checked(await self._check(request, context))
        principal, same = principal_of(context), parse.request(request, request.request_id)
        if request.WhichOneof("source") == "upload_id":
            upload_id = parse.uuid(request.upload_id, "upload_id")
            task = await self._tasks.create_from_upload(principal, request.project, upload_id, same)
        else:
            source = _image_source(request)
            task = await self._tasks.create_from_image(
                principal, request.project, descriptor_yaml=source.descriptor_yaml,
                image_reference=source.image_reference, logo=source.logo or None, request=same,
            )  # fmt: skip
        message = build.task(task)
        return pb.CreateTaskResponse(task=message, warnings=message.warnings)

    async def GetTask(self, request: pb.GetTaskRequest, context: Context) -> pb.GetTaskResponse:
        task = await self._tasks.get(principal_of(context), parse.task_name(request.task))
        return pb.GetTaskResponse(task=build.task(task))

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: Context
    ) -> AsyncIterator[pb.WatchTaskResponse]:
        name = parse.task_name(request.task)
        after = parse.not_negative(request.after_revision, "after_revision")
        async for task in self._watching.task(principal_of(context), name, after):
            yield pb.WatchTaskResponse(task=build.task(task))

    async def ListTasks(
        self, request: pb.ListTasksRequest, context: Context
    ) -> pb.ListTasksResponse:
        query = pages.query_of(request)
        page = await self._tasks.list_page(
            principal_of(context),
            project=request.project,
            namespace=parse.text(request.namespace, "namespace") or None,
            states=parse.task_states(request.states),
            include_shared=request.include_shared,
            before=pages.read_time_token(request.page_token, query),
            limit=pages.page_size(request.page_size),
        )
        token = pages.make_time_token(query, page.next_before)
        tasks = [build.task(task) for task in page.tasks]
        return pb.ListTasksResponse(tasks=tasks, next_page_token=token)

    async def DeleteTask(
        self, request: pb.DeleteTaskRequest, context: Context
    ) -> pb.DeleteTaskResponse:
        principal, name = principal_of(context), parse.task_name(request.task)
        active = await self._tasks.delete(principal, name, force=request.force)
        await self._runs.cancel_all(principal, active)
        return pb.DeleteTaskResponse()

    async def GetTaskDescriptor(
        self, request: pb.GetTaskDescriptorRequest, context: Context
    ) -> pb.GetTaskDescriptorResponse:
        name = parse.task_name(request.task)
        found = await self._tasks.descriptor_yaml(principal_of(context), name)
        return pb.GetTaskDescriptorResponse(descriptor_yaml=found)

    async def GetTaskLogo(
        self, request: pb.GetTaskLogoRequest, context: Context
    ) -> pb.GetTaskLogoResponse:
        logo = await self._tasks.logo(principal_of(context), parse.task_name(request.task))
        return pb.GetTaskLogoResponse(logo=logo)

    async def _check(self, request: pb.CreateTaskRequest, context: Context) -> Checked:
        principal = principal_of(context)
        principal.may_change(principal.resolve_project(request.project))
        if request.WhichOneof("source") == "upload_id":
            upload_id = parse.uuid(request.upload_id, "upload_id")
            return await self._tasks.check_upload(principal, upload_id)
        return await self._tasks.check_image(_image_source(request).descriptor_yaml)


def _image_source(request: pb.CreateTaskRequest) -> pb.ImageSource:
    if request.WhichOneof("source") is None:
        raise InvalidArgument("Say where the task comes from: set upload_id or image.")
    if not request.image.image_reference or not request.image.descriptor_yaml:
        raise InvalidArgument("An image source needs descriptor_yaml and image_reference.")
    parse.text(request.image.image_reference, "image.image_reference")
    return request.image


def _checked(checked: Checked) -> pb.CreateTaskResponse:
    return pb.CreateTaskResponse(
        problems=build.problems(checked.problems), warnings=build.problems(checked.warnings)
    )
