"""A real server on a real container engine, for tests through its API; shared, as starting costs.

A test makes tasks of its own, so it sees nothing of the others'. Most need only `Engine.shell`,
a task whose input is the script to run.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from appengine.v1 import run_pb2, storage_service_pb2, task_pb2
from appengine.v1.run_service_pb2_grpc import RunServiceStub
from appengine.v1.storage_service_pb2_grpc import StorageServiceStub
from appengine_client.sync import Client, connect

from tests.container.bundles import Parameters, make_bundle
from tests.server_process import ServerProcess

RunState = run_pb2.RunState
FailureReason = run_pb2.FailureReason
REAL = [pytest.mark.container, pytest.mark.timeout(180)]
"""Marks of tests with a server of their own on a real engine: its start counts in their time."""

SECONDS = 60
"""How long a test waits for what comes at once on a machine that is not busy."""

QUICK = {
    "RUN_RETRY_BACKOFF": "0.1",
    "RUN_CANCEL_GRACE": "1",
    "RUN_OBSERVE_INTERVAL": "1",
    "RUN_LOG_LIMIT": "64Ki",
    "SCHEDULER_SHM": "16Mi",
}
"""Settings that let tests see soon what takes long in life."""

_APPENGINE = Path(sys.executable).with_name("appengine")


@dataclass(slots=True, kw_only=True)
class Engine:
    """A server with a client, and short words for what tests do with them."""

    server: ServerProcess
    folder: Path
    """For bundles and what else tests write."""
    credentials: Mapping[str, Any] = field(default_factory=dict)
    """What the client needs besides the address."""
    client: Client = field(init=False)
    _closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _channel: grpc.Channel = field(init=False)
    _shells: dict[str, task_pb2.Task] = field(default_factory=dict)

    def connect(self) -> None:
        """Connect to the server; again after each of its starts, for its port changes."""
        self.disconnect()
        self.client = self._closing.enter_context(connect(self.server.address, **self.credentials))
        self._channel = self._closing.enter_context(grpc.insecure_channel(self.server.address))

    def disconnect(self) -> None:
        """Close every connection."""
        self._closing.close()

    @property
    def runs(self) -> RunServiceStub:
        """The bare RPCs, for what the client does by itself."""
        return RunServiceStub(self._channel)

    @property
    def storage(self) -> StorageServiceStub:
        """The bare RPCs of transfers."""
        return StorageServiceStub(self._channel)

    def bundle(self, script: str = "true", **about: Any) -> Path:
        """A bundle with a namespace and an image that nobody else has."""
        unique = uuid4().hex
        about.setdefault("namespace", f"org.example.t{unique[:12]}")
        files = {"unique": unique.encode(), **about.pop("files", {})}
        path = self.folder / f"{unique}.zip"
        return make_bundle(path, script=script, files=files, **about)

    def task(self, script: str = "true", **about: Any) -> task_pb2.Task:
        """Upload a task that runs `script`; it is READY."""
        path = self.bundle(script, **about)
        task = self.client.tasks.upload(path)
        path.unlink()
        assert task.state == task_pb2.TASK_STATE_READY, task.failure
        return task

    def shell(self, outputs: Parameters | None = None, **about: Any) -> task_pb2.Task:
        """The task that runs its input `script`, once for all tests with the same outputs."""
        key = repr((outputs, about))
        if key not in self._shells:
            self._shells[key] = self.task(
                ". /inputs/script", inputs={"script": "string"}, outputs=outputs, **about
            )
        return self._shells[key]

    def start(self, script: str, *, outputs: Parameters | None = None, **about: Any) -> run_pb2.Run:
        """Start `script` as a run of the shell task."""
        task = self.shell(outputs, **about)
        return self.client.runs.create(task.id, {"script": script}, start=True)

    def run(self, script: str, *, outputs: Parameters | None = None, **about: Any) -> run_pb2.Run:
        """Run `script` to its end."""
        return self.client.runs.wait(self.start(script, outputs=outputs, **about).id)

    def until(self, run_id: str, *states: int, reason: str | None = None) -> run_pb2.Run:
        """The run once it is in one of these states, and a pending reason contains `reason`."""

        def there() -> run_pb2.Run | None:
            run = self.client.runs.get(run_id)
            told = " ".join(pending.message for pending in run.pending_reasons)
            return run if run.state in states and (reason or "") in told else None

        found: run_pb2.Run = wait_for(there)
        return found

    def log(self, run: run_pb2.Run, attempt: int = 0) -> bytes:
        """What the task printed."""
        return b"".join(self.client.runs.logs(run.id, attempt=attempt))

    def until_logged(self, run: run_pb2.Run, text: bytes) -> None:
        """Wait until the task has printed `text`."""
        seen = b""
        for piece in self.client.runs.logs(run.id, follow=True):
            seen += piece
            if text in seen:
                return
        raise AssertionError(f"the log ended without {text!r}: {seen!r}")

    def outputs(self, run: run_pb2.Run) -> dict[str, Any]:
        """The outputs of a run by name, as typed values."""
        return {output.parameter: output.value for output in self.client.runs.outputs(run.id)}

    def left_behind(self, run: run_pb2.Run, attempt: int = 0) -> list[str]:
        """Paths of what an attempt left in its output folder."""
        files = storage_service_pb2.AttemptFiles(run_id=run.id, attempt=attempt)
        resource = storage_service_pb2.Resource(attempt_files=files)
        return [entry.path for entry in self.client.runs.files(resource)]

    def cli(self, *arguments: str | Path, json: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        command = self.cli_command(*arguments, json=json)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    def cli_command(self, *arguments: str | Path, json: bool = False) -> list[str]:
        """The command line's program with its arguments."""
        options = ["--json"] if json else []
        return [str(_APPENGINE), "--server", self.server.address, *options, *map(str, arguments)]

    def engine(self, *arguments: str) -> str:
        """What podman's or Docker's own command line says."""
        done = _engine_command(self.server.engine_url, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self, run_id: str) -> list[str]:
        """Names of the containers of a run. Other engines may have theirs on the same machine."""
        names = self.engine("ps", "--all", "--format", "{{.Names}}").split()
        return [name for name in names if UUID(run_id).hex in name]

    def attempt_outputs(self, run_id: str, number: int = 1) -> Path:
        """The output folder of an attempt, which its task sees too."""
        return self.server.storage / "runs" / run_id / "attempts" / str(number) / "outputs"

    def has_image(self, image_id: str) -> bool:
        """Whether the engine has this image, with a name or without."""
        asked = _engine_command(self.server.engine_url, "image", "inspect", image_id)
        return asked.returncode == 0

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """Rows straight from the server's database."""
        [socket] = (self.server.storage / "postgres").rglob(".s.PGSQL.5432")
        connection = await asyncpg.connect(
            host=str(socket.parent), user="appengine", database="postgres"
        )
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    def remove_all(self) -> None:
        """Delete every task with its runs, and wait until nothing of them is left."""
        for run in list(self.client.runs.list()):
            with contextlib.suppress(Exception):
                self.client.runs.cancel(run.id)
        for run in list(self.client.runs.list()):
            self.client.runs.wait(run.id)
            self.client.runs.delete(run.id)
        for task in list(self.client.tasks.list()):
            self.client.tasks.delete(task.id, force=True)
        tasks = self.server.storage / "tasks"
        wait_for(lambda: not any(tasks.iterdir()))


@contextlib.contextmanager
def started(folder: Path, engine_url: str, settings: Mapping[str, str]) -> Iterator[Engine]:
    """A server with these settings; in the end it must have removed all it made."""
    server = ServerProcess(
        folder=folder / "server", engine_url=engine_url, settings={**QUICK, **settings}
    )
    server.start()
    engine = Engine(server=server, folder=folder)
    try:
        engine.connect()
        yield engine
        engine.remove_all()
    finally:
        engine.disconnect()
        server.stop()


Starts = Callable[..., Engine]


@pytest.fixture(scope="session")
def engine(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The server that most tests share. Nobody stops it or fills it up."""
    with started(tmp_path_factory.mktemp("engine"), engine_url, {}) as running:
        yield running


@pytest.fixture
def start_engine(engine_url: str, tmp_path: Path) -> Iterator[Starts]:
    """Start a server with settings of the test's own, given as keywords."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            started(tmp_path / uuid4().hex[:8], engine_url, settings)
        )


def wait_for(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What the condition answers once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.03)
    return found


def _engine_command(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    remote = ["podman", "--url", url] if "podman" in url else ["docker", "--host", url]
    return subprocess.run([*remote, *arguments], capture_output=True, text=True, check=False)
