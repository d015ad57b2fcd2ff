"""The image of the transfer agent, as the nodes of the test cluster pull it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.container.project_images import ProjectImages
from tests.kubernetes.cluster.cluster import Cluster


@pytest.fixture(scope="session")
def agent_archive(project_images: ProjectImages) -> Path:
    """Built from the Dockerfile, as `docker save` writes it."""
    return project_images.archive("transfer-agent")


@pytest.fixture(scope="session")
def agent_image(cluster: Cluster, agent_archive: Path) -> str:
    """Pushed to the cluster's registry; its name there."""
    return cluster.push(agent_archive, "tests/transfer-agent:1")
