"""Tasks while their image is published, and runs that wait for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from appengine.v1 import run_pb2, storage_service_pb2, task_pb2
from appengine_client._transfer.source import following_links
from appengine_client.errors import AlreadyExists

from tests.container.bundles import make_bundle
from tests.container.engine_server import REAL, Engine, FailureReason, RunState, Starts, wait_for

pytestmark = REAL


def create(engine: Engine, bundle: Path) -> task_pb2.Task:
    """Make a task, and do not wait until it is published."""
    upload: storage_service_pb2.Upload = engine.client.uploads.send_bundle(
        following_links([(bundle.name, bundle)])
    )
    return engine.client.tasks.create(upload.id)


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    folder = tmp_path / "faults"
    folder.mkdir()
    return folder


def test_runs_wait_for_the_image_and_go_on_after_a_restart_of_the_server(
    start_engine: Starts, faults: Path
) -> None:
    (faults / "publish.before_ready.armed").touch()
    engine = start_engine(APPENGINE_FAULT_FOLDER=str(faults))
    good = create(engine, engine.bundle("echo 1 > /outputs/n", outputs={"n": "integer"}))
    wait_for((faults / "publish.before_ready.held").exists)
    bad = create(engine, engine.bundle(architecture="s390x"))
    assert good.state == bad.state == task_pb2.TASK_STATE_PUBLISHING
    runs = [engine.client.runs.create(task.id, start=True) for task in (good, bad)]
    waiting = engine.until(runs[0].id, RunState.RUN_STATE_QUEUED, reason="published")
    [reason] = waiting.pending_reasons
    assert reason.kind == run_pb2.PENDING_KIND_PUBLISHING
    assert good.publish_progress.total_bytes > 0
    engine.server.kill()
    (faults / "publish.before_ready.held").unlink()
    engine.server.start()
    engine.connect()
    first, second = (engine.client.runs.wait(run.id) for run in runs)
    assert first.state == RunState.RUN_STATE_SUCCEEDED, first.failure
    assert engine.outputs(first)["n"].integer == 1
    assert second.failure.reason == FailureReason.FAILURE_REASON_IMAGE_PUBLISH
    assert "s390x" in second.failure.message
    assert not second.attempts


def test_a_slow_image_is_published_once_while_others_are_published_beside_it(
    start_engine: Starts, faults: Path
) -> None:
    engine = start_engine(APPENGINE_FAULT_FOLDER=str(faults))
    (faults / "publish.checked.armed").touch()
    slow = create(engine, engine.bundle())
    wait_for((faults / "publish.checked.held").exists)
    for _ in range(3):
        quick = engine.client.tasks.upload(engine.bundle())
        assert quick.state == task_pb2.TASK_STATE_READY, quick.failure
    assert engine.client.tasks.get(slow.id).state == task_pb2.TASK_STATE_PUBLISHING
    (faults / "publish.checked.held").unlink()
    wait_for(lambda: engine.client.tasks.get(slow.id).state == task_pb2.TASK_STATE_READY)
    log = engine.server.log.read_text().splitlines()
    assert len([line for line in log if slow.id in line and "publish.ready" in line]) == 1
    assert not [line for line in log if "publish.lost" in line]


@pytest.mark.rule("bundle.failed-publishing", "bundle.identity-once")
def test_a_task_that_failed_keeps_its_reason_and_not_its_name(
    engine: Engine, tmp_path: Path
) -> None:
    namespace = "org.example.twice"
    bundle = make_bundle(tmp_path / "bad.zip", namespace=namespace, architecture="s390x")
    failed = engine.client.tasks.upload(bundle)
    assert failed.state == task_pb2.TASK_STATE_FAILED
    assert "s390x" in failed.failure.message
    assert failed.failure.reason
    run = engine.client.runs.wait(engine.client.runs.create(failed.id, start=True).id)
    assert run.failure.reason == FailureReason.FAILURE_REASON_IMAGE_PUBLISH
    good = make_bundle(tmp_path / "good.zip", namespace=namespace)
    task = engine.client.tasks.upload(good)
    assert task.state == task_pb2.TASK_STATE_READY
    assert engine.client.tasks.get(f"{namespace}:1.0.0").id == task.id
    assert engine.client.tasks.get(failed.id).failure.message == failed.failure.message
    with pytest.raises(AlreadyExists):
        engine.client.tasks.upload(good)
    assert engine.client.runs.create(f"{namespace}:1.0.0").task_id == task.id


@pytest.mark.rule(
    "image.docker-layout",
    "image.oci-layout",
    "parameter.no-inputs",
    "layout.image-runs-as-it-is",
)
@pytest.mark.parametrize("form", ["docker", "oci"])
def test_both_forms_of_image_archives_run(engine: Engine, form: str) -> None:
    task = engine.task("id -u > /outputs/uid", outputs={"uid": "integer"}, form=form, user="1234")
    run = engine.client.runs.wait(engine.client.runs.create(task.id, start=True).id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert engine.outputs(run)["uid"].integer == 1234


def test_what_was_uploaded_is_dropped_once_publishing_has_ended(engine: Engine) -> None:
    uploads = engine.server.storage / "uploads"
    before = set(uploads.iterdir())
    engine.task()
    failed = engine.client.tasks.upload(engine.bundle(architecture="s390x"))
    assert failed.state == task_pb2.TASK_STATE_FAILED
    wait_for(lambda: set(uploads.iterdir()) <= before)
