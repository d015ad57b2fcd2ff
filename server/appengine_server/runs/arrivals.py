"""The outputs of attempts whose data travel: how they come in, and whether they have come.

An attempt has one upload. It is opened when its agent is ordered to send, and its finish puts the
tree into the place of the empty folder that the attempt began with. That the bytes have arrived is
decided by the upload's row; whether they are outputs is decided later, by their types.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import structlog
from appengine_contract.problems import Problem

from appengine_server.database import agents, outbox, runs, uploads
from appengine_server.database.agents import AgentRecord, AgentState
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import (
    ClaimedRun,
    RunRecord,
    UploadRecord,
    UploadState,
    UploadTarget,
)
from appengine_server.errors import AppEngineError, AttemptStale, NotFound, ResourceExhausted
from appengine_server.faultpoints import FaultPoints
from appengine_server.identity import Direction
from appengine_server.problems_json import problem_json, problem_of
from appengine_server.runs import phases
from appengine_server.runs.state import ATTEMPT_GOES_ON
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    Failure,
    FailureReason,
    Observation,
)
from appengine_server.storage.beneath import check_link_text
from appengine_server.storage.commit import commit_tree
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import DISK_LOW, no_raw_os_errors
from appengine_server.storage.tree import START, Place
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.tasks import REMOVE_UPLOAD

log = structlog.get_logger(__name__)

_DISK_FULL_PAUSE = timedelta(seconds=5)
_OF_THE_TASK = ("OUTPUT_", "PATH_", "LINK_")
"""How the reasons begin for which an upload is refused because of what the task wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """All that the agent could send is in the attempt's folder."""

    at: datetime | None = None
    """None where nothing had to come."""
    total_bytes: int | None = None
    unsent: tuple[Problem, ...] = ()
    """With what lay in the task's folder and cannot travel."""
    missing: tuple[str, ...] = ()
    """Declared outputs that were not there when the pod was taken away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTheWay:
    """The agent can still send them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """They will not come, or not all of them."""

    failure: Failure
    problems: tuple[Problem, ...] = ()


Arrival = Arrived | OnTheWay | Lost


class Arrivals:
    """Receives the outputs of attempts. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        upload_bytes: Uploads,
        expiry: timedelta,
        stall_limit: timedelta,
        max_output_bytes: int,
        faults: FaultPoints,
    ) -> None:
        self._database = database
        self._layout = layout
        self._bytes = upload_bytes
        self._expiry = expiry
        self._stall_limit = stall_limit
        self._max_bytes = max_output_bytes
        self._faults = faults

    @property
    def limits(self) -> UploadLimits:
        """Those of the outputs of an attempt. Where their links lead is judged with their types, as
        if they had not travelled; until then nobody follows them.
        """
        return replace(self._bytes.limits, total_bytes=self._max_bytes, check_link=check_link_text)

    async def upload_of(self, run_id: UUID, attempt: int) -> UploadRecord | None:
        """The upload of an attempt's outputs; None before it was opened."""
        async with self._database.connection() as connection:
            return await uploads.of_attempt(connection, run_id, attempt)

    async def open(self, run: RunRecord, *, rescue: bool) -> UploadRecord:
        """The upload of the outputs of a run's newest attempt, opened now if it was not.

        `rescue` says that the task may still write.
        """
        known = await self.upload_of(run.id, run.attempt)
        if known is not None:
            return known
        new = uploads.NewUpload(
            id=uuid5(run.id, f"outputs of attempt {run.attempt}"), project=run.project,
            owner="attempts", target=UploadTarget.ATTEMPT_OUTPUTS, run_id=run.id,
            attempt=run.attempt, rescue=rescue, request_id=None, request_hash=None,
            expiry=self._expiry,
        )  # fmt: skip
        await self._bytes.make(str(new.id))
        try:
            async with self._database.transaction() as connection:
                await self._check_goes_on(connection, run.id, run.attempt)
                record = await uploads.insert(connection, new)
                record = record or await uploads.of_attempt(connection, run.id, run.attempt)
        except (AttemptStale, NotFound):
            if await self.upload_of(run.id, run.attempt) is None:  # else its end removes it
                await self._bytes.remove(str(new.id))
            raise
        assert record is not None, "the run is locked, so nobody removes its upload"
        return record

    async def place(self, run_id: UUID, attempt: int) -> Place:
        """How much of an attempt's outputs is safely here."""
        upload = await self.upload_of(run_id, attempt)
        if upload is None:
            return START
        if upload.state is not UploadState.OPEN:
            return Place(bytes=upload.total_bytes, entries=upload.total_entries)
        try:
            return await self._bytes.place(str(upload.id))
        except AppEngineError:  # it is being dropped
            return START

    async def commit(self, record: UploadRecord, *, end: Place) -> UploadRecord | None:
        """Put a finished tree into its attempt's folder, and record that it is there.

        Doing it again ends what a crash interrupted. None if another call has recorded it. Raises
        AttemptStale when the attempt is over: then nothing of it has changed.
        """
        assert record.run_id is not None
        assert record.attempt is not None
        finished = await self._bytes.finished(str(record.id))
        assert finished is not None, "the writer has finished it"
        async with self._database.transaction() as connection:
            await self._check_goes_on(connection, record.run_id, record.attempt)
        with no_raw_os_errors(self._layout.base):
            await asyncio.to_thread(
                commit_tree, finished.root, self._layout.outputs(record.run_id, record.attempt)
            )
        await self._faults.reach("upload.moved")
        async with self._database.transaction() as connection:
            await self._check_goes_on(connection, record.run_id, record.attempt)
            ended = await uploads.end(
                connection, record.id, state=UploadState.FINISHED,
                total_bytes=end.bytes, total_entries=end.entries,
            )  # fmt: skip
            if ended is not None:
                await outbox.add(connection, REMOVE_UPLOAD, {"upload_id": str(record.id)})
                await agents.notify(connection, record.run_id)
        return ended

    async def refused(self, record: UploadRecord, refusal: AppEngineError) -> AppEngineError:
        """Take note that the outputs were refused while they came; answers what to tell the agent.

        What is wrong for good ends the upload; a full disk is waited for.
        """
        if isinstance(refusal, ResourceExhausted) and refusal.reason == DISK_LOW:
            return ResourceExhausted(
                refusal.message, reason=DISK_LOW, retry_after=_DISK_FULL_PAUSE,
                fields=refusal.fields,
            )  # fmt: skip
        problems: Sequence[Problem] = getattr(refusal, "problems", ())
        if isinstance(refusal, ResourceExhausted):
            message = (
                f"the outputs are too large: {refusal.message}"
                " (RUN_MAX_OUTPUT, STORAGE_MAX_UPLOAD_ENTRIES)"
            )
            problems = (Problem(path="", reason="OUTPUT_TOO_LARGE", message=message),)
        async with self._database.transaction() as connection:
            await uploads.end(
                connection, record.id, state=UploadState.FAILED,
                problems=[problem_json(problem) for problem in problems],
            )  # fmt: skip
            if record.run_id is not None:
                await agents.notify(connection, record.run_id)
        await self._bytes.remove(str(record.id))
        return refusal

    async def look(self, claimed: ClaimedRun, shown: Observation) -> Arrival:
        """Whether the outputs of an attempt that has ended have come, and whether they still can.

        `shown` must have been observed before: an agent that has ended may have finished its work.
        """
        run = claimed.run
        async with self._database.connection() as connection:
            agent = (await agents.of_attempt(connection, run.id, run.attempt)).get(
                Direction.TRANSFER
            )
        upload = await self.upload_of(run.id, run.attempt)
        if upload is not None and upload.state is UploadState.FINISHED:
            return _arrived(run, upload, agent)
        if upload is not None and upload.state is not UploadState.OPEN:
            return _refused(upload)
        if agent is not None and agent.state is AgentState.FAILED:
            return Lost(failure=_transfer_failed(agent.message))
        failure = run.attempts[-1].failure
        if failure is not None and not _ran(run):
            return Arrived()
        if failure is not None and failure["reason"] == FailureReason.NODE_LOST:
            return Lost(failure=_transfer_failed("its node was lost"))
        if shown.agent_failure is not None:
            return Lost(failure=shown.agent_failure)
        if shown.phase is AttemptPhase.ABSENT:
            return Lost(failure=_transfer_failed("its pod was removed before they were sent"))
        return self._still_moving(run, agent)

    async def salvage(self, run_id: UUID, attempt: int) -> None:
        """Keep the whole files of outputs that will not come: for people, never as outputs."""
        upload = await self.upload_of(run_id, attempt)
        if upload is None or upload.state is not UploadState.OPEN:
            return
        place = self._layout.outputs(run_id, attempt)
        if await asyncio.to_thread(lambda: any(place.iterdir())):
            return  # a server did so, and died before it was recorded
        try:
            tree = await self._bytes.salvage(str(upload.id))
        except AppEngineError as error:  # what cannot be kept shall not keep the run from its end
            log.warning("arrivals.not_salvaged", run=str(run_id), error=error.message)
            return
        if tree is not None:
            with no_raw_os_errors(self._layout.base):
                await asyncio.to_thread(commit_tree, tree, place)

    def _still_moving(self, run: RunRecord, agent: AgentRecord | None) -> Arrival:
        moved_at = max(agent.progressed_at, run.state_since) if agent else run.state_since
        if datetime.now(UTC) - moved_at <= self._stall_limit:
            return OnTheWay()
        seconds = int(self._stall_limit.total_seconds())
        return Lost(
            failure=_transfer_failed(
                f"nothing of them came for {seconds} seconds (RUN_TRANSFER_STALL_LIMIT)"
            )
        )

    async def _check_goes_on(self, connection: Connection, run_id: UUID, attempt: int) -> None:
        """Hold the run until the transaction ends. Raises AttemptStale, NotFound."""
        state = await runs.lock(connection, run_id)
        if state is None:
            raise NotFound(f"There is no run {run_id} any more.")
        newest = await runs.get(connection, run_id, None)
        assert newest is not None
        if newest.attempt != attempt or state not in ATTEMPT_GOES_ON:
            raise AttemptStale(f"attempt {attempt} of the run is over: stop")


async def drop_upload(connection: Connection, run_id: UUID, attempt: int) -> None:
    """The attempt is over: end the upload of its outputs if it is open, and drop its bytes."""
    upload_id = await uploads.drop_of_attempt(connection, run_id, attempt)
    if upload_id is not None:
        await outbox.add(connection, REMOVE_UPLOAD, {"upload_id": str(upload_id)})


def _ran(run: RunRecord) -> bool:
    return any(phase["name"] == phases.RUNNING for phase in run.attempts[-1].phases)


def _arrived(run: RunRecord, upload: UploadRecord, agent: AgentRecord | None) -> Arrival:
    if upload.rescue and run.attempts[-1].failure is None:
        return Lost(failure=_transfer_failed("the task had not ended when they were sent"))
    return Arrived(
        at=upload.ended_at,
        total_bytes=upload.total_bytes,
        unsent=tuple(problem_of(one) for one in agent.unsent) if agent else (),
        missing=tuple(agent.missing_outputs) if agent and upload.rescue else (),
    )


def _refused(upload: UploadRecord) -> Lost:
    problems = tuple(problem_of(one) for one in upload.problems)
    if problems and all(problem.reason.startswith(_OF_THE_TASK) for problem in problems):
        return Lost(failure=_transfer_failed("they were refused"), problems=problems)
    named = "; ".join(str(problem) for problem in problems[:3])
    return Lost(failure=_transfer_failed(f"they were refused: {named or 'no reason is known'}"))


def _transfer_failed(why: str) -> Failure:
    return Failure(
        reason=FailureReason.OUTPUT_TRANSFER,
        message=f"The outputs could not be brought back: {why}.",
    )
