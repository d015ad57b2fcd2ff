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


def test_what_an_ended_engine_left_goes_when_the_next_one_starts(engine_url: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    first, second = (
        Path(
            subprocess.run(
                [_SCRIPT, "sh", "-c", 'echo "${DOCKER_HOST#unix://}"'],
                env=environment, capture_output=True, text=True, check=True,
                stdin=subprocess.DEVNULL,
            ).stdout.strip()
        ).parent
        for _ in range(2)
    )  # fmt: skip
    if first == second:
        pytest.skip("an engine answers on a usual socket, so none was started")
    assert not first.exists()
