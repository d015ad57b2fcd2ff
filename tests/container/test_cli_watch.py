"""`appengine runs watch` of many runs, as lines, as JSON and on a terminal; and silence."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from appengine.v1 import run_pb2

from tests.container.engine_server import REAL, Engine, wait_for

pytestmark = REAL

_STEERS = re.compile(rb"\x1b\[")


def three(engine: Engine) -> list[str]:
    """Two runs that succeed, and one that fails."""
    return [engine.start(script).id for script in ("true", "sleep 0.5", "exit 3")]


def test_several_runs_are_followed_to_their_ends(engine: Engine) -> None:
    runs = three(engine)
    done = engine.cli("runs", "watch", *runs)
    assert done.returncode == 1, "one of them failed"
    assert done.stderr.splitlines()[-1] == "3 runs: 2 SUCCEEDED, 1 FAILED."
    assert "\x1b" not in done.stdout + done.stderr
    assert engine.cli("runs", "watch", *runs[:2]).returncode == 0


def test_programs_get_every_change_from_the_beginning(engine: Engine) -> None:
    runs = three(engine)
    done = engine.cli("runs", "watch", *runs, json=True)
    assert done.returncode == 1
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    for run in runs:
        revisions = [int(event["revision"]) for event in events if event["runId"] == run]
        assert revisions == list(range(1, len(revisions) + 1))
        ended = [event["state"] for event in events if event["runId"] == run][-1]
        assert ended in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED")


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_run_everything_that_matches_is_shown_until_ctrl_c(
    engine: Engine, tmp_path: Path, *, as_json: bool
) -> None:
    task = engine.task("true")
    name = f"{task.namespace}:{task.version}"
    shown = tmp_path / "shown"
    with shown.open("wb") as file:
        process = subprocess.Popen(
            ["env", "--default-signal=INT", "PYTHONUNBUFFERED=1",
             *engine.cli_command("runs", "watch", "--task", name, json=as_json)],
            stdout=file, stderr=file,
        )  # fmt: skip

    def has_shown_a_new_one() -> bool:  # what ends before it has begun to watch is not shown
        engine.client.run(task.id)
        return b"SUCCEEDED" in shown.read_bytes()

    try:
        wait_for(has_shown_a_new_one)
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    mistaken = engine.cli("runs", "watch", "0" * 8, "--task", name)
    assert mistaken.returncode in (2, 4)


def test_a_terminal_shows_a_table(engine: Engine) -> None:
    ours, theirs = pty.openpty()
    runs = three(engine)
    process = subprocess.Popen(
        engine.cli_command("runs", "watch", *runs), stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "20"},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait() == 1
    assert _STEERS.search(said)
    for word in ("SINCE", runs[0][:8], "3 runs: 2 SUCCEEDED, 1 FAILED."):
        assert word.encode() in said


def test_results_reach_a_file_while_a_terminal_shows_what_goes_on(engine: Engine) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        engine.cli_command("runs", "watch", engine.start("sleep 0.3").id, json=True),
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True,
    )  # fmt: skip
    os.close(theirs)
    said = process.communicate(timeout=60)[0]
    os.close(ours)
    states = [json.loads(line)["event"]["state"] for line in said.splitlines()]
    assert states[-1] == "RUN_STATE_SUCCEEDED"


def test_silence_and_pipes(engine: Engine, tmp_path: Path) -> None:
    task = engine.task("echo a line; echo 5 > /outputs/count", outputs={"count": "integer"})
    name = f"{task.namespace}:{task.version}"
    quiet = engine.cli("--quiet", "run", name, "--output-dir", tmp_path / "one")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert quiet.stdout.splitlines()[1].split() == ["count", "integer", "5"]
    loud = engine.cli("run", name, "--output-dir", tmp_path / "two")
    assert "a line" in loud.stderr
    assert "\x1b" not in loud.stdout + loud.stderr
    [run, *_] = [one for one in engine.client.runs.list() if one.task_id == task.id]
    assert run.state == run_pb2.RUN_STATE_SUCCEEDED
    logs = engine.cli("runs", "logs", run.id, json=True)
    assert [json.loads(line) for line in logs.stdout.splitlines()] == [{"data": "YSBsaW5lCg=="}]
    listed = engine.cli("runs", "list", "--task", name).stdout.splitlines()
    assert listed[0].split() == ["RUN", "TASK", "STATE", "CREATED", "TOOK"]
    assert listed[1].split()[0] == run.id
    fetched = engine.cli("runs", "download", run.id, "--output-dir", tmp_path / "three", json=True)
    assert json.loads(fetched.stdout)["outputs"][0]["value"] == {"integer": "5"}
    assert engine.cli("runs", "delete", run.id, json=True).stdout == "{}\n"
