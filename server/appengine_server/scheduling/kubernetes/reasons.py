"""From what the cluster shows of an attempt to what we say of it. Pure.

What counts is the state of the task's container: a pod's phase follows about a second later, and
says less. An exit code that is not known is a failure, never 0.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appengine_server.scheduling.kubernetes import waiting
from appengine_server.scheduling.kubernetes.fields import condition, holds, quantity, time_of
from appengine_server.scheduling.kubernetes.labels import (
    CANCELLED_ANNOTATION,
    FETCH,
    LOST_NODE_TAINTS,
    TASK,
    TRANSFER,
    Json,
)
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    Failure,
    FailureReason,
    Observation,
)
from appengine_server.scheduling.verdicts import (
    exec_format_failure,
    exit_code_failure,
    is_exec_format_error,
    out_of_memory_failure,
)

_LOST_BY = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})
_KILLED = frozenset({128 + signal.SIGKILL, 128 + signal.SIGTERM})
_NEVER_STARTED = frozenset({"StartError", "ContainerCannotRun"})
_STUCK_AFTER = timedelta(seconds=30)
"""How long a kubelet may be late with the end of a pod that was deleted, and Kubernetes with giving
up a pod whose node is lost: it tries that once, and forgets it where the API fails.
"""

_AGENT_EXITS = {
    1: "it crashed: its log in the pod holds the traceback",
    2: "its settings are wrong, which is a mistake of the engine",
    3: "it could not reach the server: check that pods can reach SCHEDULER_ADVERTISED_URL",
    4: "the server did not accept its token",
    5: "a newer attempt has replaced this one",
    6: "the run does not exist any more",
    7: "the server executes tasks without transfer agents",
    8: "the server ended the attempt before everything was moved",
    9: "files could not be moved",
    10: "it and the server speak different versions of the protocol: use one version of both",
    137: "it was killed: by its node, or for its memory",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of one attempt, now."""

    ref: AttemptRef
    job: Json
    pod: Json | None
    gone: bool = False
    """The pod is no more; `pod` is the last that was seen of it."""
    unready_since: datetime | None = None
    """Since when the pod's node has not answered; None while it does, as far as anyone knows."""
    architecture: str = "amd64"
    """Of the pod's node."""
    warnings: Sequence[Json] = ()
    """Events about Job and pod, oldest first."""
    now: datetime


def observation_of(sight: Sight) -> Observation:
    """Say how far the attempt is."""
    if sight.pod is None:
        return _without_pod(sight)
    task = container_status(sight.pod, TASK)
    state = (task or {}).get("state") or {}
    if (ended := state.get("terminated")) is not None:
        return _ended(sight, ended)
    lost = _lost(sight)
    if (running := state.get("running")) is not None and lost is None:
        return Observation(
            ref=sight.ref,
            phase=AttemptPhase.RUNNING,
            started_at=time_of(running.get("startedAt")),
            agent_failure=agent_failure(sight),
        )
    if lost is not None:
        return Observation(
            ref=sight.ref,
            phase=AttemptPhase.ENDED,
            started_at=time_of((state.get("running") or {}).get("startedAt")),
            failure=lost,
            agent_failure=agent_failure(sight),
        )
    if (failure := _fetch_failure(sight.pod)) is not None:
        return Observation(ref=sight.ref, phase=AttemptPhase.ENDED, failure=failure)
    reasons, failure = waiting.of_pod(sight.pod, task, sight.warnings, sight.now)
    return Observation(
        ref=sight.ref, phase=AttemptPhase.PENDING, pending_reasons=reasons, failure=failure
    )


def agent_failure(sight: Sight) -> Failure | None:
    """Why the agent beside the task can send no more; None while it can, or where there is none."""
    pod = sight.pod
    if pod is None or not any(one["name"] == TRANSFER for one in pod["spec"]["containers"]):
        return None
    status = container_status(pod, TRANSFER)
    state = (status or {}).get("state") or {}
    if (ended := state.get("terminated")) is not None:
        code = int(ended["exitCode"])
        message = (
            "the transfer agent has done its work and ended"
            if code == 0
            else f"the transfer agent ended with exit code {code}: {_agent_exit(code)}"
        )
        return Failure(reason=FailureReason.OUTPUT_TRANSFER, message=message)
    if (lost := _lost(sight)) is not None:
        return lost
    if (broken := waiting.broken_container(status)) is not None:
        message = f"the transfer agent cannot start: {broken}"
        return Failure(reason=FailureReason.OUTPUT_TRANSFER, message=message)
    return None


def container_status(pod: Json, name: str) -> Json | None:
    """What the kubelet says of a container; None before it said anything."""
    status = pod.get("status") or {}
    kind = "initContainerStatuses" if name == FETCH else "containerStatuses"
    found: list[Json] = [one for one in status.get(kind) or () if one["name"] == name]
    return found[0] if found else None


def task_state(pod: Json) -> str:
    """`waiting`, `running` or `terminated`."""
    state = (container_status(pod, TASK) or {}).get("state") or {}
    return next((name for name in ("terminated", "running") if name in state), "waiting")


def all_ended(pod: Json) -> bool:
    """Whether no container of the pod runs any more."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return bool(statuses) and all("terminated" in (one.get("state") or {}) for one in statuses)


def is_finished(job: Json) -> bool:
    """Whether the Job has ended, in whichever way."""
    kinds = ("Complete", "Failed", "SuccessCriteriaMet", "FailureTarget")
    return any(holds(job, kind) for kind in kinds)


def _without_pod(sight: Sight) -> Observation:
    status = sight.job.get("status") or {}
    if is_finished(sight.job) or status.get("failed") or status.get("succeeded"):
        failure = Failure(
            reason=FailureReason.EVICTED,
            message="the task's pod was removed by somebody else before its exit code was read",
        )
        return Observation(
            ref=sight.ref, phase=AttemptPhase.ENDED, failure=failure, agent_failure=failure
        )
    reasons, refused = waiting.of_job(sight.job, sight.warnings)
    return Observation(
        ref=sight.ref, phase=AttemptPhase.PENDING, pending_reasons=reasons, failure=refused
    )


def _ended(sight: Sight, ended: Json) -> Observation:
    started_at, ended_at = time_of(ended.get("startedAt")), time_of(ended.get("finishedAt"))
    exit_code: int | None = int(ended["exitCode"])
    failure = _task_failure(sight, ended)
    if failure is not None and failure.exit_code is None:
        exit_code = None
    return Observation(
        ref=sight.ref,
        phase=AttemptPhase.ENDED,
        started_at=None if _is_epoch(started_at) else started_at,
        ended_at=None if _is_epoch(ended_at) else ended_at,
        exit_code=exit_code,
        failure=failure,
        agent_failure=agent_failure(sight),
    )


def _task_failure(sight: Sight, ended: Json) -> Failure | None:
    assert sight.pod is not None
    exit_code, reason = int(ended["exitCode"]), ended.get("reason") or ""
    message = ended.get("message") or ""
    if reason == "ContainerStatusUnknown":
        return Failure(
            reason=FailureReason.NODE_LOST,
            message="the task's exit code is lost: its node stopped while it ran",
        )
    if exit_code == 0:
        return None
    if reason in _NEVER_STARTED:
        return waiting.cannot_start(message)
    if is_exec_format_error(message.encode()):
        return exec_format_failure(exit_code, sight.architecture)
    if _cancelled(sight.pod):
        return exit_code_failure(exit_code)
    if reason == "OOMKilled":
        return out_of_memory_failure(exit_code, _memory_limit(sight.pod))
    if (taken := _taken_away(sight, ended)) is not None:
        return Failure(reason=taken.reason, message=taken.message, exit_code=exit_code)
    return exit_code_failure(exit_code)


def _lost(sight: Sight) -> Failure | None:
    """Why a pod whose containers still seem to run, or never will, is lost."""
    pod = sight.pod
    assert pod is not None
    if sight.gone or (pod.get("status") or {}).get("phase") == "Failed":
        return _taken_away(sight, None) or Failure(
            reason=FailureReason.EVICTED, message=_failed_pod(pod)
        )
    deleted_at = time_of(pod["metadata"].get("deletionTimestamp"))
    if deleted_at is None:
        return _node_lost() if _was_not_given_up(sight, pod) else None
    taken = _taken_away(sight, None)
    if _is_lost_by(_disruption(pod)) or sight.unready_since is not None:
        return _node_lost()
    if task_state(pod) == "waiting":
        return taken
    return _node_lost() if sight.now > deleted_at + _STUCK_AFTER else None


def _was_not_given_up(sight: Sight, pod: Json) -> bool:
    """Whether the node is away for so long that Kubernetes should have deleted the pod.

    After an outage of its API pods are also given to nodes that are still taken for lost.
    """
    tolerated = [
        timedelta(seconds=one["tolerationSeconds"])
        for one in pod["spec"].get("tolerations") or ()
        if one.get("key") in LOST_NODE_TAINTS and "tolerationSeconds" in one
    ]
    placed_at = time_of((condition(pod, "PodScheduled") or {}).get("lastTransitionTime"))
    if sight.unready_since is None or placed_at is None or not tolerated:
        return False
    away_since = max(sight.unready_since, placed_at)
    return sight.now > away_since + max(tolerated) + _STUCK_AFTER


def _taken_away(sight: Sight, ended: Json | None) -> Failure | None:
    """Why the pod was taken away under the task; None if it was not, or had ended before."""
    pod = sight.pod
    assert pod is not None
    status = pod.get("status") or {}
    disruption = _disruption(pod)
    if _is_lost_by(disruption):
        return _node_lost()
    if status.get("reason") == "DeadlineExceeded" and not _cancelled(pod):
        return Failure(
            reason=FailureReason.TIMEOUT,
            message="Kubernetes stopped the task's pod, which had run for longer than any limit",
        )
    if status.get("reason") == "Evicted" or disruption is not None:
        told = disruption or {}
        why = status.get("message") or told.get("message") or told.get("reason") or ""
        return Failure(
            reason=FailureReason.EVICTED,
            message=f"Kubernetes took the task's pod away: {_sentence(why)}",
        )
    deleted_at = time_of(pod["metadata"].get("deletionTimestamp"))
    if deleted_at is None or _cancelled(pod):
        return None
    if ended is not None and _ended_before(ended, pod, deleted_at):
        return None
    return Failure(
        reason=FailureReason.EVICTED,
        message="the task's pod was deleted by somebody else before it ended",
    )


def _ended_before(ended: Json, pod: Json, deleted_at: datetime) -> bool:
    """Whether the task had ended when the deletion of its pod was asked for."""
    grace = timedelta(seconds=pod["metadata"].get("deletionGracePeriodSeconds") or 0)
    ended_at = time_of(ended.get("finishedAt"))
    if ended_at is None or ended_at >= deleted_at - grace:
        return False
    # NB: without a grace the time is that of the kubelet's confirmation, which comes later.
    return bool(grace) or int(ended["exitCode"]) not in _KILLED


def _node_lost() -> Failure:
    return Failure(
        reason=FailureReason.NODE_LOST,
        message="the node of the task is out of reach, and the task with it",
    )


def _failed_pod(pod: Json) -> str:
    if _cancelled(pod):
        return "the task was cancelled before it started"
    status = pod.get("status") or {}
    why = _sentence(status.get("message") or status.get("reason") or "its pod failed")
    return f"the task's node did not keep its pod: {why}"


def _fetch_failure(pod: Json) -> Failure | None:
    state = (container_status(pod, FETCH) or {}).get("state") or {}
    ended = state.get("terminated")
    if ended is None or int(ended["exitCode"]) == 0:
        return None
    code = int(ended["exitCode"])
    return Failure(
        reason=FailureReason.INPUT_TRANSFER,
        message="the inputs could not be brought to the task's node: the transfer agent ended "
        f"with exit code {code}: {_agent_exit(code)}",
    )


def _agent_exit(code: int) -> str:
    return _AGENT_EXITS.get(code, "see its log in the pod")


def _cancelled(pod: Json) -> bool:
    return CANCELLED_ANNOTATION in (pod["metadata"].get("annotations") or {})


def _disruption(pod: Json) -> Json | None:
    """The condition by which the cluster says that it takes a pod away."""
    return condition(pod, "DisruptionTarget") if holds(pod, "DisruptionTarget") else None


def _is_lost_by(disruption: Json | None) -> bool:
    return disruption is not None and disruption.get("reason") in _LOST_BY


def _memory_limit(pod: Json) -> int:
    task = next(one for one in pod["spec"]["containers"] if one["name"] == TASK)
    return quantity(task["resources"]["limits"]["memory"])


def _sentence(text: str) -> str:
    return text.strip().rstrip(".")


def _is_epoch(time: datetime | None) -> bool:
    """What kubelets write for a container that never ran."""
    return time is not None and time.year < 1971
