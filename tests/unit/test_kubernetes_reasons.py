"""What the cluster shows of an attempt, and what we make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from appengine_server.scheduling.kubernetes.fields import quantity
from appengine_server.scheduling.kubernetes.labels import CANCELLED_ANNOTATION, LOST_NODE_TAINTS
from appengine_server.scheduling.kubernetes.nodes import admit
from appengine_server.scheduling.kubernetes.reasons import _AGENT_EXITS, Sight, observation_of
from appengine_server.scheduling.kubernetes.settings import (
    MIB,
    ClusterMode,
    KubernetesSchedulerSettings,
    LocalMode,
    PodSettings,
)
from appengine_server.scheduling.scheduler import (
    Admitted,
    AttemptPhase,
    AttemptRef,
    FailureReason,
    NeverFits,
    Observation,
    PendingKind,
    Resources,
)
from appengine_transfer_agent.exits import Exit

REF = AttemptRef(UUID(int=7), 1)
NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
JOB: dict[str, Any] = {"metadata": {"name": REF.name, "uid": "j"}, "spec": {}, "status": {}}
RUNNING = {"running": {"startedAt": "2026-05-04T11:59:00Z"}}


def ended(code: int, reason: str = "Error", message: str = "", at: str = "11:59:30") -> Any:
    return {
        "terminated": {
            "exitCode": code, "reason": reason, "message": message,
            "startedAt": "2026-05-04T11:59:00Z", "finishedAt": f"2026-05-04T{at}Z",
        }
    }  # fmt: skip


def waits(reason: str, message: str = "") -> Any:
    return {"waiting": {"reason": reason, "message": message}}


def pod(
    task: Any = None,
    *,
    fetch: Any = None,
    transfer: Any = None,
    node: str | None = "n1",
    status: Any = None,
    metadata: Any = None,
    scheduled_at: str = "11:59:55",
    unschedulable: str | None = None,
    tolerates_seconds: int | None = None,
) -> dict[str, Any]:
    containers = [{"name": "task", "resources": {"limits": {"memory": str(64 * MIB)}}}]
    statuses = [{"name": "task", "image": "i", "state": task}] if task else []
    if transfer is not None:
        containers.append({"name": "transfer", "resources": {}})
        statuses.append({"name": "transfer", "image": "a", "state": transfer})
    condition = {
        "type": "PodScheduled", "status": "False" if unschedulable else "True",
        "lastTransitionTime": f"2026-05-04T{scheduled_at}Z", "message": unschedulable or "",
    }  # fmt: skip
    more = dict(status or {})
    conditions = [condition, *more.pop("conditions", [])]
    inits = [{"name": "fetch", "image": "a", "state": fetch}] if fetch else []
    tolerated = {
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": tolerates_seconds,
    }
    tolerations = [{"key": taint, **tolerated} for taint in LOST_NODE_TAINTS]
    return {
        "metadata": {"name": f"{REF.name}-x", "uid": "p", **(metadata or {})},
        "spec": {
            "nodeName": node, "containers": containers,
            "tolerations": [] if tolerates_seconds is None else tolerations,
        },
        "status": {
            "conditions": conditions, "containerStatuses": statuses,
            "initContainerStatuses": inits, **more,
        },
    }  # fmt: skip


def seen(pod: dict[str, Any] | None, **about: Any) -> Observation:
    return observation_of(Sight(**{"ref": REF, "job": JOB, "pod": pod, "now": NOW, **about}))


def reason_of(shown: Observation) -> FailureReason | None:
    return None if shown.failure is None else shown.failure.reason


def disrupted(reason: str) -> Any:
    return {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


def warned(reason: str, message: str, count: int = 1) -> list[dict[str, Any]]:
    return [{"reason": reason, "message": message, "count": count}]


DELETED = {"deletionTimestamp": "2026-05-04T11:59:40Z", "deletionGracePeriodSeconds": 30}


def test_the_tasks_container_counts_and_never_the_pods_phase() -> None:
    assert seen(pod(RUNNING, status={"phase": "Pending"})).phase is AttemptPhase.RUNNING
    shown = seen(pod(ended(0, "Completed"), status={"phase": "Running"}))
    assert (shown.phase, shown.exit_code, shown.failure) == (AttemptPhase.ENDED, 0, None)
    assert shown.started_at == datetime(2026, 5, 4, 11, 59, tzinfo=UTC)
    assert shown.ended_at == datetime(2026, 5, 4, 11, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (ended(3), FailureReason.TASK_EXIT_CODE, "exit code 3"),
        (ended(139), FailureReason.TASK_EXIT_CODE, "SIGSEGV"),
        (ended(137, "OOMKilled"), FailureReason.OUT_OF_MEMORY, "64 MiB"),
        (ended(5, "OOMKilled"), FailureReason.OUT_OF_MEMORY, "64 MiB"),
        (
            ended(1, message="exec /bin/x: exec format error\n"),
            FailureReason.IMAGE_CANNOT_START,
            "linux/arm64",
        ),
        (
            ended(128, "StartError", 'exec: "/x": no such file or directory'),
            FailureReason.IMAGE_CANNOT_START,
            "ENTRYPOINT",
        ),
        (ended(137, "ContainerStatusUnknown"), FailureReason.NODE_LOST, "exit code is lost"),
    ],
)
def test_how_a_task_ended_is_told(state: Any, reason: FailureReason, words: str) -> None:
    shown = seen(pod(state), architecture="arm64")
    assert shown.phase is AttemptPhase.ENDED
    assert reason_of(shown) is reason
    assert shown.failure is not None
    assert words in shown.failure.message


@pytest.mark.parametrize("condition", ["Failed", "Complete"])
def test_a_pod_that_vanished_before_its_code_was_read_is_a_failure(condition: str) -> None:
    finished = {**JOB, "status": {"conditions": [{"type": condition, "status": "True"}]}}
    shown = seen(None, job=finished)
    assert shown.phase is AttemptPhase.ENDED
    assert (reason_of(shown), shown.exit_code) == (FailureReason.EVICTED, None)


def test_what_was_last_seen_of_a_pod_that_is_gone_still_counts() -> None:
    assert seen(pod(ended(0, "Completed")), gone=True).exit_code == 0
    shown = seen(pod(RUNNING), gone=True)
    assert (shown.phase, shown.exit_code) == (AttemptPhase.ENDED, None)
    assert reason_of(shown) is FailureReason.EVICTED


def test_a_pod_that_others_delete_is_evicted_unless_its_task_had_ended() -> None:
    assert seen(pod(RUNNING, metadata=DELETED)).phase is AttemptPhase.RUNNING, "it has its grace"
    assert reason_of(seen(pod(ended(143), metadata=DELETED))) is FailureReason.EVICTED
    before = pod(ended(3, at="11:59:05"), metadata=DELETED)
    assert reason_of(seen(before)) is FailureReason.TASK_EXIT_CODE
    assert seen(pod(ended(0, "Completed"), metadata=DELETED)).failure is None
    confirmed = {"deletionTimestamp": "2026-05-04T11:59:40Z", "deletionGracePeriodSeconds": 0}
    assert reason_of(seen(pod(ended(137), metadata=confirmed))) is FailureReason.EVICTED
    assert reason_of(seen(pod(ended(3), metadata=confirmed))) is FailureReason.TASK_EXIT_CODE


def test_what_we_cancelled_was_not_taken_away_by_others() -> None:
    cancelled = {**DELETED, "annotations": {CANCELLED_ANNOTATION: "now"}}
    shown = seen(pod(ended(137), metadata=cancelled, status={"reason": "DeadlineExceeded"}))
    assert reason_of(shown) is FailureReason.TASK_EXIT_CODE


def test_the_outer_limit_is_a_timeout() -> None:
    shown = seen(pod(ended(137), status={"reason": "DeadlineExceeded"}))
    assert reason_of(shown) is FailureReason.TIMEOUT


@pytest.mark.rule("output.killed")
def test_eviction_says_why() -> None:
    status = {
        "reason": "Evicted",
        "message": "Usage of EmptyDir exceeds the limit.",
        "phase": "Failed",
    }
    shown = seen(pod(ended(137), status=status))
    assert shown.failure is not None
    assert shown.failure.reason is FailureReason.EVICTED
    assert "Usage of EmptyDir exceeds the limit" in shown.failure.message
    assert reason_of(seen(pod(None, status=status))) is FailureReason.EVICTED


@pytest.mark.parametrize("reason", ["PreemptionByScheduler", "EvictionByEvictionAPI"])
def test_disruptions_are_evictions(reason: str) -> None:
    assert reason_of(seen(pod(ended(143), status=disrupted(reason)))) is FailureReason.EVICTED


def test_a_lost_node_is_told_as_soon_as_kubernetes_gives_its_pods_up() -> None:
    given_up = pod(RUNNING, metadata=DELETED, status=disrupted("DeletionByTaintManager"))
    shown = seen(given_up)
    assert (shown.phase, reason_of(shown)) == (AttemptPhase.ENDED, FailureReason.NODE_LOST)
    lost = seen(pod(RUNNING, metadata=DELETED), unready_since=NOW)
    assert reason_of(lost) is FailureReason.NODE_LOST


@pytest.mark.parametrize(("seconds", "is_lost"), [(40, False), (50, True)])
def test_a_lost_node_whose_pods_kubernetes_forgets_is_told_a_while_later(
    seconds: int, is_lost: bool
) -> None:
    shown_pod = pod(RUNNING, scheduled_at="11:50:00", tolerates_seconds=15)
    shown = seen(shown_pod, unready_since=NOW - timedelta(seconds=seconds))
    expected = (
        (AttemptPhase.ENDED, FailureReason.NODE_LOST) if is_lost else (AttemptPhase.RUNNING, None)
    )
    assert (shown.phase, reason_of(shown)) == expected


@pytest.mark.parametrize(("scheduled_at", "is_lost"), [("11:59:20", False), ("11:59:10", True)])
def test_a_pod_that_a_lost_node_was_given_since_has_its_own_time(
    scheduled_at: str, is_lost: bool
) -> None:
    shown_pod = pod(scheduled_at=scheduled_at, tolerates_seconds=15)
    shown = seen(shown_pod, unready_since=NOW - timedelta(hours=1))
    assert reason_of(shown) == (FailureReason.NODE_LOST if is_lost else None)


def test_a_pod_that_tolerates_a_lost_node_for_ever_may_come_back() -> None:
    shown = seen(pod(RUNNING, scheduled_at="11:50:00"), unready_since=NOW - timedelta(days=1))
    assert shown.phase is AttemptPhase.RUNNING


def test_a_deleted_pod_that_never_ends_is_lost() -> None:
    late = NOW + timedelta(minutes=5)
    assert reason_of(seen(pod(RUNNING, metadata=DELETED), now=late)) is FailureReason.NODE_LOST


def test_a_pod_that_its_node_refuses_has_ended() -> None:
    refused = pod(None, status={"phase": "Failed", "reason": "OutOfcpu", "message": "no cpu"})
    shown = seen(refused)
    assert (shown.phase, reason_of(shown)) == (AttemptPhase.ENDED, FailureReason.EVICTED)


def test_what_nobody_has_room_for_waits_with_the_schedulers_words() -> None:
    text = "0/2 nodes are available: 2 Insufficient cpu."
    shown = seen(pod(None, node=None, unschedulable=text))
    [waiting] = shown.pending_reasons
    assert (shown.phase, shown.failure) == (AttemptPhase.PENDING, None)
    assert (waiting.kind, waiting.message) == (PendingKind.RESOURCES, text)


@pytest.mark.parametrize(
    ("reason", "message", "scheduled_at", "hopeless"),
    [
        ("ErrImagePull", "registry/x@sha256:1: not found", "11:59:59", True),
        ("ImagePullBackOff", "401 Unauthorized", "11:59:59", True),
        ("InvalidImageName", "couldn't parse", "11:59:59", True),
        ("ErrImagePull", "dial tcp: connection refused", "11:59:00", False),
        ("ImagePullBackOff", "dial tcp: connection refused", "11:57:00", True),
    ],
)
def test_an_image_that_cannot_be_pulled_fails_once_it_is_clear(
    reason: str, message: str, scheduled_at: str, hopeless: bool
) -> None:
    shown = seen(pod(waits(reason, message), scheduled_at=scheduled_at))
    assert shown.phase is AttemptPhase.PENDING
    assert [one.kind for one in shown.pending_reasons] == [PendingKind.IMAGE_PULL]
    assert reason_of(shown) is (FailureReason.IMAGE_PULL if hopeless else None)


def test_an_image_that_cannot_start_is_told_at_once() -> None:
    shown = seen(pod(waits("CreateContainerError", "no command specified")))
    assert reason_of(shown) is FailureReason.IMAGE_CANNOT_START
    passing = seen(pod(waits("CreateContainerError", "context deadline exceeded")))
    assert passing.failure is None
    assert [one.kind for one in passing.pending_reasons] == [PendingKind.NODE]


def test_a_folder_that_the_node_does_not_see_is_named() -> None:
    text = "MountVolume failed: hostPath type check failed: /data/x is not a directory"
    once = seen(pod(waits("ContainerCreating")), warnings=warned("FailedMount", text))
    assert once.failure is None
    assert "/data/x" in once.pending_reasons[0].message
    again = seen(pod(waits("ContainerCreating")), warnings=warned("FailedMount", text, 3))
    assert reason_of(again) is FailureReason.ENGINE


QUOTA = (
    "exceeded quota: small, requested: limits.cpu={asked}, used: limits.cpu=2, limited: "
    "limits.cpu=3"
)


@pytest.mark.parametrize(
    ("message", "reason", "kind"),
    [
        (QUOTA.format(asked="2"), None, PendingKind.QUOTA),
        (QUOTA.format(asked="3500m"), FailureReason.ADMISSION_REFUSED, None),
        ('violates PodSecurity "restricted:latest"', FailureReason.ADMISSION_REFUSED, None),
        ("maximum memory usage per Container is 1Gi", FailureReason.ADMISSION_REFUSED, None),
        ('error looking up service account tasks/default: serviceaccount "default" not found',
         None, PendingKind.SCHEDULER),
    ],
)  # fmt: skip
def test_what_the_cluster_does_not_admit(
    message: str, reason: FailureReason | None, kind: PendingKind | None
) -> None:
    told = f'Error creating: pods "x-1" is forbidden: {message}'
    shown = seen(None, warnings=warned("FailedCreate", told))
    assert shown.phase is AttemptPhase.PENDING
    assert reason_of(shown) is reason
    assert [one.kind for one in shown.pending_reasons] == ([] if kind is None else [kind])


def test_a_webhook_that_denies_is_final_and_one_that_is_away_is_not() -> None:
    denied = 'admission webhook "w" denied the request: no'
    assert reason_of(seen(None, warnings=warned("FailedCreate", denied))) is (
        FailureReason.ADMISSION_REFUSED
    )
    away = 'Internal error occurred: failed calling webhook "w": connection refused'
    assert seen(None, warnings=warned("FailedCreate", away)).failure is None


def test_a_job_in_a_queue_names_it() -> None:
    labels = {"kueue.x-k8s.io/queue-name": "team"}
    queued = {"metadata": {"labels": labels}, "spec": {"suspend": True}}
    [waiting] = seen(None, job=queued).pending_reasons
    assert waiting.kind is PendingKind.QUOTA
    assert "team" in waiting.message


def test_inputs_on_their_way_are_what_is_waited_for() -> None:
    task = waits("PodInitializing")
    [waiting] = seen(pod(task, fetch=RUNNING, transfer=task)).pending_reasons
    assert waiting.kind is PendingKind.INPUT_TRANSFER


def test_an_agent_that_could_not_fetch_ends_the_attempt_before_the_task() -> None:
    task = waits("PodInitializing")
    shown = seen(pod(task, fetch=ended(3), transfer=task))
    assert (shown.phase, shown.exit_code) == (AttemptPhase.ENDED, None)
    assert shown.failure is not None
    assert shown.failure.reason is FailureReason.INPUT_TRANSFER
    assert "SCHEDULER_ADVERTISED_URL" in shown.failure.message


def test_every_exit_code_of_the_agent_has_its_sentence() -> None:
    assert {code.value for code in Exit} - {0} <= set(_AGENT_EXITS)


def test_an_agent_can_send_while_it_runs_and_no_more_once_it_ended() -> None:
    assert seen(pod(ended(0), transfer=RUNNING)).agent_failure is None
    assert seen(pod(ended(0))).agent_failure is None, "there is none in local mode"
    done, killed = seen(pod(ended(0), transfer=ended(0))), seen(pod(RUNNING, transfer=ended(137)))
    assert done.agent_failure is not None
    assert done.agent_failure.reason is FailureReason.OUTPUT_TRANSFER
    assert killed.phase is AttemptPhase.RUNNING
    assert killed.agent_failure is not None
    assert "137" in killed.agent_failure.message


def test_an_agent_on_a_lost_node_sends_nothing_more() -> None:
    lost = pod(
        ended(0), transfer=RUNNING, metadata=DELETED, status=disrupted("DeletionByTaintManager")
    )
    shown = seen(lost)
    assert shown.failure is None, "the task had ended well"
    assert shown.agent_failure is not None
    assert shown.agent_failure.reason is FailureReason.NODE_LOST
    assert seen(pod(ended(0), transfer=RUNNING), gone=True).agent_failure is not None


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("1500m", 2), ("1Ki", 1024), ("3Gi", 3 * 2**30), ("5k", 5000), ("0", 0)],
)
def test_quantities_are_read(text: str, number: int) -> None:
    assert quantity(text) == number


def node(cpu: str, memory: str = "8Gi", **about: Any) -> dict[str, Any]:
    allocatable = {"cpu": cpu, "memory": memory, **about.pop("gives", {})}
    return {
        "metadata": {"name": "n", "labels": about.pop("labels", {})},
        "spec": about,
        "status": {"allocatable": allocatable},
    }


SETTINGS = KubernetesSchedulerSettings(
    engine_id="e",
    namespace="n",
    mode=LocalMode(storage_path=None, dataset_path=None),  # type: ignore[arg-type] - unused here
)
TWO_CPUS = Resources(cpus=2, ram_bytes=MIB)


def decide(wanted: Resources, *nodes: dict[str, Any], **about: Any) -> bool:
    settings = KubernetesSchedulerSettings(
        **{"engine_id": "e", "namespace": "n", "mode": SETTINGS.mode, **about}
    )
    answer = admit(wanted, nodes, settings)
    assert isinstance(answer, Admitted | NeverFits)
    return isinstance(answer, Admitted)


def test_what_no_node_can_hold_is_refused_and_all_else_is_let_in() -> None:
    assert decide(TWO_CPUS, node("1"), node("2"))
    assert not decide(TWO_CPUS, node("1"), node("1900m"))
    assert not decide(Resources(cpus=1, ram_bytes=9 * 2**30), node("4"))
    assert not decide(Resources(cpus=1, ram_bytes=MIB, gpus=1), node("4"))
    assert decide(
        Resources(cpus=1, ram_bytes=MIB, gpus=1), node("4", gives={"nvidia.com/gpu": "1"})
    )


def test_one_node_must_hold_all_of_it() -> None:
    assert not decide(Resources(cpus=4, ram_bytes=6 * 2**30), node("8", "4Gi"), node("2", "16Gi"))


def test_the_agents_share_counts_in_cluster_mode() -> None:
    mode = ClusterMode(agent_image="a", server_url="http://s")
    assert not decide(TWO_CPUS, node("2"), mode=mode)
    assert decide(TWO_CPUS, node("2100m"), mode=mode)


def test_nothing_is_refused_where_nodes_are_unknown_or_may_come() -> None:
    assert decide(TWO_CPUS)
    assert decide(TWO_CPUS, node("1"), autoscaled=True)


def test_only_nodes_that_tasks_may_use_count() -> None:
    fast = PodSettings(node_selector={"disk": "fast"})
    assert not decide(TWO_CPUS, node("1", labels={"disk": "fast"}), node("8"), pods=fast)
    tainted = node("8", taints=[{"key": "gpu", "effect": "NoSchedule"}])
    assert not decide(TWO_CPUS, node("1"), tainted)
    tolerant = PodSettings(tolerations=({"key": "gpu", "operator": "Exists"},))
    assert decide(TWO_CPUS, node("1"), tainted, pods=tolerant)
    passing = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]
    assert decide(TWO_CPUS, node("1"), node("2", taints=passing)), "it may come back"
