"""The container scheduler does what every scheduler does."""

import pytest

pytest.register_assert_rewrite("tests.schedulers.behaviour")

from tests.schedulers.behaviour import *  # noqa: E402, F403 - all of them

pytestmark = pytest.mark.container
