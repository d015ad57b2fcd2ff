"""Where everything lies below the base folder of the storage.

```
base/tasks/<task_id>/            base/uploads/<upload_id>/
base/runs/<run_id>/inputs/       base/runs/<run_id>/attempts/<n>/{outputs/,log,manifest}
```
Several servers may share one base, so nothing here takes a lock. The folders of runs are mounted
one by one into the containers of tasks, which may run as any user: `inputs` can be read and
`outputs` be written by all. What stands above them is closed to other users, which a mount does not
notice.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from appengine_server.storage.beneath import remove_tree

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}\Z")

_BASE_MODE = 0o711  # an embedded database may live below it under another user
_PRIVATE_MODE = 0o700
_INPUTS_MODE = 0o755
_OUTPUTS_MODE = 0o777

Id = str | UUID
"""Of a task, run or upload, as the database gave it."""


@dataclass(frozen=True, slots=True)
class StorageLayout:
    """Names below `base`. Making and removing are idempotent; ids are single plain names."""

    base: Path

    def prepare(self) -> None:
        """Make the base and its rooms. Raises OSError."""
        if not self.base.is_dir():
            self.base.mkdir(parents=True, exist_ok=True)
            self.base.chmod(_BASE_MODE)
        for room in ("tasks", "uploads", "runs"):
            _make(self.base / room, _PRIVATE_MODE)

    def engine_id(self) -> str:
        """What tells this engine from others on one machine: made once, then kept."""
        path = self.base / "engine_id"
        fresh = path.with_name(f"engine_id.{uuid4().hex}")
        if not path.exists():
            fresh.write_text(uuid4().hex)
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)  # the first of several servers wins
            fresh.unlink()
        return path.read_text().strip()

    def task(self, task_id: Id) -> Path:
        """What is kept of a task's bundle."""
        return self.base / "tasks" / _name(task_id)

    def upload(self, upload_id: Id) -> Path:
        """What an upload has received."""
        return self.base / "uploads" / _name(upload_id)

    def run(self, run_id: Id) -> Path:
        """All files of a run."""
        return self.base / "runs" / _name(run_id)

    def inputs(self, run_id: Id) -> Path:
        """The inputs, as the task sees them."""
        return self.run(run_id) / "inputs"

    def uploaded(self, run_id: Id, upload_id: Id) -> Path:
        """What an upload to an input brought, under the names of the input folder."""
        return self.run(run_id) / "uploaded" / _name(upload_id)

    def attempt(self, run_id: Id, number: int) -> Path:
        """All files of an attempt, counted from 1."""
        return self.run(run_id) / "attempts" / str(int(number))

    def outputs(self, run_id: Id, number: int) -> Path:
        """Where the task writes its outputs."""
        return self.attempt(run_id, number) / "outputs"

    def log(self, run_id: Id, number: int) -> Path:
        """The task's output streams."""
        return self.attempt(run_id, number) / "log"

    def manifest(self, run_id: Id, number: int) -> Path:
        """What was found in the outputs when they were checked."""
        return self.attempt(run_id, number) / "manifest"

    def output_references(self, run_id: Id, number: int) -> Path:
        """What of the outputs lies in datasets."""
        return self.attempt(run_id, number) / "references"

    def make_task(self, task_id: Id) -> Path:
        """Make the folder of a task."""
        return _make(self.task(task_id), _PRIVATE_MODE)

    def make_run(self, run_id: Id) -> Path:
        """Make the folders of a run; answers `inputs`, which every user can read."""
        _make(self.run(run_id), _PRIVATE_MODE)
        _make(self.run(run_id) / "attempts", _PRIVATE_MODE)
        return _make(self.inputs(run_id), _INPUTS_MODE)

    def make_attempt(self, run_id: Id, number: int) -> Path:
        """Make the folders of an attempt; answers `outputs`, which every user can write."""
        self.make_run(run_id)
        _make(self.attempt(run_id, number), _PRIVATE_MODE)
        return _make(self.outputs(run_id, number), _OUTPUTS_MODE)

    def remove_task(self, task_id: Id) -> None:
        """Remove the files of a task."""
        remove_tree(self.task(task_id))

    def remove_run(self, run_id: Id) -> None:
        """Remove the files of a run with all attempts."""
        remove_tree(self.run(run_id))

    def empty_attempt(self, run_id: Id, number: int) -> None:
        """Remove what an attempt wrote; its log stays."""
        if not self.attempt(run_id, number).is_dir():
            return
        remove_tree(self.outputs(run_id, number))
        for path in (self.manifest(run_id, number), self.output_references(run_id, number)):
            path.unlink(missing_ok=True)
        _make(self.outputs(run_id, number), _PRIVATE_MODE)

    def remove_uploaded(self, run_id: Id, upload_id: Id) -> None:
        """Remove what an upload to an input brought."""
        remove_tree(self.uploaded(run_id, upload_id))

    def task_ids(self) -> Iterator[str]:
        """Tasks that have a folder, for sweeps."""
        return _names(self.base / "tasks")

    def upload_ids(self) -> Iterator[str]:
        """Uploads that have a folder, for sweeps."""
        return _names(self.base / "uploads")

    def run_ids(self) -> Iterator[str]:
        """Runs that have a folder, for sweeps."""
        return _names(self.base / "runs")


def _name(identifier: Id) -> str:
    name = str(identifier)
    if not _ID.match(name):
        raise ValueError(f"not an id: {name!r}")
    return name


def _make(path: Path, mode: int) -> Path:
    path.mkdir(exist_ok=True)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)  # the umask has its say in mkdir, not here
    return path


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found if _ID.match(entry.name)]
    except FileNotFoundError:
        return
    yield from names
