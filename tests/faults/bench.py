"""A real server that is killed again and again, and what must be true of every run afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import asyncpg
from appengine.v1 import run_pb2
from appengine_client import Client, InputPython, connect
from appengine_client import errors as client_errors
from appengine_server.database import pool
from appengine_server.errors import Unavailable
from appengine_server.scheduling.container.config import RUN_LABEL
from appengine_server.scheduling.container.engine import open_engine

from tests.container.bundles import make_bundle
from tests.faults.figures import Figures
from tests.server_process import ServerProcess

T = TypeVar("T")

KIB = 1024
LOG_LINES = 2000
PATIENCE_SECONDS = 60.0
LEASE_SECONDS = 2
"""Of servers that share a database."""
_PIECE_BYTES = 1 << 20

Ending = Literal["works", "exits", "forgets"]
"""How a task ends: well, with exit code 7, or without one of its outputs."""

_ENDINGS = {"works": 0, "exits": 7, "forgets": 1000}
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)
_NAMESPACE = "org.example.faults"
ACTIVE = "SELECT id FROM runs WHERE state NOT IN ('SUCCEEDED', 'FAILED', 'CANCELLED')"

# It counts its executions in an output, as a second one would write the log anew.
# At its end it waits: a node whose disk is busy may write the last of a log later than we look.
_SCRIPT = f"""
trap 'echo stopped; exit 143' TERM
echo start >>/outputs/starts
echo start
sleep "$(cat /inputs/seconds)" & wait $!
ending=$(cat /inputs/ending) copies=$(cat /inputs/copies)
[ "$ending" = 1000 ] || while [ $((copies -= 1)) -ge 0 ]; do
    cat /inputs/data >>/outputs/data
done
seq 1 {LOG_LINES}
echo end
sleep 0.3
[ "$ending" != 7 ] || exit 7
"""

WHOLE_LOG = b"start\n" + b"".join(b"%d\n" % i for i in range(1, LOG_LINES + 1)) + b"end\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run as it was asked for."""

    run_id: str
    data: bytes = field(repr=False)
    ending: Ending
    copies: int
    """How often its output has what its input has once."""


LeftOver = Callable[[str], Coroutine[Any, Any, list[Any]]]
"""What there still is of a run, by its id, besides what the server stores."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """A server on a fixed port, one task in it, and the figures of what it went through."""

    server: ServerProcess
    task: str
    figures: Figures
    service: str = ""
    """Where clients find the server, if that is another address than its own."""
    connect_to: pool.ConnectTo | None = None
    """Where its database is; None: the embedded one."""
    left_over: LeftOver
    settle_seconds: float = 0.0
    """How long what was told to go may take to be gone."""
    patience_seconds: float = PATIENCE_SECONDS
    jobs: list[Job] = field(default_factory=list)
    mark: bytes = field(default_factory=lambda: uuid4().bytes)
    """In the image, so that no other server has the same one."""
    _connection: asyncpg.Connection[asyncpg.Record] | None = None

    def bundle(self, folder: Path, version: str) -> Path:
        """A bundle of the task that every run here is of."""
        return make_bundle(
            folder / f"task-{version}.zip",
            namespace=_NAMESPACE,
            version=version,
            inputs={"data": "file", "seconds": "number", "ending": "integer", "copies": "integer"},
            outputs={"data": "file", "starts": "file"},
            script=_SCRIPT,
            files={"mark": self.mark},
        )

    @property
    def faults(self) -> Path:
        return self.server.folder / "faults"

    def client(self) -> Client:
        """A client of this server; the caller closes it."""
        return connect(self.service or f"{self.server.host}:{self.server.settings['PORT']}")

    async def start(self, **more: str) -> None:
        """Start the server with no point held or armed."""
        self.release()
        await asyncio.to_thread(self.server.start, **more)

    async def kill(self) -> None:
        await asyncio.to_thread(self.server.kill)

    async def mend(self) -> None:
        """Leave nothing of a test that failed in the middle: no other one shall fail for it."""
        self.release()
        if not self.server.is_running:
            await self.start()

    def arm(self, point: str) -> None:
        (self.faults / f"{point}.armed").touch()

    async def held(self, point: str) -> None:
        """Wait until somebody is held at a point."""
        await until((self.faults / f"{point}.held").exists, f"{point} is held")

    def release(self) -> None:
        """Let everybody go on."""
        for left in self.faults.iterdir():
            left.unlink()

    async def create(
        self,
        chance: random.Random,
        *,
        ending: Ending = "works",
        seconds: float | None = None,
        size_bytes: int | None = None,
        copies: int = 1,
    ) -> Job:
        """Create a run, and do not start it. What is not said is left to chance."""
        size = chance.randrange(300 * KIB) if size_bytes is None else size_bytes
        data = random_bytes(chance, size)
        path = self.server.folder / "data"
        path.write_bytes(data)
        took = round(chance.uniform(0, 1.5), 3) if seconds is None else seconds
        inputs: dict[str, InputPython] = {
            "data": path,
            "seconds": took,
            "ending": _ENDINGS[ending],
            "copies": copies,
        }
        async with self.client() as client:
            run = await client.runs.create(self.task, inputs)
        job = Job(run_id=run.id, data=data, ending=ending, copies=copies)
        self.jobs.append(job)
        return job

    async def begin(
        self,
        chance: random.Random,
        *,
        ending: Ending = "works",
        seconds: float | None = None,
        size_bytes: int | None = None,
        copies: int = 1,
    ) -> Job:
        """Create a run and start it."""
        job = await self.create(
            chance, ending=ending, seconds=seconds, size_bytes=size_bytes, copies=copies
        )
        await self.launch(job)
        return job

    async def launch(self, job: Job) -> None:
        """Start a run that was created, however long the database takes to come back."""
        async with asyncio.timeout(PATIENCE_SECONDS), self.client() as client:
            while True:
                with contextlib.suppress(client_errors.Unavailable):  # after 15 s of trying
                    await client.runs.start(job.run_id)
                    return

    async def cancel(self, job: Job) -> None:
        async with self.client() as client:
            await client.runs.cancel(job.run_id)

    async def query(self, statement: str, *arguments: object) -> list[Any]:
        """Ask the database itself, whether a server runs or not."""
        if self._connection is not None and not self._connection.is_closed():
            with contextlib.suppress(*_LOST):
                return await self._connection.fetch(statement, *arguments)
        async with asyncio.timeout(PATIENCE_SECONDS):
            self._connection = await self._connect()
            return await self._connection.fetch(statement, *arguments)

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        while True:
            try:
                place = self.connect_to or embedded_place(self.server.storage)
                return await pool.connect(place)
            except Unavailable:  # it was killed, and is started again
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def state(self, job: Job) -> str:
        """The state of a run in the database."""
        rows = await self.query("SELECT state FROM runs WHERE id = $1", job.run_id)
        return str(rows[0]["state"])

    async def reached(self, job: Job, *states: str) -> None:
        """Wait until the run has one of these states."""
        async with asyncio.timeout(self.patience_seconds):
            while await self.state(job) not in states:
                await asyncio.sleep(0.02)

    async def wait(self, job: Job) -> run_pb2.Run:
        """The run once it has ended."""
        async with asyncio.timeout(self.patience_seconds), self.client() as client:
            return await client.runs.wait(job.run_id)

    async def check(
        self, job: Job, *, cancelled: bool = False, attempts: Collection[int] = (1,)
    ) -> int:
        """Wait for the end, which must be as if nothing had happened, and leave nothing behind.

        Answers how many attempts it took; `attempts` are the right numbers.
        """
        run = await self.wait(job)
        if cancelled:
            assert run.state == run_pb2.RUN_STATE_CANCELLED, run
        else:
            await self._check_end(job, run)
        assert len(run.attempts) in attempts, run
        await self._check_attempts(job, len(run.attempts))
        rows = await self.query(ACTIVE)
        await self.effects_done()
        await self._nothing_left_over(job)
        self._check_files(job, len(run.attempts), cancelled=cancelled)
        if not rows:  # the outputs of others may be on their way
            assert names(self.server.storage / "uploads") == set()
        return len(run.attempts)

    async def effects_done(self) -> None:
        """Wait until the outbox is empty."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.query("SELECT * FROM outbox"):
                await asyncio.sleep(0.02)

    async def _nothing_left_over(self, job: Job) -> None:
        deadline = time.monotonic() + self.settle_seconds
        while left := await self.left_over(job.run_id):
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.05)

    async def _check_end(self, job: Job, run: run_pb2.Run) -> None:
        reason = run_pb2.FailureReason.Name(run.failure.reason) if run.HasField("failure") else ""
        state = run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_")
        expected = {
            "works": ("SUCCEEDED", ""),
            "exits": ("FAILED", "FAILURE_REASON_TASK_EXIT_CODE"),
            "forgets": ("FAILED", "FAILURE_REASON_OUTPUT_INVALID"),
        }[job.ending]
        assert (state, reason) == expected, run
        async with self.client() as client:
            log = b"".join([piece async for piece in client.runs.logs(job.run_id)])
            assert log == WHOLE_LOG, f"{len(log)} of {len(WHOLE_LOG)} bytes: …{log[-60:]!r}"
            if job.ending == "works":
                with tempfile.TemporaryDirectory() as folder:
                    await client.runs.download_outputs(job.run_id, Path(folder) / "outputs")
                    assert is_repeated(Path(folder) / "outputs" / "data", job.data, job.copies)
        starts = self._attempt_folder(job, len(run.attempts)) / "outputs" / "starts"
        assert starts.read_text() == "start\n", "it was executed more than once"

    async def _check_attempts(self, job: Job, count: int) -> None:
        attempts = await self.query(
            "SELECT * FROM attempts WHERE run_id = $1 ORDER BY number", job.run_id
        )
        assert [attempt["number"] for attempt in attempts] == list(range(1, count + 1))
        for attempt in attempts:
            assert attempt["released_at"] is not None, "what it held was never given back"
        ends = await self.query(
            "SELECT state FROM run_events WHERE run_id = $1"
            " AND state IN ('SUCCEEDED', 'FAILED', 'CANCELLED')",
            job.run_id,
        )
        assert len(ends) == 1, "it ended twice"

    def _check_files(self, job: Job, attempts: int, *, cancelled: bool) -> None:
        run = self.server.storage / "runs" / job.run_id
        assert names(run) <= {"inputs", "uploaded", "attempts"}
        wanted = {"outputs", "log", "manifest"} if job.ending == "works" else {"outputs", "log"}
        found = names(self._attempt_folder(job, attempts))
        assert found == wanted or (cancelled and found <= wanted)

    def _attempt_folder(self, job: Job, number: int) -> Path:
        return self.server.storage / "runs" / job.run_id / "attempts" / str(number)

    async def delete_runs(self) -> None:
        """Delete all runs, which must have ended."""
        async with self.client() as client:
            for job in self.jobs:
                await client.runs.delete(job.run_id)
        self.jobs.clear()

    async def clear(self) -> None:
        """Delete everything over the API: nothing may be left of it."""
        await self.delete_runs()
        async with self.client() as client:
            tasks = [task.id async for task in client.tasks.list(namespace=_NAMESPACE)]
            for task in tasks:
                await client.tasks.delete(task)
        await self.effects_done()
        for room in ("runs", "uploads", "tasks"):
            assert names(self.server.storage / room) == set()

    def check_log(self, other: ServerProcess | None = None) -> None:
        """No server may have met anything that it does not know."""
        lines = (other or self.server).log.read_text().splitlines()
        assert [line for line in lines if _is_surprising(line)] == []


def _is_surprising(line: str) -> bool:
    if not line.startswith("{"):
        return bool(line) and "fork_posix.cc" not in line  # gRPC's, when PostgreSQL is started
    entry = json.loads(line)
    return entry["level"] in {"error", "critical"} and entry["event"] not in _EXPECTED_ERRORS


_EXPECTED_ERRORS = {"postgres.died", "postgres.start_failed"}


def sharing(database: pool.ConnectTo) -> dict[str, str]:
    """The settings by which servers share a database, and soon take over from one another."""
    return {
        "DB_HOST": database.host,
        "DB_NAME": database.database,
        "DB_USERNAME": database.user,
        "RUN_LEASE": str(LEASE_SECONDS),
        "RUN_OBSERVE_INTERVAL": "0.3",
        "RUN_CANCEL_GRACE": "5",
    }


@asynccontextmanager
async def open_bench(
    folder: Path, engine_url: str, figures: Figures, *, through: str = "", **settings: str
) -> AsyncIterator[Bench]:
    """Start a server with a task; `through` is another way to the same engine."""
    server = ServerProcess(
        folder=folder,
        engine_url=through or engine_url,
        settings={
            "PORT": str(free_port()),
            "APPENGINE_FAULT_FOLDER": str(folder / "faults"),
            "RUN_OBSERVE_INTERVAL": "0.3",
            "RUN_CANCEL_GRACE": "5",
            **settings,
        },
    )

    async def containers(run_id: str) -> list[dict[str, Any]]:
        async with open_engine(engine_url) as engine:
            return list(await engine.list(f"{RUN_LABEL}={run_id}"))

    bench = Bench(server=server, task="", figures=figures, left_over=containers)
    async with serving(bench):
        yield bench


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[None]:
    """Start the server of a bench with its task; in the end nothing of either may be left."""
    bench.faults.mkdir(parents=True)
    try:
        await bench.start()
        bench.task = await publish(bench, "1.0.0")
        yield
        await bench.clear()
        bench.check_log()
    finally:
        bench.release()
        await bench.close()
        await asyncio.to_thread(bench.server.stop)


async def publish(bench: Bench, version: str) -> str:
    """Upload the task under another version, and wait until it is READY; answers its name."""
    async with bench.client() as client:
        task = await client.tasks.upload(bench.bundle(bench.server.folder, version))
    assert not task.HasField("failure"), task
    return f"{_NAMESPACE}:{version}"


def embedded_place(storage: Path) -> pool.ConnectTo:
    """Where the embedded PostgreSQL of a storage listens."""
    socket_folder = (storage / "postgres" / "run").resolve()
    return pool.ConnectTo(host=str(socket_folder), database="postgres", user="appengine")


def postmaster(storage: Path) -> int:
    """The process that the embedded PostgreSQL of a storage is."""
    lines = (storage / "postgres" / "cluster" / "postmaster.pid").read_text().splitlines()
    return int(lines[0])


def kill_postgres(storage: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(postmaster(storage), signal.SIGKILL)


def is_repeated(path: Path, data: bytes, times: int) -> bool:
    """Whether a file has these bytes so often, and nothing else; it may be too large to be read."""
    with path.open("rb") as file:
        return all(file.read(len(data)) == data for _ in range(times)) and not file.read(1)


def random_bytes(chance: random.Random, size: int) -> bytes:
    """As many as are wanted: one call makes at most 256 MiB."""
    pieces = [chance.randbytes(min(_PIECE_BYTES, size - at)) for at in range(0, size, _PIECE_BYTES)]
    return b"".join(pieces)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def under_way(doing: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Something that goes on meanwhile, and does not outlive the test that began it."""
    task = asyncio.create_task(doing)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that is not in the database."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not reached: {what}"
        await asyncio.sleep(0.01)
