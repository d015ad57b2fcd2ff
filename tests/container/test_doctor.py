"""The doctor beside a server that serves, and what it finds of a real engine and registry."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.checking import results_of, sentences_of
from tests.container.engine_server import REAL
from tests.container.test_registry_publishing import registry, trusting_engine_url
from tests.registry import ImageRegistry
from tests.server_process import ServerProcess

__all__ = ["registry", "trusting_engine_url"]

pytestmark = REAL


def test_beside_a_server_that_serves_everything_is_well(
    trusting_engine_url: str, registry: ImageRegistry, tmp_path: Path
) -> None:
    server = ServerProcess(
        folder=tmp_path, engine_url=trusting_engine_url,
        settings={"REGISTRY_URL": f"http://{registry.host}"},
    )  # fmt: skip
    server.start()
    try:
        given = {
            "STORAGE_BASE_PATH": str(server.storage), "DOCKER_HOST": trusting_engine_url,
            "PORT": server.address.rpartition(":")[2], "STORAGE_LOW_WATER": "0",
            "REGISTRY_URL": f"http://{registry.host}",
        }  # fmt: skip
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "appengine_server", "doctor", "--json"],
            env={**kept, **given}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        outcomes = {check["name"]: check["outcome"] for check in answer["checks"]}
        assert done.returncode == 0, done.stdout
        assert answer["ok"] is True
        for name in ("address", "storage", "database", "registry", "container engine"):
            assert outcomes[name] == "ok"
        assert outcomes["images where tasks run"] == "ok"
    finally:
        server.stop()


async def test_an_engine_that_does_not_trust_the_registry_is_told(
    engine_url: str, registry: ImageRegistry, tmp_path: Path
) -> None:
    given = {
        "STORAGE_BASE_PATH": str(tmp_path), "DOCKER_HOST": engine_url,
        "REGISTRY_URL": f"http://{registry.host}",
        "SCHEDULER_REGISTRY_ADVERTISED_URL": "127.0.0.1:9",
    }  # fmt: skip
    [sentence] = await sentences_of(given, "images where tasks run")
    assert sentence.startswith(
        "SCHEDULER_REGISTRY_ADVERTISED_URL: the container engine cannot pull"
    )
    assert "127.0.0.1:9/appengine/check@sha256:" in sentence


async def test_more_than_the_machine_has_is_warned_of(engine_url: str) -> None:
    given = {"DOCKER_HOST": engine_url, "SCHEDULER_CPUS": "4096", "SCHEDULER_RAM": "1000Ti"}
    result = (await results_of(given, "container engine"))["container engine"]
    assert result.outcome == "warning"
    assert [finding.setting for finding in result.findings] == ["SCHEDULER_CPUS", "SCHEDULER_RAM"]
