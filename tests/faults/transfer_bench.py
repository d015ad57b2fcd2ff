"""A server that transfers go to and from over wires that break, and what must be true of each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appengine.v1 import storage_service_pb2 as pb
from appengine.v1.storage_service_pb2_grpc import StorageServiceStub
from appengine_client import Client, connect
from appengine_client import errors as client_errors
from appengine_client._rpc.connection import new_id

from tests.container.bundles import make_bundle
from tests.faults.bench import names, under_way, until
from tests.faults.figures import MIB, Figures
from tests.faults.movers import Movers
from tests.faults.wire import Direction, Wire
from tests.server_process import ServerProcess

KIB = 1024
CONTENT_BYTES = 64 * MIB
MOST_AGAIN_BYTES = 36 * MIB
"""What one fault may cost: 32 MiB that were not persisted, and what was on its way."""

Way = Literal["upload", "download"]
Shape = Literal["file", "tree"]
WAYS: tuple[Way, ...] = ("upload", "download")
SHAPES: tuple[Shape, ...] = ("file", "tree")
DIRECTION: dict[Way, Direction] = {"upload": "up", "download": "down"}

_FILES = {"type": {"id": "array", "subtype": {"id": "array", "subtype": {"id": "file"}}}}


@dataclass(slots=True, kw_only=True)
class TransferBench:
    """One server on a folder in memory, with content to send and a run to fetch from."""

    server: ServerProcess
    figures: Figures
    movers: Movers
    content: Path
    """Holds what is moved, under the names of the inputs: a `file` and a `tree`."""
    sizes: dict[Shape, int]
    task: str = ""
    origin: str = ""
    """A run whose inputs are the content."""

    def client(self) -> Client:
        """A client that is not behind a wire; the caller closes it."""
        return connect(self.server.address)

    async def restart(self) -> None:
        """Start the killed server again, on another port."""
        await asyncio.to_thread(self.server.kill)
        await asyncio.to_thread(self.server.start)

    async def mend(self) -> None:
        if not self.server.is_running:
            await asyncio.to_thread(self.server.start)

    def planned_byte(self, chance: random.Random, shape: Shape) -> int:
        """A byte of a transfer, anywhere."""
        return chance.randrange(self.sizes[shape])

    async def create_run(self) -> str:
        async with self.client() as client:
            return (await client.runs.create(self.task, {})).id

    async def start_upload(self, run_id: str, shape: Shape) -> str:
        """Open an upload of an input."""
        target = pb.InputTarget(run_id=run_id, parameter=shape, part=pb.INPUT_PART_WHOLE)
        request = pb.StartUploadRequest(
            request_id=new_id(), input=target, expected_bytes=self.sizes[shape]
        )
        async with self.client() as client:
            stub = StorageServiceStub(client.connection.channel)
            return (await client.connection.call(stub.StartUpload, request)).upload_id

    def note(self, fault: str, way: Way, shape: Shape, wire: Wire) -> None:
        """What a transfer over this wire, which had one fault, carried too often."""
        extra = wire.carried[DIRECTION[way]] - self.sizes[shape]
        assert 0 <= extra <= MOST_AGAIN_BYTES, f"{extra / MIB:.1f} MiB were sent again"
        self.figures.add_again(f"{way} of a {shape}, {fault}", extra)

    def check_content(self, folder: Path, shape: Shape) -> None:
        """What is there must be the content, byte for byte, and nothing else."""
        assert_same(self.content / shape, folder / shape)

    async def check_provisioned(self, run_id: str, *shapes: Shape) -> None:
        """The run must have the content of these inputs, each once."""
        run = self.server.storage / "runs" / run_id
        usual = {"uploaded", "attempts", "inputs"}
        await until(
            lambda: {n for n in names(run) if not n.startswith("preview.")} <= usual,
            "only finished files are left",
        )
        uploaded = list((run / "uploaded").iterdir())
        assert len(uploaded) == len(shapes)
        for shape in shapes:
            (folder,) = [one for one in uploaded if names(one) == {shape}]
            self.check_content(folder, shape)

    async def check_nothing_left(self, *run_ids: str) -> None:
        """Delete runs; the server may keep nothing of any transfer."""
        async with self.client() as client:
            for run_id in run_ids:
                await client.runs.delete(run_id)
        storage = self.server.storage
        await until(
            lambda: not names(storage / "uploads") and names(storage / "runs") == {self.origin},
            "nothing is left of what was moved",
        )

    @asynccontextmanager
    async def read_meanwhile(self, run_id: str, target: Path) -> AsyncIterator[None]:
        """Somebody who looks all the time, and must never see a part of anything."""
        async with under_way(self._read(run_id, target)) as reading:
            yield
            if reading.done():
                await reading

    async def _read(self, run_id: str, target: Path) -> None:
        while True:
            with contextlib.suppress(FileNotFoundError, client_errors.Unavailable):
                async with self.client() as client:
                    while self.server.is_running:
                        await self._look_at_run(client, run_id)
                        for shape in SHAPES:
                            if os.path.lexists(target / shape):
                                self._assert_whole(_sizes(target / shape), shape)
                        await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)

    async def _look_at_run(self, client: Client, run_id: str) -> None:
        resource = pb.Resource(run_inputs=run_id)
        found = {entry.path: entry.size_bytes async for entry in client.runs.files(resource)}
        for shape in SHAPES:
            files = {path: size for path, size in found.items() if path.split("/")[0] == shape}
            if files:
                self._assert_whole(files, shape)

    def _assert_whole(self, found: dict[str, int], shape: Shape) -> None:
        assert sum(found.values()) == self.sizes[shape], f"a part of the {shape} is visible"


def _sizes(path: Path) -> dict[str, int]:
    if path.is_file():
        return {path.name: path.stat().st_size}
    return {str(one): one.stat().st_size for one in path.rglob("*") if one.is_file()}


def assert_same(expected: Path, found: Path) -> None:
    """Two files or folders must be equal, byte for byte."""
    if expected.is_file():
        assert found.read_bytes() == expected.read_bytes(), f"{found} differs"
        return
    assert names(expected) == names(found)
    for path in expected.iterdir():
        assert_same(path, found / path.name)


def make_content(folder: Path) -> dict[Shape, int]:
    """Write the file and the tree: files of all sizes in folders."""
    chance = random.Random(folder.name)
    folder.mkdir()
    (folder / "file").write_bytes(chance.randbytes(CONTENT_BYTES))
    left, groups = CONTENT_BYTES, 8
    tree = folder / "tree"
    tree.mkdir()
    _describe_array(tree, groups)
    for group in range(groups):
        (tree / str(group)).mkdir()
        files = [0, 1, chance.randrange(6 * MIB)] + [chance.randrange(32 * KIB) for _ in range(100)]
        if group == groups - 1:
            files.append(left - sum(files))
        left -= sum(files)
        _describe_array(tree / str(group), len(files))
        for number, size in enumerate(files):
            (tree / str(group) / str(number)).write_bytes(chance.randbytes(size))
    return {"file": CONTENT_BYTES, "tree": sum(_sizes(tree).values())}


def _describe_array(folder: Path, items: int) -> None:
    (folder / "array.yml").write_text(f"size: {items}\n")


async def prepare(bench: TransferBench, folder: Path) -> None:
    """Upload the task, and let it run once with the content."""
    bundle = make_bundle(
        folder / "task.zip",
        namespace="org.example.transfers",
        inputs={"file": "file", "tree": _FILES},
        files={"mark": new_id().encode()},
    )
    groups = sorted((bench.content / "tree").glob("[0-9]*"), key=lambda path: int(path.name))
    tree = [sorted(group.glob("[0-9]*"), key=lambda path: int(path.name)) for group in groups]
    async with bench.client() as client:
        bench.task = (await client.tasks.upload(bundle)).id
        inputs = {"file": bench.content / "file", "tree": tree}
        run = await client.runs.create(bench.task, inputs, start=True)
        bench.origin = (await client.runs.wait(run.id)).id
