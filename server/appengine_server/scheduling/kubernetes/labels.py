"""The names that our objects are found by."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from appengine_server.scheduling.scheduler import AttemptRef

Json = dict[str, Any]
"""An object as the API writes it."""

ENGINE_LABEL = "appengine.engine"
RUN_LABEL = "appengine.run"
ATTEMPT_LABEL = "appengine.attempt"
NETWORK_LABEL = "appengine.network"
"""`none` or `open`: what the NetworkPolicies go by."""
PROJECT_ANNOTATION = "appengine.project"
CANCELLED_ANNOTATION = "appengine.cancelled"
"""On a pod: we ended it."""

LOST_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
"""Kubernetes puts them on a node that does not answer; pods tolerate them for a while."""

TASK = "task"
FETCH = "fetch"
TRANSFER = "transfer"
"""Names of the containers; `fetch` is an init container."""


def attempt_labels(engine_id: str, ref: AttemptRef) -> dict[str, str]:
    """What an attempt's Job, pod and Secret are found by."""
    return {
        ENGINE_LABEL: engine_id,
        RUN_LABEL: str(ref.run_id),
        ATTEMPT_LABEL: str(ref.number),
    }


def selector(labels: dict[str, str]) -> str:
    """The labels as a label selector."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def ref_of(item: Json) -> AttemptRef | None:
    """The attempt that an object belongs to; None if it is not ours."""
    labels = item.get("metadata", {}).get("labels") or {}
    try:
        return AttemptRef(UUID(labels[RUN_LABEL]), int(labels[ATTEMPT_LABEL]))
    except (KeyError, ValueError):
        return None


def is_going(item: Json) -> bool:
    """Whether its deletion was asked for."""
    return "deletionTimestamp" in item["metadata"]
