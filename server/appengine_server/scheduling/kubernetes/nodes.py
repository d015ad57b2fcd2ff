"""Whether any node could ever hold an attempt. Pure arithmetic on what nodes can give."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from appengine_server.scheduling.kubernetes.fields import condition, exact, holds, quantity, time_of
from appengine_server.scheduling.kubernetes.labels import Json
from appengine_server.scheduling.kubernetes.settings import ClusterMode, KubernetesSchedulerSettings
from appengine_server.scheduling.scheduler import (
    Admission,
    Admitted,
    Failure,
    FailureReason,
    NeverFits,
    Resources,
)
from appengine_server.scheduling.verdicts import format_bytes

_PASSING_TAINTS = "node.kubernetes.io/"
"""What Kubernetes puts on nodes that are in trouble, and takes away again."""


def admit(
    wanted: Resources, nodes: Iterable[Json], settings: KubernetesSchedulerSettings
) -> Admission:
    """Say whether an attempt may be submitted: always, but where no node could ever hold it.

    Whether there is room now is for Kubernetes to decide. Without known nodes nothing is refused.
    """
    usable = [_capacity(node, settings) for node in nodes if _is_usable(node, settings)]
    if settings.autoscaled or not usable or any(_fits(wanted, one) for one in usable):
        return Admitted()
    largest = Resources(
        cpus=max(one.cpus for one in usable),
        ram_bytes=max(one.ram_bytes for one in usable),
        gpus=max(one.gpus for one in usable),
    )
    message = (
        f"the task asks for {_shown(wanted)}, and no node of the cluster can give that to one "
        f"task: at most they give {_shown(largest)}"
    )
    return NeverFits(failure=Failure(reason=FailureReason.UNSCHEDULABLE, message=message))


def is_ready(node: Json) -> bool:
    """Whether the node answers."""
    return holds(node, "Ready")


def unready_since(node: Json) -> datetime | None:
    """Since when the node has not answered; None while it does."""
    if is_ready(node):
        return None
    told = (condition(node, "Ready") or {}).get("lastTransitionTime")
    return time_of(told or node["metadata"]["creationTimestamp"])


def architecture_of(node: Json | None) -> str:
    """In Go's words, such as `amd64`."""
    information = ((node or {}).get("status") or {}).get("nodeInfo") or {}
    return str(information.get("architecture") or "amd64")


def is_eligible(node: Json, settings: KubernetesSchedulerSettings) -> bool:
    """Whether pods of tasks could be put on the node now."""
    cordoned = bool((node.get("spec") or {}).get("unschedulable"))
    return is_ready(node) and not cordoned and _is_usable(node, settings)


def _is_usable(node: Json, settings: KubernetesSchedulerSettings) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(name) != value for name, value in settings.pods.node_selector.items()):
        return False
    taints = (node.get("spec") or {}).get("taints") or ()
    return all(_is_tolerated(taint, settings) for taint in taints)


def _is_tolerated(taint: Json, settings: KubernetesSchedulerSettings) -> bool:
    if taint["effect"] == "PreferNoSchedule" or taint["key"].startswith(_PASSING_TAINTS):
        return True
    return any(
        one.get("key") in {None, taint["key"]} and one.get("effect") in {None, taint["effect"]}
        for one in settings.pods.tolerations
    )


def _capacity(node: Json, settings: KubernetesSchedulerSettings) -> Resources:
    """What one task can get of the node at most, in whole CPUs."""
    gives = (node.get("status") or {}).get("allocatable") or {}
    millicpus = int(exact(gives.get("cpu", "0")) * 1000)
    ram_bytes = quantity(gives.get("memory", "0"))
    if isinstance(settings.mode, ClusterMode):
        millicpus -= settings.mode.agent_millicpus
        ram_bytes -= settings.mode.agent_ram_bytes
    return Resources(
        cpus=max(0, millicpus // 1000),
        ram_bytes=max(0, ram_bytes),
        gpus=quantity(gives.get(settings.pods.gpu_resource, "0")),
    )


def _fits(wanted: Resources, node: Resources) -> bool:
    return (
        wanted.cpus <= node.cpus and wanted.ram_bytes <= node.ram_bytes and wanted.gpus <= node.gpus
    )


def _shown(resources: Resources) -> str:
    parts = [f"{resources.cpus} CPUs", f"{format_bytes(resources.ram_bytes)} of memory"]
    return ", ".join([*parts, f"{resources.gpus} GPUs"])
