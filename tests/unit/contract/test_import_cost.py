"""Importing the contract must not load what only some tasks need."""

from __future__ import annotations

import subprocess
import sys

_HEAVY = ("shapely", "numpy", "pydicom", "tifffile", "grpc", "asyncpg", "pydantic")
_SCRIPT = f"""
import sys
import appengine_contract.inputs, appengine_contract.outputs, appengine_contract.values_json
print([name for name in {_HEAVY} if name in sys.modules])
"""


def test_slow_libraries_are_loaded_only_when_they_are_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
