"""What moves bytes without a service: cp, tar, and sendfile in C over TCP."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.transfers.processes import Cost, Sample, ended, run


@dataclass(frozen=True, slots=True)
class Copy:
    """`cp` of a file, `cp -r` of a folder. Both ends are one process."""

    source: Path

    def __call__(self, folder: Path) -> Sample:
        options = ("-r",) if self.source.is_dir() else ()
        seconds, cost = run(("cp", *options, self.source, folder / self.source.name))
        return Sample(seconds, Cost(), cost)


@dataclass(frozen=True, slots=True)
class Tar:
    """`tar | tar` of a folder."""

    source: Path

    def __call__(self, folder: Path) -> Sample:
        started = time.perf_counter()
        packing = subprocess.Popen(
            ("tar", "-C", self.source.parent, "-cf", "-", self.source.name), stdout=subprocess.PIPE
        )
        unpacking = subprocess.Popen(("tar", "-C", folder, "-xf", "-"), stdin=packing.stdout)
        assert packing.stdout is not None
        packing.stdout.close()
        receiver, sender = ended(unpacking), ended(packing)
        return Sample(time.perf_counter() - started, sender, receiver)


@dataclass(frozen=True, slots=True)
class Sendfile:
    """sendfile.c: the clock runs from the start of the receiver to its end."""

    program: Path
    source: Path

    def __call__(self, folder: Path) -> Sample:
        sending = subprocess.Popen((self.program, "send", self.source), stdout=subprocess.PIPE)
        assert sending.stdout is not None
        with sending.stdout:
            port = sending.stdout.readline().decode().strip()
        seconds, receiver = run((self.program, "receive", port, folder / "received"))
        return Sample(seconds, ended(sending), receiver)


def compile_sendfile(compiler: str, folder: Path) -> Path:
    """Make the program of sendfile.c."""
    program = folder / "sendfile"
    code = Path(__file__).with_name("sendfile.c")
    subprocess.run((compiler, "-O2", "-o", program, code), check=True)
    return program
