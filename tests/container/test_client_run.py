"""From inputs to outputs as Python values in one line, and over many values."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from appengine.v1 import run_pb2, task_pb2
from appengine_client import Each, Geometry, Outcome, RunFailed, connect, errors
from PIL import Image
from shapely.geometry import Point, box

from tests.container.engine_server import Engine, wait_for
from tests.container.test_for_each import COUNT, runs_of

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

SHAPES = {"type": {"id": "array", "subtype": {"id": "geometry"}}}
PNG = {"type": {"id": "image", "formats": ["png"]}}
WORDS = {"type": {"id": "array", "subtype": {"id": "string"}}}
EVERY = {
    "flag": "boolean", "count": "integer", "share": "number", "text": "string", "when": "datetime",
    "where": "geometry", "picture": PNG, "shapes": SHAPES, "words": WORDS,
}  # fmt: skip


@pytest.fixture(scope="module")
def echo(engine: Engine) -> str:
    """The task that hands every input back."""
    task = engine.task("cp -r /inputs/. /outputs/; echo done", inputs=EVERY, outputs=EVERY)
    return f"{task.namespace}:{task.version}"


@pytest.fixture(scope="module")
def counting(engine: Engine) -> task_pb2.Task:
    return engine.task(
        f"sleep 0.2; {COUNT}",
        inputs={"data": "file", "weight": {"type": "integer", "default": 1, "optional": True}},
        outputs={"count": "integer"},
    )


@pytest.fixture
def values(tmp_path: Path) -> dict[str, object]:
    """A value of every kind."""
    Image.new("RGB", (5, 4), "red").save(tmp_path / "picture.png")
    return {
        "flag": True,
        "count": -5,
        "share": 0.5,
        "text": "a text",
        "when": datetime(2024, 5, 1, 10, 30, tzinfo=UTC),
        "where": Point(1, 2),
        "picture": tmp_path / "picture.png",
        "shapes": [box(0, 0, 1, 1), {"type": "Point", "coordinates": [3, 4]}],
        "words": ["one", ""],
    }


def check(outputs: dict[str, object], values: dict[str, object]) -> None:
    """The outputs are what was given, as Python values."""
    picture, where, shapes = (outputs[name] for name in ("picture", "where", "shapes"))
    assert isinstance(picture, Path)
    assert picture.read_bytes() == values["picture"].read_bytes()
    assert isinstance(where, Geometry)
    assert where.to_shapely() == Point(1, 2)
    assert [shape.to_shapely() for shape in shapes] == [box(0, 0, 1, 1), Point(3, 4)]
    plain = ("flag", "count", "share", "text", "when", "words")
    assert {name: outputs[name] for name in plain} == {name: values[name] for name in plain}
    assert list(outputs) == list(EVERY), "in the order of the descriptor"


async def test_one_line_goes_from_values_to_values(
    engine: Engine, echo: str, values: dict[str, object], tmp_path: Path
) -> None:
    seen: list[int] = []
    async with connect(engine.server.address) as client:
        result = await client.run(echo, **values, on_change=lambda event: seen.append(event.state))
        check(result.outputs, values)
        assert result.run.state == seen[-1] == run_pb2.RUN_STATE_SUCCEEDED
        temporary = result.folder
        assert temporary is not None
        again = await client.result(result.run.id, output_dir=tmp_path / "kept")
    assert not temporary.exists(), "it goes with the client"
    check(again.outputs, values)
    assert (tmp_path / "kept/outputs.json").exists()
    with Image.open(tmp_path / "kept/picture.png") as picture:
        assert picture.size == (5, 4)


def test_the_blocking_client_does_the_same(
    engine: Engine, echo: str, values: dict[str, object]
) -> None:
    check(engine.client.run(echo, values).outputs, values)


def test_small_values_need_no_folder(engine: Engine) -> None:
    task = engine.task("echo 5 > /outputs/count", outputs={"count": "integer"})
    result = engine.client.run(task.id)
    assert (result.outputs, result.folder) == ({"count": 5}, None)


def test_a_failed_run_is_an_exception_with_its_reason(engine: Engine) -> None:
    task = engine.task(
        "echo 7 > /outputs/share", outputs={"share": {"type": {"id": "number", "leq": 1}}}
    )
    with pytest.raises(RunFailed) as caught:
        engine.client.run(task.id)
    assert caught.value.reason == "OUTPUT_INVALID"
    assert [problem.path for problem in caught.value.problems] == ["share"]
    assert caught.value.run.state == run_pb2.RUN_STATE_FAILED


def test_refused_inputs_leave_no_run(engine: Engine, echo: str, values: dict[str, object]) -> None:
    not_a_picture = values["picture"].with_name("text.png")
    not_a_picture.write_text("no picture")
    before = len(list(engine.client.runs.list()))
    with pytest.raises(errors.InvalidArgument, match="picture"):
        engine.client.run(echo, {**values, "picture": not_a_picture})
    assert len(list(engine.client.runs.list())) == before


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(1, 7):
        (folder / f"f{number}.bin").write_bytes(bytes(number))
    return folder


def test_many_values_give_results_as_they_come_and_failures_too(
    engine: Engine, counting: task_pb2.Task, files: Path
) -> None:
    (files / "f3.bin").write_bytes(b"")
    outcomes = list(engine.client.map(counting.id, data=files.glob("*.bin"), weight=2))
    counts = {one.item.name: one.outputs["count"] for one in outcomes if one.error is None}
    assert counts == {f"f{number}.bin": number for number in (1, 2, 4, 5, 6)}
    [failed] = [one for one in outcomes if one.error is not None]
    assert (failed.item, failed.ended.item) == (files / "f3.bin", "f3")
    assert isinstance(failed.error, RunFailed)
    assert failed.error.reason == "TASK_EXIT_CODE"
    with pytest.raises(RunFailed):
        _ = failed.outputs


def test_several_inputs_differ_side_by_side(
    engine: Engine, counting: task_pb2.Task, files: Path
) -> None:
    paths = sorted(files.glob("*.bin"))[:2]
    outcomes = list(engine.client.map(counting.id, data=Each(paths), weight=Each([3, 4])))
    given = {one.item["data"]: one.item["weight"] for one in outcomes}
    assert given == dict(zip(paths, [3, 4], strict=True))
    inputs = {
        one.item["weight"]: engine.client.runs.inputs(one.ended.run, "weight")[0].value.integer
        for one in outcomes
    }
    assert inputs == {3: 3, 4: 4}


PROGRAM = """
import sys
from pathlib import Path
from appengine_client.sync import connect
server, task, files, results, label = sys.argv[1:]
with connect(server) as client:
    slides = Path(files).glob("*.bin")
    for one in client.map(task, data=slides, at_once=2, output_dir=Path(results),
                          labels={"test": label}):
        print(one.item.name, one.outputs["count"], flush=True)
"""


def test_the_same_call_goes_on_after_a_kill_and_so_does_the_command_line(
    engine: Engine, counting: task_pb2.Task, files: Path, tmp_path: Path
) -> None:
    label = tmp_path.name[-40:]
    command = [sys.executable, "-c", PROGRAM, engine.server.address, counting.id,
               str(files), str(tmp_path / "results"), label]  # fmt: skip
    process = subprocess.Popen(command)
    wait_for(lambda: len(list((tmp_path / "results").glob("*/outputs.json"))) >= 2)
    process.kill()
    process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert sorted(done.stdout.split("\n")[:-1]) == [f"f{n}.bin {n}" for n in range(1, 7)]
    assert len(runs_of(engine, counting, label)) == 6, "each file was run once"
    again = engine.cli(
        "run", counting.id, "--for-each", f"data={files}/*.bin",
        "--output-dir", tmp_path / "results", "--label", f"test={label}",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    assert "6 of 6 runs SUCCEEDED" in again.stderr
    assert len(runs_of(engine, counting, label)) == 6


async def test_leaving_early_stops_the_work_here(
    engine: Engine, counting: task_pb2.Task, files: Path, tmp_path: Path
) -> None:
    label = tmp_path.name[-40:]
    async with connect(engine.server.address) as client:
        outcomes = client.map(
            counting.id, data=files.glob("*.bin"), at_once=1, labels={"test": label}
        )
        first: Outcome = await anext(outcomes)
        await outcomes.aclose()
        assert first.error is None
        others = [task for task in asyncio.all_tasks() if task.get_name() == "merged streams"]
        assert not others
    assert len(runs_of(engine, counting, label)) < 6


async def test_no_change_is_missed_between_a_list_and_a_watch(engine: Engine) -> None:
    async with connect(engine.server.address) as client:
        token = await client.runs.watch_token()
        run = engine.run("true")
        states = []
        async for answer in client.runs.watch_all(resume_token=token):
            if answer.event.run_id == run.id:
                states.append(answer.event.state)
            if states and states[-1] == run_pb2.RUN_STATE_SUCCEEDED:
                break
        assert run_pb2.RUN_STATE_QUEUED in states
