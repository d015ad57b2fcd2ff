"""One task over many items, a few at a time: what both `client.map` and the command line do.

What had SUCCEEDED when the work was stopped is not done again, what had been started is gone on
with, and what failed is tried again.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from appengine.v1 import run_pb2

from appengine_client._api import results
from appengine_client._api.batches import Batch, Ended
from appengine_client._api.folders import VALUES_FILE, make_folder_for
from appengine_client._api.following import merged
from appengine_client._api.geometry import as_geojson
from appengine_client._api.results import Result
from appengine_client._api.values import InputPython, LocalFile
from appengine_client.errors import (
    AppEngineError,
    LocalFileError,
    RunFailed,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from appengine.v1 import task_pb2

    from appengine_client._api.runs import Runs
    from appengine_client.transfer import Progress

CONCERNS_ALL = (Unavailable, Unauthenticated)
"""What one item fails with, and all others would too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One use of the task."""

    name: str
    """Unlike all others: of its folder, and in what is shown."""
    given: Any
    """What makes it differ, as the caller gave it."""
    inputs: Mapping[str, InputPython]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one of many runs ended."""

    item: Any
    """What was given for it: a path, or whatever the inputs that differ take."""
    ended: Ended
    """Its name and state, and the id of its run: what `runs.jsonl` has of it."""
    result: Result | None
    """None where there is none; then `error` says why."""
    error: AppEngineError | None
    """RunFailed, Refused, LocalFileError, or another error that concerns this item alone."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Those of the result. Raises the error where there is none."""
        if self.result is None:
            assert self.error is not None
            raise self.error
        return self.result.outputs


class Watcher(Protocol):
    """Sees what goes on with each item."""

    def state(self, item: str, text: str) -> None:
        """The run of an item has another state."""

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """How far a transfer for an item is."""


class Nobody:
    """A watcher that looks away."""

    def state(self, item: str, text: str) -> None:
        """Not looked at."""

    def transfer(self, item: str, doing: str, progress: Progress) -> None:
        """Not looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """The runs of one task, with what they have in common."""

    runs: Runs
    task: task_pb2.Task
    folder: Path
    """The outputs of each item go into a folder of its own in it."""
    batch: Batch
    labels: Mapping[str, str] = field(default_factory=dict)
    watcher: Watcher = field(default_factory=Nobody)

    async def outcomes(self, items: Sequence[Item], at_once: int) -> AsyncGenerator[Outcome]:
        """How each item ended, as they come. What fails alone is an outcome too.

        Leaving early stops the work here; runs that were started go on at the server. Raises
        LocalFileError at once where a file of an item is missing, and later what concerns all.
        """
        waiting = iter([(item, self.batch.newest(self._asked(item))) for item in items])

        async def some() -> AsyncGenerator[Outcome]:
            for item, request in waiting:
                yield self._known(item, request) or await self._do_one(item, request)

        async with aclosing(merged([some() for _ in range(at_once)])) as outcomes:
            async for one in outcomes:
                yield one

    def _known(self, item: Item, request: str) -> Outcome | None:
        ended = self.batch.succeeded(request)
        folder = self.folder / item.name
        if ended is None or not (folder / VALUES_FILE).exists():
            return None
        try:
            result = results.read_folder(self.task, ended.run, folder)
        except LocalFileError:  # somebody changed it: it is fetched again
            return None
        return Outcome(item=item.given, ended=ended, result=result, error=None)

    async def _do_one(self, item: Item, request: str) -> Outcome:
        run = run_pb2.Run()
        result, failure = None, None
        try:
            run = await self._run(item, request)
            if run.state != run_pb2.RUN_STATE_SUCCEEDED:
                raise results.failed(run)
            result = await self._fetch(item, run)
        except CONCERNS_ALL:
            raise
        except AppEngineError as error:
            failure = error
        ended = Ended(
            item=item.name,
            request=request,
            run=run.id,
            state=_state(run, failure),
            message="" if failure is None else _why(failure),
        )
        if failure is None or isinstance(failure, RunFailed):
            self.batch.add(ended)
        return Outcome(item=item.given, ended=ended, result=result, error=failure)

    async def _run(self, item: Item, request: str) -> run_pb2.Run:
        run = await self.runs.create(
            self.task.id,
            item.inputs,
            labels=self.labels,
            start=True,
            on_progress=partial(self.watcher.transfer, item.name, "sending"),
            request_id=request,
        )

        def show(event: run_pb2.RunEvent) -> None:
            self.watcher.state(item.name, _word(event.state))

        return await self.runs.wait(run.id, on_change=show)

    async def _fetch(self, item: Item, run: run_pb2.Run) -> Result:
        folder = self.folder / item.name
        make_folder_for(self.task, folder)
        fetching = partial(self.watcher.transfer, item.name, "fetching")
        return await results.fetch(self.runs, self.task, run, folder, on_progress=fetching)

    def _asked(self, item: Item) -> list[str]:
        """All that makes two runs the same."""
        inputs = {name: identity(given) for name, given in item.inputs.items()}
        return [self.task.id, _canonical(inputs), _canonical(dict(self.labels))]


def identity(given: object) -> object:
    """What makes an input the same, for JSON: of files their path, size and time of change.

    Raises LocalFileError where a file is missing.
    """
    match given:
        case LocalFile(companion=None):
            return identity(given.path)
        case LocalFile():
            return [identity(given.path), identity(given.companion)]
        case Path():
            return _identity_of_file(given)
        case list() | tuple():
            return [identity(one) for one in given]
        case datetime():
            return given.isoformat()
        case None | bool() | int() | float() | str():
            return given
    geojson = as_geojson(given)
    return dict(geojson) if isinstance(geojson, Mapping) else repr(given)


def _identity_of_file(path: Path) -> list[object]:
    try:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        status = [(file, file.stat()) for file in files]
    except OSError as error:
        raise LocalFileError(f"{path}: {error.strerror or error}") from error
    return [[os.fspath(file), one.st_size, one.st_mtime_ns] for file, one in status]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _word(state: run_pb2.RunState.ValueType) -> str:
    return run_pb2.RunState.Name(state).removeprefix("RUN_STATE_")


def _state(run: run_pb2.Run, failure: AppEngineError | None) -> str:
    if failure is None or isinstance(failure, RunFailed):
        return _word(run.state)
    return "NOT FETCHED" if run.id else "REFUSED"


def _why(failure: AppEngineError) -> str:
    if not isinstance(failure, RunFailed):
        return " ".join(str(failure).split())  # with every problem, on one line
    told = failure.run.failure
    return f"{failure.reason}: {told.message}" if told.message else ""
