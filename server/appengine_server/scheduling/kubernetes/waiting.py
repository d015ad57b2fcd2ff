"""Why an attempt has not started: what it waits for, and what will never come. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from appengine_server.scheduling.images import NO_COMMAND
from appengine_server.scheduling.kubernetes.fields import (
    condition,
    exact,
    missing_folder,
    time_of,
)
from appengine_server.scheduling.kubernetes.labels import FETCH, Json
from appengine_server.scheduling.scheduler import (
    Failure,
    FailureReason,
    PendingKind,
    PendingReason,
)

_IMAGE_WAITS = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})
_IMAGE_NEVER = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_BROKEN = frozenset({"CreateContainerError", "CreateContainerConfigError", "RunContainerError"})
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})

_IMAGE_GONE = re.compile(
    r"not found|manifest unknown|name unknown|unauthorized|denied|forbidden|invalid reference"
    r"|no match for platform",
    re.IGNORECASE,
)
_NO_COMMAND = re.compile(r"no command specified|no command", re.IGNORECASE)
_NEVER_STARTS = re.compile(
    r"no command|exec format|executable file not found|no such file|permission denied"
    r"|unable to find (user|group)|no users found|no matching entries|will run as root"
    r"|non-numeric user",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<requested>.*?), used: .*?, "
    r"limited: (?P<limited>.*)$",
    re.DOTALL,
)
_PASSES = re.compile(
    r"failed calling webhook|serviceaccount|service account|timeout|connection refused"
    r"|object has been modified|being terminated",
    re.IGNORECASE,
)
_FOLDER_TRIES = 3
_PULL_PATIENCE = timedelta(minutes=2)
"""How long a registry may be away before the attempt fails; another attempt may follow."""
_START_PATIENCE = timedelta(minutes=1)

Waits = tuple[tuple[PendingReason, ...], Failure | None]


def of_job(job: Json, warnings: Sequence[Json]) -> Waits:
    """What a Job without a pod waits for, and why it will wait for ever."""
    if job.get("spec", {}).get("suspend"):
        queue = (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name")
        where = f"the queue {queue} admits it" if queue else "somebody resumes its Job"
        return (_pending(PendingKind.QUOTA, f"Waits until {where}."),), None
    for event in reversed(warnings):
        if event.get("reason") == "FailedCreate":
            return _not_created(str(event.get("message") or ""))
    return (_pending(PendingKind.SCHEDULER, "Kubernetes makes the task's pod."),), None


def refused(message: str) -> Failure:
    """Why the cluster will not take an attempt."""
    return Failure(
        reason=FailureReason.ADMISSION_REFUSED,
        message=f"the cluster refuses the task: {message.strip().rstrip('.')}. Its administrator "
        "can change what the namespace allows",
    )


def of_pod(pod: Json, task: Json | None, warnings: Sequence[Json], now: datetime) -> Waits:
    """What a pod whose task has not started waits for, and why it will wait for ever."""
    scheduled = condition(pod, "PodScheduled")
    if not pod["spec"].get("nodeName"):
        message = (scheduled or {}).get("message") or "the scheduler looks for a node"
        kind = PendingKind.RESOURCES if scheduled else PendingKind.SCHEDULER
        return (_pending(kind, _as_sentence(message)),), None
    since = time_of((scheduled or {}).get("lastTransitionTime"))
    waited = timedelta(0) if since is None else now - since
    statuses = (pod.get("status") or {}).get("initContainerStatuses") or ()
    fetch = next((one for one in statuses if one["name"] == FETCH), None)
    for status in (fetch, task):
        if status is not None and (found := _of_container(status, waited)) is not None:
            return found
    if (folder := _missing_folder(warnings)) is not None:
        return folder
    if fetch is not None and "running" in (fetch.get("state") or {}):
        reason = _pending(PendingKind.INPUT_TRANSFER, "The inputs are brought to the node.")
        return (reason,), None
    return (_pending(PendingKind.NODE, "The node prepares the task."),), None


def broken_container(status: Json | None) -> str | None:
    """Why a container cannot start; None if it may."""
    waits = ((status or {}).get("state") or {}).get("waiting") or {}
    reason = waits.get("reason") or ""
    if reason in _IMAGE_WAITS | _IMAGE_NEVER | _BROKEN:
        return str(waits.get("message") or reason)
    return None


def cannot_start(message: str) -> Failure:
    """Why an image's program cannot run."""
    if _NO_COMMAND.search(message):
        text = NO_COMMAND
    else:
        text = (
            "the image's program cannot be started: check its ENTRYPOINT, its USER and its "
            f"architecture. The node said: {message.strip()}"
        )
    return Failure(reason=FailureReason.IMAGE_CANNOT_START, message=text)


def _of_container(status: Json, waited: timedelta) -> Waits | None:
    """What one container waits for; None if nothing special."""
    waits = (status.get("state") or {}).get("waiting") or {}
    reason, message = waits.get("reason") or "", str(waits.get("message") or "")
    whose = "the transfer agent (TRANSFER_AGENT_IMAGE)" if status["name"] == FETCH else "the task"
    if reason in _STARTING:
        return None
    if reason in _IMAGE_WAITS | _IMAGE_NEVER:
        told = f"the image of {whose}, {status.get('image')}, cannot be pulled: {message or reason}"
        failure = Failure(reason=FailureReason.IMAGE_PULL, message=told)
        hopeless = reason in _IMAGE_NEVER or _IMAGE_GONE.search(message) or waited > _PULL_PATIENCE
        return (_pending(PendingKind.IMAGE_PULL, _as_sentence(told)),), (
            failure if hopeless else None
        )
    if reason in _BROKEN and (_NEVER_STARTS.search(message) or waited > _START_PATIENCE):
        return (), cannot_start(message or reason)
    return (_pending(PendingKind.NODE, _as_sentence(f"{reason}: {message}")),), None


def _not_created(message: str) -> Waits:
    told = message.removeprefix("Error creating: ")
    if (quota := _QUOTA.search(told)) is not None:
        if _exceeds(quota["requested"], quota["limited"]):
            return (), refused(told)
        text = (
            f"The namespace's quota {quota['name']} is used up: requested {quota['requested']}, "
            f"limited {quota['limited']}."
        )
        return (_pending(PendingKind.QUOTA, text),), None
    if _PASSES.search(told) or ("forbidden" not in told and "denied" not in told):
        return (_pending(PendingKind.SCHEDULER, _as_sentence(told)),), None
    return (), refused(told)


def _missing_folder(warnings: Sequence[Json]) -> Waits | None:
    for event in reversed(warnings):
        path = missing_folder(event)
        if event.get("reason") != "FailedMount" or path is None:
            continue
        told = (
            f"the task's node does not see the folder {path}: mount the server's storage "
            "and datasets on every node at the same absolute path, or use SCHEDULER_RUN_MODE="
            "cluster"
        )
        failure = Failure(reason=FailureReason.ENGINE, message=told)
        hopeless = int(event.get("count") or 1) >= _FOLDER_TRIES
        return (_pending(PendingKind.NODE, _as_sentence(told)),), failure if hopeless else None
    return None


def _exceeds(requested: str, limited: str) -> bool:
    """Whether a request alone is more than the whole quota, and so will never be admitted."""
    limits = _amounts(limited)
    return any(
        amount > limits[name] for name, amount in _amounts(requested).items() if name in limits
    )


def _amounts(text: str) -> dict[str, Decimal]:
    pairs = (pair.strip().partition("=") for pair in text.split(","))
    return {name: exact(amount) for name, found, amount in pairs if found}


def _pending(kind: PendingKind, message: str) -> PendingReason:
    return PendingReason(kind=kind, message=message)


def _as_sentence(text: str) -> str:
    """Cut, because pull errors can be very long, and closed by a full stop."""
    text = text.strip()
    shown = text if len(text) <= 600 else f"{text[:600]}…"
    return f"{shown[:1].upper()}{shown[1:].rstrip('.')}."
