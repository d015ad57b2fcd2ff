"""What the Grafana dashboard asks Prometheus for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

DASHBOARD = Path(__file__).parents[1] / "deploy" / "grafana" / "app-engine.json"


def dashboard_expressions() -> Iterator[str]:
    """Every query of every panel."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def names_in(expression: str) -> set[str]:
    """The metrics that a query names."""
    return set(re.findall(r"\b(?:appengine|process)_\w+", expression))
