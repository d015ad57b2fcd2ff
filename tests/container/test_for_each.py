"""One task over many files, by one command that may be killed and given again."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from appengine.v1 import run_pb2, task_pb2

from tests.container.engine_server import Engine, wait_for

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

COUNT = "[ -s /inputs/data ] || { echo empty >&2; exit 3; }; wc -c < /inputs/data > /outputs/count"


@pytest.fixture(scope="module")
def counting(engine: Engine) -> task_pb2.Task:
    return engine.task(f"sleep 0.3; {COUNT}", inputs={"data": "file"}, outputs={"count": "integer"})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(1, 9):
        (folder / f"f{number}.bin").write_bytes(bytes(number))
    return folder


def command(engine: Engine, task: task_pb2.Task, files: Path, results: Path) -> list[str]:
    return engine.cli_command(
        "run", f"{task.namespace}:{task.version}", "--for-each", f"data={files}/*.bin",
        "--output-dir", results, "--label", f"test={results.parent.name[-40:]}", "--at-once", "2",
    )  # fmt: skip


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=100)


def runs_of(engine: Engine, task: task_pb2.Task, label: str) -> list[run_pb2.Run]:
    return [
        one
        for one in engine.client.runs.list()
        if one.task_id == task.id and one.labels.get("test") == label
    ]


def counts(results: Path) -> dict[str, int]:
    return {
        path.parent.name: json.loads(path.read_text())["count"]
        for path in results.glob("*/outputs.json")
    }


def test_each_file_has_its_run_also_over_a_kill(
    engine: Engine, counting: task_pb2.Task, files: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    asked = command(engine, counting, files, results)
    process = subprocess.Popen(asked, stderr=subprocess.PIPE)
    wait_for(lambda: len(counts(results)) >= 3)
    process.kill()
    process.communicate()
    assert 3 <= len(counts(results)) < 8
    done = run(asked)
    assert done.returncode == 0, done.stderr
    assert "8 of 8 runs SUCCEEDED" in done.stderr
    assert counts(results) == {f"f{number}": number for number in range(1, 9)}
    made = runs_of(engine, counting, tmp_path.name[-40:])
    assert len(made) == 8, "each file was run once"
    again = run([*asked, "--json"])
    assert [json.loads(line)["state"] for line in again.stdout.splitlines()] == ["SUCCEEDED"] * 8
    assert len(runs_of(engine, counting, tmp_path.name[-40:])) == 8


def test_failures_are_told_and_tried_again_by_the_same_command(
    engine: Engine, counting: task_pb2.Task, files: Path, tmp_path: Path
) -> None:
    (files / "f3.bin").write_bytes(b"")
    asked = command(engine, counting, files, tmp_path / "results")
    done = run(asked)
    assert done.returncode == 1
    assert "7 of 8 runs SUCCEEDED" in done.stderr
    [row] = [line for line in done.stdout.splitlines() if line.startswith("f3 ")]
    assert "TASK_EXIT_CODE" in row
    assert run(asked).returncode == 1
    made = runs_of(engine, counting, tmp_path.name[-40:])
    assert len(made) == 9, "only what failed was run again"
    (files / "f3.bin").write_bytes(b"more")
    assert run(asked).returncode == 0
    assert counts(tmp_path / "results")["f3"] == 4


def test_an_interrupt_says_how_to_go_on(
    engine: Engine, counting: task_pb2.Task, files: Path, tmp_path: Path
) -> None:
    asked = command(engine, counting, files, tmp_path / "results")
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *asked], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: counts(tmp_path / "results"))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on where this one stopped" in said


def test_what_takes_no_file_is_refused(
    engine: Engine, counting: task_pb2.Task, files: Path, tmp_path: Path
) -> None:
    name = f"{counting.namespace}:{counting.version}"
    for wrong in ("count=*.bin", "data", "data="):
        done = engine.cli("run", name, "--for-each", wrong, "--output-dir", tmp_path / "results")
        assert done.returncode == 2
        assert "expected NAME=PATTERN" in done.stderr
        assert "of this task: data" in done.stderr
    twice = run([*command(engine, counting, files, tmp_path / "results"), "--input", "data=@x"])
    assert twice.returncode == 2
    assert "data is given twice: by --for-each, and as an input for all" in twice.stderr
    assert not (tmp_path / "results").exists()
    gone = run([*command(engine, counting, files, tmp_path / "results"), "--server", "127.0.0.1:1"])
    assert gone.returncode == 3
