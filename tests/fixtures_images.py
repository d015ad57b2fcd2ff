"""The project's own images, built once for all tests, and the engine that runs them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiodocker
import pytest

from tests.container.project_images import ProjectImages


@pytest.fixture(scope="session")
def project_images(tmp_path_factory: pytest.TempPathFactory) -> ProjectImages:
    """In the folder that `scripts/test` gives to all its sessions, or that workers of one share."""
    ours = tmp_path_factory.getbasetemp()
    shared = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    folder = Path(os.environ.get("APPENGINE_TEST_IMAGES") or shared / "images")
    folder.mkdir(exist_ok=True)
    return ProjectImages(folder=folder)


@pytest.fixture(scope="module")
async def docker(engine_url: str) -> AsyncIterator[aiodocker.Docker]:
    async with aiodocker.Docker(url=engine_url) as docker:
        yield docker
