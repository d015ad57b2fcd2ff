"""helm and the chart of deploy/helm, as an administrator uses them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.missing import missing

_ROOT = Path(__file__).parents[2]
CHART = _ROOT / "deploy" / "helm" / "app-engine"
KUBERNETES = "1.34.4"
"""Stands for the cluster's version where there is no cluster."""

Values = Mapping[str, Any]

# NB: only the last line is ours; what is built on the way goes to standard error.
_ENSURE = """
source scripts/lib/helm.sh
ensure_helm >&2 && command -v helm
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    """The program, with files of its own."""

    program: str
    home: Path
    kubeconfig: Path | None = None
    """None: it sees no cluster."""

    def run(self, *arguments: str | Path, values: Values | None = None) -> str:
        """What a command prints; AssertionError with what it says where it fails."""
        done = self.attempt(*arguments, values=values)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def attempt(
        self, *arguments: str | Path, values: Values | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command: list[str | Path] = [self.program, *arguments]
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self.home) as file:
            if values is not None:
                json.dump(values, file)
                file.flush()
                command += ["--values", file.name]
            return subprocess.run(
                command, env=self._environment(), capture_output=True, text=True, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def objects(self, values: Values, *, namespace: str = "engine") -> list[dict[str, Any]]:
        """What the chart makes of these values, where there is no cluster to ask."""
        rendered = self.run("template", "app-engine", CHART, "--namespace", namespace,
                            "--kube-version", KUBERNETES, values=values)  # fmt: skip
        return [found for found in yaml.safe_load_all(rendered) if found]

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        folders = {
            name: str(self.home / name)
            for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
        }
        return {
            **kept, **folders, "HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig or self.home / "no-cluster"),
        }  # fmt: skip


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Found, or built once. In CI it is a failure to have none."""
    done = subprocess.run(
        ["bash", "-c", _ENSURE], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        missing("helm could not be built")
    return Helm(program=done.stdout.strip(), home=tmp_path_factory.mktemp("helm"))


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of one kind, in their order."""
    return [found for found in objects if found["kind"] == kind]


def named(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one of that kind and name."""
    [found] = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found
