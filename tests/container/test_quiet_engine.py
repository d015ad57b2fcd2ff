"""An engine on which nothing happens for long is no engine that is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from appengine_server.scheduling.container import scheduler as container
from appengine_server.scheduling.container.scheduler import open_container_scheduler
from appengine_server.scheduling.container.settings import ContainerSettings

pytestmark = pytest.mark.container


async def test_silence_ends_the_stream_of_changes_in_order(
    container_settings: ContainerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_SILENCE_SECONDS", 0.2)
    quiet = replace(container_settings, engine_id="an-engine-without-containers")
    async with asyncio.timeout(10), open_container_scheduler(quiet) as scheduler:
        assert [ref async for ref in scheduler.changes()] == []
