"""For every RPC, the calls by which one principal may try to reach what belongs to others.

Each is a function of the names to try, so that it can be made with the names of real things of
others, with names of nothing, and with those of the project that everybody may read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

import grpc
from appengine.v1 import agent_service_pb2 as agent
from appengine.v1 import run_service_pb2 as runs
from appengine.v1 import storage_service_pb2 as storage
from appengine.v1 import task_service_pb2 as tasks
from appengine.v1.value_pb2 import Value
from appengine_server.rpc import pages
from google.protobuf.message import Message

from tests.container.bundles import dump, make_descriptor
from tests.container.worlds import World, whole_upload

OK = grpc.StatusCode.OK
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

_LATEST = ("2100-01-01T00:00:00+00:00", str(UUID(int=2**128 - 1)))
"""The key of a page that would hold everything."""

_FIRST_TOKEN = "0.0"
"""The resume token before everything that ever happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignCall:
    """One way to reach for something, and the status that it must get."""

    rpc: str
    what: str
    make: Callable[[World], Message | list[Message]]
    foreign: grpc.StatusCode = NOT_FOUND
    """With the names of a project that is none of the caller's."""
    shared: grpc.StatusCode | None = None
    """With those of the shared project. None: OK if the RPC only reads, else PERMISSION_DENIED."""

    def requests(self, world: World) -> list[Message]:
        made = self.make(world)
        return made if isinstance(made, list) else [made]


def _task_calls() -> list[ForeignCall]:
    by_id = {"what": "by id", "make": lambda w: tasks.TaskName(id=w.task)}
    by_name = {
        "what": "by name in the project",
        "make": lambda w: tasks.TaskName(project=w.project, namespace=w.namespace, version="1.0.0"),
    }
    by_default = {
        "what": "by name in the default project",
        "make": lambda w: tasks.TaskName(namespace=w.namespace, version="1.0.0"),
    }
    found = []
    for method in ("GetTask", "WatchTask", "DeleteTask", "GetTaskDescriptor", "GetTaskLogo"):
        request: type[Message] = getattr(tasks, f"{method}Request")
        for way in (by_id, by_name, by_default):
            found.append(
                ForeignCall(
                    rpc=f"TaskService/{method}",
                    what=str(way["what"]),
                    make=lambda w, request=request, name=way["make"]: request(task=name(w)),
                    # The task has no logo, and that is NOT_FOUND for everybody.
                    shared=NOT_FOUND if method == "GetTaskLogo" else None,
                )
            )
    return found


def _run_call(
    method: str,
    what: str,
    make: Callable[[World], Message],
    *,
    shared: grpc.StatusCode | None = None,
) -> ForeignCall:
    return ForeignCall(rpc=f"RunService/{method}", what=what, make=make, shared=shared)


def _value(text: str) -> list[runs.InputValue]:
    return [runs.InputValue(parameter="mode", value=Value(string=text))]


def _descriptor() -> bytes:
    return dump(make_descriptor(namespace="org.example.planted"))


def _files(w: World, kind: str) -> storage.Resource:
    if kind == "inputs":
        return storage.Resource(run_inputs=w.finished_run)
    if kind == "inputs of a created run":
        return storage.Resource(run_inputs=w.created_run)
    if kind == "outputs":
        return storage.Resource(run_outputs=w.finished_run)
    if kind == "one output":
        return storage.Resource(run_outputs=w.finished_run, path="answer")
    return storage.Resource(attempt_files=storage.AttemptFiles(run_id=w.failed_run))


def _file_calls() -> list[ForeignCall]:
    kinds = ("inputs", "inputs of a created run", "outputs", "one output", "files of an attempt")
    lists = [
        ForeignCall(
            rpc="StorageService/ListFiles",
            what=kind,
            make=lambda w, kind=kind: storage.ListFilesRequest(resource=_files(w, kind)),
        )
        for kind in kinds
    ]
    downloads = [
        ForeignCall(
            rpc="StorageService/Download",
            what=kind,
            make=lambda w, kind=kind: storage.DownloadRequest(resource=_files(w, kind)),
        )
        for kind in kinds
    ]
    return [*lists, *downloads]


def _list_with_token(w: World) -> tasks.ListTasksRequest:
    request = tasks.ListTasksRequest(namespace=w.namespace)
    request.page_token = pages.make_token(pages.query_of(request), *_LATEST)
    return request


def _runs_with_token(filter: runs.RunFilter) -> runs.ListRunsRequest:
    request = runs.ListRunsRequest(filter=filter)
    request.page_token = pages.make_token(pages.query_of(request), *_LATEST)
    return request


_FILTERS: dict[str, Callable[[World], runs.RunFilter]] = {
    "by its task": lambda w: runs.RunFilter(task_id=w.task),
    "by its task's name": lambda w: runs.RunFilter(task_namespace=w.namespace),
    "by its label": lambda w: runs.RunFilter(labels={"which": w.label}),
}


def _filter_calls() -> list[ForeignCall]:
    """Filters without a project look into the caller's own, where they find nothing of others."""
    project = [
        ForeignCall(
            rpc="RunService/ListRuns",
            what="of the project",
            make=lambda w: runs.ListRunsRequest(filter=runs.RunFilter(project=w.project)),
        ),
        ForeignCall(
            rpc="RunService/ListRuns",
            what="of the project with a page token",
            make=lambda w: _runs_with_token(runs.RunFilter(project=w.project)),
        ),
        ForeignCall(
            rpc="RunService/WatchRuns",
            what="of the project",
            make=lambda w: runs.WatchRunsRequest(
                filter=runs.RunFilter(project=w.project), resume_token=_FIRST_TOKEN
            ),
        ),
    ]
    lists = [
        ForeignCall(
            rpc="RunService/ListRuns",
            what=what,
            make=lambda w, filter=filter: _runs_with_token(filter(w)),
            foreign=OK,
        )
        for what, filter in _FILTERS.items()
    ]
    watches = [
        ForeignCall(
            rpc="RunService/WatchRuns",
            what=what,
            make=lambda w, filter=filter: runs.WatchRunsRequest(
                filter=filter(w), resume_token=_FIRST_TOKEN
            ),
            foreign=OK,
        )
        for what, filter in _FILTERS.items()
    ]
    return [*project, *lists, *watches]


FOREIGN_CALLS: list[ForeignCall] = [
    *_task_calls(),
    ForeignCall(
        rpc="TaskService/CreateTask",
        what="from their upload, in a project of one's own",
        make=lambda w: tasks.CreateTaskRequest(upload_id=w.bundle_upload),
    ),
    ForeignCall(
        rpc="TaskService/CreateTask",
        what="from their upload, in their project, with a request id",
        make=lambda w: tasks.CreateTaskRequest(
            upload_id=w.bundle_upload, project=w.project, request_id=str(uuid4())
        ),
    ),
    ForeignCall(
        rpc="TaskService/CreateTask",
        what="check their upload",
        make=lambda w: tasks.CreateTaskRequest(upload_id=w.bundle_upload, validate_only=True),
    ),
    ForeignCall(
        rpc="TaskService/CreateTask",
        what="from an image, in their project",
        make=lambda w: tasks.CreateTaskRequest(
            project=w.project,
            image=tasks.ImageSource(
                descriptor_yaml=_descriptor(), image_reference="registry.example.org/a:1"
            ),
        ),
    ),
    ForeignCall(
        rpc="TaskService/ListTasks",
        what="of the project",
        make=lambda w: tasks.ListTasksRequest(project=w.project),
    ),
    ForeignCall(
        rpc="TaskService/ListTasks",
        what="by namespace with a page token",
        make=_list_with_token,
        foreign=OK,
    ),
    ForeignCall(
        rpc="RunService/CreateRun",
        what="of their task",
        make=lambda w: runs.CreateRunRequest(
            task=tasks.TaskName(id=w.task), inputs=_value("fail"), start=True
        ),
        shared=OK,  # what everybody may read, everybody may run, in a project of their own
    ),
    ForeignCall(
        rpc="RunService/CreateRun",
        what="of their task, with the request id of a run of theirs",
        make=lambda w: runs.CreateRunRequest(
            request_id=w.request_id, task=tasks.TaskName(id=w.task), labels={"which": w.label}
        ),
        shared=OK,
    ),
    ForeignCall(
        rpc="RunService/CreateRun",
        what="in their project",
        make=lambda w: runs.CreateRunRequest(project=w.project, task=tasks.TaskName(id=w.task)),
    ),
    ForeignCall(
        rpc="RunService/CreateRun",
        what="check values of their task",
        make=lambda w: runs.CreateRunRequest(
            task=tasks.TaskName(id=w.task), inputs=_value("x"), validate_only=True
        ),
        shared=OK,
    ),
    ForeignCall(
        rpc="RunService/CreateRun",
        what="check values in their project",
        make=lambda w: runs.CreateRunRequest(
            project=w.project, task=tasks.TaskName(id=w.task), validate_only=True
        ),
    ),
    _run_call(
        "ProvisionInputs",
        "of a created run",
        lambda w: runs.ProvisionInputsRequest(run_id=w.created_run, inputs=_value("x")),
    ),
    _run_call(
        "ProvisionInputs",
        "check only",
        lambda w: runs.ProvisionInputsRequest(
            run_id=w.created_run, inputs=_value("x"), validate_only=True
        ),
        shared=OK,  # it changes nothing, and says nothing that GetTask does not say
    ),
    _run_call("StartRun", "a created run", lambda w: runs.StartRunRequest(run_id=w.created_run)),
    _run_call("CancelRun", "a running run", lambda w: runs.CancelRunRequest(run_id=w.running_run)),
    _run_call("CancelRun", "a created run", lambda w: runs.CancelRunRequest(run_id=w.created_run)),
    _run_call("RetryRun", "a failed run", lambda w: runs.RetryRunRequest(run_id=w.failed_run)),
    _run_call("RetryRun", "a finished run", lambda w: runs.RetryRunRequest(run_id=w.finished_run)),
    _run_call(
        "DeleteRun", "a finished run", lambda w: runs.DeleteRunRequest(run_id=w.finished_run)
    ),
    _run_call("DeleteRun", "a running run", lambda w: runs.DeleteRunRequest(run_id=w.running_run)),
    _run_call("DeleteRun", "a created run", lambda w: runs.DeleteRunRequest(run_id=w.created_run)),
    _run_call("GetRun", "a created run", lambda w: runs.GetRunRequest(run_id=w.created_run)),
    _run_call("GetRun", "a finished run", lambda w: runs.GetRunRequest(run_id=w.finished_run)),
    _run_call("WatchRun", "a running run", lambda w: runs.WatchRunRequest(run_id=w.running_run)),
    _run_call("WatchRun", "a finished run", lambda w: runs.WatchRunRequest(run_id=w.finished_run)),
    *_filter_calls(),
    _run_call("TailLogs", "a finished run", lambda w: runs.TailLogsRequest(run_id=w.finished_run)),
    _run_call(
        "TailLogs",
        "a running run, followed",
        lambda w: runs.TailLogsRequest(run_id=w.running_run, attempt=1, follow=True),
    ),
    _run_call(
        "GetRunInputs", "a finished run", lambda w: runs.GetRunInputsRequest(run_id=w.finished_run)
    ),
    _run_call(
        "GetRunOutputs",
        "a finished run",
        lambda w: runs.GetRunOutputsRequest(run_id=w.finished_run, parameter="answer"),
    ),
    _run_call(
        "GetRunOutputs",
        "a running run",
        lambda w: runs.GetRunOutputsRequest(run_id=w.running_run),
        shared=FAILED_PRECONDITION,
    ),
    ForeignCall(
        rpc="StorageService/GetCapabilities",
        what="which are the same for all",
        make=lambda w: storage.GetCapabilitiesRequest(),
        foreign=OK,
    ),
    ForeignCall(
        rpc="StorageService/StartUpload",
        what="of a bundle into their project",
        make=lambda w: storage.StartUploadRequest(
            task_bundle=storage.TaskBundleTarget(project=w.project)
        ),
    ),
    ForeignCall(
        rpc="StorageService/StartUpload",
        what="of an input of their run",
        make=lambda w: storage.StartUploadRequest(
            input=storage.InputTarget(
                run_id=w.created_run, parameter="notes", part=storage.INPUT_PART_WHOLE
            )
        ),
    ),
    ForeignCall(
        rpc="StorageService/StartUpload",
        what="of outputs of their run",
        make=lambda w: storage.StartUploadRequest(
            attempt_outputs=storage.AttemptOutputsTarget(run_id=w.running_run, attempt=1)
        ),
        foreign=PERMISSION_DENIED,
        shared=PERMISSION_DENIED,
    ),
    *(
        ForeignCall(
            rpc="StorageService/Upload",
            what=f"into their {name.replace('_', ' ')}",
            make=lambda w, name=name: list(whole_upload(getattr(w, name), b"planted")),
        )
        for name in ("open_upload", "input_upload", "bundle_upload")
    ),
    *(
        ForeignCall(
            rpc="StorageService/GetUpload",
            what=f"their {name.replace('_', ' ')}",
            make=lambda w, name=name: storage.GetUploadRequest(upload_id=getattr(w, name)),
            shared=PERMISSION_DENIED,  # uploads are the business of those who may change things
        )
        for name in ("open_upload", "input_upload", "bundle_upload")
    ),
    *(
        ForeignCall(
            rpc="StorageService/CancelUpload",
            what=f"their {name.replace('_', ' ')}",
            make=lambda w, name=name: storage.CancelUploadRequest(upload_id=getattr(w, name)),
        )
        for name in ("open_upload", "input_upload", "bundle_upload")
    ),
    *_file_calls(),
    ForeignCall(
        rpc="AgentService/Synchronize",
        what="as the agent of their run",
        make=lambda w: agent.SynchronizeRequest(run_id=w.running_run, attempt=1),
        foreign=PERMISSION_DENIED,
        shared=PERMISSION_DENIED,
    ),
]
