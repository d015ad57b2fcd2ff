"""App Engine: a real server process, and the real client library in a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from appengine.v1 import run_pb2
from appengine_client import Client, connect

from benchmarks.transfers.processes import Sample, watched
from benchmarks.transfers.rounds import MIB
from benchmarks.transfers.sources import check_same
from benchmarks.transfers.tls import Tls
from benchmarks.transfers.worker import Worker
from tests.container.bundles import make_bundle
from tests.server_process import ServerProcess

T = TypeVar("T")

_NAMESPACE = "org.example.transfer"
_FILES = {"type": {"id": "array", "subtype": {"id": "file"}}}
_REMOVAL_SECONDS = 60
_COPY = 'for name in /inputs/*; do cp -r "$name" /outputs/; done'


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A server that runs, and one worker as its client."""

    server: ServerProcess
    worker: Worker
    tls: Tls | None

    @property
    def url(self) -> str:
        port = self.server.address.rpartition(":")[2]
        return f"https://localhost:{port}" if self.tls else self.server.address

    @property
    def authority(self) -> str | None:
        return str(self.tls.authority) if self.tls else None

    def ask(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Something outside of the measurements, with a client of its own."""

        async def asked() -> T:
            async with connect(self.url, ca_certificate=self.authority) as client:
                return await work(client)

        return asyncio.run(asked())

    def prepare(self, source: Path, parameter: str) -> Prepared:
        """A task whose outputs are its inputs, and one run of it with the source as its input."""
        memory = 128 * MIB + 2 * sum(
            path.stat().st_size for path in (source, *source.rglob("*")) if path.is_file()
        )
        bundle = make_bundle(
            self.server.folder / f"{parameter}.zip",
            namespace=f"{_NAMESPACE}.{parameter}",
            inputs={parameter: _FILES if source.is_dir() else "file"},
            outputs={parameter: _FILES if source.is_dir() else "file"},
            script=_COPY,
            ram=f"{memory // MIB + 1}Mi",
        )
        task = f"{_NAMESPACE}.{parameter}:1.0.0"

        async def make(client: Client) -> str:
            await client.tasks.upload(bundle)
            return (await client.runs.create(task, {})).id

        async def finish(client: Client) -> None:
            await client.runs.start(run_id)
            run = await client.runs.wait(run_id)
            assert run.state == run_pb2.RUN_STATE_SUCCEEDED, run

        run_id = self.ask(make)
        prepared = Prepared(ours=self, task=task, run_id=run_id, source=source)
        self.worker.do(**prepared.upload_order(run_id))
        self.ask(finish)
        return prepared


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Uploads of a source to new runs, and downloads of the outputs that one run made of it."""

    ours: Ours
    task: str
    run_id: str
    source: Path

    def upload(self, _: Path) -> Sample:
        """From StartUpload until the input is checked and provisioned."""
        [run_id] = self.new_runs(1)
        with watched([self.ours.server.pid]) as receiver:
            seconds, sender = self.ours.worker.do(**self.upload_order(run_id))
        self.drop_runs([run_id])
        return Sample(seconds, sender, receiver)

    def download(self, folder: Path) -> Sample:
        """Until all of it is in its place."""
        with watched([self.ours.server.pid]) as sender:
            seconds, receiver = self.ours.worker.do(**self.download_order(folder))
        assert (folder / self.source.name).exists()
        return Sample(seconds, sender, receiver)

    def check(self, folder: Path) -> None:
        """Raise AssertionError unless what goes up and comes down again is the source."""
        self.ours.worker.do(**self.download_order(folder))
        check_same(self.source, folder / self.source.name)

    def upload_order(self, run_id: str) -> dict[str, str | None]:
        """What a worker is told."""
        return {
            "do": "upload",
            "server": self.ours.url,
            "authority": self.ours.authority,
            "run": run_id,
            "source": str(self.source),
        }

    def download_order(self, folder: Path) -> dict[str, str | None]:
        """What a worker is told."""
        return {
            "do": "download",
            "server": self.ours.url,
            "authority": self.ours.authority,
            "run": self.run_id,
            "path": self.source.name,
            "folder": str(folder),
        }

    def new_runs(self, count: int) -> list[str]:
        """Runs without inputs."""

        async def make(client: Client) -> list[str]:
            return [(await client.runs.create(self.task, {})).id for _ in range(count)]

        return self.ours.ask(make)

    def drop_runs(self, run_ids: Sequence[str]) -> None:
        """Delete runs, and wait until their bytes are gone."""

        async def drop(client: Client) -> None:
            for run_id in run_ids:
                await client.runs.delete(run_id)

        self.ours.ask(drop)
        folders = [self.ours.server.storage / "runs" / run_id for run_id in run_ids]
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while any(folder.exists() for folder in folders):
            assert time.monotonic() < deadline, "the server does not remove deleted runs"
            time.sleep(0.02)


@contextmanager
def our_server(engine_url: str, folder: Path, worker: Worker, tls: Tls | None) -> Iterator[Ours]:
    """A server with its files in `folder`, for as long as the context is open."""
    settings = {"LOG_LEVEL": "warning"}
    if tls:
        settings |= {
            "TLS_CERTIFICATE_FILE": str(tls.certificate),
            "TLS_KEY_FILE": str(tls.key),
        }
    server = ServerProcess(folder=folder, engine_url=engine_url, settings=settings)
    server.start()
    try:
        yield Ours(server=server, worker=worker, tls=tls)
    finally:
        server.stop()


def with_worker(prepared: Prepared, worker: Worker) -> Prepared:
    """The same, by another client."""
    return replace(prepared, ours=replace(prepared.ours, worker=worker))
