"""The Compose file as Compose reads it where no variable is set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "deploy" / "compose"
VARIABLE = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")


def compose_services() -> dict[str, Any]:
    """The services by their names."""
    text = (FOLDER / "compose.yaml").read_text()
    filled = VARIABLE.sub(lambda found: found["default"], text)
    assert "$" not in filled, "every variable has a default"
    services: dict[str, Any] = yaml.safe_load(filled)["services"]
    return services


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """Path inside → what is mounted there, and whether only for reading."""
    found = {}
    for text in service["volumes"]:
        source, path, *options = text.split(":")
        found[path] = (source, options == ["ro"])
    return found
