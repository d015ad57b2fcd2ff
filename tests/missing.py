"""What happens where something that tests need cannot be had."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(why: str) -> NoReturn:
    """Skip the test; in CI, where everything is to be had, fail it."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
