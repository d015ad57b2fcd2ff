"""What all tests share: modules beside this file are importable, and the fixtures of some."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["fixtures_database", "fixtures_rounds"]

# How long an example takes says something of the machine, and nothing of us.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
