"""What all tests share: modules beside this file are importable, and the fixtures of some."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = [
    "fixtures_database",
    "fixtures_images",
    "fixtures_last_words",
    "fixtures_rounds",
    "fixtures_tables",
]

# How long an example takes says something of the machine, and nothing of us.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_ROOT = Path(__file__).parent
_QUICK = ("unit", "integration", "fuzz")
_REAL_PARTS_SECONDS = 120
"""Of a test with containers that says nothing else: the first of a session starts what all use."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests more time where real containers start: how soon they do is the machine's."""
    for item in items:
        quick = item.path.relative_to(_ROOT).parts[0] in _QUICK
        if not quick and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_REAL_PARTS_SECONDS))
