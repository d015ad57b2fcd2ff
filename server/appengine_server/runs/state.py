"""The states of a run: what may follow what.

    CREATED → PROVISIONED → QUEUED → PENDING → RUNNING → FINALIZING → SUCCEEDED
                        (any state before the last) → FAILED | CANCELLING → CANCELLED

A new attempt goes from PENDING, RUNNING or FINALIZING back to QUEUED. A step that nobody saw is
skipped: a task may have ended before it was seen running.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from appengine_contract.problems import Problem

from appengine_server.database.records import Json, RunState
from appengine_server.problems_json import problem_json, storable
from appengine_server.scheduling.scheduler import Failure, FailureReason, PendingReason

TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
"""These never change."""

UNSTARTED = frozenset({RunState.CREATED, RunState.PROVISIONED})
"""Inputs may change."""

WITH_SCHEDULER = frozenset({RunState.PENDING, RunState.RUNNING})
"""An attempt executes, or is about to."""

ATTEMPT_GOES_ON = WITH_SCHEDULER | {RunState.FINALIZING, RunState.CANCELLING}
"""The newest attempt is not over: the scheduler may have it, and its outputs may come."""

_INFRASTRUCTURE = frozenset(
    {
        FailureReason.IMAGE_PULL,
        FailureReason.EVICTED,
        FailureReason.NODE_LOST,
        FailureReason.INPUT_TRANSFER,
        FailureReason.OUTPUT_TRANSFER,
        FailureReason.ENGINE,
    }
)


def came_from(state: RunState) -> frozenset[RunState]:
    """The states from which a run may change to `state`; every change of a run asks here."""
    match state:
        case RunState.CREATED | RunState.PROVISIONED:
            return UNSTARTED
        case RunState.QUEUED:
            return WITH_SCHEDULER | {RunState.PROVISIONED, RunState.FINALIZING}
        case RunState.PENDING:
            return frozenset({RunState.QUEUED})
        case RunState.RUNNING:
            return frozenset({RunState.PENDING})
        case RunState.FINALIZING:
            return WITH_SCHEDULER
        case RunState.SUCCEEDED:
            return frozenset({RunState.FINALIZING})
        case RunState.FAILED:
            return WITH_SCHEDULER | {RunState.QUEUED, RunState.FINALIZING}
        case RunState.CANCELLING:
            return WITH_SCHEDULER | {RunState.FINALIZING}
        case RunState.CANCELLED:
            return UNSTARTED | {RunState.QUEUED, RunState.CANCELLING}
        case _:
            assert_never(state)


def worth_another_attempt(reason: FailureReason) -> bool:
    """Whether the infrastructure failed, and not the task."""
    return reason in _INFRASTRUCTURE


def failure_json(failure: Failure, *, problems: list[Problem] | None = None) -> Json:
    """A failure as the database keeps it."""
    found: dict[str, object] = {
        "reason": failure.reason.value,
        "message": storable(failure.message),
    }
    if failure.exit_code is not None:
        found["exit_code"] = failure.exit_code
    if problems:
        found["problems"] = [problem_json(problem) for problem in problems]
    return found


def pending_json(reason: PendingReason, since: datetime) -> Json:
    """A pending reason as the database keeps it."""
    return {"kind": reason.kind.value, "message": reason.message, "since": since.isoformat()}
