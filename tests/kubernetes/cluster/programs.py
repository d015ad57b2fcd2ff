"""The programs that a cluster is made of, built or installed by `scripts/lib/kubernetes.sh`."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))

# NB: only the last line is ours; what is installed or built on the way goes to standard error.
_ENSURE = """
source scripts/lib/kubernetes.sh
ensure_cluster_programs >&2 && printf '%s' "$PATH"
"""


class NoCluster(Exception):
    """A cluster cannot be had here; the sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the programs are."""

    path: str
    """A PATH on which all of them are."""
    cni: Path
    """The folder of the network plugins."""

    def find(self, name: str) -> str:
        """The absolute path of one. Raises NoCluster."""
        found = shutil.which(name, path=self.path)
        if found is None:
            raise NoCluster(f"{name} is not installed")
        return found

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with the programs first on its PATH."""
        return {**os.environ, "PATH": self.path}


def ensure_programs() -> Programs:
    """Find, install or build them: minutes the first time. Raises NoCluster."""
    if os.geteuid() != 0:
        raise NoCluster("booting a Kubernetes cluster needs root")
    done = subprocess.run(
        ["bash", "-c", _ENSURE], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise NoCluster("the programs of a Kubernetes cluster could not be installed or built")
    cni = next((folder for folder in _CNI_FOLDERS if (folder / "bridge").exists()), None)
    if cni is None:
        raise NoCluster("the package containernetworking-plugins is not installed")
    return Programs(path=done.stdout, cni=cni)
