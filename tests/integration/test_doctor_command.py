"""`appengine doctor` shows what the server's own doctor finds, and its exit code tells."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from appengine_server.checks.catalogue import CHECKS

pytestmark = pytest.mark.timeout(60)

SERVER = f"{sys.executable} -m appengine_server"


def appengine(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "appengine_client.cli", *arguments],
        env={**kept, "COLUMNS": "120", **given}, capture_output=True, text=True, check=False,
        timeout=50,
    )  # fmt: skip


def test_a_table_shows_every_check_and_what_to_do(tmp_path: Path) -> None:
    given = {"STORAGE_BASE_PATH": str(tmp_path), "DOCKER_HOST": "unix:///no.sock", "PORT": "0"}
    shown = appengine("doctor", "--server-command", SERVER, **given)
    assert shown.returncode == 1, shown.stderr
    rows = shown.stdout.splitlines()
    for check in CHECKS:
        assert any(row.startswith(f"{check.name} ") for row in rows), shown.stdout
    [engine] = [row for row in rows if row.startswith("container engine")]
    assert engine.split()[2:4] == ["failed", "DOCKER_HOST:"]


def test_programs_get_json(tmp_path: Path) -> None:
    given = {"STORAGE_BASE_PATH": str(tmp_path), "STORAGE_IMPL": "s3", "PORT": "0"}
    shown = appengine("--json", "doctor", "--server-command", SERVER, **given)
    assert shown.returncode == 1, shown.stderr
    answer = json.loads(shown.stdout)
    assert answer["ok"] is False
    settings = answer["checks"][0]
    assert settings["outcome"] == "failed"
    assert [finding["setting"] for finding in settings["findings"]] == ["STORAGE_IMPL"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program", "say by --server-command how it is run where the server is"),
        ("", "say by --server-command"),
        (shlex.join([sys.executable, "-c", "print('hello')"]), "without an answer"),
    ],
)
def test_without_the_servers_command_the_sentence_says_what_to_give(
    command: str, words: str
) -> None:
    shown = appengine("doctor", "--server-command", command)
    assert shown.returncode == 2
    assert words in shown.stderr
    assert "Traceback" not in shown.stderr
