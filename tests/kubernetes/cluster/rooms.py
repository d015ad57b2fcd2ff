"""Rooms: namespaces of processes, mounts and network, which end with whoever opened them.

The first process of a room waits for its standard input to end. When it is closed, or its owner is
gone by whatever death, the kernel kills all that runs in the room and in the rooms within it; with
them go their mounts, interfaces and routes. Files are the host's: both see the same ones.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_UNSHARE = (
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("--mount", "--propagation", "slave", "--net"),
)
# NB: a first process is given all orphans. With an ignored SIGCHLD the kernel buries them itself;
# the shell's own `trap` does not do that, and its `read` would end with the first of them.
_FIRST_PROCESS = """
set -e
mount --make-rshared /
{setup}
echo ready
exec env --ignore-signal=CHLD cat >/dev/null
"""


class RoomFailed(Exception):
    """A room could not be set up; the text is what its first process said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """Namespaces that one process holds. Whoever opened it closes it."""

    pid: int
    """Of its first process, as the host counts."""
    holder: subprocess.Popen[str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """What services have started in it."""

    def inside(self, *command: str, network: bool = True) -> list[str]:
        """The command that runs `command` in the room; without `network` in the host's network."""
        net = ["--net"] if network else []
        return ["nsenter", f"--target={self.pid}", "--pid", "--mount", *net, "--", *command]

    def on_its_network(self, *command: str) -> list[str]:
        """The command that sees the host's processes and files, but the room's network."""
        return ["nsenter", f"--target={self.pid}", "--net", "--", *command]

    def close(self) -> None:
        """End all that runs in it. Nothing of it is left on return."""
        if self.holder.poll() is None:
            kill_first_process(self.pid)
            self.holder.wait()
        for process in self.started:
            process.wait()
        for stream in (self.holder.stdin, self.holder.stdout):
            if stream is not None:
                stream.close()


def open_room(setup: Sequence[str], *, log: Path, within: Room | None = None) -> Room:
    """Make a room, in another's if given, after `setup`, lines of shell, has run in it."""
    script = _FIRST_PROCESS.format(setup="\n".join(setup))
    command = [*_UNSHARE, "sh", "-c", script]
    with log.open("ab") as errors:
        holder = subprocess.Popen(
            within.inside(*command) if within else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    assert holder.stdout is not None
    if holder.stdout.readline().strip() != "ready":
        holder.kill()
        holder.wait()
        raise RoomFailed(log.read_text(errors="replace")[-2000:])
    # nsenter and unshare each stand before what they start.
    return Room(pid=descendant(holder.pid, 2 if within else 1), holder=holder)


def descendant(pid: int, generations: int) -> int:
    """The process that far below `pid`, where each has one child. Waits for it, at most 5 s."""
    deadline = time.monotonic() + 5
    for _ in range(generations):
        children = Path(f"/proc/{pid}/task/{pid}/children")
        while not (found := children.read_text().split()):
            if time.monotonic() > deadline:
                raise RoomFailed(f"process {pid} has started nothing")
            time.sleep(0.002)
        pid = int(found[0])
    return pid


def kill_first_process(pid: int) -> None:
    """Kill the first process of a room, and wait until all in the room is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and not _is_zombie(pid):
        if time.monotonic() > deadline:
            raise RoomFailed(f"process {pid} does not end")
        time.sleep(0.005)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@dataclass(slots=True, kw_only=True)
class Service:
    """A program that runs in a room, and may be killed and started again."""

    name: str
    room: Room
    command: Sequence[str]
    log: Path
    on_host_network: bool = False
    environment: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting until it serves."""
        assert self._process is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.room.inside(*self.command, network=not self.on_host_network),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.room.started.append(self._process)

    def kill(self) -> None:
        """End it by kill -9. What it has started goes on."""
        assert self._process is not None, f"{self.name} does not run"
        kill_first_process(self.pid)
        self._process.wait()
        self._process = None

    @property
    def pid(self) -> int:
        """Its process, as the host counts."""
        assert self._process is not None, f"{self.name} does not run"
        return descendant(self._process.pid, 1)

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
