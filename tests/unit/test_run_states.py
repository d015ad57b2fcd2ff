"""What may follow what in the life of a run, and what is worth another attempt."""

from __future__ import annotations

import pytest
from appengine_server.database.records import RunState
from appengine_server.runs.state import TERMINAL, UNSTARTED, came_from, worth_another_attempt
from appengine_server.scheduling.scheduler import FailureReason


@pytest.mark.rule("run.closed-after-start")
def test_no_run_goes_back_to_where_inputs_may_change() -> None:
    assert came_from(RunState.CREATED) == came_from(RunState.PROVISIONED) == UNSTARTED


@pytest.mark.rule("run.terminal")
@pytest.mark.parametrize("state", RunState)
def test_nothing_follows_a_terminal_state(state: RunState) -> None:
    assert {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED} == TERMINAL
    assert not TERMINAL & came_from(state)


@pytest.mark.rule("run.attempts")
def test_only_faults_of_the_infrastructure_are_worth_another_attempt() -> None:
    ended_by_the_task = {
        FailureReason.TASK_EXIT_CODE,
        FailureReason.OUT_OF_MEMORY,
        FailureReason.TIMEOUT,
        FailureReason.OUTPUT_INVALID,
    }
    assert not {reason for reason in ended_by_the_task if worth_another_attempt(reason)}
    assert worth_another_attempt(FailureReason.EVICTED)
    assert worth_another_attempt(FailureReason.NODE_LOST)
