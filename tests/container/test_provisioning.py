"""Inputs of runs: given in a request or uploaded, and what the task then finds on its disk."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import google_crc32c
import grpc
import pytest
from appengine.v1 import (
    run_pb2,
    run_service_pb2,
    task_pb2,
    task_service_pb2,
    transfer_pb2,
    value_pb2,
)
from appengine.v1 import storage_service_pb2 as storage_pb
from appengine_client._api.values import LocalFile
from appengine_client.errors import FailedPrecondition, InvalidArgument
from PIL import Image

from tests.container.engine_server import REAL, Engine, RunState, wait_for

pytestmark = REAL

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}
INPUTS = {
    "flag": "boolean",
    "count": {"type": {"id": "integer", "geq": 0}},
    "share": "number",
    "label": "string",
    "stain": {
        "type": {"id": "enumeration", "values": ["dab", "eosin"]},
        "default": "dab",
        "optional": True,
    },
    "taken": "datetime",
    "shape": "geometry",
    "table": "file",
    "picture": "image",
    "photo": {"type": {"id": "image", "formats": ["png"]}, "optional": True},
    "sizes": {"type": {"id": "array", "subtype": {"id": "integer"}}},
    "pictures": {"type": {"id": "array", "subtype": {"id": "image"}}},
    "level": {"type": "integer", "default": 3, "optional": True},
    "note": {"type": "string", "optional": True},
}
RARE = b"\0\r\n\xff any bytes\n"


@pytest.fixture(scope="session")
def echo(engine: Engine) -> task_pb2.Task:
    """A task that hands its whole input folder back."""
    return engine.task(
        "tar -C /inputs -cf /outputs/tree .", inputs=INPUTS, outputs={"tree": "file"}
    )


@pytest.fixture
def adder(engine: Engine) -> Iterator[task_pb2.Task]:
    """A task of two integers, one with a default."""
    inputs = {
        "a": {"type": {"id": "integer", "geq": 0}},
        "b": {"type": "integer", "default": 2, "optional": True},
    }
    script = "echo $(($(cat /inputs/a) + $(cat /inputs/b))) > /outputs/sum"
    task = engine.task(script, inputs=inputs, outputs={"sum": "integer"})
    yield task
    engine.client.tasks.delete(task.id, force=True)


def seen_by_task(engine: Engine, run: run_pb2.Run, folder: Path) -> dict[str, bytes]:
    """Every file of the input folder as the task saw it."""
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    engine.client.runs.download_outputs(run.id, folder)
    found = {}
    with tarfile.open(folder / "tree") as tree:
        for entry in tree:
            assert entry.isdir() or entry.isfile() or entry.islnk(), entry
            if not entry.isdir():
                content = tree.extractfile(entry)
                assert content is not None
                found[entry.name.removeprefix("./")] = content.read()
    return found


def png(path: Path, colour: int) -> Path:
    Image.new("L", (8, 6), colour).save(path, format="PNG")
    return path


def integer(parameter: str, value: int) -> run_service_pb2.InputValue:
    return run_service_pb2.InputValue(parameter=parameter, value=value_pb2.Value(integer=value))


def order(task: task_pb2.Task, **fields: object) -> run_service_pb2.CreateRunRequest:
    name = task_service_pb2.TaskName(id=task.id)
    return run_service_pb2.CreateRunRequest(task=name, **fields)  # type: ignore[arg-type]


@pytest.mark.rule(
    "parameter.default-given",
    "parameter.absent-optional",
    "layout.input-names",
    "layout.no-addition",
    "file.bytes",
    "image-type.companion",
)
def test_a_task_finds_every_type_of_input_as_the_contract_says(
    engine: Engine, echo: task_pb2.Task, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(RARE)
    companion = tmp_path / "where.geojson"
    companion.write_text(json.dumps(SQUARE))
    pictures = [png(tmp_path / f"{colour}.png", colour) for colour in (10, 20, 30)]
    large = "µ" * 300_000
    run = engine.client.runs.create(
        echo.id,
        {
            "flag": True,
            "count": 2**53,
            "share": 0.1,
            "label": large,
            "taken": "2024-05-01T12:00:00.250+02:00",
            "shape": SQUARE,
            "table": table,
            "picture": LocalFile(path=pictures[0], companion=companion),
            "sizes": [5, 0, -7],
            "pictures": pictures,
        },
        start=True,
    )
    seen = seen_by_task(engine, engine.client.runs.wait(run.id), tmp_path / "out")
    assert json.loads(seen.pop("shape")) == SQUARE
    assert seen.pop("taken").startswith(b"2024-05-01T12:00:00.250")
    assert seen == {
        "flag": b"true",
        "count": b"9007199254740992",
        "share": b"0.1",
        "label": large.encode(),
        "stain": b"dab",
        "table": RARE,
        "picture": pictures[0].read_bytes(),
        "picture.geojson": companion.read_bytes(),
        "sizes/array.yml": b"size: 3\n",
        "sizes/0": b"5",
        "sizes/1": b"0",
        "sizes/2": b"-7",
        "pictures/array.yml": b"size: 3\n",
        **{f"pictures/{index}": path.read_bytes() for index, path in enumerate(pictures)},
        "level": b"3",
    }


@pytest.mark.rule("parameter.default-given")
def test_defaults_are_given_to_the_task_and_told_apart(
    engine: Engine, adder: task_pb2.Task
) -> None:
    run = engine.client.runs.create(adder.id, {"a": 5})
    assert run.state == RunState.RUN_STATE_PROVISIONED
    engine.client.runs.start(run.id)
    ended = engine.client.runs.wait(run.id)
    assert engine.outputs(ended)["sum"].integer == 7
    found = {one.parameter: one for one in engine.client.runs.inputs(run.id)}
    assert (found["a"].value.integer, found["a"].from_default) == (5, False)
    assert (found["b"].value.integer, found["b"].from_default) == (2, True)


@pytest.mark.rule(
    "value.replaced",
    "run.created-provisioned",
    "run.closed-after-start",
    "run.start-refused",
)
def test_inputs_can_be_replaced_until_the_start_and_not_after(
    engine: Engine, adder: task_pb2.Task
) -> None:
    run = engine.client.runs.create(adder.id)
    assert run.state == RunState.RUN_STATE_CREATED
    assert run.missing_inputs == ["a"]
    with pytest.raises(FailedPrecondition) as incomplete:
        engine.client.runs.start(run.id)
    assert incomplete.value.reason == "INPUTS_INCOMPLETE"
    assert [problem.path for problem in incomplete.value.problems] == ["a"]
    engine.client.runs.provision(run.id, {"a": 1, "b": 100})
    provisioned = engine.client.runs.provision(run.id, {"a": 2})
    assert provisioned.state == RunState.RUN_STATE_PROVISIONED
    engine.client.runs.start(run.id)
    with pytest.raises(FailedPrecondition) as late:
        engine.client.runs.provision(run.id, {"a": 3})
    assert late.value.reason == "RUN_STATE"
    ended = engine.client.runs.wait(run.id)
    assert engine.outputs(ended)["sum"].integer == 102
    with pytest.raises(FailedPrecondition):
        engine.client.runs.provision(run.id, {"a": 3})


@pytest.mark.rule("value.replaced")
def test_an_uploaded_input_can_be_replaced_and_the_old_bytes_go(
    engine: Engine, tmp_path: Path
) -> None:
    task = engine.task(
        "cp /inputs/table /outputs/copy", inputs={"table": "file"}, outputs={"copy": "file"}
    )
    run = engine.client.runs.create(task.id)
    for content in (b"first " * 1000, b"second"):
        (tmp_path / "table").write_bytes(content)
        engine.client.runs.provision(run.id, {"table": tmp_path / "table"})
    engine.client.runs.start(run.id)
    with pytest.raises(FailedPrecondition):
        engine.client.runs.provision(run.id, {"table": tmp_path / "table"})
    assert engine.client.runs.wait(run.id).state == RunState.RUN_STATE_SUCCEEDED
    engine.client.runs.download_outputs(run.id, tmp_path / "out")
    assert (tmp_path / "out/copy").read_bytes() == b"second"
    kept = engine.server.storage / "runs" / run.id / "uploaded"
    assert len(list(kept.iterdir())) == 1


@pytest.mark.rule("value.checked-first")
def test_what_an_upload_holds_must_be_of_its_type(
    engine: Engine, echo: task_pb2.Task, tmp_path: Path
) -> None:
    run = engine.client.runs.create(echo.id)
    (tmp_path / "page.html").write_text("<html>404</html>")
    with pytest.raises(InvalidArgument):
        engine.client.runs.provision(run.id, {"shape": {"type": "Nothing"}})
    with pytest.raises(InvalidArgument):
        engine.client.runs.provision(run.id, {"count": -1})
    with pytest.raises(InvalidArgument):
        engine.client.runs.provision(run.id, {"stain": "mauve"})
    with pytest.raises(InvalidArgument) as no_picture:
        engine.client.runs.provision(run.id, {"photo": tmp_path / "page.html"})
    assert [problem.path for problem in no_picture.value.problems] == ["photo"]
    assert not engine.client.runs.inputs(run.id)[0].HasField("value")
    assert set(engine.client.runs.get(run.id).missing_inputs) >= {"shape", "count"}


def test_one_call_can_create_provision_and_start(engine: Engine, adder: task_pb2.Task) -> None:
    made = engine.runs.CreateRun(
        order(adder, inputs=[integer("a", 40)], start=True, labels={"colour": "red"})
    ).run
    assert made.state == RunState.RUN_STATE_QUEUED
    assert made.labels == {"colour": "red"}
    assert engine.outputs(engine.client.runs.wait(made.id))["sum"].integer == 42


@pytest.mark.rule("value.batch", "run.start-refused")
def test_one_call_that_cannot_start_makes_no_run(engine: Engine, adder: task_pb2.Task) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        engine.runs.CreateRun(order(adder, start=True))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError) as wrong:
        engine.runs.CreateRun(order(adder, inputs=[integer("a", -1)]))
    assert wrong.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    filter = run_service_pb2.RunFilter(task_id=adder.id)
    assert list(engine.client.runs.list(filter)) == []


def test_a_request_that_is_sent_twice_makes_one_run(engine: Engine, adder: task_pb2.Task) -> None:
    request_id = str(uuid4())
    request = order(adder, inputs=[integer("a", 1)], start=True, request_id=request_id)
    first, second = engine.runs.CreateRun(request).run, engine.runs.CreateRun(request).run
    assert first.id == second.id
    engine.client.runs.wait(first.id)
    assert engine.runs.CreateRun(request).run.state == RunState.RUN_STATE_SUCCEEDED
    other = order(adder, inputs=[integer("a", 2)], start=True, request_id=request_id)
    with pytest.raises(grpc.RpcError) as reused:
        engine.runs.CreateRun(other)
    assert reused.value.code() is grpc.StatusCode.ABORTED
    assert "request_id" in reused.value.details()
    filter = run_service_pb2.RunFilter(task_id=adder.id)
    assert [run.id for run in engine.client.runs.list(filter)] == [first.id]


def test_requests_that_race_make_one_run_and_start_it_once(
    engine: Engine, adder: task_pb2.Task
) -> None:
    request = order(adder, inputs=[integer("a", 1)], request_id=str(uuid4()))
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: engine.runs.CreateRun(request).run.id, range(16)))
        assert len(set(made)) == 1
        start = run_service_pb2.StartRunRequest(run_id=made[0])
        list(threads.map(lambda _: engine.runs.StartRun(start), range(16)))
    ended = engine.client.runs.wait(made[0])
    assert ended.state == RunState.RUN_STATE_SUCCEEDED
    assert len(ended.attempts) == 1
    states = [answer.event.state for answer in engine.client.runs.watch(made[0])]
    assert states.count(RunState.RUN_STATE_QUEUED) == 1


@pytest.mark.rule("run.created-provisioned")
def test_inputs_given_at_once_by_many_are_all_kept(engine: Engine) -> None:
    task = engine.task("true", inputs={f"n{number}": "integer" for number in range(12)})
    run = engine.client.runs.create(task.id)

    def give(number: int) -> None:
        engine.client.runs.provision(run.id, {f"n{number}": number})

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(give, range(12)))
    found = {one.parameter: one.value.integer for one in engine.client.runs.inputs(run.id)}
    assert found == {f"n{number}": number for number in range(12)}
    assert engine.client.runs.get(run.id).state == RunState.RUN_STATE_PROVISIONED


@pytest.mark.rule("value.unknown-name", "value.batch")
def test_a_trial_lists_every_problem_and_keeps_nothing(
    engine: Engine, adder: task_pb2.Task
) -> None:
    wrong = [integer("a", -1), integer("nothing", 1)]
    wrong.append(run_service_pb2.InputValue(parameter="b", value=value_pb2.Value(string="two")))
    answer = engine.runs.CreateRun(order(adder, inputs=wrong, validate_only=True))
    assert not answer.HasField("run")
    assert {problem.path for problem in answer.problems} == {"a", "b", "nothing"}
    assert all(problem.reason and problem.message for problem in answer.problems)
    good = order(adder, inputs=[integer("a", 1)], start=True, validate_only=True)
    assert not engine.runs.CreateRun(good).problems
    bare = engine.runs.CreateRun(order(adder, start=True, validate_only=True))
    assert [problem.path for problem in bare.problems] == ["a"]
    filter = run_service_pb2.RunFilter(task_id=adder.id)
    assert list(engine.client.runs.list(filter)) == []
    run = engine.client.runs.create(adder.id)
    trial = run_service_pb2.ProvisionInputsRequest(run_id=run.id, inputs=wrong, validate_only=True)
    assert len(engine.runs.ProvisionInputs(trial).problems) == 3
    assert engine.client.runs.get(run.id).revision == run.revision


def test_many_problems_come_all_the_same(engine: Engine) -> None:
    """They do not fit into the trailers of a call; the client fetches them by a trial."""
    task = engine.task("true", inputs={"sizes": INPUTS["sizes"]})
    run = engine.client.runs.create(task.id)
    values = [
        run_service_pb2.InputValue(
            parameter="sizes", index=[index], value=value_pb2.Value(string="many" * 50)
        )
        for index in range(300)
    ]
    request = run_service_pb2.ProvisionInputsRequest(run_id=run.id, inputs=values)
    with pytest.raises(grpc.RpcError) as refused:
        engine.runs.ProvisionInputs(request)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    request.validate_only = True
    assert len(engine.runs.ProvisionInputs(request).problems) == 300


@pytest.mark.rule("layout.inputs-read-only")
def test_the_input_folder_cannot_be_written_by_the_task(engine: Engine) -> None:
    script = "echo gone > /inputs/script && echo 1 > /outputs/count || echo 0 > /outputs/count"
    run = engine.run(script, outputs={"count": "integer"})
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert engine.outputs(run)["count"].integer == 0


def test_inputs_can_be_fetched_before_and_after_the_run(
    engine: Engine, adder: task_pb2.Task, tmp_path: Path
) -> None:
    run = engine.client.runs.create(adder.id, {"a": 5})
    engine.client.runs.download_inputs(run.id, tmp_path / "before")
    assert (tmp_path / "before/a").read_bytes() == b"5"
    engine.client.runs.start(run.id)
    engine.client.runs.wait(run.id)
    engine.client.runs.download_inputs(run.id, tmp_path / "after")
    assert {path.name for path in (tmp_path / "after").iterdir()} == {"a", "b"}


@pytest.mark.rule("run.closed-after-start")
def test_an_upload_that_comes_after_the_start_leaves_nothing_behind(engine: Engine) -> None:
    task = engine.task("true", inputs={"photo": {"type": "image", "optional": True}})
    run = engine.client.runs.create(task.id, {})
    target = storage_pb.InputTarget(
        run_id=run.id, parameter="photo", part=storage_pb.INPUT_PART_WHOLE
    )
    upload_id = engine.storage.StartUpload(
        storage_pb.StartUploadRequest(input=target), timeout=10
    ).upload_id
    engine.client.runs.start(run.id)
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as refused:
            engine.storage.Upload(one_file(upload_id, "photo", b"picture"), timeout=10)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    engine.until(run.id, RunState.RUN_STATE_SUCCEEDED)
    uploaded = engine.server.storage / "runs" / run.id / "uploaded" / upload_id
    wait_for(lambda: not uploaded.exists())
    wait_for(lambda: not (engine.server.storage / "uploads" / upload_id).exists())


def one_file(upload_id: str, name: str, content: bytes) -> Iterator[storage_pb.UploadRequest]:
    """The messages of an upload of one small file."""
    begin = storage_pb.UploadBegin(upload_id=upload_id, writer_id=str(uuid4()))
    yield storage_pb.UploadRequest(begin=begin)
    crc32c = google_crc32c.value(content)
    entry = transfer_pb2.Entry(
        path=name, kind=transfer_pb2.ENTRY_KIND_FILE, size_bytes=len(content)
    )
    chunk = transfer_pb2.Chunk(
        crc32c=crc32c, data=content, entries=[entry],
        ends=[transfer_pb2.FileEnd(index=0, crc32c=crc32c)],
    )  # fmt: skip
    yield storage_pb.UploadRequest(chunk=chunk)
    end = transfer_pb2.Place(bytes=len(content), entries=1)
    yield storage_pb.UploadRequest(finish=storage_pb.UploadFinish(end=end))
