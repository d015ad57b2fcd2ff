"""Runs that do not succeed: each says why, keeps its log, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine.v1 import run_pb2, task_pb2
from appengine_client.errors import FailedPrecondition, ResourceExhausted

from tests.container.bundles import dump, make_descriptor, write_bundle
from tests.container.engine_server import REAL, Engine, FailureReason, RunState, Starts, wait_for
from tests.container.images import busybox_archive

pytestmark = REAL

COUNT = {"count": "integer"}


def failed(run: run_pb2.Run, reason: int, *words: str) -> None:
    """The run failed for this reason, and its sentence holds these words."""
    assert run.state == RunState.RUN_STATE_FAILED, run
    assert run.failure.reason == reason, run.failure
    for word in words:
        assert word in run.failure.message, run.failure.message


@pytest.mark.rule("run.attempts", "output.exit-code", "output.kept")
def test_a_task_that_exits_with_a_code_fails_with_it_and_keeps_log_and_files(
    engine: Engine,
) -> None:
    run = engine.run("echo 5 > /outputs/count; echo it broke >&2; exit 7", outputs=COUNT)
    failed(run, FailureReason.FAILURE_REASON_TASK_EXIT_CODE, "exit code 7", "log")
    assert run.failure.exit_code == 7
    assert run.attempts[0].exit_code == 7
    assert len(run.attempts) == 1, "a task's own failure is not tried again"
    assert engine.log(run) == b"it broke\n"
    assert engine.left_behind(run) == ["count"]
    with pytest.raises(FailedPrecondition, match="FAILED"):
        engine.client.runs.outputs(run.id)


@pytest.mark.rule("output.killed")
def test_a_task_that_needs_more_memory_than_it_has_is_out_of_memory(engine: Engine) -> None:
    run = engine.run("echo begin; exec tail /dev/zero", outputs=COUNT, ram="16Mi")
    failed(run, FailureReason.FAILURE_REASON_OUT_OF_MEMORY, "memory", "ram")
    assert engine.log(run).startswith(b"begin\n")
    assert run.attempts[0].exit_code == 137
    assert len(run.attempts) == 1


@pytest.mark.rule("output.killed")
def test_a_child_that_needs_too_much_memory_is_told_apart_from_a_failure(engine: Engine) -> None:
    # Where the engine does not tell, the kernel is asked: for that the task has to have been seen.
    run = engine.run("sleep 0.3; tail /dev/zero; exit 1", outputs=COUNT, ram="16Mi")
    failed(run, FailureReason.FAILURE_REASON_OUT_OF_MEMORY, "memory")
    assert run.failure.exit_code == 1


@pytest.mark.rule("output.missing")
def test_outputs_that_are_not_there_are_all_named(engine: Engine) -> None:
    outputs = {"count": "integer", "names": "string", "table": "file"}
    run = engine.run("echo 3 > /outputs/count; echo done", outputs=outputs)
    failed(run, FailureReason.FAILURE_REASON_OUTPUT_INVALID, "names", "table")
    found = {problem.path: problem.reason for problem in run.failure.problems}
    assert found == {"names": "OUTPUT_MISSING", "table": "OUTPUT_MISSING"}
    assert engine.log(run) == b"done\n"
    assert engine.left_behind(run) == ["count"]


@pytest.mark.rule("output.all-problems")
def test_every_problem_of_wrong_outputs_is_listed(engine: Engine) -> None:
    outputs = {
        "count": {"type": {"id": "integer", "geq": 10}},
        "share": "number",
        "flag": "boolean",
        "shape": "geometry",
        "picture": {"type": {"id": "image", "formats": ["png"]}},
    }
    run = engine.run(
        "cd /outputs; echo 3 > count; echo abc > share; echo maybe > flag; "
        "echo '{}' > shape; echo nothing > picture",
        outputs=outputs,
    )
    failed(run, FailureReason.FAILURE_REASON_OUTPUT_INVALID, "and 2 more")
    assert {problem.path for problem in run.failure.problems} == set(outputs)
    assert all(problem.message for problem in run.failure.problems)
    assert sorted(engine.left_behind(run)) == sorted(outputs)


@pytest.mark.rule("output.unsafe-link", "output.special-file")
@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/passwd /outputs/table",
        "ln -s ../../../inputs /outputs/table",
        "mkfifo /outputs/table",
        "mkdir /outputs/table; mkfifo /outputs/table/pipe",
        "mkdir /outputs/table; ln -s /etc /outputs/table/etc",
    ],
)
def test_what_is_no_file_is_no_output(engine: Engine, script: str) -> None:
    run = engine.run(script, outputs={"table": "file"})
    failed(run, FailureReason.FAILURE_REASON_OUTPUT_INVALID, "table")
    assert all(problem.path.startswith("table") for problem in run.failure.problems)


@pytest.mark.rule("run.time-limits", "output.killed")
def test_a_task_that_never_ends_is_stopped_at_its_time_limit(start_engine: Starts) -> None:
    engine = start_engine(RUN_TIME_LIMIT="2")
    run = engine.run("echo begin; exec sleep 1000", outputs=COUNT)
    failed(run, FailureReason.FAILURE_REASON_TIMEOUT, "2 seconds", "RUN_TIME_LIMIT")
    assert "137" in "".join(run.failure.details), "what came of it is told, but is not the cause"
    assert engine.log(run) == b"begin\n"
    assert wait_for(lambda: not engine.containers(run.id))
    obeys = "trap 'exit 0' TERM; echo 1 > /outputs/count; while true; do sleep 0.05; done"
    run = engine.run(obeys, outputs=COUNT)
    failed(run, FailureReason.FAILURE_REASON_TIMEOUT)
    assert run.attempts[0].exit_code == 0


def test_a_cancelled_task_may_end_by_itself(engine: Engine) -> None:
    script = "trap 'echo saved > /outputs/count; echo bye; exit 0' TERM; echo up; "
    run = engine.start(script + "while true; do sleep 0.05; done", outputs=COUNT)
    engine.until_logged(run, b"up")
    began = time.monotonic()
    assert engine.client.runs.cancel(run.id).state == RunState.RUN_STATE_CANCELLING
    ended = engine.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_CANCELLED
    assert time.monotonic() - began < 1, "it had to wait for the end of the grace"
    assert not ended.HasField("failure")
    assert engine.log(run) == b"up\nbye\n"
    assert engine.left_behind(run) == ["count"]
    assert engine.client.runs.cancel(run.id).state == RunState.RUN_STATE_CANCELLED
    assert wait_for(lambda: not engine.containers(run.id))


def test_a_cancelled_task_that_does_not_listen_is_killed_after_the_grace(engine: Engine) -> None:
    run = engine.start("trap '' TERM; echo up; while true; do sleep 0.05; done", outputs=COUNT)
    engine.until_logged(run, b"up")
    began = time.monotonic()
    engine.client.runs.cancel(run.id)
    ended = engine.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_CANCELLED
    assert 0.9 < time.monotonic() - began < 4
    assert engine.log(run).startswith(b"up\n")


async def test_runs_cancelled_at_any_moment_leave_nothing_behind(engine: Engine) -> None:
    """Also those that are just being admitted or handed to the engine, finalized or retried."""
    task = engine.task("sleep 0.1; echo 1 > /outputs/count", outputs=COUNT)
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    pauses = [chance.choice((0.0, 0.005, 0.02, 0.1, 0.3, 0.6)) for _ in range(40)]

    def start_and_cancel(pause: float) -> run_pb2.Run:
        run = engine.client.runs.create(task.id, start=True)
        time.sleep(pause)
        with contextlib.suppress(FailedPrecondition):  # it has ended already
            engine.client.runs.cancel(run.id)
        return engine.client.runs.wait(run.id)

    with ThreadPoolExecutor(6) as threads:
        runs = list(threads.map(start_and_cancel, pauses))
    ended = {RunState.RUN_STATE_CANCELLED, RunState.RUN_STATE_SUCCEEDED}
    assert {run.state for run in runs} <= ended, [run.failure for run in runs]
    wait_for(lambda: not any(engine.containers(run.id) for run in runs[::5]))
    held = await engine.fetch(
        "SELECT a.* FROM attempts a JOIN runs r ON r.id = a.run_id"
        " WHERE r.task_id = $1::text::uuid AND a.released_at IS NULL",
        task.id,
    )
    assert held == [], "what a run held is never given back"
    names = engine.engine("ps", "--all", "--format", "{{.Names}}")
    assert not [run.id for run in runs if UUID(run.id).hex in names]


@pytest.mark.rule("run.terminal")
def test_what_was_not_started_is_cancelled_at_once(engine: Engine) -> None:
    run = engine.client.runs.create(engine.shell(COUNT).id)
    assert engine.client.runs.cancel(run.id).state == RunState.RUN_STATE_CANCELLED
    with pytest.raises(FailedPrecondition, match="CANCELLED"):
        engine.client.runs.start(run.id)


def test_an_image_that_was_removed_behind_our_back_is_named(engine: Engine) -> None:
    task = engine.task("true")
    engine.engine("rmi", "--force", task.image.removeprefix("sha256:"))
    run = engine.client.runs.wait(engine.client.runs.create(task.id, start=True).id)
    failed(run, FailureReason.FAILURE_REASON_IMAGE_PULL, "removed", "upload the task again")


def test_an_image_without_a_program_cannot_start(engine: Engine, tmp_path: Path) -> None:
    for entrypoint in ([], ["/bin/there-is-no-such-program"]):
        namespace = f"org.example.t{uuid4().hex[:12]}"
        archive = tmp_path / "image.tar"
        busybox_archive(archive, entrypoint=entrypoint, environment={"ONLY": namespace})
        descriptor = dump(make_descriptor(namespace=namespace))
        image = {f"{namespace}-1.0.0.tar": archive.read_bytes()}
        write_bundle(tmp_path / "bundle.zip", {"descriptor.yml": descriptor, **image})
        task = engine.client.tasks.upload(tmp_path / "bundle.zip")
        if task.state == task_pb2.TASK_STATE_FAILED:
            assert task.failure.message, "publishing may find it already"
            continue
        run = engine.client.runs.wait(engine.client.runs.create(task.id, start=True).id)
        failed(run, FailureReason.FAILURE_REASON_IMAGE_CANNOT_START, "ENTRYPOINT")
        assert len(run.attempts) == 1


@pytest.mark.rule("configuration.unsatisfiable")
def test_a_task_that_can_never_fit_fails_at_once(engine: Engine) -> None:
    began = time.monotonic()
    run = engine.run("true", cpus=64)
    failed(run, FailureReason.FAILURE_REASON_UNSCHEDULABLE, "64")
    assert time.monotonic() - began < 5
    assert not run.attempts


@pytest.mark.rule("run.attempts")
def test_a_container_that_others_remove_is_tried_again_and_then_given_up(engine: Engine) -> None:
    run = engine.start("echo up; exec sleep 1000", outputs=COUNT)
    for attempt in (1, 2, 3):
        wait_for(partial(_is_running, engine, run.id, attempt))
        [name] = engine.containers(run.id)
        engine.engine("rm", "--force", "--time", "0", name)
    ended = engine.client.runs.wait(run.id)
    failed(ended, FailureReason.FAILURE_REASON_EVICTED, "removed")
    assert [attempt.number for attempt in ended.attempts] == [1, 2, 3]
    reasons = {attempt.failure.reason for attempt in ended.attempts}
    assert reasons == {FailureReason.FAILURE_REASON_EVICTED}
    states = [answer.event.state for answer in engine.client.runs.watch(run.id)]
    assert states.count(RunState.RUN_STATE_QUEUED) >= 3


def _is_running(engine: Engine, run_id: str, attempt: int) -> bool:
    run = engine.client.runs.get(run_id)
    is_newest = len(run.attempts) == attempt and run.state == RunState.RUN_STATE_RUNNING
    return is_newest and len(engine.containers(run_id)) == 1


def test_runs_that_do_not_fit_together_wait_and_say_for_what(start_engine: Starts) -> None:
    engine = start_engine(SCHEDULER_CPUS="1")
    first = engine.start("exec sleep 1000")
    engine.until(first.id, RunState.RUN_STATE_RUNNING)
    second = engine.start("true")
    waiting = engine.until(second.id, RunState.RUN_STATE_QUEUED, reason="CPU")
    [reason] = waiting.pending_reasons
    assert reason.kind == run_pb2.PENDING_KIND_RESOURCES
    assert reason.since.seconds > 0
    third = engine.start("true")
    assert engine.client.runs.cancel(third.id).state == RunState.RUN_STATE_CANCELLED
    assert [len(engine.containers(run.id)) for run in (first, second, third)] == [1, 0, 0]
    engine.client.runs.cancel(first.id)
    assert engine.client.runs.wait(second.id).state == RunState.RUN_STATE_SUCCEEDED


def test_the_machine_is_never_promised_twice(start_engine: Starts) -> None:
    """Twelve runs of one CPU on two: at no moment more than two are with the engine."""
    engine = start_engine(SCHEDULER_CPUS="2")
    runs = [engine.start("sleep 0.2") for _ in range(12)]
    with_engine = {
        RunState.RUN_STATE_PENDING: 1,
        RunState.RUN_STATE_RUNNING: 1,
        RunState.RUN_STATE_FINALIZING: 0,
    }
    ended = [engine.client.runs.wait(run.id) for run in runs]
    assert {run.state for run in ended} == {RunState.RUN_STATE_SUCCEEDED}
    changes = []
    for run in runs:
        held = 0
        for answer in engine.client.runs.watch(run.id):
            now = with_engine.get(answer.event.state, 0)
            changes.append((answer.event.time.ToNanoseconds(), now - held))
            held = now
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    assert most == 2


@pytest.mark.rule("bundle.low-disk")
def test_a_disk_that_is_almost_full_takes_nothing_new_and_leaves_what_runs(
    start_engine: Starts, tmp_path: Path
) -> None:
    engine = start_engine()
    task = engine.shell(COUNT)
    script = "until [ -e /outputs/go ]; do sleep 0.05; done; echo 3 > /outputs/count"
    created = engine.client.runs.create(task.id, {"script": "true"})
    running = engine.client.runs.create(task.id, {"script": script}, start=True)
    engine.until(running.id, RunState.RUN_STATE_RUNNING)
    engine.server.stop()
    engine.server.start(STORAGE_LOW_WATER="1000Ti")
    engine.connect()
    for refused in (
        lambda: engine.client.tasks.upload(engine.bundle()),
        lambda: engine.client.runs.start(created.id),
        lambda: engine.client.runs.create(task.id, {"script": "true"}, start=True),
    ):
        with pytest.raises(ResourceExhausted) as caught:
            refused()
        assert caught.value.reason == "DISK_LOW"
    engine.attempt_outputs(running.id).joinpath("go").touch()
    assert engine.client.runs.wait(running.id).state == RunState.RUN_STATE_SUCCEEDED
    assert {run.id for run in engine.client.runs.list()} == {created.id, running.id}
