"""Takes tasks over from Cytomine's App Engine, the Java one: descriptor, logo, place of the image.

Its images are in a registry already and stay there. Nothing of the old engine is changed, and a
task that is here already is left as it is: so it may be done again at any time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from appengine_contract.descriptor import CheckedDescriptor
from appengine_contract.problems import Problem

from appengine_server.database.cytomine import OldTask
from appengine_server.database.records import TaskState
from appengine_server.errors import AlreadyExists, NotFound
from appengine_server.identity import Principal
from appengine_server.scheduling.images import NO_COMMAND, ImageRefused, ImageStore
from appengine_server.tasks.bundle import BundleLimits, logo_problem
from appengine_server.tasks.entry_names import shown
from appengine_server.tasks.registry import Registry
from appengine_server.tasks.tasks import Request, TaskName, Tasks

IMPORTER = "import-cytomine"
"""Who owns the tasks that were taken over."""

_DESCRIPTOR, _LOGO = "descriptor.yml", "logo.png"


class Outcome(StrEnum):
    """What becomes of a task."""

    IMPORTABLE = "importable"
    IMPORTED = "imported"
    PRESENT = "present"
    """It was here before."""
    LEFT = "left"
    """It cannot be used as it is; the problems say why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A task of the old engine, and what is to be done with it or was done."""

    task: OldTask
    outcome: Outcome
    image: str = ""
    """Pinned by its digest, as nodes pull it."""
    task_id: UUID | None = None
    """Of the task here."""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    descriptor_yaml: bytes = b""
    logo: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What the old storage has of a task."""

    descriptor_yaml: bytes = b""
    logo: bytes | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class CytomineImport:
    """Looks at old tasks and takes them over. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        tasks: Tasks,
        images: ImageStore,
        registry: Registry,
        storage: Path,
        project: str,
        limits: BundleLimits,
    ) -> None:
        """`images` sees the registry that the old engine pushed to; `storage` is its folder."""
        self._tasks = tasks
        self._images = images
        self._registry = registry
        self._storage = storage
        self._limits = limits
        self._importer = Principal(IMPORTER, None, project)

    async def examine(self, old: OldTask) -> Examined:
        """Say what would become of a task, with every problem; changes nothing.

        Raises SchedulerUnavailable where the registry cannot be reached.
        """
        if (known := await self._known(old)) is not None:
            return Examined(task=old, outcome=Outcome.PRESENT, task_id=known)
        files = await asyncio.to_thread(self._read_files, old)
        problems, warnings = files.problems, files.warnings
        if not problems:
            checked = self._tasks.read_descriptor(files.descriptor_yaml)
            problems = (*checked.errors, *_other_identity(old, checked))
            warnings = (*warnings, *checked.warnings)
        image, of_image = await self._image_of(old)
        problems = (*problems, *of_image)
        return Examined(
            task=old, outcome=Outcome.LEFT if problems else Outcome.IMPORTABLE, image=image,
            problems=problems, warnings=warnings, descriptor_yaml=files.descriptor_yaml,
            logo=files.logo,
        )  # fmt: skip

    async def take_over(self, found: Examined) -> Examined:
        """Make the task of what was examined, where it is importable; else answers it as it is.

        Its image is pinned in the background by a server, like that of every task.
        """
        if found.outcome is not Outcome.IMPORTABLE:
            return found
        try:
            task = await self._tasks.create_from_image(
                self._importer, "", descriptor_yaml=found.descriptor_yaml,
                image_reference=found.image, logo=found.logo, request=Request(id=None, hash=None),
            )  # fmt: skip
        except AlreadyExists:  # another import was quicker
            return replace(found, outcome=Outcome.PRESENT)
        return replace(found, outcome=Outcome.IMPORTED, task_id=task.record.id)

    async def _known(self, old: OldTask) -> UUID | None:
        """The task of that name here; one that failed does not count, and may be taken again."""
        if not (old.namespace and old.version):
            return None
        name = TaskName(
            project=self._importer.default_project, namespace=old.namespace, version=old.version
        )
        try:
            task = await self._tasks.get(self._importer, name)
        except NotFound:
            return None
        return None if task.record.state is TaskState.FAILED else task.record.id

    def _read_files(self, old: OldTask) -> _Files:
        folder = self._folder_of(old)
        if folder is None:
            message = (
                f"the database names no folder of the old storage: {shown(old.storage_reference)}"
            )
            return _Files(problems=(_problem("STORAGE_REFERENCE", message),))
        path = folder / _DESCRIPTOR
        try:
            descriptor = _read(path, self._limits.descriptor_bytes)
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            return _Files(problems=(_problem("DESCRIPTOR_MISSING", message),))
        if descriptor is None:
            message = f"{path} is larger than {self._limits.descriptor_bytes} bytes"
            return _Files(problems=(_problem("BUNDLE_TOO_LARGE", message),))
        return self._with_logo(folder / _LOGO, _Files(descriptor_yaml=descriptor))

    def _folder_of(self, old: OldTask) -> Path | None:
        """A folder directly below the old storage, and nothing else that the row may name."""
        name = old.storage_reference or f"task-{old.identifier}-def"
        if name in {".", ".."} or "/" in name or "\0" in name:
            return None
        return self._storage / name

    def _with_logo(self, path: Path, files: _Files) -> _Files:
        try:
            logo = _read(path, self._limits.logo_bytes)
        except FileNotFoundError:
            return files
        except OSError as error:
            return replace(files, warnings=(_logo_ignored(f"it cannot be read: {error.strerror}"),))
        if logo is None:
            why = f"it has more than {self._limits.logo_bytes} bytes"
            return replace(files, warnings=(_logo_ignored(why),))
        if why_not := logo_problem(logo):
            return replace(files, warnings=(_logo_ignored(why_not),))
        return replace(files, logo=logo)

    async def _image_of(self, old: OldTask) -> tuple[str, tuple[Problem, ...]]:
        """The image as nodes name it, pinned, and what is wrong with it."""
        if not old.image_name:
            return "", (_problem("IMAGE_MISSING", "the database names no image", "image_name"),)
        try:
            image = await self._images.pull(
                f"{self._registry.push_host}/{old.image_name}", name=None
            )
            facts = await self._images.inspect(image)
        except ImageRefused as refusal:
            return "", (_problem(refusal.reason.value, refusal.message, "image_name"),)
        if not facts.entrypoint + facts.command:
            return image, (_problem("IMAGE_CANNOT_START", NO_COMMAND, "image_name"),)
        return image, ()


def _other_identity(old: OldTask, checked: CheckedDescriptor) -> Sequence[Problem]:
    descriptor = checked.descriptor
    if descriptor is None or (descriptor.namespace, descriptor.version) == (
        old.namespace,
        old.version,
    ):
        return ()
    message = (
        f"the descriptor is of {descriptor.namespace}:{descriptor.version}, "
        f"and the database's row of {shown(old.name)}"
    )
    return (_problem("IDENTITY_DIFFERS", message),)


def _read(path: Path, limit_bytes: int) -> bytes | None:
    """The whole file; None if it is larger. Raises OSError."""
    with path.open("rb") as file:
        content = file.read(limit_bytes + 1)
    return content if len(content) <= limit_bytes else None


def _logo_ignored(why: str) -> Problem:
    return _problem("LOGO_IGNORED", f"the logo is ignored: {why}", _LOGO)


def _problem(reason: str, message: str, path: str = "") -> Problem:
    return Problem(path=path, reason=reason, message=message)
