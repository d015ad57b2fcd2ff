"""Pods that ask what the pods of tasks need: do images come, and is the server there?

They are shaped as the pods of tasks in cluster mode are, so that what those meet, these meet too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster
from appengine_server.scheduling.kubernetes.fields import time_of
from appengine_server.scheduling.kubernetes.job import pull_secrets
from appengine_server.scheduling.kubernetes.labels import ENGINE_LABEL, NETWORK_LABEL, Json
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    KubernetesSchedulerSettings,
)

PATIENCE_SECONDS = 60
_CHECK_LABEL = "appengine.check"
_LOOK_SECONDS = 0.2
_UID = 65532
_PULL_FAILED = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "RegistryUnavailable"}
)
_PULLED = frozenset({"CreateContainerError", "RunContainerError", "CreateContainerConfigError"})
_CONNECT = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try:
    socket.create_connection((host, port), timeout=20).close()
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""

Verdict = str | None
"""What is wrong; None: nothing."""


class CannotProbe(Exception):
    """The pod could not be made or did not start; the message says why."""


async def check_pull(
    cluster: Cluster, settings: KubernetesSchedulerSettings, image: str
) -> Verdict:
    """Why a node cannot pull the image; the image need not hold a program."""
    pod = _pod(settings, image, ["/none"])
    container = await _until(cluster, settings, pod, _pull_ended)
    waiting = (container.get("state") or {}).get("waiting") or {}
    if waiting.get("reason") in _PULL_FAILED:
        return str(waiting.get("message") or waiting["reason"])
    return None


async def check_server(
    cluster: Cluster, settings: KubernetesSchedulerSettings, host: str, port: int
) -> Verdict:
    """Why a pod of a task cannot connect to the server; the agent's own image is used."""
    assert isinstance(settings.mode, ClusterMode)
    command = ["/opt/appengine/bin/python", "-c", _CONNECT, host, str(port)]
    pod = _pod(settings, settings.mode.agent_image, command)
    container = await _until(cluster, settings, pod, _ended)
    state = container.get("state") or {}
    ended = state.get("terminated")
    if ended is None:
        waiting = state.get("waiting") or {}
        raise CannotProbe(str(waiting.get("message") or waiting.get("reason")))
    if ended["exitCode"] == 0:
        return None
    return str(ended.get("message") or f"exit code {ended['exitCode']}").strip()


def _pull_ended(state: Json) -> bool:
    waiting = state.get("waiting") or {}
    known = waiting.get("reason") in _PULL_FAILED | _PULLED
    return known or "running" in state or "terminated" in state


def _ended(state: Json) -> bool:
    waiting = state.get("waiting") or {}
    return "terminated" in state or waiting.get("reason") in _PULL_FAILED | _PULLED


async def _until(
    cluster: Cluster, settings: KubernetesSchedulerSettings, pod: Json, seen: Callable[[Json], bool]
) -> Json:
    """The status of the pod's container once its state is what was waited for."""
    await _remove_left_over(cluster, settings.engine_id)
    pods, name = cluster.path("api/v1", "pods"), pod["metadata"]["name"]
    try:
        await cluster.create(pods, pod)
    except ApiRefused as error:
        raise CannotProbe(f"Kubernetes does not admit a pod: {error}") from error
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await cluster.get(f"{pods}/{name}") or {}
                statuses = (found.get("status") or {}).get("containerStatuses") or ()
                for status in statuses:
                    if seen(status.get("state") or {}):
                        return dict(status)
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise CannotProbe(f"a pod did not run within {PATIENCE_SECONDS} s") from None
    finally:
        await cluster.delete(f"{pods}/{name}", gracePeriodSeconds=0)


async def _remove_left_over(cluster: Cluster, engine_id: str) -> None:
    """Remove pods whose doctor was killed; those of a doctor beside us are young."""
    pods = cluster.path("api/v1", "pods")
    found = await cluster.get(pods, {"labelSelector": f"{_CHECK_LABEL}={engine_id}"}) or {}
    oldest = datetime.now(UTC) - timedelta(seconds=2 * PATIENCE_SECONDS)
    for pod in found.get("items") or ():
        made = time_of(pod["metadata"].get("creationTimestamp"))
        if made is not None and made < oldest:
            await cluster.delete(f"{pods}/{pod['metadata']['name']}", gracePeriodSeconds=0)


def _pod(settings: KubernetesSchedulerSettings, image: str, command: list[str]) -> Json:
    given = settings.pods
    container = {
        "name": "probe",
        "image": image,
        "command": command,
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    labels = {
        _CHECK_LABEL: settings.engine_id,
        ENGINE_LABEL: settings.engine_id,
        NETWORK_LABEL: "none",  # so that the NetworkPolicy of tasks holds for it
    }
    spec: Json = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": PATIENCE_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": given.host_network,
        "tolerations": [dict(one) for one in given.tolerations],
        "nodeSelector": dict(given.node_selector),
        **pull_secrets(settings),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    metadata = {"name": f"appengine-probe-{secrets.token_hex(6)}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
