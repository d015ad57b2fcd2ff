"""One place for each way of running, with the examples on it, and what was found in the first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conformance.cases import CASES, EXAMPLES, REFERENCING, Case, Ground
from tests.conformance.trees import Tree, lay_out, sha256_of, tree_of
from tests.conformance.ways import FOR_REFERENCES, WAYS, Place
from tests.container.conftest import engine_url
from tests.kubernetes.agent import agent_archive, agent_image
from tests.kubernetes.conftest import busybox, cluster

__all__ = ["agent_archive", "agent_image", "busybox", "cluster", "engine_url"]

_ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a way cannot do otherwise than another one does it."""
    kept = [item for item in items if _says_something(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _says_something(item: pytest.Item) -> bool:
    given = item.callspec.params if hasattr(item, "callspec") else {}
    refers = given.get("name") in REFERENCING or "datasets" in getattr(item, "fixturenames", ())
    return refers or given.get("place") not in FOR_REFERENCES


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One case, run in one way through the command line."""

    case: Case
    run_id: str
    folder: Path
    """As `appengine run --output-dir` left it."""

    @property
    def values(self) -> dict[str, object]:
        """What `outputs.json` holds."""
        found: dict[str, object] = json.loads((self.folder / "outputs.json").read_text())
        return found

    @property
    def outputs(self) -> Tree:
        """The bytes of all outputs."""
        tree = tree_of(self.folder)
        del tree["outputs.json"]
        return tree


@dataclass(slots=True, kw_only=True)
class Bench:
    """Runs each case once in one way."""

    place: Place
    folder: Path
    _ran: dict[str, tuple[Ran, subprocess.CompletedProcess[str]]] = field(default_factory=dict)

    def run(self, name: str) -> Ran:
        """Run a case; it must succeed. The second time what it gave is answered at once."""
        if name not in self._ran:
            self._ran[name] = self._run(name)
        ran, done = self._ran[name]
        assert done.returncode == 0, done.stderr
        return ran

    def _run(self, name: str) -> tuple[Ran, subprocess.CompletedProcess[str]]:
        ground = Ground(folder=self.folder / name, datasets=self.place.datasets / name)
        ground.folder.mkdir()
        ground.datasets.mkdir()
        case, folder = CASES[name](ground), self.folder / f"{name}-outputs"
        done = self.place.engine.cli(
            "run", task_of(case.example), *case.arguments, "--output-dir", folder, json=True
        )
        run_id = json.loads(done.stdout)["id"] if done.returncode == 0 else ""
        return Ran(case=case, run_id=run_id, folder=folder), done


def task_of(example: str) -> str:
    """Its name and version."""
    return f"org.cytomine.examples.{example}:1.0.0"


@dataclass(slots=True, kw_only=True)
class Records:
    """What every way must give alike."""

    first: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    """By case: the way that ran it first, and the digests of its outputs."""

    def differences(self, ran: Ran, way: str) -> dict[str, tuple[str | None, str | None]]:
        """The paths whose bytes are not those of the first way: there, and here."""
        tree = {**ran.outputs, "outputs.json": (ran.folder / "outputs.json").read_bytes()}
        here = {path: sha256_of(content) for path, content in tree.items()}
        _, there = self.first.setdefault(ran.case.name, (way, here))
        return {
            path: (there.get(path), here.get(path))
            for path in sorted(there.keys() | here.keys())
            if there.get(path) != here.get(path)
        }


@pytest.fixture(scope="session")
def records() -> Records:
    return Records()


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The examples' bundles. What did not change since the last session is not built again."""
    folder = tmp_path_factory.mktemp("bundles")
    built = {}
    for example in EXAMPLES:
        built[example] = folder / f"{example}.zip"
        done = subprocess.run(
            [_ROOT / "scripts/build-bundle", f"examples/{example}", "-o", built[example]],
            cwd=_ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="session", params=list(WAYS))
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A server for each way of running in turn."""
    with WAYS[request.param](request, tmp_path_factory.mktemp(request.param)) as opened:
        yield opened


@pytest.fixture(scope="session")
def bench(
    place: Place, tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Path]
) -> Bench:
    """A place that has the examples."""
    for bundle in bundles.values():
        uploaded = place.engine.cli("task", "upload", bundle, json=True)
        assert uploaded.returncode == 0, uploaded.stderr
    return Bench(place=place, folder=tmp_path_factory.mktemp("cases"))


@pytest.fixture
def datasets(place: Place) -> Path:
    """A folder of the test's own in the server's datasets."""
    folder = place.datasets / uuid4().hex
    folder.mkdir()
    return folder


def run_outside(case: Case, folder: Path) -> Tree:
    """What the algorithm gives without an engine, for inputs that are laid out by hand."""
    inputs, outputs = folder / "inputs", folder / "outputs"
    outputs.mkdir()
    lay_out(case.on_disk, inputs)
    script = _ROOT / "examples" / case.example / f"{case.example}.py"
    done = subprocess.run(
        [sys.executable, script, inputs, outputs], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tree_of(outputs)
