"""The first process of a container, seen from outside: when it ends and what it used.

Only where the server shares the machine and its process ids with the engine; elsewhere nothing is
known here and the engine alone tells. Two things make it worth having: some engines report the end
a quarter of a second late, and some do not say that the memory limit killed the task.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appengine_server.scheduling.scheduler import Usage

_CGROUPS = Path("/sys/fs/cgroup")


def _number(text: str) -> float | None:
    return int(text) if text.strip().isdecimal() else None


def _field(name: str, unit: float = 1) -> Callable[[str], float | None]:
    def parse(text: str) -> float | None:
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == name and value.isdecimal():
                return int(value) * unit
        return None

    return parse


def _nanoseconds(text: str) -> float | None:
    count = _number(text)
    return None if count is None else count / 1e9


_COUNTERS: Mapping[str, Mapping[str, Callable[[str], float | None]]] = {
    # File names are those of cgroup v2, then v1. Some exist in both with other contents, so the
    # first counts that can be read as what it is taken for.
    "oom_kills": {"memory.events": _field("oom_kill"), "memory.oom_control": _field("oom_kill")},
    "peak_memory": {"memory.peak": _number, "memory.max_usage_in_bytes": _number},
    "cpu": {"cpu.stat": _field("usage_usec", 1e-6), "cpuacct.usage": _nanoseconds},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the kernel counted for a container."""

    usage: Usage = field(default_factory=Usage)
    oom_kills: int | None = None
    """Processes that were killed for the memory limit; None where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counter:
    file: int
    parse: Callable[[str], float | None]

    def read(self) -> float | None:
        try:
            return self.parse(os.pread(self.file, 4096, 0).decode())
        except OSError:  # the cgroup is gone
            return None


class ContainerProcess:
    """Holds a process descriptor and the counters of its cgroup open until the process ends."""

    def __init__(self, pidfd: int, counters: Mapping[str, _Counter]) -> None:
        self._pidfd = pidfd
        self._counters = dict(counters)
        self._on_end: Callable[[Evidence], None] | None = None

    @classmethod
    def open(cls, pid: int, container_id: str) -> ContainerProcess | None:
        """Find the process, or None where it cannot be seen or is not that container's."""
        try:
            pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError, ValueError):  # no Linux, no such process, forbidden
            return None
        # NB: read after the descriptor was opened, so that a reused pid cannot slip in; the id
        # in its path also tells apart the pids of another namespace.
        folders = _cgroup_folders(pid, container_id)
        if folders is None:
            os.close(pidfd)
            return None
        return cls(pidfd, _open_counters(folders))

    def watch(self, on_end: Callable[[Evidence], None]) -> None:
        """Call `on_end` once, from the event loop, within a millisecond of the end."""
        self._on_end = on_end
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    def read(self) -> Evidence:
        """What was counted up to now. The kernel forgets it soon after the end."""
        peak, oom_kills = self._count("peak_memory"), self._count("oom_kills")
        return Evidence(
            usage=Usage(
                peak_memory_bytes=None if peak is None else int(peak),
                cpu_seconds=self._count("cpu"),
            ),
            oom_kills=None if oom_kills is None else int(oom_kills),
        )

    def close(self) -> None:
        """Let go of everything; `on_end` is not called any more. OK twice."""
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        for counter in self._counters.values():
            os.close(counter.file)
        self._counters.clear()

    def _ended(self) -> None:
        evidence, on_end = self.read(), self._on_end
        self.close()
        if on_end is not None:
            on_end(evidence)

    def _count(self, name: str) -> float | None:
        counter = self._counters.get(name)
        return None if counter is None else counter.read()


def _cgroup_folders(pid: int, container_id: str) -> list[Path] | None:
    """The container's own folders in every cgroup hierarchy, or None if it is not in one."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        parts = path.strip("/").split("/")
        own = [index for index, part in enumerate(parts) if container_id in part]
        if own:  # some engines put the process into a child of the container's cgroup
            relative = Path(*parts[: own[-1] + 1])
            mounts = [controllers] if controllers else [".", "unified"]
            folders += [_CGROUPS / mount / relative for mount in mounts]
    return folders or None


def _open_counters(folders: list[Path]) -> dict[str, _Counter]:
    opened = {}
    for counter, files in _COUNTERS.items():
        found = (
            _open_counter(folder / name, parse)
            for name, parse in files.items()
            for folder in folders
        )
        if (first := next((one for one in found if one is not None), None)) is not None:
            opened[counter] = first
    return opened


def _open_counter(path: Path, parse: Callable[[str], float | None]) -> _Counter | None:
    try:
        counter = _Counter(file=os.open(path, os.O_RDONLY | os.O_CLOEXEC), parse=parse)
    except OSError:
        return None
    if counter.read() is None:
        os.close(counter.file)
        return None
    return counter
