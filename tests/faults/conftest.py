"""Servers that are killed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.container.conftest import engine_url
from tests.faults.bench import Bench, open_bench
from tests.faults.figures import Figures
from tests.faults.movers import open_movers
from tests.faults.transfer_bench import TransferBench, make_content, prepare
from tests.server_process import ServerProcess

__all__ = ["engine_url"]


@pytest.fixture(scope="session")
async def shared_bench(
    tmp_path_factory: pytest.TempPathFactory, engine_url: str, figures: Figures
) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path_factory.mktemp("bench"), engine_url, figures) as opened:
        yield opened


@pytest.fixture
async def bench(shared_bench: Bench) -> AsyncIterator[Bench]:
    """One data folder for most faults, with a server that is started again and again."""
    yield shared_bench
    await shared_bench.mend()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: large files, and syncs that wait for nobody else's writes."""
    with memory_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
async def shared_transfers(engine_url: str, figures: Figures) -> AsyncIterator[TransferBench]:
    with memory_folder() as folder, open_movers(folder) as movers:
        server = ServerProcess(folder=folder / "server", engine_url=engine_url)
        sizes = make_content(folder / "content")
        bench = TransferBench(
            server=server, figures=figures, movers=movers, content=folder / "content", sizes=sizes
        )
        try:
            await asyncio.to_thread(server.start)
            await prepare(bench, folder)
            yield bench
        finally:
            await asyncio.to_thread(server.stop)


@pytest.fixture
async def transfers(shared_transfers: TransferBench) -> AsyncIterator[TransferBench]:
    """One server for all faults of transfers."""
    yield shared_transfers
    await shared_transfers.mend()


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)
