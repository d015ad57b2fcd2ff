"""The programs of each client: the one that its README begins with, and its larger example."""

from __future__ import annotations

import json
import os
import re
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
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the bundles."""
    folder = tmp_path_factory.mktemp("bundles")
    for task in ("measure", "nuclei"):
        output(
            ROOT / "scripts/build-bundle", ROOT / "examples" / task, "-o", folder / f"{task}.zip"
        )
    return folder


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
    return found("source scripts/lib/node.sh && find_node", "NODE")


def found(script: str, variable: str) -> list[str]:
    """The words of a command that a script has found."""
    script += f' && printf "%s\\n" "${{{variable}[@]}}"'
    return output("bash", "-euo", "pipefail", "-c", script).split("\n")[:-1]


def output(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """What a command that must succeed has printed."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def go_program(text: str, folder: Path) -> list[str]:
    (folder / "main.go").write_text(text)
    program = folder / "count"
    compiler = found("source scripts/lib/go.sh && find_go 26", "GO")
    output(*compiler, "build", "-o", program, folder / "main.go", cwd=built("go"), CGO_ENABLED="0")
    return [str(program)]


def java_program(text: str, folder: Path) -> list[str]:
    (folder / "Count.java").write_text(text)
    return java_command(built("java"), str(folder / "Count.java"))


def typescript_program(text: str, folder: Path) -> list[str]:
    """As npm installs a folder: by a link."""
    library, modules = built("typescript"), folder / "node_modules"
    (modules / "@cytomine").mkdir(parents=True)
    (modules / "@cytomine/appengine-client").symlink_to(library)
    (modules / "@types").symlink_to(library / "node_modules/@types")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "count.ts").write_text(text)
    [options] = re.findall(
        r"^npx tsc (.+)$", (ROOT / "clients/typescript/README.md").read_text(), re.MULTILINE
    )
    output(*node(), library / "node_modules/typescript/bin/tsc", *options.split(), cwd=folder)
    return [*node(), str(folder / "count.js")]


_PROGRAMS = {"go": go_program, "java": java_program, "typescript": typescript_program}


@pytest.mark.parametrize("language", _PROGRAMS)
def test_the_first_program_of_a_readme_works_as_it_stands_there(
    language: str, server: ServerProcess, bundles: Path, tmp_path: Path
) -> None:
    readme = (ROOT / "clients" / language / "README.md").read_text()
    [text] = re.findall(r"^```(?:go|java|ts)\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    program = _PROGRAMS[language](text, tmp_path)
    picture = output(ROOT / "scripts/sample-image").strip()
    for _ in range(2):  # the second time the task is there already
        said = output(
            *program, bundles / "nuclei.zip", picture,
            cwd=tmp_path, APPENGINE_SERVER=server.address,
        )  # fmt: skip
        assert "RUN_STATE_SUCCEEDED" in said
        assert "looking for nuclei" in said, "the log"
        counted = (tmp_path / "results/count").read_text()
        assert int(counted) > 0
        assert re.search(rf"^count {counted}$", said, re.MULTILINE)
        assert re.search(rf"^nuclei {counted}$", said, re.MULTILINE)
        assert re.search("^overlay png$", said, re.MULTILINE)
        assert "files are in results" in said


@pytest.mark.parametrize("example", [go, java, typescript], ids=lambda example: example.__name__)
def test_an_example_sends_runs_and_fetches(
    example: Callable[..., list[str]], server: ServerProcess, bundles: Path, tmp_path: Path
) -> None:
    crop, region, out = tmp_path / "crop.png", tmp_path / "crop.geojson", tmp_path / "results"
    Image.new("RGB", (20, 10)).save(crop)
    region.write_text(REGION)
    outlines = []
    for number, square in enumerate(SQUARES):
        outlines.append(tmp_path / f"outline-{number}.geojson")
        outlines[-1].write_text(square)
    command = example(server.address, bundles / "measure.zip", crop, region, out)
    for _ in range(2):  # the second time the task is there already
        said = output(*command, *outlines)
        assert said.count("RUN_STATE_CREATED") <= 1, "each state once"
        assert "RUN_STATE_SUCCEEDED" in said
        assert "summary: 2 of 2 annotations" in said
        assert "log:\nmeasured 2 of 2 annotations" in said
        assert (out / "count").read_text() == "2"
        assert (out / "picture").read_bytes() == crop.read_bytes()
        assert json.loads((out / "region").read_text()) == json.loads(REGION)
        assert (out / "merged").read_text() == "".join(SQUARES)


_REFUSED = """
import { AppEngineError, Client } from "@cytomine/appengine-client";

const client = new Client();
await client.uploadTask(process.argv[2]!);
const { id } = await client.createRun("org.cytomine.examples.nuclei:1.0.0", {});
const tries = Array.from({ length: 20 }, () => client.downloadOutputs(id, "none"));
for (const one of await Promise.allSettled(tries)) {
  const error = one.status === "rejected" ? one.reason : undefined;
  console.log(error instanceof AppEngineError ? `${error.status} ${error.reason}` : one);
}
client.close();
"""


def test_refused_downloads_are_errors_in_typescript(
    server: ServerProcess, bundles: Path, tmp_path: Path
) -> None:
    """Also where the refusal comes before the folder was made."""
    program = typescript_program(_REFUSED, tmp_path)
    said = output(
        *program, bundles / "nuclei.zip", cwd=tmp_path, APPENGINE_SERVER=server.address
    )  # fmt: skip
    assert said.splitlines() == ["FAILED_PRECONDITION RUN_STATE"] * 20
