"""`scripts/engine` gives a command a container engine, and ends its own one with the command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

_SCRIPT = Path(__file__).parents[2] / "scripts" / "engine"
_ASK = (
    'echo "$DOCKER_HOST"; curl --silent --unix-socket "${DOCKER_HOST#unix://}" http://engine/_ping'
)


def test_a_command_is_run_with_an_engine_that_answers(engine_url: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = subprocess.run(
        [_SCRIPT, "sh", "-c", f"{_ASK}; exit 7"],
        env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    host, answer = done.stdout.splitlines()
    assert host.startswith("unix:///")
    assert answer == "OK"


def test_an_engine_that_answers_already_is_used(engine_url: str) -> None:
    done = subprocess.run(
        [_SCRIPT], env={**os.environ, "DOCKER_HOST": engine_url},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"export DOCKER_HOST={engine_url}\n"
