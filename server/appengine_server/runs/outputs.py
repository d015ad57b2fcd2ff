"""Collects and checks what a task wrote: SUCCEEDED is decided here, not by an exit code."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from appengine_contract.descriptor import Descriptor
from appengine_contract.outputs import check_outputs
from appengine_contract.problems import Problem
from appengine_contract.reading import ReadOptions
from appengine_contract.values import ArrayValue, FileValue, GeometryValue, StringValue, Value
from appengine_contract.values_json import from_json, to_json

from appengine_server.database.records import Json
from appengine_server.runs.stored import StoredInputs
from appengine_server.storage.layout import StorageLayout

INLINE_VALUE_BYTES = 256 << 10
"""Largest text or geometry in an answer; above it, the answer names the file that holds it."""

_OF_THE_TASK = {
    errno.ENAMETOOLONG: "The output folder has folders in folders that nobody can open: "
    "their path is longer than 4095 bytes.",
    errno.EACCES: "The output folder has a folder that only its owner may open.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedOutputs:
    """What became of an attempt's outputs. With problems there are no outputs."""

    index: Json
    """Small values, and the sizes of arrays and large ones: for the run's row."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """Checks outputs, and reads their values back from the manifest of the attempt."""

    layout: StorageLayout
    max_bytes: int

    async def collect(
        self, run_id: UUID, attempt: int, descriptor: Descriptor, inputs: StoredInputs
    ) -> CollectedOutputs:
        """Check every declared output of an attempt that ended well. Doing it again is harmless."""
        return await asyncio.to_thread(self._collect, run_id, attempt, descriptor, inputs)

    async def value(self, run_id: UUID, attempt: int, name: str) -> Value:
        """One output of a run that SUCCEEDED."""
        return (await asyncio.to_thread(_manifest, self.layout.manifest(run_id, attempt)))[name]

    def _collect(
        self, run_id: UUID, attempt: int, descriptor: Descriptor, inputs: StoredInputs
    ) -> CollectedOutputs:
        folder = self.layout.outputs(run_id, attempt)
        try:
            total_bytes = _size_of(folder)
        except OSError as error:
            if error.errno not in _OF_THE_TASK:
                raise
            return _refused("OUTPUT_UNREADABLE", _OF_THE_TASK[error.errno], total_bytes=0)
        if total_bytes > self.max_bytes:
            message = f"The outputs have {total_bytes} bytes; {self.max_bytes} are allowed."
            return _refused("OUTPUT_TOO_LARGE", message, total_bytes=total_bytes)
        checked = check_outputs(
            descriptor, folder, ReadOptions(root=folder), inputs=inputs.arrays()
        )
        index: Json = {}
        if not checked.problems:
            _write_manifest(self.layout.manifest(run_id, attempt), checked.values)
            index = {name: _indexed(value) for name, value in checked.values.items()}
        return CollectedOutputs(
            index=index,
            problems=checked.problems,
            warnings=checked.warnings,
            total_bytes=total_bytes,
        )


def with_unsent(
    collected: CollectedOutputs, unsent: Sequence[Problem], descriptor: Descriptor
) -> CollectedOutputs:
    """What was collected, with what lay in the task's folder and could not travel.

    In a declared output that is a problem, which says more than that something is missing there; of
    the rest it is a warning.
    """
    if not unsent:
        return collected
    declared = {output.name for output in descriptor.outputs}
    wrong = [one for one in unsent if one.path.partition("/")[0] in declared]
    extra = [
        Problem(path=one.path, reason="OUTPUT_EXTRA", message=f"no declared output: {one.message}")
        for one in unsent
        if one.path.partition("/")[0] not in declared
    ]
    explained = {one.path for one in wrong}
    kept = [
        problem
        for problem in collected.problems
        if problem.reason != "OUTPUT_MISSING" or problem.path not in explained
    ]
    return replace(collected, problems=(*wrong, *kept), warnings=(*collected.warnings, *extra))


def indexed_value(entry: Json) -> Value | None:
    """The value in an entry of the index; None for one that only the manifest has."""
    return from_json(entry["value"]) if "value" in entry else None


def large_text_bytes(value: Value) -> int | None:
    """The size of a text or geometry that travels as a file; None for every other value."""
    if not isinstance(value, StringValue | GeometryValue):
        return None
    if len(value.text) * 4 <= INLINE_VALUE_BYTES:  # a character has at most 4 bytes
        return None
    size_bytes = len(value.text.encode())
    return size_bytes if size_bytes > INLINE_VALUE_BYTES else None


def content_path(name: str, value: Value) -> str:
    """Where an output's bytes lie in the output folder."""
    return value.path if isinstance(value, FileValue) else name


def _indexed(value: Value) -> dict[str, object]:
    if isinstance(value, ArrayValue):
        return {"size": len(value.items)}
    if (size_bytes := large_text_bytes(value)) is not None:
        return {"size_bytes": size_bytes}
    return {"value": to_json(value)}


def _write_manifest(path: Path, values: Mapping[str, Value]) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump({name: to_json(value) for name, value in values.items()}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


@lru_cache(maxsize=8)
def _manifest(path: Path) -> Mapping[str, Value]:
    """Read once for all pages of a large array; a run's outputs never change."""
    with path.open(encoding="utf-8") as file:
        return {name: from_json(value) for name, value in json.load(file).items()}


def _refused(reason: str, message: str, *, total_bytes: int) -> CollectedOutputs:
    problem = Problem(path="", reason=reason, message=message)
    return CollectedOutputs(index={}, problems=(problem,), warnings=(), total_bytes=total_bytes)


def _size_of(folder: Path) -> int:
    """Apparent size of all files: a sparse one counts as what it pretends to be."""
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    return total
