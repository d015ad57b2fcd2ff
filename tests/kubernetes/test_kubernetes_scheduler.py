"""What only the Kubernetes scheduler promises: it lives with the cluster's rules and its faults."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from appengine_server.scheduling.kubernetes.cluster import open_cluster
from appengine_server.scheduling.kubernetes.probe import check_folders
from appengine_server.scheduling.kubernetes.scheduler import (
    KubernetesScheduler,
    open_kubernetes_scheduler,
)
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    KubernetesSchedulerSettings,
    LocalMode,
)
from appengine_server.scheduling.scheduler import (
    AgentTokens,
    AttemptPhase,
    AttemptRef,
    FailureReason,
    InUse,
    NeverFits,
    Observation,
    PendingKind,
    Resources,
    SchedulerUnavailable,
)

from tests.kubernetes.cluster.cluster import BootedCluster, Cluster
from tests.kubernetes.scheduler import (
    bench,
    kubernetes_images,
    kubernetes_scheduler,
    local_settings,
    session_namespace,
)
from tests.schedulers.bench import MIB, Bench

__all__ = [
    "bench",
    "kubernetes_images",
    "kubernetes_scheduler",
    "local_settings",
    "session_namespace",
]

STAY = "touch /outputs/up; while :; do sleep 0.05; done"


def pods_of(cluster: Cluster, namespace: str, ref: AttemptRef) -> list[dict[str, Any]]:
    pods = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    return [one for one in pods if one["metadata"]["name"].startswith(ref.name)]


async def seen(scheduler: KubernetesScheduler, ref: AttemptRef, seconds: float = 30) -> Observation:
    """What is seen once the attempt has ended, failed, or waits for something in particular."""
    async with asyncio.timeout(seconds):
        while True:
            shown = await scheduler.observe(ref)
            told = [one.kind for one in shown.pending_reasons if one.kind != PendingKind.SCHEDULER]
            if shown.phase is AttemptPhase.ENDED or shown.failure or told:
                return shown
            await asyncio.sleep(0.05)


@pytest.fixture
async def in_namespace(
    local_settings: KubernetesSchedulerSettings, bench: Bench
) -> AsyncIterator[Any]:
    """A bench of a scheduler in another namespace, perhaps in another mode."""
    opened: list[AbstractAsyncContextManager[KubernetesScheduler]] = []

    async def open_in(namespace: str, **changes: Any) -> Bench:
        settings = replace(
            local_settings, namespace=namespace, engine_id=f"test-{uuid4().hex[:12]}", **changes
        )
        context = open_kubernetes_scheduler(settings)
        scheduler = await context.__aenter__()
        opened.append(context)
        return replace(bench, scheduler=scheduler)

    yield open_in
    for context in opened:
        await context.__aexit__(None, None, None)


async def test_a_pod_that_others_delete_is_evicted_and_stays_so(
    bench: Bench, cluster: Cluster, session_namespace: str
) -> None:
    spec = await bench.start(STAY)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    [pod] = pods_of(cluster, session_namespace, spec.ref)
    name = pod["metadata"]["name"]
    cluster.api.delete(f"/api/v1/namespaces/{session_namespace}/pods/{name}")
    shown = await bench.ended(spec.ref)
    assert shown.failure is not None
    assert shown.failure.reason is FailureReason.EVICTED
    async with asyncio.timeout(20):
        while pods_of(cluster, session_namespace, spec.ref):
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    shown = await bench.scheduler.observe(spec.ref)
    assert shown.phase is AttemptPhase.ENDED
    assert shown.failure is not None
    assert shown.failure.reason is FailureReason.EVICTED


async def test_a_pod_that_comes_when_its_job_is_gone_is_removed_at_once(
    bench: Bench, cluster: Cluster, session_namespace: str
) -> None:
    """As the controller of Jobs makes it that has not heard yet; here without an owner, for else
    Kubernetes would remove it itself.
    """
    spec = await bench.start(STAY)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    [first] = pods_of(cluster, session_namespace, spec.ref)
    await bench.scheduler.delete(spec.ref)
    again = {
        "metadata": {
            "name": f"{spec.ref.name}-again",
            "labels": first["metadata"]["labels"],
            "finalizers": ["batch.kubernetes.io/job-tracking"],
        },
        "spec": {name: what for name, what in first["spec"].items() if name != "nodeName"},
    }
    cluster.api.create(f"/api/v1/namespaces/{session_namespace}/pods", again)
    async with asyncio.timeout(10):
        while pods_of(cluster, session_namespace, spec.ref):
            await asyncio.sleep(0.05)


async def test_a_pod_that_others_left_without_its_job_is_removed(
    bench: Bench, cluster: Cluster, session_namespace: str
) -> None:
    spec = await bench.start(STAY)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    assert spec.ref in await bench.scheduler.list_attempts()
    path = f"/apis/batch/v1/namespaces/{session_namespace}/jobs/{spec.ref.name}"
    cluster.api.delete(f"{path}?propagationPolicy=Orphan")
    async with asyncio.timeout(30):
        while spec.ref in await bench.scheduler.list_attempts():
            await asyncio.sleep(0.05)
    assert all(
        "deletionTimestamp" in pod["metadata"]
        for pod in pods_of(cluster, session_namespace, spec.ref)
    )


async def test_a_job_that_others_delete_is_absent(
    bench: Bench, cluster: Cluster, session_namespace: str
) -> None:
    spec = await bench.start(STAY)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    path = f"/apis/batch/v1/namespaces/{session_namespace}/jobs/{spec.ref.name}"
    cluster.api.delete(f"{path}?propagationPolicy=Background")
    await bench.until(spec.ref, AttemptPhase.ABSENT)


async def test_what_nobody_has_room_for_now_says_so(bench: Bench) -> None:
    spec = replace(bench.spec("true"), resources=Resources(cpus=64, ram_bytes=64 * MIB))
    await bench.scheduler.submit(spec)
    shown = await seen(bench.scheduler, spec.ref)
    assert shown.phase is AttemptPhase.PENDING
    [waiting] = shown.pending_reasons
    assert waiting.kind is PendingKind.RESOURCES
    assert "Insufficient cpu" in waiting.message


async def test_what_no_node_can_hold_is_never_admitted(
    kubernetes_scheduler: KubernetesScheduler,
) -> None:
    huge = Resources(cpus=1000, ram_bytes=MIB)
    answer = kubernetes_scheduler.admit(huge, InUse(resources=Resources(cpus=0, ram_bytes=0)))
    assert isinstance(answer, NeverFits)
    assert answer.failure.reason is FailureReason.UNSCHEDULABLE


async def test_pod_security_that_forbids_our_mounts_is_told(
    in_namespace: Any, restricted_namespace: str
) -> None:
    bench = await in_namespace(restricted_namespace)
    spec = await bench.start()
    shown = await seen(bench.scheduler, spec.ref)
    assert shown.failure is not None
    assert shown.failure.reason is FailureReason.ADMISSION_REFUSED
    assert "PodSecurity" in shown.failure.message
    await bench.scheduler.delete(spec.ref)


@pytest.mark.parametrize(("limit", "waits"), [("1", True), ("500m", False)])
async def test_a_quota_lets_wait_what_it_could_ever_admit(
    in_namespace: Any, namespace: str, cluster: Cluster, limit: str, waits: bool
) -> None:
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"limits.cpu": limit}}}
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    cluster.api.create(path, quota)
    async with asyncio.timeout(20):
        while not cluster.api.get(f"{path}/small").get("status", {}).get("used"):
            await asyncio.sleep(0.05)
    bench = await in_namespace(namespace)
    first = await bench.start(STAY)
    if waits:
        await bench.until(first.ref, AttemptPhase.RUNNING)
    second = await bench.start()
    shown = await seen(bench.scheduler, second.ref)
    if waits:
        assert [one.kind for one in shown.pending_reasons] == [PendingKind.QUOTA]
        assert "small" in shown.pending_reasons[0].message
    else:
        assert shown.failure is not None
        assert shown.failure.reason is FailureReason.ADMISSION_REFUSED
    for spec in (first, second):
        await bench.scheduler.delete(spec.ref)


async def test_pods_of_cluster_mode_are_admitted_where_the_strictest_standard_is_enforced(
    in_namespace: Any, restricted_namespace: str, cluster: Cluster, busybox: str
) -> None:
    mode = ClusterMode(agent_image=busybox, server_url=f"http://{cluster.server_address}:9")
    bench = await in_namespace(restricted_namespace, mode=mode)
    tokens = AgentTokens(fetch="f", transfer="t")
    spec = replace(bench.spec(), tokens=tokens)
    await bench.scheduler.submit(spec)
    await bench.scheduler.submit(replace(spec, tokens=AgentTokens(fetch="x", transfer="y")))
    secret = f"/api/v1/namespaces/{restricted_namespace}/secrets/{spec.ref.name}"
    assert cluster.api.get(secret)["data"]["fetch"] == "Zg==", "the first tokens stay"
    [owner] = cluster.api.get(secret)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Job", spec.ref.name)
    shown = await bench.ended(spec.ref)
    assert shown.failure is not None
    assert shown.failure.reason is FailureReason.INPUT_TRANSFER, "that image has no agent"
    await bench.scheduler.delete(spec.ref)
    assert await bench.scheduler.list_attempts() == []
    left = cluster.api.get(f"/api/v1/namespaces/{restricted_namespace}/secrets")["items"]
    assert not [one for one in left if one["metadata"]["name"] == spec.ref.name]


async def test_a_secret_without_a_job_is_listed_and_swept(
    in_namespace: Any, namespace: str, cluster: Cluster, busybox: str
) -> None:
    mode = ClusterMode(agent_image=busybox, server_url=f"http://{cluster.server_address}:9")
    bench = await in_namespace(namespace, mode=mode)
    spec = replace(bench.spec(), tokens=AgentTokens(fetch="f", transfer="t"))
    await bench.scheduler._make_secret(spec, mode)  # where a server that was killed stopped
    assert await bench.scheduler.list_attempts() == [spec.ref]
    await bench.scheduler.delete(spec.ref)
    assert await bench.scheduler.list_attempts() == []


async def test_an_api_that_is_away_is_told_and_watched_again(
    bench: Bench, booted_cluster: BootedCluster
) -> None:
    spec = await bench.start("while [ ! -e /outputs/go ]; do sleep 0.05; done; echo done")
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    booted_cluster.kill_api_server()
    try:
        with pytest.raises(SchedulerUnavailable):
            await asyncio.wait_for(_until_lost(bench), 20)
        with pytest.raises(SchedulerUnavailable):
            await bench.scheduler.observe(AttemptRef(uuid4(), 1))
        (spec.outputs_path / "go").touch()
    finally:
        booted_cluster.start_api_server()
    async with asyncio.timeout(60):
        while True:
            try:
                if (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ENDED:
                    break
            except SchedulerUnavailable:
                pass
            await asyncio.sleep(0.2)
    assert (await bench.ended(spec.ref)).exit_code == 0
    assert await bench.log(spec.ref) == b"done\n"


async def _until_lost(bench: Bench) -> None:
    async for _ in bench.scheduler.changes():
        pass


async def test_the_check_at_the_start_finds_the_same_folders_on_every_node(
    local_settings: KubernetesSchedulerSettings, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "slide").touch()
    assert await checked(local_settings, busybox, tmp_path, tmp_path) == []
    assert not list(tmp_path.glob("probe-*"))


@pytest.mark.parametrize(
    ("storage", "datasets", "words"),
    [
        ("private/inner", "shared", "STORAGE_BASE_PATH: node .* has no folder .*/private/inner"),
        ("private", "shared", "STORAGE_BASE_PATH: .*/private on node .* is another folder"),
        ("shared", "private/inner", "REF_STORAGE_BASE_PATH: node .* has no folder"),
        ("shared", "private", "REF_STORAGE_BASE_PATH: .*/private on node .* is another folder"),
    ],
)
def test_the_check_at_the_start_names_what_nodes_do_not_see(
    local_settings: KubernetesSchedulerSettings,
    busybox: str,
    tmp_path: Path,
    storage: str,
    datasets: str,
    words: str,
) -> None:
    for name in ("private", "shared"):
        (tmp_path / name).mkdir()
    # What only this machine has mounted there, nodes do not see.
    script = 'mount -t tmpfs none "$0" && mkdir "$0/inner" && exec "$@"'
    command = [
        *("unshare", "--mount", "--propagation", "private", "sh", "-c", script),
        *(tmp_path / "private", sys.executable, "-c", _CHECK),
        *(tmp_path / storage, tmp_path / datasets, busybox, local_settings.namespace),
        str(local_settings.connection.kubeconfig),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    sentences = done.stdout.splitlines()
    assert sentences
    for sentence in sentences:
        assert re.match(words, sentence), done.stdout


_CHECK = """
import asyncio, sys
from pathlib import Path
from appengine_server.scheduling.kubernetes.cluster import open_cluster
from appengine_server.scheduling.kubernetes.probe import check_folders
from appengine_server.scheduling.kubernetes.settings import *

async def main(storage, datasets, image, namespace, kubeconfig):
    mode = LocalMode(storage_path=Path(storage), dataset_path=Path(datasets), probe_image=image)
    settings = KubernetesSchedulerSettings(
        engine_id="probing", namespace=namespace, mode=mode,
        connection=Connection(kubeconfig=kubeconfig))
    async with open_cluster(settings.connection, namespace) as cluster:
        print(*await check_folders(cluster, settings), sep="\\n")

asyncio.run(main(*sys.argv[1:]))
"""


async def checked(
    settings: KubernetesSchedulerSettings, image: str, storage: Path, datasets: Path
) -> list[str]:
    mode = LocalMode(storage_path=storage, dataset_path=datasets, probe_image=image)
    async with open_cluster(settings.connection, settings.namespace) as cluster:
        return await check_folders(cluster, replace(settings, mode=mode))


@pytest.mark.timeout(240)
async def test_a_task_on_a_node_that_is_cut_off_is_lost_and_can_be_deleted(
    bench: Bench, booted_cluster: BootedCluster, session_namespace: str
) -> None:
    spec = await bench.start(STAY)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    [pod] = pods_of(booted_cluster, session_namespace, spec.ref)
    node = pod["spec"]["nodeName"]
    booted_cluster.cut_off(node)
    try:
        shown = await seen(bench.scheduler, spec.ref, seconds=150)
        assert shown.phase is AttemptPhase.ENDED
        assert shown.failure is not None
        assert shown.failure.reason is FailureReason.NODE_LOST
        async with asyncio.timeout(10):
            assert await bench.log(spec.ref) == b""  # out of reach, and nobody waits for it
            await bench.scheduler.delete(spec.ref)
        assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT
        async with asyncio.timeout(20):
            while pods_of(booted_cluster, session_namespace, spec.ref):
                await asyncio.sleep(0.1)
    finally:
        booted_cluster.rejoin(node)
        async with asyncio.timeout(60):
            while node not in booted_cluster.ready_nodes():
                await asyncio.sleep(0.2)


async def test_a_start_is_refused_where_we_may_not_watch(
    local_settings: KubernetesSchedulerSettings, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = cluster.api.create(account, {"spec": {}})["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    settings = replace(
        local_settings,
        namespace=namespace,
        connection=replace(local_settings.connection, kubeconfig=str(kubeconfig)),
        network_policy=False,
    )
    async with asyncio.timeout(20):
        with pytest.raises(SchedulerUnavailable, match=r'does not allow us to list resource "'):
            async with open_kubernetes_scheduler(settings):
                pass
