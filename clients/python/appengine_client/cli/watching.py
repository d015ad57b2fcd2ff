"""`appengine runs watch` of several runs: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

from appengine.v1 import run_pb2
from appengine.v1 import run_service_pb2 as pb

from appengine_client._api.following import merged
from appengine_client._api.runs import ENDED
from appengine_client.cli.errors import ExitCode, is_silent, printable, say
from appengine_client.cli.following import reason_word, state_word
from appengine_client.cli.live import Cell, LeavesNothing, ShownLive, cut, live, row, state_text
from appengine_client.cli.output import SHORT_ID, counted, print_json_line
from appengine_client.cli.words import rough_duration
from appengine_client.errors import NotFound

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from appengine_client._api.client import Client

_ACTIVE = [state for state in run_pb2.RunState.values() if state and state not in ENDED]
_STATE, _SINCE, _GAP = len("PROVISIONED"), len("59 min"), 2
"""Widths of columns, and of what is between them."""
_LINES_BESIDE_ROWS = 4
"""The headings, up to two lines with the counts, and one that the cursor stands on."""


@dataclass(slots=True, kw_only=True)
class Row:
    """What is shown of one run."""

    run_id: str
    task: str
    state: run_pb2.RunState.ValueType
    revision: int
    since: float
    """When it came into its state, in seconds since 1970."""
    detail: str = ""


@dataclass(slots=True)
class Rows:
    """The runs that are watched. Draws itself as a table that fits the terminal."""

    rows: dict[str, Row] = field(default_factory=dict)

    def begin(self, run: run_pb2.Run) -> None:
        """A run as it is."""
        ended_or_changed = run.end_time if run.state in ENDED else run.update_time
        self.rows[run.id] = Row(
            run_id=run.id,
            task=f"{run.task_namespace}:{run.task_version}",
            state=run.state,
            revision=run.revision,
            since=ended_or_changed.seconds or time.time(),
            detail=_detail(run.failure.reason, run.failure.message, run.pending_reasons),
        )

    def change(self, event: run_pb2.RunEvent) -> Row | None:
        """The row after a change; None where it had it already, or the run is not here."""
        known = self.rows.get(event.run_id)
        if known is None or event.revision <= known.revision:
            return None
        if event.state != known.state:
            known.since = event.time.seconds + event.time.nanos / 1e9
        known.state, known.revision = event.state, event.revision
        known.detail = _detail(event.reason, event.message, event.pending_reasons)
        return known

    @property
    def active(self) -> dict[str, Row]:
        """Those that have not ended."""
        return {run_id: row for run_id, row in self.rows.items() if row.state not in ENDED}

    @property
    def exit_code(self) -> ExitCode:
        """SUCCESS where all have SUCCEEDED."""
        states = {row.state for row in self.rows.values()}
        return ExitCode.SUCCESS if states <= {run_pb2.RUN_STATE_SUCCEEDED} else ExitCode.FAILED

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """A table of as many runs as there is room for, and how many are in which state."""
        from rich.text import Text

        shown = self._in_order()[: max(console.height - _LINES_BESIDE_ROWS, 1)]
        task, why = _widths(shown, options.max_width)
        if shown:
            headings = [("RUN", SHORT_ID), ("TASK", task), ("STATE", _STATE), ("SINCE", _SINCE)]
            headings += [("WHY", why)] if why else []
            yield row([(Text(name, style="bold"), width) for name, width in headings], gap=2)
        for one in shown:
            cells: list[Cell] = [
                (one.run_id[:SHORT_ID], SHORT_ID),
                (cut(printable(one.task), task, keep_end=True), task),
                (state_text(state_word(one.state)), _STATE),
                (rough_duration(time.time() - one.since), _SINCE),
            ]
            yield row([*cells, *([(cut(printable(one.detail), why), why)] if why else [])], gap=2)
        yield Text(self.summary(left_out=len(self.rows) - len(shown)), style="dim")

    def summary(self, left_out: int = 0) -> str:
        """How many runs are in which state."""
        counts = Counter(row.state for row in self.rows.values())
        told = [f"{counts[state]} {state_word(state)}" for state in sorted(counts)]
        text = (
            f"{counted(len(self.rows), 'run')}: {', '.join(told)}" if told else "no run is active"
        )
        return f"{text} ({left_out} not shown)" if left_out > 0 else text

    def _in_order(self) -> list[Row]:
        """First what is active, the furthest first, then what ended, the newest first."""
        return sorted(
            self.rows.values(),
            key=lambda row: (row.state in ENDED, row.state not in ENDED and -row.state, -row.since),
        )


def _widths(shown: Sequence[Row], room: int) -> tuple[int, int]:
    """How wide the task is shown, and why a run waits or failed; 0 where nothing is to be said."""
    left = room - SHORT_ID - _STATE - _SINCE - 4 * _GAP
    task = max((len(one.task) for one in shown), default=1)
    why = max((len(one.detail) for one in shown), default=0)
    if not why:
        return min(task, left + _GAP), 0
    task = min(task, max(left * 2 // 5, left - why))
    return task, min(why, left - task)


def _detail(
    reason: run_pb2.FailureReason.ValueType,
    message: str,
    waits_for: Sequence[run_pb2.PendingReason],
) -> str:
    if waits_for:
        return "; ".join(one.message for one in waits_for)
    return f"{reason_word(reason)}: {message}" if reason else message


class _Shown(Protocol):
    """Shows rows while they change."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *about: object) -> None: ...

    def change(self, row: Row) -> None: ...


class _Live(ShownLive):
    """The table itself, on a terminal."""

    def __init__(self, rows: Rows) -> None:
        self._live = live(lambda: rows)

    def change(self, row: Row) -> None:
        """The table is drawn anew all the time."""


class _Lines(LeavesNothing):
    """A line for each change, for files and pipes."""

    def change(self, row: Row) -> None:
        text = f"{row.run_id} {row.task}: {state_word(row.state)}"
        say(f"{text}, {row.detail}" if row.detail else text)


def _shown(rows: Rows) -> _Shown:
    return _Live(rows) if sys.stderr.isatty() and not is_silent() else _Lines()


async def watch_runs(client: Client, run_ids: Sequence[str]) -> ExitCode:
    """Show these runs until all have ended. SUCCESS where all have SUCCEEDED."""
    rows = Rows()
    for run_id in run_ids:
        rows.begin(await client.runs.get(run_id))
    streams = [
        client.runs.watch(row.run_id, after_revision=row.revision) for row in rows.active.values()
    ]
    with _shown(rows) as shown:
        async with aclosing(merged(streams)) as answers:
            async for answer in answers:
                if (changed := rows.change(answer.event)) is not None:
                    shown.change(changed)
    say(f"{rows.summary()}.")
    return rows.exit_code


async def print_runs(client: Client, run_ids: Sequence[str]) -> ExitCode:
    """Print every change of these runs from their beginning, for programs."""
    ends = dict.fromkeys(run_ids, run_pb2.RUN_STATE_UNSPECIFIED)
    async with aclosing(merged([client.runs.watch(run_id) for run_id in ends])) as answers:
        async for answer in answers:
            print_json_line(answer)
            ends[answer.event.run_id] = answer.event.state
    has_failed = {*ends.values()} != {run_pb2.RUN_STATE_SUCCEEDED}
    return ExitCode.FAILED if has_failed else ExitCode.SUCCESS


async def watch_matching(client: Client, wanted: pb.RunFilter) -> None:
    """Show what matches and is active, and all that comes, until the user leaves."""
    rows = Rows()
    token = await client.runs.watch_token(wanted)
    active = pb.RunFilter()
    active.CopyFrom(wanted)
    if not active.states:
        active.states.extend(_ACTIVE)
    async for run in client.runs.list(active):
        rows.begin(run)
    with _shown(rows) as shown:
        async for answer in client.runs.watch_all(wanted, resume_token=token):
            changed = rows.change(answer.event) or await _new(client, rows, answer.event.run_id)
            if changed is not None:
                shown.change(changed)


async def _new(client: Client, rows: Rows, run_id: str) -> Row | None:
    """The row of a run that was not seen before; None for others, and where it is gone."""
    if run_id in rows.rows:
        return None
    with suppress(NotFound):
        rows.begin(await client.runs.get(run_id))
    return rows.rows.get(run_id)


async def print_matching(client: Client, wanted: pb.RunFilter) -> None:
    """Print every change of what matches, for programs, until they leave."""
    async for answer in client.runs.watch_all(wanted):
        print_json_line(answer)
