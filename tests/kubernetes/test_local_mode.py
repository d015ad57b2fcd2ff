"""A server whose tasks run on nodes that see its folders: nothing is copied."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from appengine.v1 import task_pb2

from tests.container.bundles import make_bundle
from tests.container.engine_server import Engine, FailureReason, RunState, wait_for
from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.engines import left_over, started_on
from tests.kubernetes.scheduler import session_namespace

__all__ = ["session_namespace"]


@pytest.fixture(scope="module")
def engine(
    cluster: Cluster, session_namespace: str, tmp_path_factory: pytest.TempPathFactory, busybox: str
) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("local")
    probing = {"SCHEDULER_PROBE_IMAGE": busybox}
    with started_on(cluster, session_namespace, "local", folder, **probing) as started:
        yield started


def test_a_run_ends_well_and_leaves_nothing_behind(
    engine: Engine, cluster: Cluster, session_namespace: str
) -> None:
    run = engine.run("echo 7 > /outputs/count; echo done", outputs={"count": "integer"})
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert engine.outputs(run)["count"].integer == 7
    assert engine.log(run) == b"done\n"
    wait_for(lambda: not left_over(cluster, session_namespace, run.id))


def test_a_deleted_task_takes_its_image_along_and_that_of_no_other(engine: Engine) -> None:
    """Three tasks of the same bytes, the last of them made from the image of the second."""
    namespace = f"org.example.s{uuid4().hex[:12]}"

    def upload(version: str) -> task_pb2.Task:
        path = engine.folder / f"{version}.zip"
        files = {"same": namespace.encode()}
        make_bundle(path, namespace=namespace, version=version, files=files)
        return engine.client.tasks.upload(path)

    def delete(task: task_pb2.Task) -> None:
        engine.client.tasks.delete(task.id)
        wait_for(lambda: not (engine.server.storage / "tasks" / task.id).exists())

    one, two = upload("1.0.0"), upload("2.0.0")
    assert one.image != two.image, "each has a manifest of its own"
    descriptor = engine.client.tasks.descriptor(two.id).replace(b"2.0.0", b"3.0.0")
    three = engine.client.tasks.create_from_image(descriptor, two.image)
    wait_for(lambda: engine.client.tasks.get(three.id).image == two.image)
    delete(one)
    wait_for(lambda: not is_in_registry(one.image))
    delete(two)
    run = engine.client.runs.wait(engine.client.runs.create(three.id, start=True).id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert is_in_registry(two.image)


def is_in_registry(image: str) -> bool:
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_inputs_and_outputs_are_the_same_files_for_server_and_task(engine: Engine) -> None:
    task = engine.task(
        "stat -c %i /inputs/slide > /outputs/seen; cp /inputs/slide /outputs/copy; "
        "stat -c %i /outputs/copy > /outputs/written",
        inputs={"slide": "file"},
        outputs={"seen": "integer", "copy": "file", "written": "integer"},
    )
    slide = engine.folder / "slide"
    slide.write_bytes(os.urandom(3 << 20))
    run = engine.client.runs.wait(
        engine.client.runs.create(task.id, {"slide": slide}, start=True).id
    )
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    outputs = engine.outputs(run)
    stored = engine.server.storage / "runs" / run.id
    assert outputs["seen"].integer == (stored / "inputs" / "slide").stat().st_ino
    uploaded = [path for path in (stored / "uploaded").rglob("slide") if path.is_file()]
    assert outputs["seen"].integer in {path.stat().st_ino for path in uploaded}
    copy = engine.attempt_outputs(run.id) / "copy"
    assert outputs["written"].integer == copy.stat().st_ino
    assert copy.read_bytes() == slide.read_bytes()


def test_a_failed_task_is_told_with_its_log(engine: Engine) -> None:
    run = engine.run("echo broken; exit 3")
    assert run.state == RunState.RUN_STATE_FAILED
    assert run.failure.reason == FailureReason.FAILURE_REASON_TASK_EXIT_CODE
    assert run.failure.exit_code == 3
    assert engine.log(run) == b"broken\n"


def test_a_cancelled_run_keeps_its_log(
    engine: Engine, cluster: Cluster, session_namespace: str
) -> None:
    run = engine.start("echo begun; while :; do sleep 0.05; done")
    engine.until(run.id, RunState.RUN_STATE_RUNNING)
    engine.client.runs.cancel(run.id)
    ended = engine.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_CANCELLED
    assert engine.log(ended) == b"begun\n"
    wait_for(lambda: not left_over(cluster, session_namespace, run.id))


def test_a_killed_server_finds_its_runs_again(engine: Engine) -> None:
    run = engine.start(
        "echo begun; sleep 4; echo 7 > /outputs/count; echo done", outputs={"count": "integer"}
    )
    engine.until(run.id, RunState.RUN_STATE_RUNNING)
    engine.server.kill()
    engine.server.start()
    engine.connect()
    ended = engine.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
    assert engine.log(ended) == b"begun\ndone\n"
    assert len(ended.attempts) == 1


def test_a_restart_while_a_task_ends_loses_nothing(engine: Engine) -> None:
    run = engine.start("echo begun; sleep 1; echo done")
    engine.until(run.id, RunState.RUN_STATE_RUNNING)
    engine.server.kill()
    time.sleep(3)
    engine.server.start()
    engine.connect()
    ended = engine.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
    assert engine.log(ended) == b"begun\ndone\n"
