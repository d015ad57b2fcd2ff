"""Runs that succeed: their outputs, how they are followed and found, and how they go away."""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from appengine.v1 import run_pb2, run_service_pb2, task_pb2
from appengine_client.errors import FailedPrecondition, InvalidArgument, NotFound

from tests.container.bundles import make_bundle
from tests.container.engine_server import REAL, Engine, RunState, wait_for

pytestmark = REAL

COUNT = {"count": "integer"}
POINT = '{"type": "Point", "coordinates": [%d, 1]}'


@pytest.fixture(scope="module")
def silent(engine: Engine) -> task_pb2.Task:
    """A task without inputs and outputs."""
    return engine.task("true")


def only(task: task_pb2.Task) -> run_service_pb2.RunFilter:
    return run_service_pb2.RunFilter(task_id=task.id)


@pytest.mark.rule("parameter.order", "file.bytes")
def test_outputs_come_back_as_typed_values_and_byte_for_byte(
    engine: Engine, tmp_path: Path
) -> None:
    outputs = {
        "flag": "boolean",
        "count": "integer",
        "share": "number",
        "label": "string",
        "stain": {"type": {"id": "enumeration", "values": ["dab", "eosin"]}},
        "taken": "datetime",
        "shape": "geometry",
        "table": "file",
    }
    script = r"""
        cd /outputs; echo true > flag; echo -12 > count; printf 0.25 > share
        printf 'two\nlines' > label; echo eosin > stain; echo 2024-05-01T12:00:00Z > taken
        echo '{"type": "Point", "coordinates": [1.5, 2]}' > shape; printf '\000\r\n\377' > table
    """
    run = engine.run(script, outputs=outputs)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    found = engine.outputs(run)
    assert list(found) == list(outputs), "in the order of the descriptor"
    assert found["flag"].boolean is True
    assert found["count"].integer == -12
    assert found["share"].number == 0.25
    assert found["label"].string == "two\nlines"
    assert found["stain"].enumeration == "eosin"
    assert found["taken"].datetime.instant.seconds == 1714564800
    assert '"coordinates"' in found["shape"].geometry
    assert found["table"].file.size_bytes == 4
    engine.client.runs.download_outputs(run.id, tmp_path)
    assert (tmp_path / "table").read_bytes() == b"\0\r\n\xff"
    assert (tmp_path / "count").read_bytes() == b"-12\n"
    assert {path.name for path in tmp_path.iterdir()} == set(outputs)


def test_an_array_of_geometries_comes_back_whole_and_in_pages(engine: Engine) -> None:
    outputs = {"cells": {"type": {"id": "array", "subtype": {"id": "geometry"}}}}
    script = f"""
        mkdir /outputs/cells; cd /outputs/cells; echo 'size: 25' > array.yml
        for i in $(seq 0 24); do printf '{POINT}' $i > $i; done
    """
    run = engine.run(script, outputs=outputs)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    [cells] = engine.client.runs.outputs(run.id)
    assert [item.geometry for item in cells.value.array.items] == [POINT % n for n in range(25)]
    request = run_service_pb2.GetRunOutputsRequest(run_id=run.id, page_size=10)
    sizes = []
    while True:
        page = engine.runs.GetRunOutputs(request)
        assert [one.array_size for one in page.outputs] == [25]
        sizes.append([(one.first_index, len(one.value.array.items)) for one in page.outputs])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert sizes == [[(0, 10)], [(10, 10)], [(20, 5)]]


@pytest.mark.rule("output.whole-names", "output.extra-is-warning")
def test_extra_files_are_warnings_and_names_match_exactly(engine: Engine) -> None:
    run = engine.run(
        "cd /outputs; echo 1 > out; echo 22 > out2; echo 3 > out20; mkdir extra; echo 4 > extra/4",
        outputs={"out": "integer", "out2": "integer"},
    )
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    found = {name: value.integer for name, value in engine.outputs(run).items()}
    assert found == {"out": 1, "out2": 22}
    assert {warning.path for warning in run.warnings} == {"extra", "out20"}
    missing = engine.run("echo 22 > /outputs/out2", outputs={"out": "integer", "out2": "integer"})
    assert [problem.path for problem in missing.failure.problems] == ["out"]


def test_a_run_tells_how_long_its_phases_took(engine: Engine) -> None:
    run = engine.run("sleep 0.3; echo 1 > /outputs/count", outputs=COUNT)
    [attempt] = run.attempts
    assert [phase.name for phase in attempt.phases] == ["queued", "pending", "running", "checking"]
    for phase in attempt.phases:
        assert phase.start_time.ToNanoseconds() <= phase.end_time.ToNanoseconds(), phase
    running = attempt.phases[2]
    seconds = (running.end_time.ToNanoseconds() - running.start_time.ToNanoseconds()) / 1e9
    assert 0.25 < seconds < 3
    assert run.start_time.ToNanoseconds() <= run.end_time.ToNanoseconds()
    assert attempt.peak_memory_bytes > 0
    assert attempt.exit_code == 0


def test_a_watch_tells_every_revision_once_in_order_and_can_be_resumed(engine: Engine) -> None:
    run = engine.start("echo 1 > /outputs/count", outputs=COUNT)
    answers = list(engine.client.runs.watch(run.id))
    revisions = [answer.event.revision for answer in answers]
    assert revisions == list(range(1, revisions[-1] + 1))
    states = [RunState.Name(answer.event.state) for answer in answers]
    order = ["QUEUED", "PENDING", "RUNNING", "FINALIZING", "SUCCEEDED"]
    ranks = [order.index(state.removeprefix("RUN_STATE_")) for state in states]
    assert ranks == sorted(ranks)
    assert states[-1] == "RUN_STATE_SUCCEEDED"
    assert answers[-1].run.state == RunState.RUN_STATE_SUCCEEDED
    for after in revisions:
        rest = engine.client.runs.watch(run.id, after_revision=after)
        assert [answer.event.revision for answer in rest] == revisions[after:]
    with pytest.raises(InvalidArgument):
        list(engine.client.runs.watch(run.id, after_revision=revisions[-1] + 1))


def test_a_watch_of_all_runs_misses_and_repeats_nothing_when_it_is_cut(
    engine: Engine, silent: task_pb2.Task
) -> None:
    seen: list[tuple[str, int]] = []
    made: list[str] = []
    done = threading.Event()

    def make_some() -> None:
        for _ in range(5):
            run = engine.client.runs.create(silent.id, start=True)
            made.append(run.id)
            engine.client.runs.wait(run.id)

    request = run_service_pb2.WatchRunsRequest(filter=only(silent))
    first = engine.runs.WatchRuns(request)
    request.resume_token = next(first).resume_token
    first.cancel()

    def follow() -> None:
        """Leave after every third answer, and come back with its token."""
        while not done.is_set():
            stream = engine.runs.WatchRuns(request, timeout=2)
            with contextlib.suppress(grpc.RpcError):  # the deadline, when all is silent
                for answer in itertools.islice(stream, 4):
                    request.resume_token = answer.resume_token
                    if answer.HasField("event"):
                        seen.append((answer.event.run_id, answer.event.revision))
            stream.cancel()

    follower = threading.Thread(target=follow)
    makers = [threading.Thread(target=make_some) for _ in range(3)]
    for thread in (follower, *makers):
        thread.start()
    for thread in makers:
        thread.join()
    ends = {run_id: engine.client.runs.get(run_id).revision for run_id in made}
    expected = {(run_id, revision) for run_id in made for revision in range(1, ends[run_id] + 1)}
    wait_for(lambda: len(seen) >= len(expected))
    done.set()
    follower.join()
    assert len(made) == 15
    assert len(seen) == len(set(seen)), "an event came twice"
    assert set(seen) == expected
    for run_id in made:
        revisions = [revision for one, revision in seen if one == run_id]
        assert revisions == sorted(revisions)


def test_pages_of_runs_skip_and_repeat_nothing_while_runs_are_made(
    engine: Engine, silent: task_pb2.Task
) -> None:
    label = {"batch": "paging"}
    before = [engine.client.runs.create(silent.id, labels=label).id for _ in range(11)]
    filter = run_service_pb2.RunFilter(task_id=silent.id, labels=label)
    request = run_service_pb2.ListRunsRequest(filter=filter, page_size=4)
    seen: list[str] = []
    while True:
        page = engine.runs.ListRuns(request)
        assert len(page.runs) <= 4
        seen += [run.id for run in page.runs]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
        engine.client.runs.create(silent.id, labels=label)
    assert seen == before[::-1]
    other = run_service_pb2.ListRunsRequest(page_size=4, page_token=request.page_token)
    with pytest.raises(grpc.RpcError) as refused:
        engine.runs.ListRuns(other)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    states = run_service_pb2.RunFilter(
        task_id=silent.id, labels=label, states=[RunState.RUN_STATE_QUEUED]
    )
    assert list(engine.client.runs.list(states)) == []


def test_a_retry_shares_the_inputs_and_is_a_run_of_its_own(engine: Engine, tmp_path: Path) -> None:
    task = engine.task(
        "cp /inputs/table /outputs/copy; exit 1", inputs={"table": "file"}, outputs={"copy": "file"}
    )
    (tmp_path / "table").write_bytes(b"x" * 100_000)
    first = engine.client.runs.create(task.id, {"table": tmp_path / "table"}, start=True)
    with pytest.raises(FailedPrecondition):
        engine.client.runs.retry(engine.client.runs.create(task.id).id)
    engine.client.runs.wait(first.id)
    second = engine.client.runs.retry(first.id)
    assert second.id != first.id
    assert second.retry_of == first.id
    ended = engine.client.runs.wait(second.id)
    assert ended.failure.exit_code == 1
    runs = engine.server.storage / "runs"
    inodes = {(runs / run.id / "inputs/table").stat().st_ino for run in (first, second)}
    assert len(inodes) == 1, "bytes were copied"
    engine.client.runs.delete(first.id)
    wait_for(lambda: not (runs / first.id).exists())
    third = engine.client.runs.wait(engine.client.runs.retry(second.id).id)
    assert third.failure.exit_code == 1, "the inputs of a retry need not the first run"
    engine.client.runs.download_inputs(third.id, tmp_path / "again")
    assert (tmp_path / "again/table").read_bytes() == b"x" * 100_000


def test_a_retry_that_is_refused_leaves_no_files(engine: Engine) -> None:
    run = engine.client.runs.create(engine.shell(COUNT).id)
    engine.client.runs.cancel(run.id)
    before = set((engine.server.storage / "runs").iterdir())
    with pytest.raises(FailedPrecondition, match="missing"):
        engine.client.runs.retry(run.id)
    assert set((engine.server.storage / "runs").iterdir()) == before


def test_a_deleted_run_leaves_nothing(engine: Engine) -> None:
    run = engine.start("echo up; exec sleep 1000", outputs=COUNT)
    engine.until_logged(run, b"up")
    with pytest.raises(FailedPrecondition, match="cancel"):
        engine.client.runs.delete(run.id)
    engine.client.runs.cancel(run.id)
    engine.client.runs.wait(run.id)
    folder = engine.server.storage / "runs" / run.id
    assert folder.is_dir()
    engine.client.runs.delete(run.id)
    with pytest.raises(NotFound):
        engine.client.runs.get(run.id)
    with pytest.raises(NotFound):
        list(engine.client.runs.logs(run.id))
    wait_for(lambda: not folder.exists())
    assert engine.containers(run.id) == []


async def test_a_deleted_run_has_no_rows_left(engine: Engine) -> None:
    run = engine.run("echo 1 > /outputs/count", outputs=COUNT)
    engine.client.runs.delete(run.id)
    for table, column in (("runs", "id"), ("attempts", "run_id"), ("run_events", "run_id")):
        query = f"SELECT count(*) AS count FROM {table} WHERE {column} = $1::text::uuid"
        [row] = await engine.fetch(query, run.id)
        assert row["count"] == 0, table


def test_a_task_in_use_is_only_deleted_by_force(engine: Engine) -> None:
    task = engine.task("exec sleep 1000")
    run = engine.client.runs.create(task.id, start=True)
    engine.until(run.id, RunState.RUN_STATE_RUNNING)
    with pytest.raises(FailedPrecondition) as used:
        engine.client.tasks.delete(task.id)
    assert used.value.reason == "TASK_IN_USE"
    assert "have not ended (1)" in used.value.message
    assert engine.client.tasks.get(task.id).state == task_pb2.TASK_STATE_READY
    engine.client.tasks.delete(task.id, force=True)
    assert engine.client.runs.wait(run.id).state == RunState.RUN_STATE_CANCELLED
    with pytest.raises((NotFound, FailedPrecondition)):
        engine.client.runs.create(task.id, start=True)
    assert engine.client.runs.get(run.id).task_namespace == task.namespace
    assert engine.has_image(task.image)
    engine.client.runs.delete(run.id)
    wait_for(lambda: not engine.has_image(task.image))
    wait_for(lambda: not (engine.server.storage / "tasks" / task.id).exists())


def test_runs_of_one_task_may_go_on_at_once(engine: Engine) -> None:
    runs = [engine.start(f"echo {n} > /outputs/count", outputs=COUNT) for n in range(10)]
    ended = [engine.client.runs.wait(run.id) for run in runs]
    assert {run.state for run in ended} == {run_pb2.RUN_STATE_SUCCEEDED}
    assert [engine.outputs(run)["count"].integer for run in ended] == list(range(10))


def test_latest_is_the_highest_release(engine: Engine) -> None:
    namespace = f"org.example.l{uuid4().hex[:12]}"
    name = f"{namespace}:latest"
    with pytest.raises(NotFound):
        engine.client.tasks.get(name)
    tasks = {
        version: engine.task("true", namespace=namespace, version=version)
        for version in ("2.0.0-rc.1", "1.10.0", "1.9.0")
    }
    assert engine.client.tasks.get(name).version == "1.10.0"
    run = engine.client.runs.create(name, start=True)
    assert engine.client.runs.wait(run.id).task_version == "1.10.0"
    engine.client.runs.delete(run.id)
    for version, left in (("1.10.0", "1.9.0"), ("1.9.0", "2.0.0-rc.1")):
        engine.client.tasks.delete(tasks[version].id)
        assert engine.client.tasks.get(name).version == left


def test_an_image_of_two_versions_goes_with_the_second(engine: Engine) -> None:
    namespace = f"org.example.s{uuid4().hex[:12]}"
    files = {"same": namespace.encode()}
    one, two = [
        engine.client.tasks.upload(
            make_bundle(
                engine.folder / f"{namespace}-{version}.zip", namespace=namespace, version=version,
                files=files,
            )
        )
        for version in ("1.0.0", "1.1.0")
    ]  # fmt: skip
    assert one.image == two.image
    engine.client.tasks.delete(one.id)
    wait_for(lambda: not (engine.server.storage / "tasks" / one.id).exists())
    assert engine.has_image(two.image)
    run = engine.client.runs.create(two.id, start=True)
    assert engine.client.runs.wait(run.id).state == RunState.RUN_STATE_SUCCEEDED
    engine.client.runs.delete(run.id)
    engine.client.tasks.delete(two.id)
    wait_for(lambda: not engine.has_image(two.image))
