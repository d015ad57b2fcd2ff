"""A process that stays, and makes transfers with a client in it when it is told to.

One line of JSON in, one out. Starting Python is not measured, opening the connection is.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.transfers import naive
from benchmarks.transfers.processes import Cost, forget_peak, peak_mib

_ROOT = Path(__file__).parents[2]


class Worker:
    """The process, seen from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-m", "benchmarks.transfers.worker"),
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, **order: str | int | None) -> None:
        """Begin a transfer: `do` says which."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> tuple[float, Cost]:
        """Wait for the end of what was told: seconds, and what this end took."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a client of the benchmark has failed: see above")
        found = json.loads(line)
        return found["seconds"], Cost(found["cpu_seconds"], peak_mib(self.pid))

    def do(self, **order: str | int | None) -> tuple[float, Cost]:
        """Make a transfer and wait for its end."""
        forget_peak(self.pid)
        self.tell(**order)
        return self.answer()

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def worker() -> Iterator[Worker]:
    """One for as long as the context is open."""
    process = Worker()
    try:
        yield process
    finally:
        process.stop()


async def upload(order: dict[str, Any]) -> None:
    """Send an input of a run with the client library."""
    from appengine_client import connect
    from appengine_client.transfer import following_links

    source = Path(order["source"])
    async with connect(order["server"], ca_certificate=order["authority"]) as client:
        entries = await asyncio.to_thread(following_links, [(source.name, source)])
        await client.uploads.send_input(order["run"], source.name, entries)


async def download(order: dict[str, Any]) -> None:
    """Fetch a path of a run's outputs with the client library."""
    from appengine.v1 import storage_service_pb2
    from appengine_client import connect

    resource = storage_service_pb2.Resource(run_outputs=order["run"], path=order["path"])
    async with connect(order["server"], ca_certificate=order["authority"]) as client:
        await client.runs.download(resource, Path(order["folder"]))


_WORK = {
    "upload": upload,
    "download": download,
    "naive_upload": naive.upload,
    "naive_download": naive.download,
}


def main() -> None:
    """Do what comes, until the input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        used, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        asyncio.run(_WORK[order["do"]](order))
        seconds, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu}), flush=True)


if __name__ == "__main__":
    main()
