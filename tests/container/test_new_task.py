"""A task that was just made is tried in one step; docs/write-a-task.md has the other steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.container.engine_server import Engine

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the image may have to be built

_ROOT = Path(__file__).parents[2]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "app-engine"
_BUILDS = _CACHE / "locks" / "images"


def _picture(path: Path) -> None:
    """A quarter of it is dark."""
    picture = Image.new("L", (40, 10), 200)
    picture.paste(50, (0, 0, 10, 10))
    picture.save(path)


def _try(socket: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`task try` with a container engine, and none of the servers of the tests."""
    _BUILDS.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        # As scripts do: podman loses layers that two builds make at once.
        ["flock", _BUILDS, sys.executable, "-m", "appengine_client.cli", "task", "try", *arguments],
        env={**os.environ, "DOCKER_HOST": socket},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_new_task_is_tried_in_one_step_and_leaves_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    assert engine.cli("task", "init", "darkness").returncode == 0
    _picture(tmp_path / "picture.png")
    arguments = ("darkness", "--input", "image=@picture.png", "--output-dir", "out")
    done = _try(engine.server.engine_url, *arguments)
    assert done.returncode == 0, done.stderr
    assert "looking for what is darker than 128" in done.stderr
    assert json.loads(Path("out/outputs.json").read_text())["share"] == 0.25
    assert not list((tmp_path / "temporary").iterdir())

    program = tmp_path / "darkness/task.py"
    program.write_text(program.read_text().replace("dark /", "7 * dark /"))
    wrong = _try(engine.server.engine_url, *arguments)
    assert wrong.returncode == 1
    assert "share" in wrong.stderr
    assert "share: 1.75 is greater than 1.0" in wrong.stderr
    assert "appengine runs" not in wrong.stderr  # that server is gone

    (tmp_path / "darkness/Dockerfile").write_text("FROM debian:bookworm-slim\nRUN exit 7\n")
    unbuilt = _try(engine.server.engine_url, *arguments)
    assert unbuilt.returncode == 2
    assert "the image cannot be built" in unbuilt.stderr
    (tmp_path / "darkness/descriptor.yml").write_text("name: no\n")
    unread = _try(engine.server.engine_url, *arguments)
    assert unread.returncode == 1
    assert "namespace" in unread.stdout
    assert not list((tmp_path / "temporary").iterdir())


def test_without_a_container_engine_it_says_so(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert engine.cli("task", "init", "darkness").returncode == 0
    gone = _try(f"unix://{tmp_path}/none", "darkness", "--output-dir", "out")
    assert gone.returncode == 2
    assert "no container engine answers" in gone.stderr
