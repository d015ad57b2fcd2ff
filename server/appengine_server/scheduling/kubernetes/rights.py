"""What the server may do in the cluster, compared with what it does. The one list of its verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    KubernetesSchedulerSettings,
    LocalMode,
)

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Verbs on one resource."""

    group: str = ""
    resource: str
    verbs: tuple[str, ...]
    in_cluster: bool = False
    """Not in the namespace of tasks, but in the whole cluster."""
    without: str | None = None
    """What is missing without it, where tasks run all the same; None where they do not."""

    @property
    def name(self) -> str:
        """As roles name it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


def needed_rights(settings: KubernetesSchedulerSettings) -> Iterator[Right]:
    """What a server with these settings does."""
    yield Right(group="batch", resource="jobs", verbs=("create", "get", "list", "watch", "delete"))
    yield Right(resource="pods", verbs=("get", "list", "watch", "patch", "delete"))
    yield Right(resource="pods/log", verbs=("get",))
    yield Right(resource="events", verbs=("list", "watch"))
    if isinstance(settings.mode, ClusterMode):
        yield Right(resource="secrets", verbs=("create", "list", "patch", "delete"))
    elif settings.registry_auth is not None:
        yield Right(resource="secrets", verbs=("create", "patch"))
    if isinstance(settings.mode, LocalMode) and settings.mode.probe_image is not None:
        yield Right(
            resource="pods", verbs=("create",), without="the nodes' folders are not checked"
        )
    if settings.network_policy:
        yield Right(
            group="networking.k8s.io",
            resource="networkpolicies",
            verbs=("create", "patch"),
            without="tasks that ask for no network get one",
        )
    yield Right(
        resource="nodes",
        verbs=("list", "watch"),
        in_cluster=True,
        without="a task that fits on no node waits, and a lost node is noticed late",
    )


async def missing_rights(cluster: Cluster, settings: KubernetesSchedulerSettings) -> list[Right]:
    """What of that the cluster does not allow, with the verbs that are missing alone.

    Raises SchedulerUnavailable.
    """
    needed = list(needed_rights(settings))
    asked = [(right, verb) for right in needed for verb in right.verbs]
    answers = await asyncio.gather(*(_may(cluster, right, verb) for right, verb in asked))
    missing: dict[Right, list[str]] = {}
    for (right, verb), allowed in zip(asked, answers, strict=True):
        if not allowed:
            missing.setdefault(right, []).append(verb)
    return [replace(right, verbs=tuple(verbs)) for right, verbs in missing.items()]


async def _may(cluster: Cluster, right: Right, verb: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
        "namespace": "" if right.in_cluster else cluster.namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    try:
        answer = await cluster.create(_REVIEWS, review)
    except ApiRefused:
        return True  # a cluster that gives no such answers; the first refusal will tell
    return bool((answer.get("status") or {}).get("allowed"))
