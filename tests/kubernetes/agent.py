"""The image of the transfer agent, as the nodes of the test cluster pull it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.container.project_images import build_project_image
from tests.kubernetes.cluster.cluster import Cluster


@pytest.fixture(scope="session")
def agent_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the Dockerfile, as `docker save` writes it."""
    archive = tmp_path_factory.mktemp("agent") / "agent.tar"
    build_project_image("transfer-agent", archive)
    return archive


@pytest.fixture(scope="session")
def agent_image(cluster: Cluster, agent_archive: Path) -> str:
    """Pushed to the cluster's registry; its name there."""
    return cluster.push(agent_archive, "tests/transfer-agent:1")
