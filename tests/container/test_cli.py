"""The command line against a real server: what it prints, writes and answers to the shell."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import zipfile
from pathlib import Path

import pytest
from appengine.v1 import task_pb2
from PIL import Image

from tests.container.bundles import dump, make_descriptor
from tests.container.engine_server import REAL, Engine, RunState, wait_for

pytestmark = REAL

SUCCESS, FAILED, USAGE, UNREACHABLE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 4, 130
MIB = 1024 * 1024
POINT = {"type": "Point", "coordinates": [1, 2]}


@pytest.fixture(scope="module")
def mixed(engine: Engine) -> task_pb2.Task:
    """Adds two numbers, and hands a picture, a geometry and a set of numbers back."""
    outputs = {
        "sum": "integer",
        "picture": "image",
        "where": "geometry",
        "places": {"type": {"id": "array", "subtype": {"id": "geometry"}}},
    }
    inputs = {
        "a": "integer",
        "b": {"type": "integer", "default": 2, "optional": True},
        "image": "image",
        "set": {"type": {"id": "array", "subtype": {"id": "integer"}}},
    }
    script = """
        echo begin; cd /outputs; cp /inputs/image picture
        echo $(($(cat /inputs/a) + $(cat /inputs/b) + $(cat /inputs/set/0))) > sum
        echo '{"type": "Point", "coordinates": [1, 2]}' > where
        mkdir places; echo 'size: 2' > places/array.yml; cp where places/0; cp where places/1
        echo end >&2
    """
    return engine.task(script, inputs=inputs, outputs=outputs)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (5, 4), "red").save(path)
    return path


def name_of(task: task_pb2.Task) -> str:
    return f"{task.namespace}:{task.version}"


def newest(engine: Engine, task: task_pb2.Task) -> str:
    listed = engine.cli("runs", "list", "--task", name_of(task), json=True)
    return str(json.loads(listed.stdout)["runs"][0]["id"])


def test_a_run_gives_log_table_and_files_that_open(
    engine: Engine, mixed: task_pb2.Task, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    done = engine.cli(
        "run", name_of(mixed), "--input", "a=40", "--input", f"image=@{picture}",
        "--input", "set=[100, 5]", "--output-dir", folder, "--label", "colour=red",
    )  # fmt: skip
    assert done.returncode == SUCCESS, done.stderr
    assert "begin" in done.stderr
    assert "end" in done.stderr
    assert "142" in done.stdout
    assert (folder / "sum").read_bytes() == b"142\n"
    assert (folder / "picture").read_bytes() == picture.read_bytes()
    links = {path.name: os.readlink(path) for path in folder.iterdir() if path.is_symlink()}
    assert links == {
        "picture.png": "picture",
        "where.geojson": "where",
    }
    values = json.loads((folder / "outputs.json").read_text())
    assert values["sum"] == 142
    assert values["where"] == POINT
    assert values["places"] == [POINT, POINT]
    shown = engine.cli("runs", "show", newest(engine, mixed)[:8])
    assert shown.returncode == SUCCESS, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["INPUT", "VALUE"] in rows
    assert ["b", "2", "(default)"] in rows
    assert ["set", "2", "items"] in rows
    assert ["OUTPUT", "VALUE"] in rows
    assert ["sum", "142"] in rows
    inputs = engine.cli("runs", "inputs", newest(engine, mixed), json=True)
    assert [one["parameter"] for one in json.loads(inputs.stdout)["inputs"]] == [
        "a", "b", "image", "set",
    ]  # fmt: skip
    outputs = engine.cli("runs", "outputs", newest(engine, mixed), json=True)
    values = {one["parameter"]: one["value"] for one in json.loads(outputs.stdout)["outputs"]}
    assert values["sum"] == {"integer": "142"}
    watched = engine.cli("runs", "watch", newest(engine, mixed))
    assert watched.returncode == SUCCESS
    assert f"appengine runs download {newest(engine, mixed)} --output-dir" in watched.stderr
    again = engine.cli("runs", "download", newest(engine, mixed), "--output-dir", tmp_path / "two")
    assert again.returncode == SUCCESS, again.stderr
    assert (tmp_path / "two/outputs.json").read_bytes() == (folder / "outputs.json").read_bytes()


def test_inputs_may_come_as_the_list_that_cytomines_users_know(
    engine: Engine, mixed: task_pb2.Task, picture: Path, tmp_path: Path
) -> None:
    inputs = [
        {"parameterName": "a", "value": 1},
        {"param_name": "set", "value": [{"index": 1, "value": 7}, {"index": 0, "value": 4}]},
    ]
    (tmp_path / "inputs.json").write_text(json.dumps(inputs))
    done = engine.cli(
        "run", name_of(mixed), "--inputs", tmp_path / "inputs.json",
        "--input", f"image=@{picture}", "--output-dir", tmp_path / "out", json=True,
    )  # fmt: skip
    assert done.returncode == SUCCESS, done.stderr
    run = json.loads(done.stdout)
    assert run["state"] == "RUN_STATE_SUCCEEDED"
    assert (tmp_path / "out/sum").read_bytes() == b"7\n"


def test_a_run_that_fails_answers_1_and_says_why(engine: Engine, tmp_path: Path) -> None:
    task = engine.task("echo oops; exit 3")
    done = engine.cli("run", name_of(task), "--output-dir", tmp_path)
    assert done.returncode == FAILED
    assert "oops" in done.stderr
    assert "TASK_EXIT_CODE" in done.stderr
    assert "exit code 3" in done.stderr
    run_id = newest(engine, task)
    shown = engine.cli("runs", "show", run_id)
    assert (shown.returncode, shown.stderr) == (SUCCESS, "")
    for word in (run_id, "FAILED", "TASK_EXIT_CODE", name_of(task)):
        assert word in shown.stdout
    assert engine.cli("runs", "watch", run_id).returncode == FAILED
    assert engine.cli("runs", "logs", run_id).stdout == "oops\n"


@pytest.mark.rule("output.kept")
def test_what_a_failed_attempt_left_can_be_fetched(engine: Engine, tmp_path: Path) -> None:
    task = engine.task("echo half >/outputs/sum; exit 3", outputs={"sum": "integer"})
    done = engine.cli("run", name_of(task), "--output-dir", tmp_path / "none")
    run_id = newest(engine, task)
    assert f"appengine runs download {run_id} --attempt 1 --output-dir" in done.stderr
    refused = engine.cli("runs", "download", run_id, "--output-dir", tmp_path / "none")
    assert refused.returncode == REFUSED
    assert "runs download RUN --attempt N" in refused.stderr
    fetched = engine.cli(
        "runs", "download", run_id, "--attempt", "1", "--output-dir", tmp_path / "left"
    )
    assert fetched.returncode == SUCCESS, fetched.stderr
    assert (tmp_path / "left/sum").read_bytes() == b"half\n"
    absent = engine.cli("runs", "download", run_id, "--attempt", "2", "--output-dir", tmp_path)
    assert absent.returncode == REFUSED
    assert "The run has 1 attempt, so there is no attempt 2." in absent.stderr


def test_a_beginning_of_an_id_must_name_one_run(engine: Engine) -> None:
    unknown = engine.cli("runs", "show", "00000000")
    assert unknown.returncode == REFUSED
    assert "begins with 00000000" in unknown.stderr
    assert engine.cli("runs", "show", "0000000").returncode == USAGE, "it is too short"


@pytest.mark.parametrize(
    "wrong",
    [
        ["--input", "a=1.5"],
        ["--input", "nothing=1"],
        ["--input", "image=@/no/such/file"],
        ["--label", "no-value"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_answers_2_and_makes_no_run(
    engine: Engine, mixed: task_pb2.Task, tmp_path: Path, wrong: list[str]
) -> None:
    before = len(list(engine.client.runs.list()))
    done = engine.cli("run", name_of(mixed), *wrong, "--output-dir", tmp_path)
    assert done.returncode == USAGE
    assert done.stderr
    assert len(list(engine.client.runs.list())) == before


def test_a_folder_of_somebody_else_is_not_replaced_by_an_output(
    engine: Engine, mixed: task_pb2.Task, picture: Path, tmp_path: Path
) -> None:
    own = tmp_path / "places" / "own.txt"
    own.parent.mkdir()
    own.write_text("precious")
    given = ("--input", "a=1", "--input", f"image=@{picture}", "--input", "set=[3]")
    refused = engine.cli("run", name_of(mixed), *given, "--output-dir", tmp_path)
    assert refused.returncode == USAGE
    assert f"{own.parent} holds files that no earlier fetch brought" in refused.stderr
    assert own.read_text() == "precious"
    for _ in range(2):  # what a fetch brought, the next one replaces
        done = engine.cli("run", name_of(mixed), *given, "--output-dir", tmp_path / "out")
        assert done.returncode == SUCCESS, done.stderr


def test_an_output_folder_that_is_a_file_is_wrong_usage(
    engine: Engine, mixed: task_pb2.Task, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = engine.cli("run", name_of(mixed), "--input", "a=1", "--output-dir", tmp_path / "file")
    assert done.returncode == USAGE
    assert f"{tmp_path}/file is a file: name a folder" in done.stderr


def test_a_refusal_answers_4_with_every_problem_and_leaves_no_run(
    engine: Engine, mixed: task_pb2.Task, tmp_path: Path
) -> None:
    before = len(list(engine.client.runs.list()))
    done = engine.cli("run", name_of(mixed), "--input", "a=1", "--output-dir", tmp_path)
    assert done.returncode == REFUSED
    assert "image" in done.stderr
    assert "set" in done.stderr
    assert len(list(engine.client.runs.list())) == before
    unknown = engine.cli("run", "org.example.nothing:1.0.0", "--output-dir", tmp_path)
    assert unknown.returncode == REFUSED
    assert "org.example.nothing:1.0.0" in unknown.stderr


def test_a_server_that_is_not_there_answers_3(engine: Engine) -> None:
    command = engine.cli_command("runs", "list")
    command[command.index("--server") + 1] = "127.0.0.1:1"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == UNREACHABLE
    assert "127.0.0.1:1" in done.stderr


def test_runs_are_listed_cancelled_retried_and_deleted(engine: Engine) -> None:
    task = engine.task("echo up; exec sleep 1000")
    run = engine.client.runs.create(task.id, start=True, labels={"k": "v"})
    engine.until(run.id, RunState.RUN_STATE_RUNNING)
    listed = engine.cli("runs", "list", "--task", name_of(task), "--label", "k=v")
    assert run.id in listed.stdout
    assert "RUNNING" in listed.stdout
    refused = engine.cli("runs", "delete", run.id, "--yes")
    assert refused.returncode == REFUSED
    asked = engine.cli("runs", "cancel", run.id)
    assert asked.returncode == SUCCESS
    assert f"{run.id} is asked to stop: its task may take up to" in asked.stderr
    watched = engine.cli("runs", "watch", run.id)
    assert watched.returncode == FAILED
    assert "cancelled" in watched.stderr
    assert "was cancelled before" in engine.cli("runs", "cancel", run.id).stderr
    retried = engine.cli("runs", "retry", run.id)
    assert retried.returncode == SUCCESS
    again = retried.stdout.strip()
    assert engine.client.runs.get(again).retry_of == run.id
    answer = json.loads(engine.cli("runs", "cancel", again, json=True).stdout)
    assert answer["id"] == again
    assert engine.client.runs.wait(again).state == RunState.RUN_STATE_CANCELLED
    assert engine.cli("runs", "delete", again, "--yes").returncode == SUCCESS
    assert engine.cli("runs", "show", again).returncode == REFUSED


def test_tasks_are_uploaded_shown_listed_checked_and_deleted(
    engine: Engine, tmp_path: Path
) -> None:
    bundle = engine.bundle("true", inputs={"a": "integer"})
    assert engine.cli("task", "check", bundle).returncode == SUCCESS
    uploaded = engine.cli("task", "upload", bundle, json=True)
    assert uploaded.returncode == SUCCESS, uploaded.stderr
    name = name_of(task_pb2.Task(**{
        key: json.loads(uploaded.stdout)[key] for key in ("namespace", "version")
    }))  # fmt: skip
    assert json.loads(uploaded.stdout)["state"] == "TASK_STATE_READY"
    again = engine.cli("task", "upload", bundle)
    assert again.returncode == REFUSED
    assert f"The project has {name} already" in again.stderr
    assert "Nothing was sent." in again.stderr
    assert "sending" not in again.stderr
    assert "integer" in engine.cli("task", "show", name).stdout
    assert name in engine.cli("task", "list").stdout
    assert engine.cli("task", "delete", name, "--yes").returncode == SUCCESS
    assert engine.cli("task", "show", name).returncode == REFUSED
    foreign = engine.cli("task", "upload", engine.bundle(architecture="s390x"))
    assert foreign.returncode == FAILED
    assert "s390x" in foreign.stderr
    descriptor = make_descriptor(namespace="no namespace", version="one")
    (tmp_path / "descriptor.yml").write_bytes(dump(descriptor))
    listed = engine.cli("task", "show", "org.example.nothing:1.0.0")
    assert "appengine task list" in listed.stderr
    wrong = engine.cli("task", "check", tmp_path / "descriptor.yml")
    assert wrong.returncode not in {SUCCESS, UNREACHABLE}
    assert "namespace" in wrong.stdout + wrong.stderr
    assert "version" in wrong.stdout + wrong.stderr


def test_ctrl_c_while_a_task_is_uploaded_says_what_became_of_it(
    engine: Engine, tmp_path: Path
) -> None:
    bundle = tmp_path / "large.zip"
    with zipfile.ZipFile(bundle, "w") as zipped:
        zipped.writestr("descriptor.yml", dump(make_descriptor(namespace="org.example.large")))
        zipped.writestr("image.tar", bytes(512 * MIB))
    # A test run that was put into the background passes on that Ctrl-C is ignored.
    default = ["env", "--default-signal=INT"]
    process = subprocess.Popen(
        [*default, *engine.cli_command("task", "upload", bundle)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "sending large.zip" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED
    assert "What was sent of large.zip is dropped: no task was made of it." in said
    assert not [*(engine.server.storage / "uploads").iterdir()]


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_inputs_are_sent_says_that_no_run_is_left(
    engine: Engine, mixed: task_pb2.Task, tmp_path: Path, interrupt: signal.Signals
) -> None:
    before = len(list(engine.client.runs.list()))
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(512 * MIB)
    default = ["env", "--default-signal=INT"]  # as above
    command = engine.cli_command(
        "run", name_of(mixed), "--input", f"image=@{large}", "--output-dir", tmp_path / "out"
    )
    process = subprocess.Popen([*default, *command], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "sending inputs" in process.stderr.readline()
    process.send_signal(interrupt)
    _, said = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED
    assert "The run was not started, and what was sent is dropped." in said
    assert len(list(engine.client.runs.list())) == before


def _begin(engine: Engine, folder: Path, terminal: int) -> tuple[subprocess.Popen[bytes], str]:
    """Start `appengine run` of a task without end; answers the process and the run's id."""
    task = engine.task("echo up; trap 'exit 1' TERM; while true; do sleep 0.05; done")
    process = subprocess.Popen(
        engine.cli_command("run", name_of(task), "--output-dir", folder),
        stdin=terminal,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if terminal == subprocess.DEVNULL else terminal,
        start_new_session=True,
    )

    def is_running() -> str | None:
        runs = [run for run in engine.client.runs.list() if run.task_id == task.id]
        running = [run.id for run in runs if run.state == RunState.RUN_STATE_RUNNING]
        return running[0] if running else None

    return process, wait_for(is_running)


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_a_script_leaves_the_run_and_says_how_to_come_back(
    engine: Engine, tmp_path: Path, interrupt: signal.Signals
) -> None:
    process, run_id = _begin(engine, tmp_path, subprocess.DEVNULL)
    process.send_signal(interrupt)
    _, said = process.communicate(timeout=10)
    assert process.returncode == INTERRUPTED
    assert f"appengine runs watch {run_id}".encode() in said
    assert engine.client.runs.get(run_id).state == RunState.RUN_STATE_RUNNING
    engine.client.runs.cancel(run_id)
    engine.client.runs.wait(run_id)


def test_ctrl_c_at_a_terminal_asks_and_cancels(engine: Engine, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process, run_id = _begin(engine, tmp_path, theirs)
    os.close(theirs)
    try:
        process.send_signal(signal.SIGINT)
        said = b""
        while b"Cancel the run (c)" not in said:
            said += os.read(ours, 4096)
        os.write(ours, b"c\n")
        while process.poll() is None:
            said += _read_rest(ours)
    finally:
        process.wait(10)
        os.close(ours)
    assert process.returncode == INTERRUPTED
    assert engine.client.runs.wait(run_id).state == RunState.RUN_STATE_CANCELLED
    assert b"cancelled" in said


def _read_rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""
