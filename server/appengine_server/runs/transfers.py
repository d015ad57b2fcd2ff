"""The use cases of transfers: who may send which bytes, what they become, and what can be fetched.

The bytes themselves are moved by `storage`; here is what they mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

from appengine_contract.descriptor import Descriptor, Parameter

from appengine_server.database import outbox, runs, uploads
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import (
    InputPart,
    RunRecord,
    RunState,
    UploadRecord,
    UploadState,
    UploadTarget,
)
from appengine_server.errors import (
    EtagMismatch,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    RequestIdReused,
    ResourceExhausted,
    RunStateRefused,
)
from appengine_server.faultpoints import FaultPoints
from appengine_server.identity import AttemptPrincipal, Caller, Direction, Principal
from appengine_server.problems_json import problem_json
from appengine_server.runs.agents import Agents
from appengine_server.runs.arrivals import Arrivals
from appengine_server.runs.effects import REMOVE_PROVISIONED
from appengine_server.runs.layout import is_laid_out, lay_out_preview
from appengine_server.runs.outputs import output_references
from appengine_server.runs.received import Received, ReceivingLimits, check_received
from appengine_server.runs.references import References
from appengine_server.runs.runs import Runs, no_outputs
from appengine_server.runs.scratch import turn_in
from appengine_server.runs.state import UNSTARTED
from appengine_server.runs.stored import StoredInputs
from appengine_server.runs.upload_quota import UploadQuota
from appengine_server.storage.commit import commit_tree
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import Claim
from appengine_server.storage.listing import Links, Stretch, Tree, list_stretch, plan_tree
from appengine_server.storage.quota import no_raw_os_errors
from appengine_server.storage.tree import Entry, Place
from appengine_server.storage.uploads import Uploads
from appengine_server.storage.writer import UploadWriter
from appengine_server.tasks.tasks import REMOVE_UPLOAD, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOrder:
    """What a client wants to send."""

    project: str
    """Of a bundle; everything else belongs to its run's project."""
    target: UploadTarget
    run_id: UUID | None = None
    attempt: int = 0
    parameter: str = ""
    part: InputPart | None = None
    expected_bytes: int = 0
    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadStatus:
    """How far an upload is, and what became of it."""

    record: UploadRecord
    persisted: Place
    run: RunRecord | None = None
    """The run whose input it became."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceName:
    """A tree of files that can be listed and downloaded."""

    kind: Literal["run_inputs", "run_outputs", "attempt_files"]
    run_id: UUID
    attempt: int = 0
    """0 means the newest."""
    path: str = ""


class Transfers:
    """What can be sent and fetched. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        upload_bytes: Uploads,
        runs: Runs,
        expiry: timedelta,
        faults: FaultPoints,
        references: References,
        agents: Agents,
        arrivals: Arrivals,
        receiving: ReceivingLimits,
        quota: UploadQuota,
    ) -> None:
        self._database = database
        self._layout = layout
        self._bytes = upload_bytes
        self._runs = runs
        self._expiry = expiry
        self._faults = faults
        self._references = references
        self._agents = agents
        self._arrivals = arrivals
        self._receiving = receiving
        self._quota = quota

    async def start(self, caller: Caller, order: UploadOrder) -> UploadRecord:
        """Open an upload."""
        if order.target is UploadTarget.ATTEMPT_OUTPUTS or isinstance(caller, AttemptPrincipal):
            return await self._start_outputs(caller, order)
        principal = caller
        project = order.project
        if order.target is UploadTarget.INPUT:
            project = await self._project_of_input(principal, order)
        project = principal.resolve_project(project)
        principal.may_change(project)
        new = uploads.NewUpload(
            id=uuid4(), project=project, owner=principal.name, target=order.target,
            run_id=order.run_id, parameter=order.parameter or None, part=order.part,
            request_id=order.request.id, request_hash=order.request.hash, expiry=self._expiry,
        )  # fmt: skip
        await self._bytes.create(str(new.id), expected_bytes=order.expected_bytes)
        record = None
        try:
            async with self._database.transaction() as connection:
                record = await uploads.insert(connection, new)
                if record is not None:
                    await self._quota.claim(connection, record, order.expected_bytes)
        except ResourceExhausted:
            await self._bytes.remove(str(new.id))
            raise
        if record is not None:
            return record
        await self._bytes.remove(str(new.id))
        return await self._earlier(principal, project, order)

    @asynccontextmanager
    async def writing(
        self, caller: Caller, upload_id: UUID, writer_id: str
    ) -> AsyncIterator[UploadWriter]:
        """Write to an upload that is open or finished."""
        record = await self._changeable(caller, upload_id)
        if record.state is UploadState.CANCELLED:
            raise FailedPrecondition(
                "The upload was cancelled: start a new one.", reason="UPLOAD_STATE"
            )
        if record.state is UploadState.FAILED:
            raise FailedPrecondition(
                "The upload was refused: start a new one.", reason="UPLOAD_STATE"
            )
        await self._postpone_expiry(upload_id)
        of_attempt = record.target is UploadTarget.ATTEMPT_OUTPUTS
        limits = self._arrivals.limits if of_attempt else None
        try:
            async with self._bytes.open_writer(
                str(upload_id), writer_id, limits=limits, claim=self._claim(record)
            ) as writer:
                yield writer
        except (InvalidArgument, ResourceExhausted) as refusal:
            if of_attempt:
                raise await self._arrivals.refused(record, refusal) from refusal
            if isinstance(refusal, InvalidArgument):
                await self._fail(upload_id, refusal)
            raise
        await self._postpone_expiry(upload_id)

    async def is_finished(self, caller: Caller, upload_id: UUID) -> UploadStatus | None:
        """The result of an upload that is finished; None for one that is not."""
        record = await self._changeable(caller, upload_id)
        if record.state is not UploadState.FINISHED:
            return None
        return await self._status(caller, record)

    async def finish(
        self, caller: Caller, upload_id: UUID, writer: UploadWriter, end: Place
    ) -> UploadStatus:
        """Close an upload: a bundle waits for CreateTask, an input is checked and provisioned, the
        outputs of an attempt get their place.
        """
        record = await self._changeable(caller, upload_id)
        if record.state is UploadState.FINISHED:
            return await self._status(caller, record)
        tree = await writer.finish(end)
        await self._faults.reach("upload.received")
        if isinstance(caller, AttemptPrincipal):
            ended = await self._arrivals.commit(record, end=end)
        elif record.target is UploadTarget.TASK_BUNDLE:
            _check_bundle(tree.root)
            async with self._database.transaction() as connection:
                ended = await uploads.end(
                    connection, upload_id, state=UploadState.FINISHED,
                    total_bytes=end.bytes, total_entries=end.entries,
                )  # fmt: skip
        else:
            with no_raw_os_errors(self._layout.base):
                ended = await self._provision(caller, record, tree.root, end)
        await self._faults.reach("upload.committed")
        now = ended or await self._changeable(caller, upload_id)
        return await self._status(caller, now)

    async def get(self, caller: Caller, upload_id: UUID) -> UploadStatus:
        """How far an upload is, once all that was received of it is persisted."""
        record = await self._changeable(caller, upload_id)
        await self._bytes.flush(str(upload_id))
        return await self._status(caller, record)

    async def cancel(self, principal: Principal, upload_id: UUID) -> None:
        """Drop an upload with its bytes; OK if it was dropped before."""
        record = await self._changeable(principal, upload_id)
        if record.state is UploadState.CANCELLED:
            return
        async with self._database.transaction() as connection:
            ended = await uploads.end(connection, upload_id, state=UploadState.CANCELLED)
        if ended is None:
            raise FailedPrecondition(
                f"The upload is {record.state}: it cannot be cancelled.", reason="UPLOAD_STATE"
            )
        await self._bytes.remove(str(upload_id))

    async def plan(self, caller: Caller, name: ResourceName, *, etag: str = "") -> Tree:
        """The files of a resource, in the order of a download.

        Raises EtagMismatch when an etag is given and the content is no longer of it.
        """
        root, links = await self._listed(caller, name)
        tree = await plan_tree(root, name.path, links=links)
        if etag and etag != tree.etag:
            raise EtagMismatch("The content has changed since: begin the download again.")
        return tree

    async def files(
        self, caller: Caller, name: ResourceName, stretch: Stretch
    ) -> tuple[Entry, ...]:
        """A part of the files of a resource, and one more where there are more."""
        root, links = await self._listed(caller, name)
        return await list_stretch(root, name.path, stretch, links=links)

    async def _listed(self, caller: Caller, name: ResourceName) -> tuple[Path, Links]:
        principal = await self._reader(caller, name)
        run = await self._runs.get(principal, name.run_id)
        root = await self._root(principal, run, name)
        return root, await self._links(caller, principal, run, name)

    async def _reader(self, caller: Caller, name: ResourceName) -> Principal:
        """As whom a caller reads: an agent sees the inputs of its run, and nothing else."""
        if isinstance(caller, Principal):
            return caller
        if (name.kind, name.run_id) != ("run_inputs", caller.run_id):
            raise PermissionDenied("the token of an attempt is for the inputs of its run alone")
        run = await self._agents.check_open(caller, Direction.FETCH)
        return Principal(caller.name, frozenset({run.project}), run.project)

    async def _start_outputs(self, caller: Caller, order: UploadOrder) -> UploadRecord:
        if not isinstance(caller, AttemptPrincipal) or (
            (order.target, order.run_id, order.attempt)
            != (UploadTarget.ATTEMPT_OUTPUTS, caller.run_id, caller.attempt)
        ):
            raise PermissionDenied("the outputs of an attempt are sent by its own agent alone")
        run = await self._agents.check_open(caller, Direction.TRANSFER)
        record = await self._arrivals.upload_of(run.id, run.attempt)
        if record is None and run.state is not RunState.FINALIZING:
            raise RunStateRefused("The task has not ended: wait for the order to send its outputs.")
        return record or await self._arrivals.open(run, rescue=False)

    async def _root(self, principal: Principal, run: RunRecord, name: ResourceName) -> Path:
        if name.kind == "run_inputs":
            return await self._inputs_root(principal, run)
        if name.kind == "run_outputs":
            if run.state is not RunState.SUCCEEDED or run.outputs_attempt is None:
                raise no_outputs(run)
            return self._layout.outputs(run.id, run.outputs_attempt)
        attempt = _attempt_of(run, name)
        if not 1 <= attempt <= run.attempt:
            count = "1 attempt" if run.attempt == 1 else f"{run.attempt} attempts"
            raise NotFound(f"The run has {count}, so there is no attempt {attempt}.")
        return self._layout.outputs(run.id, attempt)

    async def _links(
        self, caller: Caller, principal: Principal, run: RunRecord, name: ResourceName
    ) -> Links:
        """The content of the dataset's files, which whoever asks may not have."""
        if name.kind != "run_inputs":
            recorded = await asyncio.to_thread(
                output_references, self._layout, run.id, _attempt_of(run, name)
            )
            return self._references.followed(run.project, recorded)
        _, _, inputs = await self._runs.inputs(principal, name.run_id)
        if isinstance(caller, AttemptPrincipal):
            return self._references.agents_links(run.project, inputs)
        return self._references.links(run.project, inputs)

    async def _inputs_root(self, principal: Principal, run: RunRecord) -> Path:
        """The folder that the task sees; before there is one, what it would be now."""
        if await asyncio.to_thread(is_laid_out, self._layout, run.id):
            return self._layout.inputs(run.id)
        _, descriptor, inputs = await self._runs.inputs(principal, run.id)
        with no_raw_os_errors(self._layout.base):
            return await asyncio.to_thread(
                lay_out_preview, self._layout, run.id, descriptor, inputs
            )

    async def _project_of_input(self, principal: Principal, order: UploadOrder) -> str:
        if order.run_id is None or order.part is None:
            raise InvalidArgument("Name the run, the parameter and the part of the input.")
        run, descriptor = await self._runs.declared(principal, order.run_id)
        principal.may_change(run.project)
        _parameter(descriptor, order.parameter)
        if run.state not in UNSTARTED:
            raise RunStateRefused(
                f"The run is {run.state}: inputs can only change before the start."
            )
        return run.project

    async def _earlier(
        self, principal: Principal, project: str, order: UploadOrder
    ) -> UploadRecord:
        assert order.request.id is not None
        async with self._database.connection() as connection:
            earlier = await uploads.by_request(
                connection, project, principal.name, order.request.id
            )
        if earlier is None or earlier[1] != order.request.hash:
            raise RequestIdReused("The request_id was used for another request: make a new one.")
        return earlier[0]

    async def _changeable(self, caller: Caller, upload_id: UUID) -> UploadRecord:
        if isinstance(caller, AttemptPrincipal):
            return await self._outputs_of(caller, upload_id)
        async with self._database.connection() as connection:
            record = await uploads.get(connection, upload_id, caller.readable_projects)
        if record is None or record.target is UploadTarget.ATTEMPT_OUTPUTS:
            raise NotFound(f"There is no upload {upload_id}, or it expired: start again.")
        caller.may_change(record.project)
        return record

    async def _outputs_of(self, agent: AttemptPrincipal, upload_id: UUID) -> UploadRecord:
        await self._agents.check_open(agent, Direction.TRANSFER)
        record = await self._arrivals.upload_of(agent.run_id, agent.attempt)
        if record is None or record.id != upload_id:
            raise PermissionDenied("the token of an attempt is for the upload of its outputs alone")
        return record

    async def _status(self, caller: Caller, record: UploadRecord) -> UploadStatus:
        if record.state is UploadState.OPEN:
            return UploadStatus(record=record, persisted=await self._bytes.place(str(record.id)))
        end = Place(bytes=record.total_bytes, entries=record.total_entries)
        run = None
        if (
            isinstance(caller, Principal)
            and record.state is UploadState.FINISHED
            and record.run_id is not None
        ):
            async with self._database.connection() as connection:
                run = await runs.get(connection, record.run_id, caller.readable_projects)
        return UploadStatus(record=record, persisted=end, run=run)

    def _claim(self, record: UploadRecord) -> Claim | None:
        """How an upload that turns out larger than announced asks for more of the quotas."""
        if record.target is UploadTarget.ATTEMPT_OUTPUTS or not self._quota.is_set:
            return None

        async def raise_to(wanted_bytes: int) -> None:
            async with self._database.transaction() as connection:
                await self._quota.claim(connection, record, wanted_bytes)

        return Claim(bytes=record.held_bytes, raise_to=raise_to)

    async def _postpone_expiry(self, upload_id: UUID) -> None:
        async with self._database.connection() as connection:
            await uploads.postpone_expiry(connection, upload_id, expiry=self._expiry)

    async def _fail(self, upload_id: UUID, refusal: InvalidArgument) -> None:
        async with self._database.transaction() as connection:
            await uploads.end(
                connection, upload_id, state=UploadState.FAILED,
                problems=[problem_json(problem) for problem in refusal.problems],
            )  # fmt: skip
        await self._bytes.remove(str(upload_id))

    async def _provision(
        self, principal: Principal, record: UploadRecord, tree: Path, end: Place
    ) -> UploadRecord | None:
        """Check the bytes, put them into the run, and let its row decide that they count.

        A crash in between leaves bytes that nothing refers to; finishing again goes on from there.
        """
        assert record.run_id is not None
        assert record.parameter is not None
        assert record.part is not None
        run, descriptor = await self._runs.declared(principal, record.run_id)
        parameter = _parameter(descriptor, record.parameter)
        place = self._layout.uploaded(run.id, record.id)
        received = await asyncio.to_thread(self._receive, parameter, record, tree, place)
        await self._faults.reach("upload.moved")
        try:
            return await self._provisioned(principal, run.id, record, received, end)
        except RunStateRefused:
            await self._give_up(run.id, record.id)
            raise

    async def _provisioned(
        self,
        principal: Principal,
        run_id: UUID,
        record: UploadRecord,
        received: Received,
        end: Place,
    ) -> UploadRecord | None:
        async with self._database.transaction() as connection:
            ended = await uploads.end(
                connection, record.id, state=UploadState.FINISHED,
                total_bytes=end.bytes, total_entries=end.entries,
            )  # fmt: skip
            if ended is not None:  # else it was cancelled meanwhile, or finished by another call
                locked = await self._runs.changeable(connection, principal, run_id)
                await self._take_over(connection, locked, record, received)
                await outbox.add(connection, REMOVE_UPLOAD, {"upload_id": str(record.id)})
        return ended

    async def _give_up(self, run_id: UUID, upload_id: UUID) -> None:
        """Drop what came too late, unless the same upload was finished in time by another call."""
        async with self._database.transaction() as connection:
            if await uploads.end(connection, upload_id, state=UploadState.FAILED):
                provisioned = {"run_id": str(run_id), "upload_id": str(upload_id)}
                await outbox.add(connection, REMOVE_PROVISIONED, provisioned)
                await outbox.add(connection, REMOVE_UPLOAD, {"upload_id": str(upload_id)})

    async def _take_over(
        self, connection: Connection, run: RunRecord, record: UploadRecord, received: Received
    ) -> None:
        before: set[UUID] = set()
        after: set[UUID] = set()

        def change(_: Descriptor, inputs: StoredInputs) -> StoredInputs:
            changed = received.into(inputs)
            before.update(inputs.uploads())
            after.update(changed.uploads())
            return changed

        message = f"provisioned: {record.parameter}"
        await self._runs.change_inputs(connection, run, change, message)
        for upload_id in before - after:
            subject = {"run_id": str(run.id), "upload_id": str(upload_id)}
            await outbox.add(connection, REMOVE_PROVISIONED, subject)

    def _receive(
        self, parameter: Parameter, record: UploadRecord, tree: Path, place: Path
    ) -> Received:
        """Check the tree and move it to its place, unless another call has moved it."""
        assert record.run_id is not None
        assert record.part is not None
        with turn_in(self._layout.upload(record.id)):
            moved = place.exists()
            received = check_received(
                parameter, record.part, place if moved else tree, record.id, self._receiving
            )
            if not moved:
                self._move(record.run_id, tree, place)
        return received

    def _move(self, run_id: UUID, tree: Path, place: Path) -> None:
        self._layout.make_run(run_id)
        place.parent.mkdir(exist_ok=True)
        commit_tree(tree, place)


def _attempt_of(run: RunRecord, name: ResourceName) -> int:
    """The attempt whose files are named."""
    if name.kind == "run_outputs" and run.outputs_attempt is not None:
        return run.outputs_attempt
    return name.attempt or run.attempt


def _parameter(descriptor: Descriptor, name: str) -> Parameter:
    parameter = descriptor.input(name)
    if parameter is None:
        known = ", ".join(parameter.name for parameter in descriptor.inputs) or "none"
        raise InvalidArgument(
            f"The task has no input {name}. Its inputs are: {known}.", reason="PARAMETER_UNKNOWN"
        )
    return parameter


def _check_bundle(root: Path) -> None:
    entries = list(root.iterdir())
    if len(entries) != 1 or not entries[0].is_file() or entries[0].is_symlink():
        raise InvalidArgument(
            "A bundle is one file, a zip: send it alone.", reason="BUNDLE_NOT_ZIP"
        )
