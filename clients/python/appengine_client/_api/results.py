"""What a run made, as Python values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appengine.v1 import run_pb2, task_pb2

from appengine_client._api.folders import (
    complete_folder,
    output_types,
    plain_values,
    read_values,
)
from appengine_client._api.geometry import Geometry
from appengine_client._api.refusals import from_proto
from appengine_client._api.values import FILE_KINDS, kind_of
from appengine_client.errors import RunFailed

if TYPE_CHECKING:
    from appengine_client._api.runs import Runs
    from appengine_client.transfer import OnProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run that SUCCEEDED, and what it made."""

    run: run_pb2.Run
    """The run at its end. Of a run whose outputs were here before: its id, task and state alone."""
    outputs: Mapping[str, Any]
    """By name and by its type: bool, int, float, str, datetime, Geometry, Path of a file or image,
    list, and None for an optional output that was not written."""
    folder: Path | None
    """Where the files are; None where there was none to fetch."""


def failed(run: run_pb2.Run) -> RunFailed:
    """The error for a run that ended without outputs."""
    if run.state != run_pb2.RUN_STATE_FAILED:
        return RunFailed(
            f"the run {run.id} was cancelled", run=run, reason="CANCELLED", problems=()
        )
    failure = run.failure
    reason = run_pb2.FailureReason.Name(failure.reason).removeprefix("FAILURE_REASON_")
    return RunFailed(
        f"the run {run.id} failed ({reason}): {failure.message}",
        run=run,
        reason=reason,
        problems=tuple(map(from_proto, failure.problems)),
    )


async def fetch(
    runs: Runs,
    task: task_pb2.Task,
    run: run_pb2.Run,
    folder: Path,
    *,
    on_progress: OnProgress | None = None,
) -> Result:
    """Bring the outputs of a run that SUCCEEDED into a folder that was made for them."""
    types = output_types(task)
    await runs.download_outputs(run.id, folder, on_progress=on_progress)
    plain = complete_folder(folder, types, await runs.outputs(run.id))
    return Result(run=run, outputs=_typed(types, plain, folder), folder=folder)


async def read_small(runs: Runs, task: task_pb2.Task, run: run_pb2.Run) -> Result | None:
    """The result of a run that SUCCEEDED, or None where an output is a file."""
    outputs = await runs.outputs(run.id)
    if any(_holds_file(output.value) for output in outputs):
        return None
    types = output_types(task)
    plain = plain_values(None, types, outputs)
    return Result(run=run, outputs=_typed(types, plain, Path()), folder=None)


def read_folder(task: task_pb2.Task, run_id: str, folder: Path) -> Result:
    """What `fetch` has brought before. Raises LocalFileError where it is damaged."""
    run = run_pb2.Run(
        id=run_id,
        project=task.project,
        task_id=task.id,
        task_namespace=task.namespace,
        task_version=task.version,
        state=run_pb2.RUN_STATE_SUCCEEDED,
    )
    types = output_types(task)
    return Result(run=run, outputs=_typed(types, read_values(folder), folder), folder=folder)


def _holds_file(value: Any) -> bool:
    if value.WhichOneof("kind") == "array":
        return any(_holds_file(item) for item in value.array.items)
    return bool(value.WhichOneof("kind") == "file")


def _typed(
    types: Mapping[str, task_pb2.ParameterType], plain: Mapping[str, object], folder: Path
) -> Mapping[str, Any]:
    return {
        name: to_typed(types[name], value, folder) if name in types else value
        for name, value in plain.items()
    }


def to_typed(declared: task_pb2.ParameterType, plain: Any, folder: Path) -> object:
    """A plain value, as it stands in JSON, as a value of its declared type."""
    match kind_of(declared), plain:
        case _, None:
            return None
        case "number", _:
            return float(plain) if isinstance(plain, int | float) else _odd_number(plain)
        case "datetime", str():
            return _moment(plain)
        case "geometry", dict():
            return Geometry(plain)
        case kind, str() if kind in FILE_KINDS:
            return folder / plain
        case "array", list():
            return [to_typed(declared.array.subtype, item, folder) for item in plain]
        case _:
            return plain


def _odd_number(plain: object) -> object:
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(str(plain), plain)


def _moment(text: str) -> datetime | str:
    """With its zone. A moment outside of the years that Python knows stays a text."""
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return text
