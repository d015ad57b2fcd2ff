"""The files that are kept of a task: its descriptor and its logo."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from appengine_server.storage.layout import StorageLayout


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """Reads and writes them; every call does file I/O and belongs into a thread."""

    layout: StorageLayout

    def write(self, task_id: UUID, descriptor_yaml: bytes, logo: bytes | None) -> None:
        """Keep the files safely on disk, before the row of the task says that they are there."""
        folder = self.layout.make_task(task_id)
        _write_synced(folder / "descriptor.yml", descriptor_yaml)
        if logo is not None:
            _write_synced(folder / "logo.png", logo)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def descriptor_yaml(self, task_id: UUID) -> bytes:
        """The descriptor, byte for byte."""
        return (self.layout.task(task_id) / "descriptor.yml").read_bytes()

    def logo(self, task_id: UUID) -> bytes:
        """The logo, a PNG."""
        return (self.layout.task(task_id) / "logo.png").read_bytes()

    def remove(self, task_id: UUID) -> None:
        """Remove the files; OK if there are none."""
        self.layout.remove_task(task_id)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
