"""The project's own images, built from its Dockerfile as a user would."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

_ROOT = Path(__file__).parents[2]

Target = Literal["server", "transfer-agent"]


def build_project_image(target: Target, archive: Path) -> None:
    """Build one target of the Dockerfile and save it to `archive` as `docker save` does.

    Takes about a minute the first time and seconds after that: layers are kept.
    """
    script = 'source scripts/lib/images.sh; build_image . "$1" "localhost/app-engine/$2:test" "$2"'
    built = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "_", archive, target],
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
