"""What processes cost: CPU seconds and peak memory, of those that end and of those that stay."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Cost:
    """Of one end of a transfer."""

    cpu_seconds: float = 0.0
    peak_mib: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_seconds + other.cpu_seconds, max(self.peak_mib, other.peak_mib))


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured transfer."""

    seconds: float
    sender: Cost
    receiver: Cost


def ended(process: subprocess.Popen[bytes]) -> Cost:
    """Wait for a program and tell what it took. Raises CalledProcessError when it failed."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def run(command: Sequence[str | Path]) -> tuple[float, Cost]:
    """Run a program to its end: seconds, and what it took."""
    started = time.perf_counter()
    cost = ended(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    return time.perf_counter() - started, cost


def cpu_seconds(pids: Sequence[int]) -> float:
    """What these processes have used so far, to 10 ms."""
    used = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / _TICKS


def peak_mib(pid: int) -> float:
    """The most memory that was resident since `forget_peak`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def forget_peak(pid: int) -> None:
    """Begin anew with the peak."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def watched(pids: Sequence[int]) -> Iterator[Cost]:
    """The cost of processes that stay, filled in at the end."""
    cost = Cost()
    for pid in pids:
        forget_peak(pid)
    before = cpu_seconds(pids)
    yield cost
    cost.cpu_seconds = cpu_seconds(pids) - before
    cost.peak_mib = sum(map(peak_mib, pids))
