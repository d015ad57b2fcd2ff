"""`appengine run`: from inputs to outputs in one command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appengine.v1 import run_pb2

from appengine_client._api.folders import make_folder_for
from appengine_client.cli.errors import ExitCode
from appengine_client.cli.fetching import fetch_outputs, write_results
from appengine_client.cli.following import Follower, show_end, show_where_to_look
from appengine_client.cli.inputs import read_inputs
from appengine_client.cli.interrupts import Interrupted, Interrupts, Wish
from appengine_client.cli.output import print_json
from appengine_client.cli.reporting import Reporter, reporter
from appengine_client.errors import AppEngineError

if TYPE_CHECKING:
    from appengine_client._api.client import Client

_CLEAN_UP_SECONDS = 5.0
_NOT_STARTED = "The run was not started, and what was sent is dropped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `appengine run` was asked for."""

    task: str
    inputs: Sequence[str]
    inputs_file: Path | None
    output_dir: Path
    labels: dict[str, str] = field(default_factory=dict)
    json: bool = False
    server_stays: bool = True
    """Whether it can be asked for what a failed run left."""


async def run_task(order: Order, client: Client) -> ExitCode:
    """Create, provision, start and follow a run, and fetch its outputs."""
    task = await client.tasks.get(order.task)
    declared = {parameter.name: parameter.type for parameter in task.inputs}
    inputs = read_inputs(declared, order.inputs, order.inputs_file)
    make_folder_for(task, order.output_dir)
    with reporter() as shown:
        run = await client.runs.create(task.id, labels=order.labels)
        try:
            sending = partial(shown.transfer, "sending inputs")
            await client.runs.provision(run.id, inputs, on_progress=sending)
            run = await client.runs.start(run.id)
        except AppEngineError:
            await _is_removed(client, run.id)
            raise
        except asyncio.CancelledError:
            is_removed = await _is_removed(client, run.id)
            shown.line(_NOT_STARTED if is_removed else _how_to_come_back(run.id))
            raise
        try:
            run = await _follow(client, run.id, shown)
        except (AppEngineError, asyncio.CancelledError):
            shown.line(_how_to_come_back(run.id))
            raise
        code = show_end(run, shown)
        if order.server_stays:
            show_where_to_look(run, shown)
        if code is ExitCode.SUCCESS:
            try:
                await fetch_outputs(client, run.id, order.output_dir, shown)
            except (AppEngineError, asyncio.CancelledError):
                shown.line(f"Fetch the outputs with: {_download(run.id)}")
                raise
    if code is ExitCode.SUCCESS:
        await write_results(client, run.id, task, order.output_dir, is_shown=not order.json)
    if order.json:
        print_json(run)
    return code


async def _is_removed(client: Client, run_id: str) -> bool:
    """Remove a run that was not started; False where it was, or the server does not answer."""
    try:
        async with asyncio.timeout(_CLEAN_UP_SECONDS):
            await client.runs.delete(run_id)
    except (AppEngineError, TimeoutError):
        return False
    return True


async def _follow(client: Client, run_id: str, shown: Reporter) -> run_pb2.Run:
    """The run at its end. Raises KeyboardInterrupt when the user leaves before."""
    following = asyncio.create_task(Follower(client, run_id, shown).follow())
    is_cancelled = False
    try:
        with Interrupts() as interrupts:
            shown.line(f"The run has the id {run_id}.")
            while True:
                try:
                    run = await interrupts.unless_pressed(following)
                except Interrupted:
                    shown.pause()
                    wish = Wish.LEAVE if is_cancelled else interrupts.ask()
                else:
                    break
                if wish is Wish.LEAVE:
                    shown.line(f"The run goes on without you. {_how_to_come_back(run_id)}")
                    raise KeyboardInterrupt
                if wish is Wish.CANCEL:
                    is_cancelled = True
                    await client.runs.cancel(run_id)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    if is_cancelled and run.state == run_pb2.RUN_STATE_CANCELLED:
        shown.line(f"The run {run_id} was cancelled.")
        raise KeyboardInterrupt
    return run


def _how_to_come_back(run_id: str) -> str:
    return f"Come back with: appengine runs watch {run_id}; its outputs: {_download(run_id)}"


def _download(run_id: str) -> str:
    return f"appengine runs download {run_id} --output-dir DIR"
