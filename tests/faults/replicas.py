"""Two servers on one database and one storage, behind one address as a Service gives them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from appengine_server.database.pool import ConnectTo

from tests.faults.bench import Bench, open_bench, sharing, under_way
from tests.faults.figures import Figures
from tests.faults.wire import Wire, open_wire
from tests.server_process import ServerProcess


@dataclass(slots=True)
class Replicas:
    """Two servers, of which tests kill, stop and pause now this one and now that one."""

    bench: Bench
    """Its server is the first of them, its clients come in by the Service."""
    other: ServerProcess
    current: ServerProcess
    """Where the newest connection leads."""
    service: Wire = field(init=False)
    _paused: set[int] = field(default_factory=set)

    @property
    def servers(self) -> tuple[ServerProcess, ServerProcess]:
        return self.bench.server, self.other

    def choose(self) -> str:
        """Where the Service leads a new connection: from one server to the next that is ready."""
        for server in (self.beside(self.current), self.current):
            if server.is_running and server.pid not in self._paused:
                self.current = server
                return server.address
        raise ConnectionRefusedError("no server is ready")

    def beside(self, server: ServerProcess) -> ServerProcess:
        """The other one of the two."""
        one, other = self.servers
        return other if server is one else one

    def pause(self, server: ServerProcess) -> None:
        """Stop a process where it is; the Service leads nobody to it any more.

        Nor does a connection that is there: gRPC may give one of a closed channel to the next.
        """
        self._paused.add(server.pid)
        os.kill(server.pid, signal.SIGSTOP)
        self.service.cut(reset=True)

    def wake(self) -> None:
        """Let every paused process go on."""
        while self._paused:
            os.kill(self._paused.pop(), signal.SIGCONT)

    async def start(self, server: ServerProcess) -> None:
        if not server.is_running:
            await asyncio.to_thread(server.start)

    async def leave_alone(self, server: ServerProcess) -> None:
        """Have this one run, and the other one not, which gives back what it holds."""
        await asyncio.to_thread(self.beside(server).stop)
        await self.start(server)

    async def mend(self) -> None:
        """Leave nothing of a test that failed in the middle."""
        self.wake()
        self.bench.release()
        for server in self.servers:
            await self.start(server)

    @asynccontextmanager
    async def killed_in_turn(self, every_seconds: float) -> AsyncIterator[None]:
        """kill -9 one after the other, so often; each is started again at once."""
        over = asyncio.Event()

        async def kill() -> None:
            for server in cycle(self.servers):
                try:
                    async with asyncio.timeout(every_seconds):
                        await over.wait()
                    return
                except TimeoutError:
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)

        async with under_way(kill()) as killing:
            yield
            over.set()
            await killing

    def at_bytes(self, places: list[int], act: Callable[[ServerProcess], None]) -> None:
        """Have `act` called with the server that an upload goes to, at each of its bytes named."""
        if places:
            first, *rest = places
            carried = self.service.carried["up"]

            def reached() -> None:
                act(self.current)
                self.at_bytes([place - first for place in rest], act)

            self.service.arm("up", carried + first, reached)


@asynccontextmanager
async def open_replicas(
    folder: Path, engine_url: str, figures: Figures, connect_to: ConnectTo
) -> AsyncIterator[Replicas]:
    """Start both, with a task."""
    shared = {
        **sharing(connect_to),
        "SHUTDOWN_GRACE": "0",
        "APPENGINE_FAULT_FOLDER": str(folder / "one" / "faults"),
    }
    async with open_bench(folder / "one", engine_url, figures, **shared) as bench:
        bench.connect_to = connect_to
        bench.patience_seconds = 300
        place = {"STORAGE_BASE_PATH": str(bench.server.storage)}
        other = ServerProcess(
            folder=folder / "other", engine_url=engine_url, settings={**shared, **place}
        )
        replicas = Replicas(bench, other, current=other)
        async with open_wire(replicas.choose) as service:
            replicas.service = service
            bench.service = service.address
            try:
                await replicas.start(other)
                yield replicas
                await replicas.mend()
                await bench.clear()
                bench.check_log(other)
            finally:
                replicas.wake()
                await asyncio.to_thread(other.stop)
                bench.service = ""
