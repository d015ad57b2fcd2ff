"""Follows a run to its end: states, reasons to wait, and the log as it is written."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from appengine.v1 import run_pb2

from appengine_client._api.runs import ENDED
from appengine_client.cli.errors import ExitCode
from appengine_client.cli.output import enum_word, print_json_line, run_label
from appengine_client.cli.reporting import LogLines, Reporter
from appengine_client.errors import AppEngineError, NotFound, OutOfRange

if TYPE_CHECKING:
    from appengine_client._api.client import Client

_LOG_END_SECONDS = 10.0
"""How long the rest of a log is awaited once the run has ended."""
_WITH_LOG = frozenset(
    {run_pb2.RUN_STATE_RUNNING, run_pb2.RUN_STATE_FINALIZING, run_pb2.RUN_STATE_CANCELLING} | ENDED
)


def state_word(state: run_pb2.RunState.ValueType) -> str:
    """`QUEUED` and the like."""
    return enum_word(run_pb2.RunState.Name(state), "RUN_STATE_")


def reason_word(reason: run_pb2.FailureReason.ValueType) -> str:
    """`TASK_EXIT_CODE` and the like."""
    return enum_word(run_pb2.FailureReason.Name(reason), "FAILURE_REASON_")


class Follower:
    """Shows one run until it has ended."""

    def __init__(
        self, client: Client, run_id: str, reporter: Reporter, *, as_json: bool = False
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._reporter = reporter
        self._as_json = as_json
        self._logs: dict[int, asyncio.Task[None]] = {}

    async def follow(self) -> run_pb2.Run:
        """Show everything until the run has ended, and answer it as it is then."""
        try:
            async for answer in self._client.runs.watch(self._run_id):
                if self._as_json:
                    print_json_line(answer)
                self._show(answer.event)
            if self._logs:
                await asyncio.wait(self._logs.values(), timeout=_LOG_END_SECONDS)
        finally:
            for log in self._logs.values():
                log.cancel()
            await asyncio.gather(*self._logs.values(), return_exceptions=True)
        return await self._client.runs.get(self._run_id)

    def _show(self, event: run_pb2.RunEvent) -> None:
        waiting = "; ".join(reason.message for reason in event.pending_reasons)
        text = f"run {run_label(self._run_id, sys.stderr)}: {state_word(event.state)}"
        self._reporter.state(f"{text}. {waiting}" if waiting else text)
        if event.attempt and event.state in _WITH_LOG and event.attempt not in self._logs:
            self._logs[event.attempt] = asyncio.create_task(
                self._show_log(event.attempt), name=f"log of attempt {event.attempt}"
            )

    async def _show_log(self, attempt: int) -> None:
        lines = LogLines()
        try:
            async for data in self._client.runs.logs(self._run_id, attempt=attempt, follow=True):
                for line in lines.feed(data):
                    self._reporter.line(line)
        except (NotFound, OutOfRange):  # the task printed nothing, or its log is gone
            pass
        except AppEngineError as error:  # the run goes on without its log
            self._reporter.line(f"The log cannot be shown: {error.message}")
        for line in lines.end():
            self._reporter.line(line)


def show_end(run: run_pb2.Run, reporter: Reporter) -> ExitCode:
    """Say how a run ended, and where to look."""
    match run.state:
        case run_pb2.RUN_STATE_SUCCEEDED:
            reporter.state(f"run {run.id}: SUCCEEDED")
            for warning in run.warnings:
                reporter.line(f"Warning: {warning.path}: {warning.message}")
            return ExitCode.SUCCESS
        case run_pb2.RUN_STATE_CANCELLED:
            reporter.error(f"The run {run.id} was cancelled.")
        case run_pb2.RUN_STATE_FAILED:
            _show_failure(run, reporter)
        case _:
            reporter.error(f"The run {run.id} is {state_word(run.state)}.")
    return ExitCode.FAILED


def _show_failure(run: run_pb2.Run, reporter: Reporter) -> None:
    failure = run.failure
    reporter.error(f"The run {run.id} failed ({reason_word(failure.reason)}): {failure.message}")
    for problem in failure.problems:
        if problem.message in failure.message:
            continue
        where = f"{problem.path}: " if problem.path else ""
        reporter.error(f"  {where}{problem.message}")
    for detail in failure.details:
        reporter.error(f"  afterwards: {detail}")


def show_where_to_look(run: run_pb2.Run, reporter: Reporter) -> None:
    """Say how to see what a failed run left at the server."""
    if run.state != run_pb2.RUN_STATE_FAILED:
        return
    if any(attempt.log_bytes for attempt in run.attempts):
        reporter.line(f"Its log: appengine runs logs {run.id}")
    if run.attempts and run.attempts[-1].HasField("exit_code"):
        number = run.attempts[-1].number
        reporter.line(
            "The files that it left: "
            f"appengine runs download {run.id} --attempt {number} --output-dir DIR"
        )
