"""`client.runs`: uses of a task, each with its inputs and outputs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from appengine.v1 import problem_pb2, run_pb2, task_pb2, transfer_pb2
from appengine.v1 import run_service_pb2 as pb
from appengine.v1 import storage_service_pb2 as storage_pb
from appengine.v1.run_service_pb2_grpc import RunServiceStub
from appengine.v1.storage_service_pb2_grpc import StorageServiceStub

from appengine_client import transfer
from appengine_client._api import pages
from appengine_client._api.following import following
from appengine_client._api.names import task_name
from appengine_client._api.provisioning import InputPlan, plan_inputs
from appengine_client._api.refusals import with_all_problems
from appengine_client._api.tasks import Tasks
from appengine_client._api.uploads import Uploads
from appengine_client._api.values import InputPython
from appengine_client._rpc.connection import Connection, new_id
from appengine_client._rpc.retries import UnaryRetries
from appengine_client.errors import AppEngineError

if TYPE_CHECKING:
    from appengine.v1.run_service_pb2_grpc import RunServiceAsyncStub
    from appengine.v1.storage_service_pb2_grpc import StorageServiceAsyncStub

    from appengine_client.transfer import Fetched, OnProgress

ENDED = frozenset(
    {run_pb2.RUN_STATE_SUCCEEDED, run_pb2.RUN_STATE_FAILED, run_pb2.RUN_STATE_CANCELLED}
)
_TAKES_INPUTS = frozenset({run_pb2.RUN_STATE_CREATED, run_pb2.RUN_STATE_PROVISIONED})
_CHANGING = UnaryRetries(total_seconds=60.0)
"""Calls that store values or remove files."""
_DROP_SECONDS = 5.0
_MOST_ITEMS = 100_000
"""Items of arrays in one answer: the most that a server gives."""


class Runs:
    """Creates runs, gives them inputs, starts and follows them, and fetches what they made."""

    def __init__(self, connection: Connection, tasks: Tasks, uploads: Uploads) -> None:
        self._connection = connection
        self._tasks = tasks
        self._uploads = uploads

    @cached_property
    def _stub(self) -> RunServiceAsyncStub:
        return RunServiceStub(self._connection.channel)

    @cached_property
    def _storage(self) -> StorageServiceAsyncStub:
        return StorageServiceStub(self._connection.channel)

    async def create(
        self,
        task: str,
        inputs: Mapping[str, InputPython] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        start: bool = False,
        on_progress: OnProgress | None = None,
        request_id: str | None = None,
    ) -> run_pb2.Run:
        """Make a run, give it inputs, and start it if `start` is set.

        Args:
            task: `NAMESPACE:VERSION`, or the task's id.
            inputs: By name; Python values of the types that the task declares, lists for arrays,
                `pathlib.Path` for files and images. Large ones are uploaded.
            labels: For finding the run again.
            start: Put the run into the queue.
            on_progress: Called in the event loop while files are sent.
            request_id: A UUID of yours: the same call with the same one makes no second run, but
                goes on with the first, wherever it was interrupted. Another call with it is
                Aborted.

        Raises:
            InvalidValue: An input is unknown or of another kind than declared.
            InvalidArgument: The server found problems; every one is in the error.
            Refused: The server does not take it for another reason.
            LocalFileError: A file cannot be read.

        Whatever is raised, no run stays behind that nobody knows of: one that was made, but did not
        get all its inputs, is removed, unless `request_id` lets the caller go on with it.
        """
        request = pb.CreateRunRequest(
            project=self._connection.settings.project,
            task=task_name(task, self._connection.settings.project),
            labels=labels or {},
            request_id=request_id or new_id(),
        )
        if not inputs:
            request.start = start
            return await self._create(request)
        declared = await self._tasks.get(task)
        request.task.CopyFrom(task_name(declared.id))
        plan = await self._plan(declared.inputs, inputs)
        if plan.fits_one_request:
            request.inputs.extend(value for batch in plan.requests for value in batch)
            request.start = start
            return await self._create(request)
        run = await self._create(request)
        if run.state not in _TAKES_INPUTS:  # an earlier call with this request_id started it
            return run
        try:
            run = await self._carry_out(run, plan, on_progress)
            return await self.start(run.id) if start else run
        except (AppEngineError, asyncio.CancelledError):
            if request_id is None:
                await self._drop(run.id)
            raise

    async def provision(
        self,
        run_id: str,
        inputs: Mapping[str, InputPython],
        *,
        on_progress: OnProgress | None = None,
    ) -> run_pb2.Run:
        """Give inputs to a run that is not started; None clears an optional one.

        Takes and raises what `create` does. Values of one request are stored all or not at all;
        files follow one by one.
        """
        run = await self.get(run_id)
        declared = await self._tasks.get(run.task_id)
        plan = await self._plan(declared.inputs, inputs)
        return await self._carry_out(run, plan, on_progress)

    async def start(self, run_id: str) -> run_pb2.Run:
        """Put the run into the queue. Starting it twice changes nothing."""
        request = pb.StartRunRequest(run_id=run_id)
        return (await self._connection.call(self._stub.StartRun, request, retries=_CHANGING)).run

    async def cancel(self, run_id: str) -> run_pb2.Run:
        """Ask the run to stop, and do not wait until it has."""
        request = pb.CancelRunRequest(run_id=run_id)
        return (await self._connection.call(self._stub.CancelRun, request)).run

    async def retry(self, run_id: str) -> run_pb2.Run:
        """Make and start a new run with the same task and inputs."""
        request = pb.RetryRunRequest(run_id=run_id, request_id=new_id())
        return (await self._connection.call(self._stub.RetryRun, request, retries=_CHANGING)).run

    async def delete(self, run_id: str) -> None:
        """Remove a run with its files and logs."""
        request = pb.DeleteRunRequest(run_id=run_id)
        await self._connection.call(self._stub.DeleteRun, request, retries=_CHANGING)

    async def get(self, run_id: str) -> run_pb2.Run:
        """One run. Raises NotFound when there is none."""
        request = pb.GetRunRequest(run_id=run_id)
        return (await self._connection.call(self._stub.GetRun, request)).run

    async def list(self, filter: pb.RunFilter | None = None) -> AsyncIterator[run_pb2.Run]:
        """All runs that match, newest first; pages are fetched as they are needed."""
        request = pb.ListRunsRequest(filter=self._in_project(filter))
        while True:
            page = await self._connection.call(self._stub.ListRuns, request)
            for run in page.runs:
                yield run
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def watch(
        self, run_id: str, *, after_revision: int = 0
    ) -> AsyncGenerator[pb.WatchRunResponse]:
        """Every change of a run after a revision, none left out or twice; ends after its end.

        Goes on by itself when the connection is cut. `run` is set with the newest event.
        """
        request = pb.WatchRunRequest(run_id=run_id, after_revision=after_revision)
        async for answer in following(
            lambda: self._connection.stream(self._stub.WatchRun, request)
        ):
            request.after_revision = max(request.after_revision, answer.event.revision)
            yield answer

    async def watch_all(
        self,
        filter: pb.RunFilter | None = None,
        *,
        resume_token: str = "",
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        """The changes of all runs that match, until the caller leaves.

        They begin with what happens from now on, or behind a token: that of `watch_token`, or of
        the last answer that was seen.
        """
        request = pb.WatchRunsRequest(filter=self._in_project(filter), resume_token=resume_token)
        async for answer in following(
            lambda: self._connection.stream(self._stub.WatchRuns, request)
        ):
            request.resume_token = answer.resume_token
            if answer.HasField("event"):
                yield answer

    async def watch_token(self, filter: pb.RunFilter | None = None) -> str:
        """Where `watch_all` begins now: ask before `list`, and no change is missed after it."""
        request = pb.WatchRunsRequest(filter=self._in_project(filter))
        async for answer in following(
            lambda: self._connection.stream(self._stub.WatchRuns, request)
        ):
            return answer.resume_token
        return ""

    async def wait(
        self, run_id: str, *, on_change: Callable[[run_pb2.RunEvent], None] | None = None
    ) -> run_pb2.Run:
        """The run once it has SUCCEEDED, FAILED or was CANCELLED.

        Args:
            run_id: The run.
            on_change: Called in the event loop with each change of the run.
        """
        async for answer in self.watch(run_id):
            if on_change is not None:
                on_change(answer.event)
        return await self.get(run_id)

    async def logs(
        self, run_id: str, *, attempt: int = 0, cursor: int = 0, follow: bool = False
    ) -> AsyncIterator[bytes]:
        """What the task printed, from a byte on; with `follow` until the attempt has ended.

        Args:
            run_id: The run.
            attempt: Counted from 1; 0 means the newest.
            cursor: Position of the first byte.
            follow: Go on until the attempt has ended. Cut connections are mended.
        """
        request = pb.TailLogsRequest(run_id=run_id, attempt=attempt, cursor=cursor, follow=follow)
        async for piece in following(lambda: self._connection.stream(self._stub.TailLogs, request)):
            request.cursor, request.attempt = piece.next_cursor, piece.attempt
            if piece.data:
                yield piece.data

    async def inputs(self, run_id: str, parameter: str = "") -> Sequence[pb.ParameterValue]:
        """The inputs with their values in the order of the descriptor, or the one that is named."""
        request = pb.GetRunInputsRequest(run_id=run_id, parameter=parameter, page_size=_MOST_ITEMS)
        pages_seen: list[Iterable[pb.ParameterValue]] = []
        while True:
            page = await self._connection.call(self._stub.GetRunInputs, request)
            pages_seen.append(page.inputs)
            request.page_token = page.next_page_token
            if not request.page_token:
                return pages.joined(pages_seen)

    async def outputs(self, run_id: str, parameter: str = "") -> Sequence[pb.ParameterValue]:
        """The outputs of a run that SUCCEEDED in the order of the descriptor, or the named one."""
        request = pb.GetRunOutputsRequest(run_id=run_id, parameter=parameter, page_size=_MOST_ITEMS)
        pages_seen: list[Iterable[pb.ParameterValue]] = []
        while True:
            page = await self._connection.call(self._stub.GetRunOutputs, request)
            pages_seen.append(page.outputs)
            request.page_token = page.next_page_token
            if not request.page_token:
                return pages.joined(pages_seen)

    async def download_outputs(
        self, run_id: str, folder: Path, *, on_progress: OnProgress | None = None
    ) -> Fetched:
        """Fetch the outputs of a run that SUCCEEDED, each under its own name as it was written."""
        resource = storage_pb.Resource(run_outputs=run_id)
        return await self.download(resource, folder, on_progress=on_progress)

    async def download_inputs(
        self, run_id: str, folder: Path, *, on_progress: OnProgress | None = None
    ) -> Fetched:
        """Fetch the inputs of a run."""
        resource = storage_pb.Resource(run_inputs=run_id)
        return await self.download(resource, folder, on_progress=on_progress)

    async def download(
        self,
        resource: storage_pb.Resource,
        folder: Path,
        *,
        on_progress: OnProgress | None = None,
    ) -> Fetched:
        """Fetch any resource, such as what a failed attempt left behind.

        Called again after the process was killed, or the server was away for too long, it goes on
        with what has come.
        """
        name = hashlib.sha256(resource.SerializeToString(deterministic=True)).hexdigest()[:16]
        return await transfer.pull(
            resource, folder, self._connection, on_progress=on_progress, name=name
        )

    async def files(self, resource: storage_pb.Resource) -> AsyncIterator[transfer_pb2.Entry]:
        """The files and folders of a resource; pages are fetched as they are needed."""
        request = storage_pb.ListFilesRequest(resource=resource)
        while True:
            page = await self._connection.call(self._storage.ListFiles, request)
            for entry in page.entries:
                yield entry
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def _in_project(self, given: pb.RunFilter | None) -> pb.RunFilter:
        complete = pb.RunFilter()
        if given is not None:
            complete.CopyFrom(given)
        complete.project = complete.project or self._connection.settings.project
        return complete

    async def _plan(
        self, declared: Iterable[task_pb2.Parameter], inputs: Mapping[str, InputPython]
    ) -> InputPlan:
        limits = await self._uploads.capabilities()
        return plan_inputs(declared, inputs, limits.max_inline_value_bytes)

    async def _carry_out(
        self, run: run_pb2.Run, plan: InputPlan, on_progress: OnProgress | None
    ) -> run_pb2.Run:
        for values in plan.requests:
            run = await self._provision(pb.ProvisionInputsRequest(run_id=run.id, inputs=values))
        for upload in plan.uploads:
            finished = await self._uploads.send_input(
                run.id, upload.parameter, upload.source, part=upload.part, on_progress=on_progress
            )
            if finished.HasField("run"):
                run = finished.run
        return run

    async def _drop(self, run_id: str) -> None:
        """Remove a run that was not started. What fails here is swept by the server's policy."""
        with suppress(AppEngineError, TimeoutError):
            async with asyncio.timeout(_DROP_SECONDS):
                await self.delete(run_id)

    async def _create(self, request: pb.CreateRunRequest) -> run_pb2.Run:
        async def call() -> pb.CreateRunResponse:
            return await self._connection.call(self._stub.CreateRun, request, retries=_CHANGING)

        async def validate() -> Sequence[problem_pb2.Problem]:
            trial = pb.CreateRunRequest()
            trial.CopyFrom(request)
            trial.request_id, trial.validate_only = new_id(), True
            return (await self._connection.call(self._stub.CreateRun, trial)).problems

        return (await with_all_problems(call, validate)).run

    async def _provision(self, request: pb.ProvisionInputsRequest) -> run_pb2.Run:
        async def call() -> pb.ProvisionInputsResponse:
            return await self._connection.call(
                self._stub.ProvisionInputs, request, retries=_CHANGING
            )

        async def validate() -> Sequence[problem_pb2.Problem]:
            trial = pb.ProvisionInputsRequest()
            trial.CopyFrom(request)
            trial.validate_only = True
            return (await self._connection.call(self._stub.ProvisionInputs, trial)).problems

        return (await with_all_problems(call, validate)).run
