"""Paired rounds: in each one everybody moves the same bytes once, in another order."""

from __future__ import annotations

import random
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.transfers.processes import Cost, Sample

GIB = 1 << 30
MIB = 1 << 20

Move = Callable[[Path], Sample]
"""Moves the bytes of a case once. Whatever it writes lies in the folder that it is given, or is
removed by itself; the folder is new and is removed afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is moved: one file, or a folder of files of one size."""

    name: str
    file_bytes: int
    files: int = 1

    @property
    def total_bytes(self) -> int:
        return self.file_bytes * self.files

    @property
    def is_tree(self) -> bool:
        return self.files > 1


@dataclass(slots=True)
class Measured:
    """The samples of one case, by the name of who moved it."""

    case: Case
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def ratios(self, ours: str, theirs: str) -> list[float]:
        """How much faster ours is, round by round: above 1 it is."""
        pairs = zip(self.samples[ours], self.samples[theirs], strict=True)
        return [other.seconds / mine.seconds for mine, other in pairs]

    def median_seconds(self, name: str) -> float:
        return statistics.median(sample.seconds for sample in self.samples[name])

    def cpu_per_gib(self, name: str, end: Callable[[Sample], Cost]) -> float:
        """CPU seconds of one end."""
        used = statistics.median(end(sample).cpu_seconds for sample in self.samples[name])
        return used / (self.case.total_bytes / GIB)

    def peak_mib(self, name: str, end: Callable[[Sample], Cost]) -> float:
        return max(end(sample).peak_mib for sample in self.samples[name])


def measure(case: Case, movers: Mapping[str, Move], folder: Path, rounds: int) -> Measured:
    """Rounds in which everybody moves the case once, after one that does not count."""
    measured = Measured(case, {name: [] for name in movers})
    for number in range(-1, rounds):
        for name in shuffled(list(movers)):
            touch(folder, case.total_bytes)
            with scratch(folder) as place:
                sample = movers[name](place)
            if number >= 0:
                measured.samples[name].append(sample)
        print(f"{case.name}: round {number + 1} of {rounds}", file=sys.stderr)
    return measured


def shuffled(names: list[str]) -> list[str]:
    random.shuffle(names)
    return names


def touch(folder: Path, size_bytes: int) -> None:
    """Write and remove more than what follows: memory of a virtual machine is slow at first."""
    block = bytes(16 * MIB)
    path = folder / "touched"
    with path.open("wb", buffering=0) as file:
        for _ in range(max(1, int(size_bytes * 1.4) // len(block))):
            file.write(block)
    path.unlink()


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A new folder, removed at the end outside of all measurements."""
    path = parent / "scratch"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }
