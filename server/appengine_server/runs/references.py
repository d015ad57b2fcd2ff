"""Inputs that are files of datasets: resolved, checked and recorded, never copied or written.

A reference is resolved when it is given and kept as the path that came out, with a stamp of what
lay there. The stamp is compared before each attempt and whenever somebody is sent the content.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeVar

from appengine_contract.descriptor import Descriptor
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.image import ZIP_SIGNATURE, ImageType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.problems import Problem
from appengine_contract.reading import Entry, Findings, Kind, ReadOptions
from appengine_contract.values import (
    ArrayValue,
    FileValue,
    ReferencePattern,
    ReferenceValue,
    Value,
)

from appengine_server.errors import FailedPrecondition
from appengine_server.runs.provisioning import GivenInput, GivenInputs, given_type
from appengine_server.runs.stored import StoredInputs
from appengine_server.scheduling.scheduler import Failure, FailureReason
from appengine_server.storage.dataset_patterns import match_pattern
from appengine_server.storage.datasets import (
    DatasetFolders,
    DatasetRoots,
    Datasets,
    Located,
    ReferenceRefused,
    Target,
    TargetFile,
    dataset_folders,
    unreadable,
)
from appengine_server.storage.listing import LinkedFile, Links

_THREADS = 8
"""Enough to hide the waiting of a dataset on a network's disk."""
_AT_A_TIME = 256
"""References that one thread takes: more than one folder's descriptor is worth."""
MAX_MOUNTS = 32
"""Folders that are mounted into one task: each costs the scheduler time."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """One reference, its type, and how problems name it."""

    type: ParameterType
    value: ReferenceValue
    at: str


Looked = ReferenceValue | Sequence[Problem]
"""What became of a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReferences:
    """The references of a run just before an attempt begins."""

    problems: Sequence[Problem] = ()
    """One for each whose target has vanished or is no longer what was recorded."""
    folders: tuple[Path, ...] = ()
    """What the task has to see so that its links lead to the files: at most a few."""


@dataclass(frozen=True, slots=True)
class References:
    """What can be done with references. The disk is waited for in threads."""

    datasets: Datasets
    on_nodes: bool = False
    """Pods in cluster mode mount the datasets, so that links are all that their agents fetch."""

    async def resolve(
        self, project: str, descriptor: Descriptor, given: GivenInputs
    ) -> GivenInputs:
        """The values with every reference resolved and checked, and the problems of all others."""
        if not has_references(given):
            return given
        return await asyncio.to_thread(self._resolve, project, descriptor, given)

    async def refresh(
        self, project: str, descriptor: Descriptor, inputs: StoredInputs
    ) -> tuple[StoredInputs, Sequence[Problem]]:
        """The inputs with every reference as it is now, checked again: for another run."""
        values = [
            GivenInput(parameter=name, index=index, value=value)
            for name, index, value in inputs.values()
        ]
        given = GivenInputs(values=values)
        found = await self.resolve(project, descriptor, given)
        if found is given:
            return inputs, ()
        fresh = ((one.parameter, one.index, one.value) for one in found.values)
        return inputs.with_values(fresh), found.problems

    async def check(self, project: str, inputs: StoredInputs) -> CheckedReferences:
        """Compare every reference with what was recorded."""
        references = list(inputs.references())
        if not references:
            return CheckedReferences()
        return await asyncio.to_thread(self._check, project, references)

    def links(self, project: str, inputs: StoredInputs) -> Links:
        """Content in the place of links, for a listing of the input folder for somebody without
        the datasets. A file that is no longer what was recorded raises FailedPrecondition.
        """
        return self.followed(project, (value for _, value in inputs.references()))

    def agents_links(self, project: str, inputs: StoredInputs) -> Links:
        """What the agent of a pod is sent: links as they are where its task mounts the datasets."""
        if not self.on_nodes:
            return self.links(project, inputs)
        return Links(kept=frozenset(value.path for _, value in inputs.references()))

    def followed(self, project: str, recorded: Iterable[ReferenceValue]) -> Links:
        """Content in the place of links to what was recorded. A file that is no longer what it was
        raises FailedPrecondition.
        """
        by_path = {value.path: value for value in recorded}
        return Links(content=_Followed(self.datasets, project, by_path)) if by_path else Links()

    @contextmanager
    def folders(self, project: str) -> Iterator[DatasetFolders]:
        """Opens what lies in the datasets of a project."""
        with dataset_folders(self.datasets.of_project(project)) as folders:
            yield folders

    def recorded(self, project: str, paths: Iterable[Path]) -> list[ReferenceValue]:
        """References to files and folders of the datasets, as they are now. Blocks on the disk.

        What is gone is recorded as such, so that whoever asks for it is told.
        """
        with self.folders(project) as folders:
            return [_recorded(folders, os.fspath(path)) for path in paths]

    def _resolve(self, project: str, descriptor: Descriptor, given: GivenInputs) -> GivenInputs:
        roots = self.datasets.of_project(project)
        problems = list(given.problems)
        values: list[GivenInput] = []
        leaves: list[_Leaf] = []
        with dataset_folders(roots) as folders:
            for one in given.values:
                found = given_type(descriptor, one)
                if found is not None:
                    value = _expanded(folders, *found, one.value, problems)
                    one = replace(one, value=value)  # noqa: PLW2901 the same, resolved
                    leaves += _leaves(*found, value)
                values.append(one)
        looked = iter(_in_threads(roots, leaves, _look_at))
        resolved = [
            one if given_type(descriptor, one) is None
            else replace(one, value=_put_back(one.value, looked, problems))
            for one in values
        ]  # fmt: skip
        return GivenInputs(values=resolved, problems=problems)

    def _check(
        self, project: str, references: Sequence[tuple[str, ReferenceValue]]
    ) -> CheckedReferences:
        roots = self.datasets.of_project(project)
        found = _in_threads(roots, references, _compare)
        problems = [one for one in found if isinstance(one, Problem)]
        wanted = {folder for one in found if isinstance(one, Target) for folder in _seen(one)}
        return CheckedReferences(
            problems=problems, folders=tuple(map(Path, merge_folders(wanted, roots)))
        )


def has_references(given: GivenInputs) -> bool:
    """Whether any of the values is a file of a dataset, or a pattern of them."""
    return any(_holds_references(one.value) for one in given.values)


def failure_of(problems: Sequence[Problem]) -> Failure:
    """Why a run whose references are not what they were cannot begin."""
    named = " ".join(f"{problem.path}: {problem.message}" for problem in problems[:3])
    more = f" And {len(problems) - 3} more." if len(problems) > 3 else ""
    return Failure(
        reason=FailureReason.INPUT_UNAVAILABLE,
        message=f"Files of the dataset cannot be used as inputs: {named}{more} "
        "Retry the run to take them as they are then, once they are there.",
    )


@dataclass(frozen=True, slots=True)
class _Followed:
    """Answers the content behind the links of an input folder."""

    datasets: Datasets
    project: str
    recorded: Mapping[str, ReferenceValue]

    def __call__(self, path: str, target: str) -> Sequence[LinkedFile] | None:
        recorded = self.recorded.get(target)
        if recorded is None:
            return None
        roots = self.datasets.of_project(self.project)
        with dataset_folders(roots) as folders:
            found = _compare(folders, (path, recorded))
        if isinstance(found, Problem):
            raise FailedPrecondition(found.message, reason=found.reason, problems=[found])
        return [_linked(roots, file, found) for file in found.files]


def merge_folders(wanted: set[str], roots: DatasetRoots) -> list[str]:
    """Few folders that hold all of these: their parents where they are too many.

    None of them lies in another, and none above the root that it belongs to.
    """
    found = _outermost(wanted)
    while len(found) > MAX_MOUNTS:
        deepest = max(path.count("/") for path in found)
        raised = {
            os.path.dirname(path)
            if path.count("/") == deepest and path not in roots.folders
            else path
            for path in found
        }
        if raised == set(found):
            break
        found = _outermost(raised)
    return found


def _outermost(paths: set[str]) -> list[str]:
    found: list[str] = []
    for path in sorted(paths, key=lambda path: path.split("/")):
        if not found or not DatasetRoots((found[-1],)).root_of(path):
            found.append(path)
    return found


def _holds_references(value: Value) -> bool:
    if isinstance(value, ArrayValue):
        return any(map(_holds_references, value.items))
    return isinstance(value, ReferenceValue | ReferencePattern)


def _expanded(
    folders: DatasetFolders, type_: ParameterType, at: str, value: Value, problems: list[Problem]
) -> Value:
    """The value with an array in the place of each pattern that an array of its type may have."""
    if not isinstance(type_, ArrayType):
        return value
    if isinstance(value, ArrayValue):
        items = (
            _expanded(folders, type_.subtype, f"{at}[{index}]", item, problems)
            for index, item in enumerate(value.items)
        )
        return ArrayValue(tuple(items))
    if isinstance(value, ReferencePattern) and type_.subtype.takes_references:
        try:
            return ArrayValue(tuple(map(ReferenceValue, match_pattern(folders, value.pattern))))
        except ReferenceRefused as refused:
            problems.append(Problem(path=at, reason=refused.reason, message=str(refused)))
    return value


def _leaves(type_: ParameterType, at: str, value: Value) -> Iterator[_Leaf]:
    if isinstance(value, ReferenceValue):
        yield _Leaf(type=type_, value=value, at=at)
    elif isinstance(value, ArrayValue):
        subtype = type_.subtype if isinstance(type_, ArrayType) else type_
        for index, item in enumerate(value.items):
            yield from _leaves(subtype, f"{at}[{index}]", item)


def _put_back(value: Value, looked: Iterator[Looked], problems: list[Problem]) -> Value:
    if isinstance(value, ReferenceValue):
        found = next(looked)
        if isinstance(found, ReferenceValue):
            return found
        problems += found
    elif isinstance(value, ArrayValue):
        return ArrayValue(tuple(_put_back(item, looked, problems) for item in value.items))
    return value


def _in_threads(
    roots: DatasetRoots, items: Sequence[A], work: Callable[[DatasetFolders, A], B]
) -> Sequence[B]:
    """The answer to each, in order."""

    def some(first: int) -> list[B]:
        with dataset_folders(roots) as folders:
            return [work(folders, item) for item in items[first : first + _AT_A_TIME]]

    parts = range(0, len(items), _AT_A_TIME)
    if len(parts) <= 1:
        return some(0)
    with ThreadPoolExecutor(min(_THREADS, len(parts)), "references") as threads:
        return list(chain.from_iterable(threads.map(some, parts)))


def _look_at(folders: DatasetFolders, leaf: _Leaf) -> Looked:
    if not leaf.type.takes_references or leaf.type.check(leaf.value, leaf.at):
        return leaf.value  # what is wrong with it is told with all other values
    try:
        located = folders.locate(leaf.value.path)
        is_folder = stat.S_ISDIR(located.found.st_mode)
        if is_folder and not isinstance(leaf.type, ImageType):
            return _read(folders, leaf, located)
        target = folders.look(located)
        looked = _read(folders, leaf, located)
    except ReferenceRefused as refused:
        return [Problem(path=leaf.at, reason=refused.reason, message=str(refused))]
    if not isinstance(looked, ReferenceValue):
        return looked
    return replace(looked, stamp=target.stamp(), size_bytes=target.size_bytes)


def _read(folders: DatasetFolders, leaf: _Leaf, located: Located) -> Looked:
    """What the type finds in the headers; a reference without a stamp, or problems."""
    findings = Findings()
    folder = os.dup(located.folder)  # `folders` may close its own
    try:
        kind = Kind.FOLDER if stat.S_ISDIR(located.found.st_mode) else Kind.FILE
        entry = Entry(
            folder=folder, name=located.name, location=located.path, path=located.path, kind=kind
        )
        value = leaf.type.read_entry(entry, leaf.at, _options(folders), findings)
        known = isinstance(value, FileValue) and value.format
        if not known and isinstance(leaf.type, ImageType) and _is_zip(leaf.type, entry):
            message = f"{located.path} is a zip, and nothing is unpacked in a dataset: "
            message += "unpack it there yourself, or upload it."
            return [Problem(path=leaf.at, reason="REFERENCE_ZIP", message=message)]
    except OSError as error:
        raise unreadable(located.path, error) from error
    finally:
        os.close(folder)
    if findings.problems or not isinstance(value, FileValue):
        return [
            replace(problem, message=f"{located.path}: {problem.message}")
            for problem in findings.problems
        ]
    return ReferenceValue(
        path=located.path, size_bytes=value.size_bytes, file_count=value.file_count,
        format=value.format,
    )  # fmt: skip


def _options(folders: DatasetFolders) -> ReadOptions:
    def resolve(link: Path) -> Path:
        return Path(folders.locate(os.fspath(link)).path)

    return ReadOptions(
        root=Path("/"), direction="input", resolve=resolve, open_resolved=folders.open_folder
    )


def _is_zip(type_: ImageType, entry: Entry) -> bool:
    if entry.kind is not Kind.FILE or not type_.takes_zip():
        return False
    descriptor = entry.open_file()
    try:
        return os.read(descriptor, len(ZIP_SIGNATURE)) == ZIP_SIGNATURE
    finally:
        os.close(descriptor)


def _compare(folders: DatasetFolders, reference: tuple[str, ReferenceValue]) -> Target | Problem:
    """What the reference stands for, if that is still what was recorded."""
    at, recorded = reference
    try:
        found = folders.look(folders.locate_resolved(recorded.path))
    except ReferenceRefused as refused:
        return Problem(path=at, reason=refused.reason, message=str(refused))
    if found.stamp() == recorded.stamp:
        return found
    message = f"{recorded.path} has changed since it was given."
    return Problem(path=at, reason="REFERENCE_CHANGED", message=message)


def _recorded(folders: DatasetFolders, path: str) -> ReferenceValue:
    try:
        target = folders.look(folders.locate_resolved(path))
    except ReferenceRefused:
        return ReferenceValue(path=path)
    return ReferenceValue(path=path, stamp=target.stamp(), size_bytes=target.size_bytes)


def _seen(target: Target) -> Iterator[str]:
    """The folders in which a task must find the files of a reference."""
    if target.is_folder:
        yield target.path
    for file in target.files:
        yield os.path.dirname(file.path)


def _linked(roots: DatasetRoots, file: TargetFile, target: Target) -> LinkedFile:
    root = roots.root_of(file.path)
    assert root is not None, "it was found below one"
    return LinkedFile(
        name=file.name if target.is_folder else "",
        root=Path(root),
        path=os.path.relpath(file.path, root),
        found=file.found,
    )
