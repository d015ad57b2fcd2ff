"""What cannot work on this cluster, each once: it fails for its reason, or waits and says why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from appengine.v1 import run_pb2, task_pb2

from tests.container.bundles import dump, make_descriptor, write_bundle
from tests.container.engine_server import Engine, FailureReason, RunState, wait_for
from tests.container.images import busybox_archive
from tests.kubernetes.cluster.cluster import BootedCluster, Cluster
from tests.kubernetes.conftest import RESTRICTED, namespace_on
from tests.kubernetes.engines import left_over, started_on

pytestmark = pytest.mark.timeout(180)

MIB = 1 << 20
COUNT = {"count": "integer"}
STAY = "until [ -e /outputs/go ]; do sleep 0.05; done; echo 3 > /outputs/count"


@pytest.fixture(scope="module")
def once_namespace(cluster: Cluster) -> Iterator[str]:
    with namespace_on(cluster, f"refusals-{uuid4().hex[:12]}", {}) as name:
        yield name


@pytest.fixture(scope="module")
def engine(
    cluster: Cluster,
    agent_image: str,
    once_namespace: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Engine]:
    """In cluster mode; what fails is not tried again."""
    folder = tmp_path_factory.mktemp("refusals")
    with started_on(
        cluster, once_namespace, "cluster", folder, agent_image=agent_image, RUN_EXTRA_ATTEMPTS="0"
    ) as started:
        yield started


@pytest.fixture
def clean(engine: Engine, cluster: Cluster, once_namespace: str) -> Iterator[Engine]:
    """The engine, where a test must leave nothing on the cluster."""
    yield engine
    wait_for(lambda: not left_over(cluster, once_namespace), 60)
    wait_for(lambda: not list((engine.server.storage / "uploads").iterdir()), 60)


def failed(run: run_pb2.Run, reason: int, *words: str) -> None:
    assert run.state == RunState.RUN_STATE_FAILED, run
    assert run.failure.reason == reason, run.failure
    assert len(run.attempts) == 1
    for word in words:
        assert word in run.failure.message, run.failure.message


def run_of(engine: Engine, task: task_pb2.Task) -> run_pb2.Run:
    return engine.client.runs.wait(engine.client.runs.create(task.id, start=True).id)


def until_waiting(engine: Engine, run: run_pb2.Run, kind: int) -> str:
    """What a run waits for, once it waits for that."""

    def told() -> str:
        reasons = engine.client.runs.get(run.id).pending_reasons
        return " ".join(reason.message for reason in reasons if reason.kind == kind)

    return str(wait_for(told, 60))


def test_an_image_that_the_registry_lost_is_told(clean: Engine) -> None:
    task = clean.task()
    registry, _, rest = task.image.partition("/")
    name, _, digest = rest.partition("@")
    lost = Request(f"http://{registry}/v2/{name}/manifests/{digest}", method="DELETE")
    urlopen(lost, timeout=10).close()
    failed(run_of(clean, task), FailureReason.FAILURE_REASON_IMAGE_PULL, name, "not found")


@pytest.mark.parametrize(
    ("entrypoint", "word"),
    [
        ([], "ENTRYPOINT"),
        (["/bin/there-is-no-such-program"], "ENTRYPOINT"),
        (["/bin/foreign"], "linux/amd64"),
    ],
)
def test_an_image_that_cannot_start_is_told(
    clean: Engine, tmp_path: Path, entrypoint: list[str], word: str
) -> None:
    task = upload(clean, tmp_path, entrypoint)
    if task.state == task_pb2.TASK_STATE_FAILED:
        assert task.failure.message, "publishing may find it already"
        return
    failed(run_of(clean, task), FailureReason.FAILURE_REASON_IMAGE_CANNOT_START, word)


def upload(engine: Engine, folder: Path, entrypoint: list[str], **image: Any) -> task_pb2.Task:
    namespace = f"org.example.t{uuid4().hex[:12]}"
    of_another_machine = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0\xb7\0" + b"\0" * 44
    busybox_archive(
        folder / "image.tar", entrypoint=entrypoint, environment={"ONLY": namespace},
        files={"bin/foreign": of_another_machine}, **image,
    )  # fmt: skip
    entries = {
        "descriptor.yml": dump(make_descriptor(namespace=namespace)),
        f"{namespace}-1.0.0.tar": (folder / "image.tar").read_bytes(),
    }
    write_bundle(folder / "bundle.zip", entries)
    return engine.client.tasks.upload(folder / "bundle.zip")


def test_an_image_for_another_machine_is_refused_before_it_runs(
    clean: Engine, tmp_path: Path
) -> None:
    task = upload(clean, tmp_path, ["/bin/sh"], architecture="arm64")
    assert task.state == task_pb2.TASK_STATE_FAILED
    assert "arm64" in task.failure.message


def test_a_task_that_needs_more_memory_than_it_has_is_told(clean: Engine) -> None:
    run = clean.run("echo begin; exec tail /dev/zero", outputs=COUNT, ram="16Mi")
    failed(run, FailureReason.FAILURE_REASON_OUT_OF_MEMORY, "16 MiB", "ram")
    assert clean.log(run).startswith(b"begin\n")


@pytest.mark.timeout(300)  # kubelets look at the disk every few seconds, and late under load
def test_a_pod_that_fills_the_disk_is_evicted(
    clean: Engine, cluster: Cluster, once_namespace: str
) -> None:
    limit = {"type": "Container", "default": {"ephemeral-storage": "20Mi"}}
    with made(cluster, once_namespace, "limitranges", {"limits": [limit]}):
        script = "echo 1 > /outputs/count; head -c 200m /dev/zero > /outputs/rest; sleep 600"
        run = clean.start(script, outputs=COUNT)
        ended = wait_for(lambda: ended_now(clean, run), 200)
    failed(ended, FailureReason.FAILURE_REASON_EVICTED, "ephemeral")


def ended_now(engine: Engine, run: run_pb2.Run) -> run_pb2.Run | None:
    now = engine.client.runs.get(run.id)
    ended = {RunState.RUN_STATE_FAILED, RunState.RUN_STATE_SUCCEEDED, RunState.RUN_STATE_CANCELLED}
    return now if now.state in ended else None


@contextmanager
def made(cluster: Cluster, namespace: str, kind: str, spec: dict[str, Any]) -> Iterator[None]:
    """An object of the namespace, in force while the context lasts."""
    path = f"/api/v1/namespaces/{namespace}/{kind}"
    cluster.api.create(path, {"metadata": {"name": "small"}, "spec": spec})
    try:
        if kind == "resourcequotas":
            wait_for(lambda: cluster.api.get(f"{path}/small").get("status", {}).get("used"), 30)
        yield
    finally:
        cluster.api.delete(f"{path}/small")


def test_a_task_that_ignores_sigterm_is_killed_after_the_grace(clean: Engine) -> None:
    run = clean.start("trap '' TERM; echo up; while true; do sleep 0.05; done", outputs=COUNT)
    clean.until_logged(run, b"up")
    began = time.monotonic()
    clean.client.runs.cancel(run.id)
    ended = clean.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_CANCELLED
    assert 0.9 < time.monotonic() - began < 30
    assert clean.log(ended).startswith(b"up\n")


def test_local_mode_is_refused_where_the_strictest_standard_is_enforced(
    cluster: Cluster, tmp_path: Path
) -> None:
    with (
        namespace_on(cluster, f"restricted-{uuid4().hex[:12]}", RESTRICTED) as namespace,
        started_on(cluster, namespace, "local", tmp_path) as engine,
    ):
        run = engine.run("true")
        failed(run, FailureReason.FAILURE_REASON_ADMISSION_REFUSED, "PodSecurity", "hostPath")
        wait_for(lambda: not left_over(cluster, namespace), 60)


def test_a_quota_that_is_used_up_is_waited_for(
    clean: Engine, cluster: Cluster, once_namespace: str
) -> None:
    with made(cluster, once_namespace, "resourcequotas", {"hard": {"requests.cpu": "1500m"}}):
        first = clean.start("sleep 1000", outputs=COUNT)
        clean.until(first.id, RunState.RUN_STATE_RUNNING)
        second = clean.start("echo 3 > /outputs/count", outputs=COUNT)
        assert "small" in until_waiting(clean, second, run_pb2.PENDING_KIND_QUOTA)
        assert clean.client.runs.get(second.id).state == RunState.RUN_STATE_PENDING
        clean.client.runs.cancel(first.id)
        ended = clean.client.runs.wait(second.id)
    assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
    assert len(ended.attempts) == 1
    assert clean.client.runs.wait(first.id).state == RunState.RUN_STATE_CANCELLED


def test_publishing_waits_for_a_registry_that_is_away(
    clean: Engine, cluster: Cluster, booted_cluster: BootedCluster
) -> None:
    bundle = clean.bundle("echo 3 > /outputs/count", outputs=COUNT)
    booted_cluster.kill_registry()
    try:
        with ThreadPoolExecutor(1) as thread:
            uploading = thread.submit(clean.client.tasks.upload, bundle)
            time.sleep(4)
            assert not uploading.done(), uploading.result()
            booted_cluster.start_registry()
            task = uploading.result(60)
    finally:
        if not booted_cluster.registry_service.running:
            booted_cluster.start_registry()
    assert task.state == task_pb2.TASK_STATE_READY, task.failure
    ended = run_of(clean, task)
    assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
