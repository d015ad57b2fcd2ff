"""Two ways in turns: the command line beside the library, a real disk beside cp and sync."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.transfers.ours import Prepared
from benchmarks.transfers.processes import run
from benchmarks.transfers.rounds import GIB, scratch, shuffled, touch

_PROGRAM = Path(sys.executable).with_name("appengine")


@dataclass(slots=True, kw_only=True)
class Turns:
    """Seconds of both ways, by round."""

    name: str
    asked: float
    """The most that the first way may take, as a multiple of the second."""
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    syncs_per_gib: float | None = None

    @property
    def ratio(self) -> float:
        """Median over the rounds of the time of ours, divided by theirs."""
        pairs = zip(self.ours, self.theirs, strict=True)
        return statistics.median(mine / other for mine, other in pairs)


def command_line(prepared: Prepared, folder: Path, rounds: int) -> Turns:
    """A download by `appengine`, its start included, beside one by the library."""
    turns = Turns(name="command line to library, download", asked=1.35)
    ours = prepared.ours
    options = ["--server", ours.url, *(["--ca-file", ours.authority] if ours.authority else [])]
    for number in range(-1, rounds):
        for way in shuffled(["ours", "theirs"]):
            touch(folder, prepared.source.stat().st_size)
            with scratch(folder) as place:
                if way == "ours":
                    command = [str(_PROGRAM), *options, "runs", "download", prepared.run_id]
                    seconds = run([*command, "--output-dir", str(place)])[0]
                else:
                    seconds = prepared.download(place).seconds
            if number >= 0:
                getattr(turns, way).append(seconds)
    return turns


def disk(prepared: Prepared, folder: Path, rounds: int) -> Turns:
    """Uploads to a server on a disk beside `cp` and `sync` of the same file."""
    turns = Turns(name="upload to the disk to cp and sync", asked=2.0)
    size_gib = prepared.source.stat().st_size / GIB
    for number in range(rounds):
        for way in shuffled(["ours", "theirs"]):
            subprocess.run(("sync",), check=True)
            if way == "ours":
                turns.ours.append(prepared.upload(folder).seconds)
                continue
            with scratch(folder) as place:
                started = time.perf_counter()
                subprocess.run(("cp", prepared.source, place / "copy"), check=True)
                subprocess.run(("sync", "-f", place / "copy"), check=True)
                turns.theirs.append(time.perf_counter() - started)
        print(f"disk: round {number + 1} of {rounds}", file=sys.stderr)
    if shutil.which("strace"):
        with _counted_syncs(prepared.ours.server.pid, folder / "syncs") as counted:
            prepared.upload(folder)
        turns.syncs_per_gib = counted[0] / size_gib
    return turns


@contextmanager
def _counted_syncs(pid: int, log: Path) -> Iterator[list[int]]:
    """How often a process syncs, in a list of one number that is there at the end."""
    calls = "trace=fsync,fdatasync,syncfs,sync"
    tracing = subprocess.Popen(("strace", "-f", "-q", "-e", calls, "-o", log, "-p", str(pid)))
    time.sleep(1)
    counted: list[int] = []
    try:
        yield counted
    finally:
        tracing.terminate()
        tracing.wait()
    counted.append(sum("sync" in line and "resumed" not in line for line in log.open()))
