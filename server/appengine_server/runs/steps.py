"""The single steps of a run that a scheduler has: follow it, finalize it, finish its cancel.

Each step takes a claimed run, observes, and writes at most one change, with everything that belongs
to the change in its transaction. It answers whether another step may follow at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog
from appengine_contract.problems import Problem

from appengine_server.database import agents, attempts, outbox, runs
from appengine_server.database.agents import AgentRecord, AgentState
from appengine_server.database.attempts import AttemptEnd
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import (
    AttemptRecord,
    ClaimedRun,
    Json,
    RunRecord,
    RunState,
    UploadState,
)
from appengine_server.database.runs import RunChange
from appengine_server.faultpoints import FaultPoints
from appengine_server.identity import Direction
from appengine_server.problems_json import problem_json, storable
from appengine_server.runs import phases
from appengine_server.runs.arrivals import Arrivals, Arrived, Lost, OnTheWay, drop_upload
from appengine_server.runs.effects import CANCEL, REMOVE_ATTEMPT
from appengine_server.runs.logs import Logs
from appengine_server.runs.outputs import CollectedOutputs, Outputs, with_unsent
from appengine_server.runs.state import (
    came_from,
    failure_json,
    pending_json,
    worth_another_attempt,
)
from appengine_server.runs.stored import inputs_from_json
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    Failure,
    FailureReason,
    Observation,
    PendingKind,
    PendingReason,
    Scheduler,
)
from appengine_server.settings import RunSettings
from appengine_server.tasks.tasks import Tasks

log = structlog.get_logger(__name__)

_FOLLOW_LOG_AFTER = timedelta(seconds=0.5)
"""Most short tasks end sooner: their log is fetched once, at the end."""

_SAY_FETCHING_EVERY = timedelta(seconds=10)
"""Each such sentence is a change of the run that all its watchers see."""

_RESCUE_ENDS_WITHIN = timedelta(seconds=5)
"""Beyond the grace of a cancel, for the scheduler to show that the pod has gone."""

_KILLED = frozenset({128 + signal.SIGKILL, 128 + signal.SIGTERM})
_REMOVED_WITHIN_SECONDS = 1.0
"""Who removes a running container kills its task first: what was killed may be gone soon."""


class Steps:
    """What can be done next for a claimed run. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        scheduler: Scheduler,
        tasks: Tasks,
        outputs: Outputs,
        arrivals: Arrivals,
        logs: Logs,
        settings: RunSettings,
        faults: FaultPoints,
        room_freed: Callable[[], None],
        effects_added: Callable[[], None],
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._tasks = tasks
        self._outputs = outputs
        self._arrivals = arrivals
        self._logs = logs
        self._settings = settings
        self._faults = faults
        self._room_freed = room_freed
        self._effects_added = effects_added

    async def follow(self, claimed: ClaimedRun, ref: AttemptRef) -> bool:
        """PENDING or RUNNING: write what the scheduler shows."""
        run, attempt = claimed.run, claimed.run.attempts[-1]
        await self._faults.reach(f"follow.{run.state.value.lower()}")
        if attempt.submitted_at is None:
            return await self._limit_pending(claimed, ref, None)
        shown = await self._scheduler.observe(ref)
        match shown.phase:
            case AttemptPhase.ABSENT:
                return await self._ended(claimed, ref, _vanished(shown))
            case AttemptPhase.ENDED:
                stopped_by_us = attempt.failure is not None
                if not stopped_by_us and _was_killed(shown) and await self._is_removed(ref):
                    shown = _vanished(shown)
                return await self._ended(claimed, ref, shown)
            case AttemptPhase.PENDING if shown.failure is not None:
                return await self._ended(claimed, ref, shown)
            case AttemptPhase.PENDING:
                fetch = await self._fetch(ref)
                await self._show_pending(claimed, shown, fetch)
                return await self._limit_pending(claimed, ref, fetch)
            case AttemptPhase.RUNNING:
                return await self._running(claimed, ref, shown)

    async def finalize(self, claimed: ClaimedRun, ref: AttemptRef) -> bool:
        """FINALIZING: collect the log and the outputs, and decide how the run ends."""
        await self._faults.reach("finalize.begin")
        arrival: Arrived | Lost = Arrived()
        if self._scheduler.moves_data:
            found = await self._arrivals.look(claimed, await self._scheduler.observe(ref))
            if isinstance(found, OnTheWay):
                await self._show_uploading(claimed, ref)
                return False
            if isinstance(found, Lost):
                await self._arrivals.salvage(ref.run_id, ref.number)
            arrival = found
        ends_at = _finalizing_since(claimed, arrival) + self._settings.finalizing_limit
        left_seconds = (ends_at - datetime.now(UTC)).total_seconds()
        log_bytes, collected = 0, None
        failure = _failure_after(claimed.run.attempts[-1].failure, arrival)
        try:
            async with asyncio.timeout(max(left_seconds, 0)):
                log_bytes = await self._logs.finish(ref)
                if failure is None and isinstance(arrival, Arrived):
                    collected = await self._collect(claimed, arrival)
                    failure = _cut_short(collected, arrival) or _output_failure(collected)
        except TimeoutError:
            failure = failure or failure_json(_checked_too_long(self._settings))
        await self._faults.reach("finalize.checked")
        moved = collected.total_bytes if collected else 0
        closed = phases.close(_phases_after(claimed, arrival), datetime.now(UTC), moved_bytes=moved)
        end = AttemptEnd(failure=failure, exit_code=None, phases=closed, log_bytes=log_bytes)
        await self._decide(claimed, ref, end, collected)
        return False

    async def _collect(self, claimed: ClaimedRun, arrival: Arrived) -> CollectedOutputs:
        run = claimed.run
        descriptor = await self._tasks.descriptor(run.task_id)
        inputs = inputs_from_json(claimed.inputs)
        collected = await self._outputs.collect(
            AttemptRef(run.id, run.attempt), run.project, descriptor, inputs
        )
        return with_unsent(collected, arrival.unsent, descriptor)

    async def finish_cancel(self, claimed: ClaimedRun, ref: AttemptRef) -> bool:
        """CANCELLING: wait for the end of the task, then say so."""
        run, attempt = claimed.run, claimed.run.attempts[-1]
        await self._faults.reach("cancel.begin")
        shown = await self._scheduler.observe(ref)
        if shown.phase not in {AttemptPhase.ABSENT, AttemptPhase.ENDED}:
            await self._scheduler.cancel(ref, self._settings.cancel_grace)
            return False
        if self._scheduler.moves_data:
            if await self._is_rescued_now(run, shown):
                return False
            await self._arrivals.salvage(ref.run_id, ref.number)
        log_bytes = await self._logs.finish(ref)
        await self._faults.reach("cancel.ended")
        now = datetime.now(UTC)
        end = AttemptEnd(
            failure=None, exit_code=shown.exit_code, phases=phases.close(attempt.phases, now),
            peak_memory_bytes=shown.usage.peak_memory_bytes, cpu_seconds=shown.usage.cpu_seconds,
            log_bytes=log_bytes,
        )  # fmt: skip
        change = RunChange(state=RunState.CANCELLED, message="The run was cancelled.")
        async with self._database.transaction() as connection:
            if await self._change(connection, claimed, change):
                await attempts.end(connection, run.id, ref.number, end)
                await _remove(connection, ref)
        self._wake_others()
        return False

    async def submission_failed(self, ref: AttemptRef, failure: Failure) -> None:
        """The scheduler will never take the attempt: the run fails, or gets another attempt.

        Not if it has taken it from another server.
        """
        async with self._database.transaction() as connection:
            await runs.lock(connection, ref.run_id)
            if not await attempts.is_to_be_submitted(connection, ref.run_id, ref.number):
                return
            run = await runs.get(connection, ref.run_id, None)
            assert run is not None, "it is locked"
            await self._end_badly(connection, run, failure_json(failure), None)
        self._wake_others()

    async def give_up(self, claimed: ClaimedRun, failure: Failure, *, at: datetime) -> None:
        """Fail a run that cannot be driven, whatever its state; its attempt is removed."""
        run = claimed.run
        change = RunChange(
            state=RunState.FAILED, failure=failure_json(failure),
            reason=failure.reason.value, message=failure.message,
        )  # fmt: skip
        end = AttemptEnd(
            failure=failure_json(failure), exit_code=None,
            phases=phases.close(run.attempts[-1].phases, at),
        )  # fmt: skip
        async with self._database.transaction() as connection:
            if await self._change(connection, claimed, change):
                await attempts.end(connection, run.id, run.attempt, end)
                await _remove(connection, AttemptRef(run.id, run.attempt))
        self._wake_others()

    async def _running(self, claimed: ClaimedRun, ref: AttemptRef, shown: Observation) -> bool:
        run, attempt = claimed.run, claimed.run.attempts[-1]
        now = datetime.now(UTC)
        started = shown.started_at or now
        if now - started > self._settings.run_limit:
            await self._time_out(claimed, ref)
        self._logs.follow_soon(ref, _FOLLOW_LOG_AFTER)
        if run.state is RunState.RUNNING:
            return False
        async with self._database.transaction() as connection:
            if await self._change(connection, claimed, RunChange(state=RunState.RUNNING)):
                fetched = phases.with_fetch(attempt.phases, await self._fetch(ref))
                entered = phases.enter(fetched, phases.RUNNING, started)
                await attempts.set_phases(
                    connection, run.id, ref.number, entered, fence=claimed.fence
                )
        return False

    async def _fetch(self, ref: AttemptRef) -> AgentRecord | None:
        """What the agent that brings the inputs said last; None where no inputs travel."""
        if not self._scheduler.moves_data:
            return None
        async with self._database.connection() as connection:
            said = await agents.of_attempt(connection, ref.run_id, ref.number)
        return said.get(Direction.FETCH)

    async def _show_uploading(self, claimed: ClaimedRun, ref: AttemptRef) -> None:
        # Now, for a pod that is taken away meanwhile takes its log along.
        self._logs.follow(ref)
        attempt = claimed.run.attempts[-1]
        place = await self._arrivals.place(ref.run_id, ref.number)
        shown = phases.moved(attempt.phases, phases.UPLOADING, place.bytes)
        if shown != list(attempt.phases):
            async with self._database.connection() as connection:
                await attempts.set_phases(
                    connection, ref.run_id, ref.number, shown, fence=claimed.fence
                )

    async def _is_rescued_now(self, run: RunRecord, shown: Observation) -> bool:
        """Whether the outputs of a cancelled attempt are just being saved from its ending pod."""
        if shown.phase is AttemptPhase.ABSENT or shown.agent_failure is not None:
            return False
        upload = await self._arrivals.upload_of(run.id, run.attempt)
        if upload is None or upload.state is not UploadState.OPEN:
            return False
        ends_at = run.state_since + self._settings.cancel_grace + _RESCUE_ENDS_WITHIN
        return datetime.now(UTC) < ends_at

    async def _is_removed(self, ref: AttemptRef) -> bool:
        """Whether somebody removes the attempt now that its task has ended: we did not ask yet."""
        look_until = monotonic() + _REMOVED_WITHIN_SECONDS
        while monotonic() < look_until:
            if (await self._scheduler.observe(ref)).phase is AttemptPhase.ABSENT:
                return True
            await asyncio.sleep(0.05)
        return False

    async def _ended(self, claimed: ClaimedRun, ref: AttemptRef, shown: Observation) -> bool:
        """The task has ended: free what it held, and finalize."""
        run, attempt = claimed.run, claimed.run.attempts[-1]
        change = RunChange(state=RunState.FINALIZING)
        end = AttemptEnd(
            failure=_first_cause(attempt.failure, shown.failure),
            exit_code=shown.exit_code,
            phases=self._phases_at_end(attempt, shown, await self._fetch(ref)),
            peak_memory_bytes=shown.usage.peak_memory_bytes,
            cpu_seconds=shown.usage.cpu_seconds,
        )
        async with self._database.transaction() as connection:
            changed = await self._change(connection, claimed, change)
            if changed:
                await attempts.end(connection, run.id, ref.number, end)
        if changed:
            self._room_freed()
        return True

    def _phases_at_end(
        self, attempt: AttemptRecord, shown: Observation, fetch: AgentRecord | None
    ) -> list[Json]:
        found = phases.with_fetch(attempt.phases, fetch)
        if shown.started_at is not None:
            found = phases.enter(found, phases.RUNNING, shown.started_at)
        follows = phases.UPLOADING if self._scheduler.moves_data else phases.CHECKING
        return phases.enter(found, follows, shown.ended_at or datetime.now(UTC))

    async def _decide(
        self,
        claimed: ClaimedRun,
        ref: AttemptRef,
        end: AttemptEnd,
        collected: CollectedOutputs | None,
    ) -> None:
        run, failure = claimed.run, end.failure
        async with self._database.transaction() as connection:
            if failure is not None:
                await self._end_badly(
                    connection, run, failure, end, fence=claimed.fence, collected=collected
                )
            elif collected is not None:
                change = RunChange(
                    state=RunState.SUCCEEDED, outputs=collected.index, outputs_attempt=run.attempt,
                    warnings=_warnings(run, collected),
                )  # fmt: skip
                if await self._change(connection, claimed, change):
                    await attempts.end(connection, run.id, ref.number, end)
                    await _remove(connection, ref)
        await self._faults.reach("finalize.committed")
        self._wake_others()

    async def _end_badly(
        self,
        connection: Connection,
        run: RunRecord,
        failure: Json,
        end: AttemptEnd | None,
        *,
        fence: int | None = None,
        collected: CollectedOutputs | None = None,
    ) -> None:
        """End an attempt that failed: the run fails, or goes back to the queue."""
        attempt = run.attempts[-1]
        if end is None:
            closed = phases.close(attempt.phases, datetime.now(UTC))
            end = AttemptEnd(failure=failure, exit_code=None, phases=closed)
        change = self._after_failure(run, failure, collected)
        if await runs.change(
            connection, run.id, change, came_from=came_from(change.state), fence=fence
        ):
            await attempts.end(connection, run.id, run.attempt, end)
            await _remove(connection, AttemptRef(run.id, run.attempt))

    def _after_failure(
        self, run: RunRecord, failure: Json, collected: CollectedOutputs | None
    ) -> RunChange:
        again = worth_another_attempt(FailureReason(failure["reason"]))
        if again and run.attempt <= self._settings.extra_attempts:
            now = datetime.now(UTC)
            not_before = now + self._settings.retry_backoff * 2 ** (run.attempt - 1)
            reason = PendingReason(
                kind=PendingKind.BACKOFF,
                message=f"Attempt {run.attempt} failed ({failure['message']}): tries again soon.",
            )
            return RunChange(
                state=RunState.QUEUED, not_before=not_before,
                pending_reasons=[pending_json(reason, now)],
                reason=failure["reason"], message=failure["message"],
            )  # fmt: skip
        return RunChange(
            state=RunState.FAILED,
            failure=failure,
            warnings=_warnings(run, collected) if collected else None,
            reason=failure["reason"],
            message=failure["message"],
        )

    async def _show_pending(
        self, claimed: ClaimedRun, shown: Observation, fetch: AgentRecord | None
    ) -> None:
        run, attempt = claimed.run, claimed.run.attempts[-1]
        now = datetime.now(UTC)
        fetched = phases.with_fetch(attempt.phases, fetch)
        reasons = [pending_json(reason, now) for reason in _waits_for(shown, fetch)]
        has_moved, is_news = fetched != list(attempt.phases), _is_news(run, reasons, now)
        if not has_moved and not is_news:
            return
        async with self._database.transaction() as connection:
            if has_moved:
                await attempts.set_phases(
                    connection, run.id, run.attempt, fetched, fence=claimed.fence
                )
            if is_news:
                await runs.change(
                    connection, run.id,
                    RunChange(state=RunState.PENDING, pending_reasons=reasons),
                    came_from={RunState.PENDING}, fence=claimed.fence,
                )  # fmt: skip

    async def _limit_pending(
        self, claimed: ClaimedRun, ref: AttemptRef, fetch: AgentRecord | None
    ) -> bool:
        run, now = claimed.run, datetime.now(UTC)
        if now - run.state_since > self._settings.pending_limit:
            failure = _pending_too_long(self._settings)
        elif (
            fetch is not None
            and fetch.state is AgentState.FETCHING
            and now - fetch.progressed_at > self._settings.transfer_stall_limit
        ):
            failure = _fetch_stalled(self._settings)
        else:
            return False
        async with self._database.transaction() as connection:
            await self._end_badly(connection, run, failure_json(failure), None, fence=claimed.fence)
        self._wake_others()
        return False

    async def _time_out(self, claimed: ClaimedRun, ref: AttemptRef) -> None:
        """Remember why, then stop the task; its end is then seen like any other."""
        failure = failure_json(_ran_too_long(self._settings))
        async with self._database.transaction() as connection:
            if await attempts.set_failure(
                connection, ref.run_id, ref.number, failure, fence=claimed.fence
            ):
                subject = {"run_id": str(ref.run_id), "attempt": ref.number}
                await outbox.add(connection, CANCEL, subject)
        self._effects_added()

    async def _change(self, connection: Connection, claimed: ClaimedRun, change: RunChange) -> bool:
        """Change a claimed run; False if it is no longer ours or no longer in that state."""
        changed = await runs.change(
            connection, claimed.run.id, change, came_from=came_from(change.state),
            fence=claimed.fence,
        )  # fmt: skip
        return changed is not None

    def _wake_others(self) -> None:
        self._effects_added()
        self._room_freed()


def _warnings(run: RunRecord, collected: CollectedOutputs) -> list[Json]:
    return [*run.warnings, *(problem_json(warning) for warning in collected.warnings)]


async def _remove(connection: Connection, ref: AttemptRef) -> None:
    await drop_upload(connection, ref.run_id, ref.number)
    subject = {"run_id": str(ref.run_id), "attempt": ref.number}
    await outbox.add(connection, REMOVE_ATTEMPT, subject)


def _was_killed(shown: Observation) -> bool:
    """By a signal from outside: neither by us nor by its memory limit."""
    failure = shown.failure
    return (
        failure is not None
        and failure.reason is FailureReason.TASK_EXIT_CODE
        and shown.exit_code in _KILLED
    )


def _vanished(shown: Observation) -> Observation:
    failure = Failure(
        reason=FailureReason.EVICTED,
        message="The task's container was removed by somebody else before it ended.",
    )
    return Observation(ref=shown.ref, phase=AttemptPhase.ENDED, failure=failure)


def _waits_for(shown: Observation, fetch: AgentRecord | None) -> Sequence[PendingReason]:
    if fetch is None or fetch.state is not AgentState.FETCHING:
        return shown.pending_reasons
    message = f"The inputs are brought to the task's node: {fetch.done_bytes} bytes so far."
    return [PendingReason(kind=PendingKind.INPUT_TRANSFER, message=message)]


def _is_news(run: RunRecord, reasons: Sequence[Json], now: datetime) -> bool:
    """Whether these pending reasons are worth a change of the run."""
    told = {(old["kind"], old["message"]) for old in run.pending_reasons}
    if told == {(reason["kind"], reason["message"]) for reason in reasons}:
        return False
    of_fetch = {kind for kind, _ in told} == {PendingKind.INPUT_TRANSFER.value}
    still = {reason["kind"] for reason in reasons} == {PendingKind.INPUT_TRANSFER.value}
    return not (of_fetch and still) or now - run.updated_at > _SAY_FETCHING_EVERY


def _finalizing_since(claimed: ClaimedRun, arrival: Arrived | Lost) -> datetime:
    """Since when the outputs could be checked: how long they travelled does not count."""
    if isinstance(arrival, Lost):
        return datetime.now(UTC)
    return arrival.at or claimed.run.state_since


def _cut_short(collected: CollectedOutputs, arrival: Arrived) -> Json | None:
    """What is there must be what has arrived, or somebody has touched it since."""
    if arrival.total_bytes in {None, collected.total_bytes}:
        return None
    failure = Failure(
        reason=FailureReason.ENGINE,
        message=f"{arrival.total_bytes} bytes of outputs have arrived and {collected.total_bytes} "
        "are in their folder: the administrator should look at the server's storage.",
    )
    return failure_json(failure)


def _phases_after(claimed: ClaimedRun, arrival: Arrived | Lost) -> Sequence[Json]:
    """The phases of an attempt whose outputs have been checked since they arrived."""
    found = claimed.run.attempts[-1].phases
    if isinstance(arrival, Lost) or arrival.at is None:
        return found
    moved = phases.moved(found, phases.UPLOADING, arrival.total_bytes or 0)
    return phases.enter(moved, phases.CHECKING, arrival.at)


def _pending_too_long(settings: RunSettings) -> Failure:
    seconds = int(settings.pending_limit.total_seconds())
    return Failure(
        reason=FailureReason.TIMEOUT,
        message=f"The scheduler did not start the task within {seconds} seconds "
        "(RUN_PENDING_LIMIT): ask the administrator whether there is room for it.",
    )


def _ran_too_long(settings: RunSettings) -> Failure:
    seconds = int(settings.run_limit.total_seconds())
    return Failure(
        reason=FailureReason.TIMEOUT,
        message=f"The task ran longer than the run limit of {seconds} seconds "
        "(RUN_TIME_LIMIT) and was stopped: give it less to do, or ask for a longer limit.",
    )


def _fetch_stalled(settings: RunSettings) -> Failure:
    seconds = int(settings.transfer_stall_limit.total_seconds())
    return Failure(
        reason=FailureReason.INPUT_TRANSFER,
        message=f"Nothing of the inputs reached the task's node for {seconds} seconds "
        "(RUN_TRANSFER_STALL_LIMIT).",
    )


def _checked_too_long(settings: RunSettings) -> Failure:
    seconds = int(settings.finalizing_limit.total_seconds())
    return Failure(
        reason=FailureReason.TIMEOUT,
        message=f"The outputs could not be collected and checked within {seconds} seconds "
        "(RUN_FINALIZING_LIMIT): write fewer outputs, or ask for a longer limit.",
    )


def _first_cause(known: Json | None, shown: Failure | None) -> Json | None:
    """What is known already stays the cause; what came later is kept as a detail."""
    if known is None or shown is None:
        return known or (failure_json(shown) if shown else None)
    return {**known, "details": [*known.get("details", ()), shown.message]}


def _failure_after(known: Json | None, arrival: Arrived | Lost) -> Json | None:
    """Why an attempt fails whose outputs need not be looked at; None if they must be."""
    if isinstance(arrival, Arrived):
        if known is None or not arrival.missing:
            return known
        names = ", ".join(arrival.missing)
        sentence = f"When its pod was taken away these outputs were not there: {names}."
        return {**known, "details": [*known.get("details", ()), storable(sentence)]}
    if known is None and arrival.problems:
        return failure_json(_outputs_invalid(arrival.problems), problems=list(arrival.problems))
    return _first_cause(known, arrival.failure)


def _output_failure(collected: CollectedOutputs) -> Json | None:
    if not collected.problems:
        return None
    failure = _outputs_invalid(collected.problems)
    return failure_json(failure, problems=list(collected.problems))


def _outputs_invalid(problems: Sequence[Problem]) -> Failure:
    count = len(problems)
    named = "; ".join(str(problem) for problem in problems[:3])
    more = f"; and {count - 3} more" if count > 3 else ""
    return Failure(
        reason=FailureReason.OUTPUT_INVALID,
        message=f"The task ended well, but its outputs are not as declared: {named}{more}. "
        "The author of the task can mend that.",
    )
