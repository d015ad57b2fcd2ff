"""Client processes that may be killed, and the process that makes them quickly.

`python -m tests.faults.movers` loads the client library once, and forks for each order that it
reads, a line of JSON; it answers the process id. A process that did its work leaves the file
`result`, with what went wrong if anything did.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appengine.v1 import storage_service_pb2 as pb
from appengine_client import connect
from appengine_client.transfer import Connection, following_links, push, read_settings

_ROOT = Path(__file__).parents[2]


async def send(server: str, upload_id: str, path: str, name: str) -> None:
    """Send a file or folder to an open upload, from wherever an earlier process was."""
    connection = Connection(read_settings(server=server, environment={}))
    source = following_links([(name, Path(path))])
    await push(source, connection, upload_id, resume=True)
    await connection.close()


async def fetch(server: str, run_id: str, name: str, target: str) -> None:
    """Fetch an input of a run, from wherever an earlier process was."""
    async with connect(server) as client:
        resource = pb.Resource(run_inputs=run_id, path=name)
        await client.runs.download(resource, Path(target))


@dataclass(slots=True, kw_only=True)
class Mover:
    """One client process."""

    pid: int
    _result: Path
    _handle: int

    def kill(self) -> None:
        """kill -9."""
        if self._handle >= 0 and not self._has_ended():
            os.kill(self.pid, signal.SIGKILL)

    async def ended(self) -> bool:
        """Wait for the end of the process; answers whether it had done its work before."""
        while not self._has_ended():
            await asyncio.sleep(0.005)
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if not self._result.exists():
            return False
        assert self.failure() == "", self.failure()
        return True

    def failure(self) -> str:
        """What went wrong in a process that has ended by itself."""
        return self._result.read_text()

    async def failed(self) -> str:
        """Wait for the end of a process that cannot do its work; answers why."""
        while not self._has_ended():
            await asyncio.sleep(0.005)
        return self.failure()

    def _has_ended(self) -> bool:
        return self._handle < 0 or bool(select.select([self._handle], [], [], 0)[0])


@dataclass(slots=True)
class Movers:
    """Makes client processes."""

    _process: subprocess.Popen[str]
    _folder: Path
    _count: int = 0

    def start(self, what: str, **arguments: str) -> Mover:
        """Start `send` or `fetch`."""
        self._count += 1
        result = self._folder / f"mover-{self._count}"
        order = {"what": what, "arguments": arguments, "result": str(result)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:  # that quick
            handle = -1
        return Mover(pid=pid, _result=result, _handle=handle)


@contextmanager
def open_movers(folder: Path) -> Iterator[Movers]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.movers"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield Movers(process, folder)
        assert process.stdin is not None
        process.stdin.close()


def _obey(order: dict[str, Any]) -> None:
    told = ""
    try:
        asyncio.run({"send": send, "fetch": fetch}[order["what"]](**order["arguments"]))
    except BaseException:
        told = traceback.format_exc()
    result = Path(order["result"])
    fresh = result.with_suffix(".fresh")
    fresh.write_text(told)
    fresh.rename(result)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them here
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _obey(json.loads(line))
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
