"""A task that was just made runs as it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.container.engine_server import Engine

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the image may have to be built

_ROOT = Path(__file__).parents[2]


def test_a_new_task_is_built_and_runs(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert engine.cli("task", "init", "darkness").returncode == 0
    built = subprocess.run(
        [_ROOT / "scripts" / "build-bundle", "darkness"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert engine.cli("task", "upload", built.stdout.strip()).returncode == 0
    picture = Image.new("L", (40, 10), 200)
    picture.paste(50, (0, 0, 10, 10))
    picture.save("picture.png")
    done = engine.cli(
        "run", "org.example.darkness:0.1.0", "--input", "image=@picture.png",
        "--output-dir", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("out/outputs.json").read_text())["share"] == 0.25
    with Image.open("out/mask.png") as mask:
        assert mask.histogram()[255] == 100
