"""The Kubernetes scheduler does what every scheduler does; here in local mode."""

import pytest

pytest.register_assert_rewrite("tests.schedulers.behaviour")

from tests.kubernetes.scheduler import (  # noqa: E402 - fixtures, after what must come first
    bench,
    kubernetes_images,
    kubernetes_scheduler,
    local_settings,
    session_namespace,
)
from tests.schedulers.behaviour import *  # noqa: E402, F403 - all of them

__all__ = [
    "bench",
    "kubernetes_images",
    "kubernetes_scheduler",
    "local_settings",
    "session_namespace",
]
