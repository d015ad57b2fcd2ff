"""Servers that are killed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.container.conftest import engine_url
from tests.faults.bench import Bench, open_bench
from tests.faults.figures import Figures

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
