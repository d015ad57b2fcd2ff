"""The use cases of runs: create, provision, start, cancel, retry, delete, look.

What a caller may do is decided here, from the principal that every method takes; what happens to a
run afterwards is the business of `admission` and `reconcile`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4

from appengine_contract.descriptor import Descriptor
from appengine_contract.problems import Problem
from appengine_contract.reading import limited

from appengine_server.database import outbox, run_queries, runs, tasks
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import Json, RunRecord, RunState, TaskState
from appengine_server.database.run_queries import RunQuery
from appengine_server.database.runs import NewRun, RunChange
from appengine_server.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    RequestIdReused,
    RunStateRefused,
)
from appengine_server.identity import Principal
from appengine_server.problems_json import problem_json
from appengine_server.runs import provisioning
from appengine_server.runs.effects import CANCEL, REMOVE_RUN
from appengine_server.runs.layout import link_tree
from appengine_server.runs.provisioning import GivenInputs
from appengine_server.runs.references import References, has_references
from appengine_server.runs.state import TERMINAL, UNSTARTED, came_from, pending_json
from appengine_server.runs.stored import StoredInputs, inputs_from_json, inputs_to_json
from appengine_server.scheduling.scheduler import PendingKind, PendingReason
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.quota import FreeSpace, from_os_error
from appengine_server.tasks.tasks import REMOVE_TASK, Request, Task, TaskName, Tasks


class Driving(Protocol):
    """What drives runs once they are started."""

    def run_changed(self, run_id: UUID, state: RunState) -> None:
        """A run was started or is to be cancelled."""
        ...

    def effects_added(self) -> None:
        """There is something in the outbox."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What a client wants to be run."""

    project: str
    task: TaskName
    request: Request
    labels: Mapping[str, str]
    inputs: GivenInputs
    start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """One page of runs, and where the next one begins."""

    runs: Sequence[RunRecord]
    next_before: tuple[datetime, UUID] | None


class Runs:
    """What can be done with runs. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        tasks: Tasks,
        driving: Driving,
        free_space: FreeSpace,
        references: References,
        index_guard: int,
    ) -> None:
        self._database = database
        self._layout = layout
        self._tasks = tasks
        self._driving = driving
        self._free_space = free_space
        self._references = references
        self._index_guard = index_guard

    async def check(self, principal: Principal, order: RunOrder) -> list[Problem]:
        """Say which values `create` would refuse; keeps nothing."""
        project = principal.resolve_project(order.project)
        principal.may_change(project)
        task = await self._tasks.get(principal, order.task)
        resolved = await self._references.resolve(project, task.descriptor, order.inputs)
        inputs, problems = provisioning.provision(
            task.descriptor, StoredInputs(), resolved, index_guard=self._index_guard
        )
        if order.start:
            given = order.inputs.names()
            lacks = provisioning.for_start(task.descriptor, inputs)[1]
            problems += [problem for problem in lacks if not (problems and problem.path in given)]
        return problems

    async def create(self, principal: Principal, order: RunOrder) -> RunRecord:
        """Make a run, provision and start it as the order says: all or nothing."""
        project = principal.resolve_project(order.project)
        principal.may_change(project)
        self._free_space.check()
        given = order.inputs
        if has_references(given):  # no connection is held while disks are waited for
            descriptor = (await self._tasks.get(principal, order.task)).descriptor
            given = await self._references.resolve(project, descriptor, given)
        async with self._database.connection() as connection:
            task = await self._tasks.find(connection, principal, order.task)
            inputs = self._provisioned(task.descriptor, StoredInputs(), given)
            state = _unstarted_state(task.descriptor, inputs)
            if order.start:
                inputs, state = _ready(task.descriptor, inputs), RunState.QUEUED
            new = NewRun(
                id=uuid4(),
                project=project,
                owner=principal.name,
                task_id=task.record.id,
                state=state,
                request_id=order.request.id,
                request_hash=order.request.hash,
                retry_of=None,
                labels=order.labels,
                inputs=inputs_to_json(inputs),
                missing_inputs=provisioning.missing(task.descriptor, inputs),
                warnings=_warnings(inputs),
                pending_reasons=_waits(task) if order.start else (),
            )
            run = await self._insert(connection, new)
        if run.state is RunState.QUEUED:
            self._driving.run_changed(run.id, run.state)
        return run

    async def check_inputs(
        self, principal: Principal, run_id: UUID, given: GivenInputs
    ) -> tuple[RunRecord, list[Problem]]:
        """Say which values `provision` would refuse; keeps nothing."""
        async with self._database.connection() as connection:
            run = await self._of_principal(connection, principal, run_id)
            inputs = await self._inputs_of(connection, run_id)
        descriptor = await self._tasks.descriptor(run.task_id)
        resolved = await self._references.resolve(run.project, descriptor, given)
        return run, provisioning.provision(
            descriptor, inputs, resolved, index_guard=self._index_guard
        )[1]

    async def provision(self, principal: Principal, run_id: UUID, given: GivenInputs) -> RunRecord:
        """Give values to inputs, all or nothing."""
        names = ", ".join(sorted(given.names()))
        resolved = given
        if has_references(given):  # no row is locked while disks are waited for
            run = await self.get(principal, run_id)
            principal.may_change(run.project)
            descriptor = await self._tasks.descriptor(run.task_id)
            resolved = await self._references.resolve(run.project, descriptor, given)

        def change(descriptor: Descriptor, inputs: StoredInputs) -> StoredInputs:
            return self._provisioned(descriptor, inputs, resolved)

        async with self._database.transaction() as connection:
            run = await self.changeable(connection, principal, run_id)
            return await self.change_inputs(connection, run, change, f"provisioned: {names}")

    async def changeable(
        self, connection: Connection, principal: Principal, run_id: UUID
    ) -> RunRecord:
        """Lock a run whose inputs may change until the transaction ends."""
        run, state = await self._locked(connection, principal, run_id)
        if state not in UNSTARTED:
            raise RunStateRefused(
                f"The run is {state}: inputs can only change before the start. Create a new run."
            )
        return run

    async def change_inputs(
        self,
        connection: Connection,
        run: RunRecord,
        change: InputChange,
        message: str,
    ) -> RunRecord:
        """Replace the inputs of a run that `changeable` has locked."""
        descriptor = await self._tasks.descriptor(run.task_id)
        before = await self._inputs_of(connection, run.id)
        inputs = change(descriptor, before)
        changed = await runs.provision(
            connection,
            run.id,
            inputs=inputs_to_json(inputs),
            missing_inputs=provisioning.missing(descriptor, inputs),
            warnings=_warnings(inputs),
            message=message,
        )
        assert changed is not None, "the run is locked"
        return changed

    async def start(self, principal: Principal, run_id: UUID) -> RunRecord:
        """Put a run into the queue; OK if it was started and has not ended."""
        async with self._database.transaction() as connection:
            run, state = await self._locked(connection, principal, run_id)
            if state in TERMINAL or state is RunState.CANCELLING:
                raise RunStateRefused(f"The run is {state}: it cannot be started. Retry it.")
            if state not in UNSTARTED:
                return await self._of_principal(connection, principal, run_id)
            self._free_space.check()
            task = await self._task_of(connection, run)
            found = await self._inputs_of(connection, run_id)
            inputs = _ready(task.descriptor, found)
            await runs.provision(
                connection, run_id, inputs=inputs_to_json(inputs), missing_inputs=(),
                warnings=_warnings(inputs), message="",
            )  # fmt: skip
            change = RunChange(state=RunState.QUEUED, pending_reasons=_waits(task))
            started = await runs.change(
                connection, run_id, change, came_from=came_from(RunState.QUEUED)
            )
            assert started is not None, "the run is locked"
        self._driving.run_changed(run_id, RunState.QUEUED)
        return started

    async def cancel(self, principal: Principal, run_id: UUID) -> RunRecord:
        """Ask a run to stop; OK if it is being cancelled or was."""
        async with self._database.transaction() as connection:
            _, state = await self._locked(connection, principal, run_id)
            if state in {RunState.CANCELLING, RunState.CANCELLED}:
                return await self._of_principal(connection, principal, run_id)
            if state in TERMINAL:
                raise RunStateRefused(f"The run has {state}: there is nothing to cancel.")
            cancelled = await self._cancel_locked(connection, run_id, principal.name)
        self._driving.run_changed(run_id, cancelled.state)
        self._driving.effects_added()
        return cancelled

    async def cancel_all(self, principal: Principal, run_ids: Sequence[UUID]) -> None:
        """Cancel these runs, where they have not ended meanwhile."""
        for run_id in run_ids:
            try:
                await self.cancel(principal, run_id)
            except (RunStateRefused, NotFound):
                continue

    async def retry(self, principal: Principal, run_id: UUID, request: Request) -> RunRecord:
        """Make a new run with the same task and inputs, and start it."""
        self._free_space.check()
        async with self._database.connection() as connection:
            old = await self._of_principal(connection, principal, run_id)
            found = await self._inputs_of(connection, run_id)
        principal.may_change(old.project)
        if old.state not in TERMINAL:
            raise RunStateRefused(f"The run is {old.state}: it can be retried once it has ended.")
        inputs = await self._inputs_again(old, found)
        new_id = uuid4()
        try:
            await asyncio.to_thread(self._link_uploads, old.id, new_id, inputs)
            run = await self._insert_retry(principal, old, new_id, inputs, request)
        except (NotFound, FailedPrecondition, RequestIdReused, OSError) as error:
            # Nothing else proves that there is no row: a lost connection may have committed it.
            await asyncio.to_thread(self._layout.remove_run, new_id)
            if isinstance(error, FileNotFoundError):  # deleted since it was looked up
                raise _no_such_run(run_id) from error
            if isinstance(error, OSError):
                raise from_os_error(error, folder=self._layout.base) from error
            raise
        self._driving.run_changed(run.id, run.state)
        return run

    async def _inputs_again(self, old: RunRecord, found: StoredInputs) -> StoredInputs:
        """The inputs of a run for a new one: what it refers to is taken as it is now."""
        descriptor = await self._tasks.descriptor(old.task_id)
        fresh, problems = await self._references.refresh(old.project, descriptor, found)
        if problems:
            raise FailedPrecondition(
                "The run cannot start: files of the dataset cannot be used as inputs.",
                reason="INPUTS_INCOMPLETE",
                problems=problems,
            )
        return _ready(descriptor, fresh)

    async def _insert_retry(
        self,
        principal: Principal,
        old: RunRecord,
        new_id: UUID,
        inputs: StoredInputs,
        request: Request,
    ) -> RunRecord:
        async with self._database.transaction() as connection:
            task = await self._task_of(connection, old)
            new = NewRun(
                id=new_id, project=old.project, owner=principal.name, task_id=old.task_id,
                state=RunState.QUEUED, request_id=request.id, request_hash=request.hash,
                retry_of=old.id, labels=old.labels, missing_inputs=(),
                inputs=inputs_to_json(inputs), warnings=_warnings(inputs),
                pending_reasons=_waits(task),
            )  # fmt: skip
            run = await self._insert(connection, new)
            if run.id != new_id:  # the request came before
                await outbox.add(connection, REMOVE_RUN, {"run_id": str(new_id), "attempts": 0})
        return run

    async def delete(self, principal: Principal, run_id: UUID) -> None:
        """Remove a run that is not active, with everything of it."""
        async with self._database.transaction() as connection:
            _, state = await self._locked(connection, principal, run_id)
            run = await self._of_principal(connection, principal, run_id)
            if not await runs.delete(connection, run_id):
                raise RunStateRefused(
                    f"The run is {state}: cancel it, then delete it once it has ended."
                )
            subject = {"run_id": str(run_id), "attempts": run.attempt}
            await outbox.add(connection, REMOVE_RUN, subject)
            if await tasks.is_deleting(connection, run.task_id):  # this may have been its last run
                await outbox.add(connection, REMOVE_TASK, {"task_id": str(run.task_id)})
        self._driving.effects_added()

    async def get(self, principal: Principal, run_id: UUID) -> RunRecord:
        """One run. Raises NotFound."""
        async with self._database.connection() as connection:
            return await self._of_principal(connection, principal, run_id)

    async def list_page(
        self,
        query: RunQuery,
        *,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> RunPage:
        """Runs that match, newest first. The query's project is one that its principal may see."""
        async with self._database.connection() as connection:
            found = await run_queries.list_page(connection, query, before=before, limit=limit + 1)
        last = found[limit - 1] if len(found) > limit else None
        return RunPage(runs=found[:limit], next_before=(last.created_at, last.id) if last else None)

    async def inputs(
        self, principal: Principal, run_id: UUID
    ) -> tuple[RunRecord, Descriptor, StoredInputs]:
        """The inputs of a run, with what declares them."""
        async with self._database.connection() as connection:
            run = await self._of_principal(connection, principal, run_id)
            found = await self._inputs_of(connection, run_id)
        return run, await self._tasks.descriptor(run.task_id), found

    async def declared(self, principal: Principal, run_id: UUID) -> tuple[RunRecord, Descriptor]:
        """A run, and what declares its inputs and outputs. Costs the same for huge inputs."""
        run = await self.get(principal, run_id)
        return run, await self._tasks.descriptor(run.task_id)

    async def outputs(
        self, principal: Principal, run_id: UUID
    ) -> tuple[RunRecord, Descriptor, Json]:
        """The outputs of a run that SUCCEEDED, with what declares them."""
        async with self._database.connection() as connection:
            run = await self._of_principal(connection, principal, run_id)
            found = await runs.outputs_of(connection, run_id)
        if run.state is not RunState.SUCCEEDED or found is None:
            raise no_outputs(run)
        return run, await self._tasks.descriptor(run.task_id), found

    def _provisioned(
        self, descriptor: Descriptor, inputs: StoredInputs, given: GivenInputs
    ) -> StoredInputs:
        changed, problems = provisioning.provision(
            descriptor, inputs, given, index_guard=self._index_guard
        )
        if problems:
            raise InvalidArgument("Values are refused.", problems=problems)
        return changed

    async def _of_principal(
        self, connection: Connection, principal: Principal, run_id: UUID
    ) -> RunRecord:
        run = await runs.get(connection, run_id, principal.readable_projects)
        if run is None:
            raise _no_such_run(run_id)
        return run

    async def _locked(
        self, connection: Connection, principal: Principal, run_id: UUID
    ) -> tuple[RunRecord, RunState]:
        """Hold a run until the transaction ends.

        Answers the run as it was before it was locked, and the state that it has.
        """
        run = await self._of_principal(connection, principal, run_id)
        principal.may_change(run.project)
        state = await runs.lock(connection, run_id)
        if state is None:
            raise _no_such_run(run_id)
        return run, state

    async def _inputs_of(self, connection: Connection, run_id: UUID) -> StoredInputs:
        found = await runs.inputs_of(connection, run_id)
        if found is None:  # deleted since it was looked up
            raise _no_such_run(run_id)
        return inputs_from_json(found)

    async def _task_of(self, connection: Connection, run: RunRecord) -> Task:
        record = await tasks.get(connection, run.task_id, None)
        if record is None:
            raise NotFound("The task of this run was deleted: upload it again, and create a run.")
        return await self._tasks.with_descriptor(record)

    async def _insert(self, connection: Connection, new: NewRun) -> RunRecord:
        """One statement. A task that is deleted meanwhile stays until its last run is gone."""
        run = await runs.insert(connection, new)
        if run is not None:
            return run
        assert new.request_id is not None
        earlier = await runs.by_request(connection, new.project, new.owner, new.request_id)
        if earlier is None or earlier[1] != new.request_hash:
            raise RequestIdReused(
                "The request_id was used for another request: make a new one for each."
            )
        return earlier[0]

    async def _cancel_locked(self, connection: Connection, run_id: UUID, by_whom: str) -> RunRecord:
        """Cancel a locked run that has not ended: at once if no scheduler has it."""
        message = f"cancelled by {by_whom}"
        done = await runs.change(
            connection,
            run_id,
            RunChange(state=RunState.CANCELLED, message=message),
            came_from=UNSTARTED | {RunState.QUEUED},
        )
        if done is not None:
            return done
        asked = await runs.change(
            connection,
            run_id,
            RunChange(state=RunState.CANCELLING, message=message),
            came_from=came_from(RunState.CANCELLING),
        )
        assert asked is not None, "the run is locked"
        await outbox.add(connection, CANCEL, {"run_id": str(run_id), "attempt": asked.attempt})
        return asked

    def _link_uploads(self, old: UUID, new: UUID, inputs: StoredInputs) -> None:
        self._layout.make_run(new)
        for upload in inputs.uploads():
            target = self._layout.uploaded(new, upload)
            target.parent.mkdir(exist_ok=True)
            link_tree(self._layout.uploaded(old, upload), target)


class InputChange(Protocol):
    """Makes the new inputs of a run from the old ones."""

    def __call__(self, descriptor: Descriptor, inputs: StoredInputs, /) -> StoredInputs:
        """May raise InvalidArgument; then nothing changes."""
        ...


def _no_such_run(run_id: UUID) -> NotFound:
    return NotFound(
        f"There is no run {run_id}. List the runs to see which there are (appengine runs list)."
    )


def _ready(descriptor: Descriptor, inputs: StoredInputs) -> StoredInputs:
    ready, problems = provisioning.for_start(descriptor, inputs)
    if problems:
        raise FailedPrecondition(
            "The run cannot start: inputs are missing or incomplete.",
            reason="INPUTS_INCOMPLETE",
            problems=problems,
        )
    return ready


def _unstarted_state(descriptor: Descriptor, inputs: StoredInputs) -> RunState:
    return RunState.CREATED if provisioning.missing(descriptor, inputs) else RunState.PROVISIONED


def _warnings(inputs: StoredInputs) -> list[Json]:
    return [problem_json(warning) for warning in limited(inputs.warnings(), "")]


def _waits(task: Task) -> list[Json]:
    if task.record.state is TaskState.PUBLISHING:
        reason = PendingReason(
            kind=PendingKind.PUBLISHING, message="The image of the task is being published."
        )
    else:
        reason = PendingReason(
            kind=PendingKind.RESOURCES, message="Waits for its turn in the queue."
        )
    return [pending_json(reason, datetime.now(UTC))]


def no_outputs(run: RunRecord) -> RunStateRefused:
    """The refusal of outputs that a run has not, or not yet."""
    return RunStateRefused(
        f"The run is {run.state}: it has outputs once it has SUCCEEDED. What an attempt wrote is "
        "kept all the same: appengine runs download RUN --attempt N --output-dir DIR, or the "
        "resource attempt_files."
    )
