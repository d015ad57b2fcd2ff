"""What docs/quick-start.md, write-a-task.md and python.md show, run as it stands there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.container.engine_server import QUICK, wait_for

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the images may have to be built

ROOT = Path(__file__).parents[2]
CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
BUILDS = Path(CACHE) / "app-engine" / "locks" / "images"


def blocks(page: str, kind: str = "sh") -> dict[str, str]:
    """The blocks of a page by their names, in their order; every shell block has one."""
    text = (ROOT / "docs" / page).read_text()
    found = re.findall(rf"^```{kind} (.+?)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len({name for name, _ in found}) == len(found)
    assert kind != "sh" or len(found) == text.count("```sh")
    return dict(found)


@pytest.fixture(scope="module")
def environment(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a user who has the engine, and nothing yet."""
    folder = tmp_path_factory.mktemp("guides")
    (folder / "tmp").mkdir()
    return {
        **os.environ,
        **QUICK,
        "HOME": str(folder),
        "XDG_CACHE_HOME": CACHE,
        "XDG_DATA_HOME": str(folder / "data"),
        "TMPDIR": str(folder / "tmp"),
        "DOCKER_HOST": engine_url,
        "PORT": "0",
        "PORT_FILE": str(folder / "port"),
    }


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of the other terminal, while the server of the quick start runs."""
    port = Path(environment["PORT_FILE"])
    log = port.with_name("server.log")
    with log.open("wb") as lines:
        terminal = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", blocks("quick-start.md")["server"]],
            env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines,
            start_new_session=True,
        )  # fmt: skip

    def is_up() -> bool:
        assert terminal.poll() is None, log.read_text()
        return port.exists() and bool(port.read_text().strip())

    try:
        wait_for(is_up)
        yield {**environment, "APPENGINE_SERVER": f"127.0.0.1:{port.read_text().strip()}"}
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(terminal.pid, signal.SIGINT)  # Ctrl-C, for all that the terminal runs
        terminal.wait(60)


def run(commands: Mapping[str, str], environment: dict[str, str], cwd: Path) -> dict[str, str]:
    """Run these blocks in one shell, as a reader would, and give what each prints."""
    script = "".join(f"echo '@@ {name}'\n{block}" for name, block in commands.items())
    done = subprocess.run(
        # As scripts do: podman loses layers that two builds make at once.
        ["flock", BUILDS, "bash", "-euo", "pipefail", "-c", script],
        env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    parts = re.split(r"^@@ (.+)\n", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_quick_start_works_as_it_stands_there(server: dict[str, str], tmp_path: Path) -> None:
    page = "quick-start.md"
    environment = {**server, "TMPDIR": str(tmp_path)}
    [(name, program)] = blocks(page, "python").items()
    save = f"cat > {name} <<'END'\n{program}END\n"  # "Save this as", as the page says
    commands = {name: block for name, block in blocks(page).items() if name != "server"}
    commands["python"] = save + commands["python"]
    said = run(commands, environment, ROOT)
    assert "org.cytomine.examples.nuclei:1.0.0" in said["upload"]
    assert "outputs.json" in said["run"].split()
    assert "overlay.png" in said["run"].split()
    assert "SUCCEEDED" in said["look"]
    count = re.search(r"^count +integer +(\d+)$", said["run"], re.MULTILINE)
    assert count is not None
    assert f'"count": {count[1]}' in said["many"]
    assert f"{count[1]} nuclei" in said["python"]
    assert "the largest has" in said["python"]


def test_the_guide_for_tasks_works_as_it_stands_there(
    server: dict[str, str], tmp_path: Path
) -> None:
    picture = Image.new("L", (40, 10), 200)
    picture.paste(50, (0, 0, 10, 10))  # a quarter of it is dark
    picture.save(tmp_path / "slide.png")
    environment = {
        **server,
        "APP_ENGINE": str(ROOT),
        "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path),
    }
    commands = blocks("write-a-task.md")
    begun = run({"begin": f"{commands.pop('begin')}ls tried\n"}, environment, ROOT)
    assert "outputs.json" in begun["begin"].split()
    said = run(commands, environment, tmp_path)
    assert {"descriptor.yml", "task.py", "Dockerfile"} <= {*said["init"].split()}
    assert "1 passed" in said["test"]
    for folder in ("tried", "dark"):
        assert json.loads((tmp_path / folder / "outputs.json").read_text())["share"] == 0.25
    with Image.open(tmp_path / "dark/mask.png") as mask:
        assert mask.histogram()[255] == 100


PROGRAM = """
import asyncio
from pathlib import Path
from appengine_client import connect

async def main():
    async with connect() as client:
"""
SMALLER = (
    "import sys; from PIL import Image; "
    "Image.open(sys.argv[1]).crop((0, 0, 128, 128)).save('slide.png')"
)
NUCLEI = "org.cytomine.examples.nuclei:1.0.0"


def test_the_page_on_python_works_as_it_stands_there(
    server: dict[str, str], tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "python.md").read_text()
    shown = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    whole = [block for block in shown if "connect()" in block]
    steps = [block for block in shown if "connect()" not in block]
    programs = [*whole, f"{PROGRAM}{textwrap.indent(''.join(steps), ' ' * 8)}\nasyncio.run(main())"]
    for number, program in enumerate(programs):
        (tmp_path / f"program{number}.py").write_text(program)
    environment = {**server, "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
    build = f"{ROOT}/scripts/build-bundle {ROOT}/examples/nuclei -o n.zip"
    commands = {
        "task": f"appengine task show {NUCLEI} || {{ {build}; appengine task upload n.zip; }}\n",
        "pictures": f'python -c "{SMALLER}" "$({ROOT}/scripts/sample-image)"\n'
        "mkdir slides; cp slide.png slides/one.png; cp slide.png slides/two.png\n",
        **{str(number): f"python program{number}.py\n" for number in range(len(programs))},
    }
    said = run(commands, environment, tmp_path)
    [count] = {said[str(number)].split()[0] for number in range(len(whole))}
    for line in (f"slides/one.png {count}", f"slides/two.png {count}", "RUN_STATE_SUCCEEDED",
                 "min_area NOT_GEQ -5 is less than 1"):  # fmt: skip
        assert line in said[str(len(whole))].splitlines()
