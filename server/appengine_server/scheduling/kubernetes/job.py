"""The Job that an attempt becomes: what both modes have in common. Pure."""

from __future__ import annotations

import math

from appengine_server.scheduling.kubernetes.labels import (
    LOST_NODE_TAINTS,
    NETWORK_LABEL,
    PROJECT_ANNOTATION,
    TASK,
    Json,
    attempt_labels,
)
from appengine_server.scheduling.kubernetes.secret import pull_secret_name
from appengine_server.scheduling.kubernetes.settings import (
    MIB,
    KubernetesSchedulerSettings,
    PodSettings,
)
from appengine_server.scheduling.scheduler import AttemptSpec

LEAST_RAM_BYTES = 16 * MIB
"""Runtimes cannot even begin a container with less than about 6 MiB."""

_OUTER_STOP_SECONDS = 24 * 3600
_SHM = "shm"
_TMP = "tmp"


def job_of(
    spec: AttemptSpec, settings: KubernetesSchedulerSettings, pod: Json, *, host_network: bool
) -> Json:
    """Write the Job. `pod` is what the mode says of the pod's spec; the rest is added here."""
    labels = {
        **settings.pods.labels,
        **attempt_labels(settings.engine_id, spec.ref),
        NETWORK_LABEL: "open" if spec.network else "none",
    }
    annotations = {PROJECT_ANNOTATION: spec.project}
    job_labels = dict(labels)
    if settings.pods.queue_name is not None:
        job_labels["kueue.x-k8s.io/queue-name"] = settings.pods.queue_name
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": spec.ref.name, "labels": job_labels, "annotations": annotations},
        "spec": {
            "backoffLimit": 0,  # attempts are ours to make
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {
                    **_common(spec, settings.pods, host_network=host_network),
                    **pull_secrets(settings),
                    **pod,
                },
            },
        },
    }


def task_container(spec: AttemptSpec, pods: PodSettings, mounts: list[Json]) -> Json:
    """The container of the task. Entrypoint, command and environment stay the image's own."""
    amounts = task_resources(spec, pods)
    return {
        "name": TASK,
        "image": spec.image,
        "imagePullPolicy": "IfNotPresent",  # pinned by digest
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": pods.read_only_root,
        },
        # A runtime says only in the log that the kernel refused the program.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, *_writable_mounts(pods)],
    }


def task_resources(spec: AttemptSpec, pods: PodSettings) -> dict[str, str]:
    """What the task requests, which is also its limit."""
    amounts = {
        "cpu": str(max(1, spec.resources.cpus)),
        "memory": str(max(LEAST_RAM_BYTES, spec.resources.ram_bytes)),
    }
    if spec.resources.gpus:
        amounts[pods.gpu_resource] = str(spec.resources.gpus)
    return amounts


def task_volumes(pods: PodSettings) -> list[Json]:
    """The volumes of the task that hold nothing of the run."""
    shm = {
        "name": _SHM,
        "emptyDir": {"medium": "Memory", "sizeLimit": str(pods.shm_bytes)},
    }
    return [shm, {"name": _TMP, "emptyDir": {}}] if pods.read_only_root else [shm]


def _writable_mounts(pods: PodSettings) -> list[Json]:
    mounts = [{"name": _SHM, "mountPath": "/dev/shm"}]  # noqa: S108 - a path inside the container
    if pods.read_only_root:
        mounts.append({"name": _TMP, "mountPath": "/tmp"})  # noqa: S108 - likewise
    return mounts


def _common(spec: AttemptSpec, pods: PodSettings, *, host_network: bool) -> Json:
    seconds = math.ceil(spec.run_limit.total_seconds())
    common: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": max(1, math.ceil(spec.cancel_grace.total_seconds())),
        # The pod's and not the Job's, which would delete the pod with its log. We keep the limits
        # ourselves; this ends what nobody looks after any more.
        "activeDeadlineSeconds": min(seconds + _OUTER_STOP_SECONDS, 2**31 - 1),
        "tolerations": [*_lost_node_tolerations(pods), *map(dict, pods.tolerations)],
    }
    if pods.node_selector:
        common["nodeSelector"] = dict(pods.node_selector)
    if pods.priority_class is not None:
        common["priorityClassName"] = pods.priority_class
    if host_network:
        common["hostNetwork"] = True
        common["dnsPolicy"] = "ClusterFirstWithHostNet"
    return common


def pull_secrets(settings: KubernetesSchedulerSettings) -> Json:
    """The part of a pod's spec that says by which Secrets its node pulls images."""
    names = list(settings.pods.pull_secrets)
    if settings.registry_auth is not None:
        names.append(pull_secret_name(settings.engine_id))
    return {"imagePullSecrets": [{"name": name} for name in names]} if names else {}


def _lost_node_tolerations(pods: PodSettings) -> list[Json]:
    return [
        {
            "key": taint,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": int(pods.lost_node_toleration.total_seconds()),
        }
        for taint in LOST_NODE_TAINTS
    ]
