"""What one project has on a server: a task, runs in several states, uploads on their way.

The same names can stand for things that are nowhere, so that the answers to both can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from uuid import uuid4

import google_crc32c
from appengine.v1 import run_pb2, transfer_pb2
from appengine.v1 import run_service_pb2 as runs
from appengine.v1 import storage_service_pb2 as storage
from appengine.v1 import task_service_pb2 as tasks
from appengine_client import Client
from google.protobuf.message import Message

from tests.container.bundles import make_bundle
from tests.container.callers import Caller

_CHUNK_BYTES = 2 << 20

_SCRIPT = """
mode=$(cat /inputs/mode)
echo "$mode"
[ "$mode" = hold ] && exec sleep 600
[ "$mode" = fail ] && exit 3
cp /inputs/mode /outputs/answer
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The names by which one project's things can be asked for."""

    project: str
    namespace: str
    label: str
    secret: str
    """What the finished run was given, printed and answered."""
    task: str
    created_run: str
    running_run: str
    finished_run: str
    failed_run: str
    open_upload: str
    input_upload: str
    bundle_upload: str
    request_id: str
    """Of the project's own CreateRun."""

    def hide(self, text: str) -> str:
        """Replace every name of this world by what it names."""
        named = {getattr(self, field.name): field.name for field in fields(self)}
        for value in sorted(named, key=len, reverse=True):  # some are parts of others
            text = text.replace(value, f"<{named[value]}>")
        return text

    def traces_in(self, text: str) -> list[str]:
        """What of this world can be read in a text."""
        return [field.name for field in fields(self) if getattr(self, field.name) in text]

    def views(self) -> list[tuple[str, Message]]:
        """The calls that show the whole state of this world to whom it belongs."""
        all_runs = [self.created_run, self.running_run, self.finished_run, self.failed_run]
        all_uploads = [self.open_upload, self.input_upload, self.bundle_upload]
        outputs = storage.Resource(run_outputs=self.finished_run)
        left = storage.Resource(attempt_files=storage.AttemptFiles(run_id=self.failed_run))
        return [
            ("TaskService/ListTasks", tasks.ListTasksRequest(project=self.project)),
            (
                "RunService/ListRuns",
                runs.ListRunsRequest(filter=runs.RunFilter(project=self.project)),
            ),
            *(("RunService/GetRun", runs.GetRunRequest(run_id=run)) for run in all_runs),
            *(
                ("RunService/GetRunInputs", runs.GetRunInputsRequest(run_id=run))
                for run in all_runs
            ),
            *(
                ("StorageService/GetUpload", storage.GetUploadRequest(upload_id=upload))
                for upload in all_uploads
            ),
            ("StorageService/ListFiles", storage.ListFilesRequest(resource=outputs)),
            ("StorageService/ListFiles", storage.ListFilesRequest(resource=left)),
            ("RunService/TailLogs", runs.TailLogsRequest(run_id=self.finished_run)),
        ]


def nowhere() -> World:
    """Names of nothing."""
    made = {field.name: str(uuid4()) for field in fields(World)}
    return World(**{**made, "project": "nobodys-project", "namespace": "org.nobody.task"})


async def fill(project: str, client: Client, caller: Caller, folder: Path) -> World:
    """Make all that a project can have. The running run lasts until it is cancelled."""
    namespace, request_id = f"org.example.{project}", str(uuid4())
    label, secret = f"label-of-{project}", f"secret of {project}"
    bundle = make_bundle(
        folder / f"{project}.zip",
        namespace=namespace,
        inputs={"mode": "string", "notes": {"type": "file", "optional": True}},
        outputs={"answer": "string"},
        script=_SCRIPT,
    )
    task = await client.tasks.upload(bundle)
    create = runs.CreateRunRequest(
        request_id=request_id, task=tasks.TaskName(id=task.id), labels={"which": label}
    )
    created = (await caller.one("RunService/CreateRun", create)).run
    started = [
        await client.runs.create(task.id, {"mode": mode}, start=True, labels={"which": label})
        for mode in (secret, "fail", "hold")
    ]
    finished, failed = [await client.runs.wait(run.id) for run in started[:2]]
    assert finished.state == run_pb2.RUN_STATE_SUCCEEDED, finished
    assert failed.state == run_pb2.RUN_STATE_FAILED, failed
    await _until_it_prints(client, started[2].id)
    input_target = storage.InputTarget(
        run_id=created.id, parameter="notes", part=storage.INPUT_PART_WHOLE
    )
    return World(
        project=project,
        namespace=namespace,
        label=label,
        secret=secret,
        task=task.id,
        created_run=created.id,
        running_run=started[2].id,
        finished_run=finished.id,
        failed_run=failed.id,
        open_upload=await _start(caller, task_bundle=storage.TaskBundleTarget(project=project)),
        input_upload=await _start(caller, input=input_target),
        bundle_upload=await _whole_bundle(caller, project, bundle.read_bytes()),
        request_id=request_id,
    )


async def _until_it_prints(client: Client, run_id: str) -> None:
    async for _ in client.runs.logs(run_id, follow=True):
        return


async def _start(caller: Caller, **target: Message) -> str:
    request = storage.StartUploadRequest(request_id=str(uuid4()), **target)  # type: ignore[arg-type]
    return str((await caller.one("StorageService/StartUpload", request)).upload_id)


async def _whole_bundle(caller: Caller, project: str, content: bytes) -> str:
    upload_id = await _start(caller, task_bundle=storage.TaskBundleTarget(project=project))
    await caller.one("StorageService/Upload", *whole_upload(upload_id, content))
    return upload_id


def whole_upload(upload_id: str, content: bytes) -> list[storage.UploadRequest]:
    """Every message of an upload of one file, which must be small."""
    writer = storage.UploadBegin(upload_id=upload_id, writer_id=str(uuid4()))
    entry = transfer_pb2.Entry(
        path="file", kind=transfer_pb2.ENTRY_KIND_FILE, size_bytes=len(content)
    )
    requests = [storage.UploadRequest(begin=writer)]
    for start in range(0, len(content), _CHUNK_BYTES):
        data = content[start : start + _CHUNK_BYTES]
        last = start + len(data) == len(content)
        chunk = transfer_pb2.Chunk(
            place=transfer_pb2.Place(bytes=start, entries=1 if start else 0),
            crc32c=google_crc32c.value(data),
            entries=[] if start else [entry],
            ends=[transfer_pb2.FileEnd(crc32c=google_crc32c.value(content))] if last else [],
            data=data,
        )
        requests.append(storage.UploadRequest(chunk=chunk))
    end = transfer_pb2.Place(bytes=len(content), entries=1)
    return [*requests, storage.UploadRequest(finish=storage.UploadFinish(end=end))]
