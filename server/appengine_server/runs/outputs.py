"""Collects and checks what a task wrote: SUCCEEDED is decided here, not by an exit code."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from uuid import UUID

from appengine_contract.descriptor import Descriptor
from appengine_contract.outputs import CheckedOutputs, check_outputs
from appengine_contract.problems import Problem
from appengine_contract.reading import ReadOptions
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    GeometryValue,
    ReferenceValue,
    StringValue,
    Value,
)
from appengine_contract.values_json import from_json, to_json

from appengine_server.database.records import Json
from appengine_server.runs.output_links import OutputLinks, TooManyLinks
from appengine_server.runs.references import References
from appengine_server.runs.scratch import scratch_beside, turn_in
from appengine_server.runs.stored import StoredInputs
from appengine_server.runs.task_view import Seen, TaskView, folder_opener
from appengine_server.runs.unpacking import Unpacker
from appengine_server.scheduling.scheduler import AttemptRef
from appengine_server.storage.layout import StorageLayout

INLINE_VALUE_BYTES = 256 << 10
"""Largest text or geometry in an answer; above it, the answer names the file that holds it."""

_OF_THE_TASK = {
    errno.ENAMETOOLONG: "The output folder has folders in folders that nobody can open: "
    "their path is longer than 4095 bytes",
    errno.EACCES: "The output folder has a folder that only its owner may open",
    errno.ENOENT: "The output folder was removed while the task ran",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedOutputs:
    """What became of an attempt's outputs. With problems there are no outputs."""

    index: Json
    """Small values, and the sizes of arrays and large ones: for the run's row."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """What the outputs of an attempt may be."""

    total_bytes: int
    entries: int
    unpacked_bytes: int
    """Largest content of a zipped WSI-DICOM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """An output folder as its task left it."""

    total_bytes: int
    entries: int
    has_links: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """The attempt whose outputs are collected."""

    ref: AttemptRef
    project: str
    descriptor: Descriptor
    inputs: StoredInputs
    measured: _Measured


class Outputs:
    """Checks outputs, and reads their values back from the manifest of the attempt."""

    def __init__(
        self, *, layout: StorageLayout, references: References, limits: OutputLimits
    ) -> None:
        self._layout = layout
        self._references = references
        self._limits = limits

    async def collect(
        self, ref: AttemptRef, project: str, descriptor: Descriptor, inputs: StoredInputs
    ) -> CollectedOutputs:
        """Check every declared output of an attempt that ended well, and give it the form in which
        it is kept. Doing it again is harmless.
        """
        try:
            measured = await asyncio.to_thread(self._measure, ref)
        except OSError as error:
            if error.errno not in _OF_THE_TASK:
                raise
            return _refused("OUTPUT_UNREADABLE", _OF_THE_TASK[error.errno], total_bytes=0)
        if too_large := self._too_large(measured):
            return _refused("OUTPUT_TOO_LARGE", too_large, total_bytes=measured.total_bytes)
        attempt = _Attempt(
            ref=ref, project=project, descriptor=descriptor, inputs=inputs, measured=measured
        )
        if not measured.has_links:  # then nothing leads into datasets
            return await asyncio.to_thread(self._collect, attempt, ())
        seen = await self._references.check(project, inputs)
        return await asyncio.to_thread(self._collect, attempt, seen.folders)

    async def value(self, run_id: UUID, attempt: int, name: str) -> Value:
        """One output of a run that SUCCEEDED."""
        return (await asyncio.to_thread(_manifest, self._layout.manifest(run_id, attempt)))[name]

    def _too_large(self, measured: _Measured) -> str:
        limits = self._limits
        if measured.total_bytes > limits.total_bytes:
            return (
                f"The outputs have {measured.total_bytes} bytes; {limits.total_bytes} are allowed "
                "(RUN_MAX_OUTPUT)."
            )
        if measured.entries > limits.entries:
            return f"The outputs have more files and folders than the {limits.entries} allowed."
        return ""

    def _measure(self, ref: AttemptRef) -> _Measured:
        """As the task left them: what was begun before a crash has changed the folder since."""
        kept = _measured_path(self._layout, ref)
        try:
            return _Measured(**json.loads(kept.read_bytes()))
        except FileNotFoundError:
            return _size_of(
                self._layout.outputs(ref.run_id, ref.number), most_entries=self._limits.entries
            )

    def _collect(self, attempt: _Attempt, datasets: Sequence[Path]) -> CollectedOutputs:
        ref, view = attempt.ref, self._view(attempt, datasets)
        folder = self._layout.outputs(ref.run_id, ref.number)
        with (
            turn_in(folder.parent),
            scratch_beside(folder) as scratch,
            self._references.folders(attempt.project) as dataset_folders,
        ):
            unpacker = Unpacker(scratch, limit_bytes=self._limits.unpacked_bytes)
            links = OutputLinks(view, scratch, most_entries=self._limits.entries)
            options = ReadOptions(
                root=folder,
                resolve=view.resolve,
                open_resolved=folder_opener(dataset_folders.open_folder, view),
                unpack=unpacker,
            )
            with unpacker.reading():
                checked = check_outputs(
                    attempt.descriptor, folder, options, inputs=attempt.inputs.arrays()
                )
            if checked.problems:
                return self._kept(attempt, checked)
            try:
                self._follow_links(attempt, links)
            except TooManyLinks:
                message = (
                    "The links in the outputs lead to more files and folders than the "
                    f"{self._limits.entries} that are allowed."
                )
                total_bytes = attempt.measured.total_bytes
                return _refused("OUTPUT_TOO_LARGE", message, total_bytes=total_bytes)
            if links.made or unpacker.unpacked:  # else the folder stays as it was measured
                _write_json(_measured_path(self._layout, ref), asdict(attempt.measured))
            links.put_in_place()
            unpacker.put_in_place(folder)
        return self._kept(attempt, checked)

    def _view(self, attempt: _Attempt, datasets: Sequence[Path]) -> TaskView:
        ref, descriptor = attempt.ref, attempt.descriptor
        outputs = self._layout.outputs(ref.run_id, ref.number)
        inputs = self._layout.inputs(ref.run_id)
        seen = [
            Seen(there=descriptor.output_folder, here=os.fspath(outputs)),
            Seen(there=descriptor.input_folder, here=os.fspath(inputs)),
        ]
        return TaskView(seen, datasets)

    def _follow_links(self, attempt: _Attempt, links: OutputLinks) -> None:
        """Make what links stand for, and record what stays in datasets."""
        if not attempt.measured.has_links:
            return
        run_id, number = attempt.ref.run_id, attempt.ref.number
        folder = self._layout.outputs(run_id, number)
        for parameter in attempt.descriptor.outputs:
            for name in parameter.type.names(parameter.name):
                if os.path.lexists(folder / name):
                    links.follow(parameter.type, folder / name)
                    break
        found = self._references.recorded(attempt.project, links.references())
        path = self._layout.output_references(run_id, number)
        _write_json(path, [to_json(value) for value in found])

    def _kept(self, attempt: _Attempt, checked: CheckedOutputs) -> CollectedOutputs:
        index: Json = {}
        if not checked.problems:
            values = {name: to_json(value) for name, value in checked.values.items()}
            _write_json(self._layout.manifest(attempt.ref.run_id, attempt.ref.number), values)
            index = {name: _indexed(value) for name, value in checked.values.items()}
        return CollectedOutputs(
            index=index,
            problems=checked.problems,
            warnings=checked.warnings,
            total_bytes=attempt.measured.total_bytes,
        )


def output_references(layout: StorageLayout, run_id: UUID, attempt: int) -> list[ReferenceValue]:
    """What of an attempt's outputs lies in datasets. Blocks on the disk."""
    try:
        found = json.loads(layout.output_references(run_id, attempt).read_bytes())
    except FileNotFoundError:
        return []
    return [value for one in found if isinstance(value := from_json(one), ReferenceValue)]


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


def _measured_path(layout: StorageLayout, ref: AttemptRef) -> Path:
    return layout.manifest(ref.run_id, ref.number).with_suffix(".measured")


def _write_json(path: Path, content: object) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(content, file)
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


def _size_of(folder: Path, *, most_entries: int) -> _Measured:
    """Apparent size of all files: a sparse one counts as what it pretends to be.

    Counts no further than one entry too many.
    """
    total = entries = 0
    has_links = False
    waiting = [os.fspath(folder)]
    while waiting and entries <= most_entries:
        with os.scandir(waiting.pop()) as found:
            for entry in found:
                entries += 1
                has_links = has_links or entry.is_symlink()
                if entries > most_entries:
                    break
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    return _Measured(total_bytes=total, entries=entries, has_links=has_links)
