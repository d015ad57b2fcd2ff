"""What checking and carrying values costs: large arrays, geometries, many files, a slide's header.

    .venv/bin/python benchmarks/contract.py [--json] [--rounds 3] [--folder /dev/shm]

A server of its own, and the client library: what is timed is what a user waits for. All files lie
in `/dev/shm`, or where `--folder` says. Needs a container engine in DOCKER_HOST, since a server
does; nothing runs in it. Every figure is the best of the rounds, beside what is asked of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from appengine.v1 import storage_service_pb2
from appengine_client import Client, Reference
from appengine_client.transfer import following_links

from tests.container.bundles import make_bundle
from tests.server_process import ServerProcess

_TASK = "org.example.contract:1.0.0"
_INTEGERS = 100_000
_GEOMETRIES = 20_000
_POINTS = 20
_FILES = 1_000
_FILE_BYTES = 64 << 10
_CLIENTS = 8
_REFERENCES = 10_000
_SLIDE = (60_000, 40_000)
_TILE = 512
_INPUTS = {
    name: {"type": {"id": "array", "subtype": {"id": subtype}}, "optional": True}
    for name, subtype in (
        ("integers", "integer"), ("shapes", "geometry"), ("files", "file"), ("slides", "file")
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured thing, and what is asked of it."""

    what: str
    value: float
    unit: str
    asked: float
    more_is_better: bool = False

    @property
    def is_reached(self) -> bool:
        """Whether it is as good as asked."""
        return self.value >= self.asked if self.more_is_better else self.value <= self.asked

    def line(self) -> str:
        """For people."""
        sign = "≥" if self.more_is_better else "≤"
        verdict = "" if self.is_reached else "   missed"
        return f"{self.what:<54}{self.value:>9.4g} {self.unit:<8}{sign} {self.asked:g}{verdict}"


async def seconds_of(work: Awaitable[Any]) -> tuple[float, Any]:
    """How long it takes, and what it answers."""
    started = time.perf_counter()
    found = await work
    return time.perf_counter() - started, found


async def there_and_back(
    client: Client, name: str, given: list[Any], field: str, rounds: int
) -> tuple[float, float]:
    """The best of the rounds: seconds to provision an array, and to read it back."""
    there, back = [], []
    for _ in range(rounds):
        run = await client.runs.create(_TASK)
        seconds, _ = await seconds_of(client.runs.provision(run.id, {name: given}))
        there.append(seconds)
        seconds, [found] = await seconds_of(client.runs.inputs(run.id, name))
        back.append(seconds)
        assert [getattr(item, field) for item in found.value.array.items] == [
            one if field == "integer" else json.dumps(one) for one in given
        ], f"{name} came back changed"
        await client.runs.delete(run.id)
    return min(there), min(back)


def shapes() -> list[dict[str, Any]]:
    """Outlines as a cell detection makes them."""
    made = []
    for number in range(_GEOMETRIES):
        x, y = float(number % 1000 * 20), float(number // 1000 * 20)
        ring = [[x, y], [x + 10, y], *([x + 10 - i / 2, y + 5 + i / 4] for i in range(_POINTS - 3))]
        made.append({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    return made


async def files_by_eight(server: ServerProcess, folder: Path, rounds: int) -> float:
    """Items a second when eight clients each send an eighth of an array as one tree."""
    content = [os.urandom(_FILE_BYTES) for _ in range(_FILES)]
    paths = [folder / f"file-{number}" for number in range(_FILES)]
    for path, data in zip(paths, content, strict=True):
        path.write_bytes(data)
    best = 0.0
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(_CLIENTS)]
        for _ in range(rounds):
            run = await clients[0].runs.create(_TASK)

            async def send(client: Client, first: int, run_id: str = run.id) -> None:
                items = [(f"files/{i}", paths[i]) for i in range(first, _FILES, _CLIENTS)]
                source = await asyncio.to_thread(following_links, items)
                part = storage_service_pb2.INPUT_PART_ITEMS
                await client.uploads.send_input(run_id, "files", source, part=part)

            sending = asyncio.gather(*(send(one, i) for i, one in enumerate(clients)))
            seconds, _ = await seconds_of(sending)
            [found] = await clients[0].runs.inputs(run.id, "files")
            assert len(found.value.array.items) == _FILES, "files were lost"
            with tempfile.TemporaryDirectory(dir=folder) as back:
                await clients[0].runs.download_inputs(run.id, Path(back))
                for number, data in enumerate(content):
                    assert (Path(back) / "files" / str(number)).read_bytes() == data, number
            await clients[0].runs.delete(run.id)
            best = max(best, _FILES / seconds)
    return best


async def references(
    client: Client, server: ServerProcess, dataset: Path, rounds: int
) -> tuple[float, float, int]:
    """Seconds to reference many files, by a pattern and one by one, and the bytes copied."""
    for number in range(_REFERENCES):
        (dataset / f"{number}.tiff").write_bytes(b"slide")
    ways: list[Any] = [
        Reference.pattern(f"{dataset}/*.tiff"),
        [Reference(f"{dataset}/{number}.tiff") for number in range(_REFERENCES)],
    ]
    best, copied = [], 0
    for given in ways:
        taken = []
        for _ in range(rounds):
            run = await client.runs.create(_TASK)
            seconds, _ = await seconds_of(client.runs.provision(run.id, {"slides": given}))
            taken.append(seconds)
            [found] = await client.runs.inputs(run.id, "slides")
            assert len(found.value.array.items) == _REFERENCES
            stored = [path for path in server.storage.rglob("*.tiff") if not path.is_symlink()]
            in_run = [path for path in server.storage.rglob("slides/*") if not path.is_symlink()]
            copied += sum(p.stat().st_size for p in (*stored, *in_run) if p.name != "array.yml")
            await client.runs.delete(run.id)
        best.append(min(taken))
    return best[0], best[1], copied


def slide_header(folder: Path) -> tuple[float, float]:
    """Milliseconds and MiB that the check of a large slide takes, in a process of its own."""
    path = folder / "slide.tiff"
    write_slide(path)
    done = subprocess.run(
        [sys.executable, __file__, "--slide", path], capture_output=True, text=True, check=True
    )
    milliseconds, mib = map(float, done.stdout.split())
    return milliseconds, mib


def write_slide(path: Path) -> None:
    """A pyramidal BigTIFF whose tiles are holes in the file."""
    import numpy as np
    import tifffile

    width, height = _SLIDE
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        while min(width, height) > _TILE:
            writer.write(
                None, shape=(height, width, 3), dtype=np.uint8, tile=(_TILE, _TILE),
                photometric="rgb",
            )  # fmt: skip
            width, height = width // 2, height // 2


def check_slide(path: Path) -> None:
    """Print how long the check takes, and how much memory it adds."""
    from appengine_contract.parameters.image import ImageType
    from appengine_contract.reading import ReadOptions

    kind = ImageType(formats=("tiff",), max_width=_SLIDE[0], max_height=_SLIDE[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    reading = kind.read(path, "slide", ReadOptions(root=path.parent))
    seconds = time.perf_counter() - started
    assert reading.value is not None, reading.problems
    assert (
        not ImageType(max_width=_SLIDE[0] - 1)
        .read(path, "slide", ReadOptions(root=path.parent))
        .value
    ), "its width was not read"
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(seconds * 1000, added / 1024)


async def measure(engine_url: str, rounds: int, below: Path) -> AsyncIterator[Figure]:
    """Everything, with one server."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=below) as name:
        folder = Path(name)
        milliseconds, mib = slide_header(folder)
        yield Figure(what="60,000 x 40,000 BigTIFF, check", value=milliseconds, unit="ms", asked=50)
        yield Figure(what="60,000 x 40,000 BigTIFF, memory", value=mib, unit="MiB", asked=30)
        dataset = folder / "dataset"
        dataset.mkdir()
        settings = {"LOG_LEVEL": "warning", "REF_STORAGE_BASE_PATH": str(dataset)}
        server = ServerProcess(folder=folder / "server", engine_url=engine_url, settings=settings)
        server.start()
        try:
            async with server.client() as client:
                bundle = make_bundle(
                    folder / "task.zip", namespace="org.example.contract", inputs=_INPUTS
                )
                await client.tasks.upload(bundle)
                async for figure in with_server(client, server, folder, dataset, rounds):
                    yield figure
                await client.tasks.delete(_TASK)
                await asyncio.sleep(2)
        finally:
            server.stop()


async def with_server(
    client: Client, server: ServerProcess, folder: Path, dataset: Path, rounds: int
) -> AsyncIterator[Figure]:
    """What goes through one."""
    arrays = (
        ("100,000 integers", "integers", list(range(_INTEGERS)), "integer", 1),
        ("20,000 geometries", "shapes", shapes(), "geometry", 3),
    )
    for what, name, given, field, asked in arrays:
        there, back = await there_and_back(client, name, given, field, rounds)
        yield Figure(what=f"{what}, provision", value=there, unit="s", asked=asked)
        yield Figure(what=f"{what}, read back", value=back, unit="s", asked=asked)
    yield Figure(
        what="1,000 files of 64 KiB by 8 clients", unit="items/s", asked=2000, more_is_better=True,
        value=await files_by_eight(server, folder, rounds),
    )  # fmt: skip
    pattern, each, copied = await references(client, server, dataset, rounds)
    yield Figure(what="10,000 references by one pattern", value=pattern, unit="s", asked=3)
    yield Figure(what="10,000 references, each by its path", value=each, unit="s", asked=3)
    yield Figure(what="bytes copied by references", value=copied, unit="bytes", asked=0)


async def print_figures(engine_url: str, options: argparse.Namespace) -> None:
    """Measure and print, each figure as soon as it is there, or all as JSON."""
    found = {}
    async for figure in measure(engine_url, options.rounds, options.folder):
        found[figure.what] = figure.value
        if not options.json:
            print(figure.line(), flush=True)
    if options.json:
        print(json.dumps(found, indent=2))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default="/dev/shm")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--slide", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.slide:
        check_slide(options.slide)
        return
    engine_url = os.environ.get("DOCKER_HOST")
    if not engine_url:
        sys.exit("Set DOCKER_HOST to the socket of a container engine, unix:///….")
    asyncio.run(print_figures(engine_url, options))


if __name__ == "__main__":
    main()
