"""One server with TLS and tokens, as where others can reach it, for all clients in turn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appengine.v1 import run_pb2, task_pb2
from appengine_client.sync import connect

from tests.clients.drivers import Driver
from tests.container.callers import issue_certificate
from tests.container.engine_server import QUICK, Engine
from tests.faults.bench import free_port
from tests.server_process import ServerProcess

MIB = 1 << 20
MAX_UPLOAD_BYTES = 2 << 30
TOKENS = {"anna": "token-of-anna-0123456789", "sara": "token-of-sara-0123456789"}
_PROJECTS = {"anna": "anna-lab", "sara": "shared"}
_PLAIN = ("boolean", "integer", "number", "string", "datetime", "geometry", "file", "image")
_KINDS: dict[str, Any] = {
    **{kind: {"type": {"id": kind}} for kind in _PLAIN},
    "enumeration": {"type": {"id": "enumeration", "values": ["tumour", "stroma"]}},
    "numbers": {
        "type": {
            "id": "array",
            "subtype": {"id": "number", "nan_allowed": True, "infinity_allowed": True},
        }
    },
    "counts": {
        "type": {"id": "array", "subtype": {"id": "integer", "geq": 0}},
        "optional": True,
    },
    "files": {"type": {"id": "array", "subtype": {"id": "file"}}},
    "texts": {"type": {"id": "array", "subtype": {"id": "string"}}, "optional": True},
    "nested": {"type": {"id": "array", "subtype": {"id": "array", "subtype": {"id": "integer"}}}},
    "referenced": {"type": {"id": "array", "subtype": {"id": "image"}}},
    "cleared": {"type": {"id": "string"}, "optional": True},
}
_SLEEP = "trap 'exit 143' TERM; echo awake; sleep $(cat /inputs/seconds) & wait $!"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The server, and what is on it."""

    engine: Engine
    """Sees it as Anna does."""
    folder: Path
    authority: Path
    datasets: Path
    every_kind: task_pb2.Task
    """Its outputs are its inputs."""
    sleeper: task_pb2.Task
    """Waits for so many `seconds`."""
    bundle: Path
    """Of `sleeper`."""
    shared_run: str
    """Anna may see it, and nothing else."""

    @property
    def address(self) -> str:
        return self.engine.server.address

    async def connect(self, driver: Driver, address: str = "", token: str = "") -> None:
        """Connect a client as Anna."""
        await driver.do(
            "connect",
            server=address or self.address,
            token=token or TOKENS["anna"],
            ca=str(self.authority),
        )


@contextlib.contextmanager
def open_world(folder: Path, engine_url: str) -> Iterator[World]:
    """Start the server with tasks; in the end it must have removed all it made."""
    authority, tls = issue_certificate(folder)
    (folder / "ca.pem").write_bytes(authority)
    (folder / "datasets").mkdir()
    tokens = folder / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("".join(f"{TOKENS[name]} {name} {_PROJECTS[name]}\n" for name in TOKENS))
    settings = {
        **QUICK,
        **tls,
        "TOKENS_FILE": str(tokens),
        "PORT": str(free_port()),
        "REF_STORAGE_BASE_PATH": str(folder / "datasets"),
        "STORAGE_MAX_UPLOAD": str(MAX_UPLOAD_BYTES),
    }
    server = ServerProcess(folder=folder / "server", engine_url=engine_url, settings=settings)
    server.start()
    credentials = {"token": TOKENS["anna"], "ca_certificate": authority}
    engine = Engine(server=server, folder=folder, credentials=credentials)
    try:
        engine.connect()
        with _shared_run(engine, authority) as shared_run:
            yield _filled(engine, shared_run)
        engine.remove_all()
    finally:
        engine.disconnect()
        server.stop()


def _filled(engine: Engine, shared_run: run_pb2.Run) -> World:
    folder = engine.folder
    bundle = engine.bundle(_SLEEP, inputs={"seconds": "number"})
    script = "cp -r /inputs/* /outputs/; echo 'all of it: ✓'"
    every_kind = engine.task(script, inputs=_KINDS, outputs=_KINDS)
    return World(
        engine=engine,
        folder=folder,
        authority=folder / "ca.pem",
        datasets=folder / "datasets",
        every_kind=every_kind,
        sleeper=engine.client.tasks.upload(bundle),
        bundle=bundle,
        shared_run=shared_run.id,
    )


@contextlib.contextmanager
def _shared_run(engine: Engine, authority: bytes) -> Iterator[run_pb2.Run]:
    """A run of the project that all may read, which was not started."""
    address, token = engine.server.address, TOKENS["sara"]
    bundle = engine.bundle("true")
    with connect(address, token=token, ca_certificate=authority) as sara:
        task = sara.tasks.upload(bundle)
        run = sara.runs.create(task.id)
        yield run
    with connect(address, token=token, ca_certificate=authority) as sara:
        sara.runs.delete(run.id)
        sara.tasks.delete(task.id)
