"""The example task on a real slide region, from its folder to the picture, by the command line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.container.engine_server import Engine
from tests.unit.test_example_nuclei import contours, nuclei

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the image may have to be built

_ROOT = Path(__file__).parents[2]


def _script(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [_ROOT / "scripts" / name, *arguments],
        cwd=_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_example_counts_and_draws_the_nuclei_of_a_real_slide(
    engine: Engine, tmp_path: Path
) -> None:
    bundle = _script("build-bundle", "examples/nuclei", "-o", tmp_path / "nuclei.zip")
    picture = Path(_script("sample-image"))
    uploaded = engine.cli("task", "upload", bundle, json=True)
    assert uploaded.returncode == 0, uploaded.stderr
    task = json.loads(uploaded.stdout)
    folder = tmp_path / "out"
    done = engine.cli(
        "run", f"{task['namespace']}:{task['version']}",
        "--input", f"image=@{picture}", "--output-dir", folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    before, after = nuclei.read_picture(picture), np.asarray(Image.open(folder / "overlay.png"))
    values = json.loads((folder / "outputs.json").read_text())
    outside = nuclei.find_nuclei(before, "hematoxylin", 40)
    assert values["count"] == outside.count
    assert values["mean_area"] == pytest.approx(outside.mean_area, abs=0.001)
    assert len(values["nuclei"]) == outside.count
    assert after.shape == before.shape
    assert 0.01 < (after != before).any(axis=-1).mean() < 0.30
    assert contours(after) == pytest.approx(values["count"], rel=0.10)
    assert f"{values['count']}" in done.stdout
