"""The example program of each client, as its README says, on the task that it is for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.drivers import ROOT, built, java_command
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the image may have to be built

REGION = '{"type": "Polygon", "coordinates": [[[100, 100], [120, 100], [120, 110], [100, 100]]]}'
SQUARES = [
    f'{{"type": "Polygon", "coordinates": [[[0, 0], [{n}, 0], [{n}, {n}], [0, {n}], [0, 0]]]}}'
    for n in (2, 3)
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "measure.zip"
    script = [ROOT / "scripts" / "build-bundle", ROOT / "examples" / "measure", "-o", path]
    subprocess.run(script, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return path


@pytest.fixture
def server(engine_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    settings = {"SCHEDULER_SHM": "16Mi"}
    made = ServerProcess(folder=tmp_path / "server", engine_url=engine_url, settings=settings)
    made.start()
    yield made
    made.stop()


def go(address: str, bundle: Path, crop: Path, region: Path, out: Path) -> list[str]:
    program = built("go") / "bin" / "measure"
    options = {"server": address, "bundle": bundle, "picture": crop, "region": region, "out": out}
    return [str(program), *(f"-{name}={value}" for name, value in options.items())]


def java(address: str, bundle: Path, crop: Path, region: Path, out: Path) -> list[str]:
    program = java_command(built("java"), "org.cytomine.appengine.examples.MeasureCrop")
    return [*program, address, *map(str, (bundle, crop, region, out))]


def typescript(address: str, bundle: Path, crop: Path, region: Path, out: Path) -> list[str]:
    program = [*node(), str(built("typescript") / "dist" / "examples" / "measure.js")]
    return [*program, address, *map(str, (bundle, crop, region, out))]


def node() -> list[str]:
    """Node.js, which is brought where it is missing."""
    script = 'source scripts/lib/node.sh && find_node && printf "%s\\n" "${NODE[@]}"'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("example", [go, java, typescript], ids=lambda example: example.__name__)
def test_an_example_sends_runs_and_fetches(
    example: Callable[..., list[str]], server: ServerProcess, bundle: Path, tmp_path: Path
) -> None:
    crop, region, out = tmp_path / "crop.png", tmp_path / "crop.geojson", tmp_path / "results"
    Image.new("RGB", (20, 10)).save(crop)
    region.write_text(REGION)
    outlines = []
    for number, square in enumerate(SQUARES):
        outlines.append(tmp_path / f"outline-{number}.geojson")
        outlines[-1].write_text(square)
    command = example(server.address, bundle, crop, region, out)
    for _ in range(2):  # the second time the task is there already
        done = subprocess.run(
            [*command, *map(str, outlines)],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "RUN_STATE_SUCCEEDED" in done.stdout
        assert "2 of 2 annotations" in done.stdout
        assert "measured 2 of 2 annotations" in done.stdout, "the log"
        assert (out / "count").read_text() == "2"
        assert (out / "picture").read_bytes() == crop.read_bytes()
        assert json.loads((out / "region").read_text()) == json.loads(REGION)
        assert (out / "merged").read_text() == "".join(SQUARES)
