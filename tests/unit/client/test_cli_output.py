"""What the command line shows: tables that fit, nothing where nothing is wanted, exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile

import pytest
from appengine.v1 import run_pb2
from appengine_client import Progress, errors
from appengine_client._api.batches import Ended
from appengine_client._api.results import failed
from appengine_client.cli import output
from appengine_client.cli.board import LiveBoard
from appengine_client.cli.errors import ExitCode, exit_code_of, keep_silence
from appengine_client.cli.following import show_end
from appengine_client.cli.live import StatusLine
from appengine_client.cli.main import main
from appengine_client.cli.reporting import reporter
from appengine_client.cli.watching import Rows
from appengine_client.cli.words import rough_duration
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

RUN = "0d4c4fd3-4a3c-4b43-9b0e-6d2b7a0d7d11"
ROWS = [(RUN, "org.example.nuclei:1.0.0", "FAILED", "because of\na \x1b[31mcause")]
HEADINGS = ("RUN", "TASK", "STATE", "WHY")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout a terminal of 60 columns; in the test, for pytest sets its own before."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def make() -> Terminal:
        made = Terminal()
        monkeypatch.setattr("sys.stdout", made)
        return made

    return make


@pytest.fixture(autouse=True)
def _loud_again():
    yield
    keep_silence(False)


def exit_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_tables_for_pipes_are_whole_and_plain(capsys):
    output.print_table(HEADINGS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{RUN}  org.example.nuclei:1.0.0  FAILED  because of a �[31mcause"


def test_tables_on_a_terminal_fit_and_have_colours(terminal):
    written = terminal()
    output.print_table(HEADINGS, ROWS)
    heading, line = written.getvalue().splitlines()
    assert heading.startswith("\x1b[1mRUN")
    assert "\x1b[1;31mFAILED\x1b[0m" in line
    plain = line.replace("\x1b[1;31m", "").replace("\x1b[0m", "")
    assert len(plain) <= 60
    assert plain.count("…") == 3, "the widest columns give way"
    assert output.run_label(RUN) == "0d4c4fd3"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_unwanted(terminal, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    written = terminal()
    output.print_table(HEADINGS, [(RUN, "t", "FAILED", "")])
    assert "\x1b" not in written.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"),
     (172800, "2 days")],
)  # fmt: skip
def test_rough_durations(seconds, text):
    assert rough_duration(seconds) == text


def test_moments_are_told_from_now():
    assert output.ago(Timestamp(seconds=int(time.time()) - 300)) == "5 min ago"
    assert output.ago(Timestamp()) == ""
    assert output.between(Timestamp(seconds=10), Timestamp(seconds=25)) == "15 s"
    assert output.between(Timestamp(seconds=10), Timestamp()) == ""


def a_run(number: int, state: str, seconds_ago: int = 150, **about) -> run_pb2.Run:
    run = run_pb2.Run(
        id=f"{number:08x}-0000-4000-8000-000000000000",
        task_namespace="org.cytomine.examples.nuclei",
        task_version="1.0.0",
        state=run_pb2.RunState.Value(f"RUN_STATE_{state}"),
        revision=5,
        **about,
    )
    run.update_time.seconds = run.end_time.seconds = int(time.time()) - seconds_ago
    return run


def shown(renderable, width: int = 80, height: int = 12) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(renderable)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_live_table_of_runs_fits_and_begins_with_what_is_active():
    rows = Rows()
    failure = {"reason": run_pb2.FAILURE_REASON_OUT_OF_MEMORY, "message": "more than 1 GiB"}
    rows.begin(a_run(1, "FAILED", failure=failure))
    rows.begin(a_run(2, "QUEUED", pending_reasons=[{"message": "4 CPUs are in use"}]))
    rows.begin(a_run(3, "RUNNING"))
    lines = shown(rows)
    assert lines[0].split() == ["RUN", "TASK", "STATE", "SINCE", "WHY"]
    assert [line.split()[0][-1] for line in lines[1:4]] == ["3", "2", "1"]
    assert lines[1].split()[2] == "RUNNING"
    assert lines[2].endswith("QUEUED       2 min   4 CPUs are in use")
    assert "OUT_OF_MEMORY: more than" in lines[3]
    assert lines[4] == "3 runs: 1 QUEUED, 1 RUNNING, 1 FAILED"
    assert max(map(len, shown(rows, width=50))) <= 50
    for number in range(4, 50):
        rows.begin(a_run(number, "RUNNING"))
    assert len(shown(rows)) <= 12
    assert shown(rows)[-1].endswith("(41 not shown)")
    assert rows.exit_code is ExitCode.FAILED


def test_a_live_table_takes_each_change_once():
    rows = Rows()
    rows.begin(a_run(1, "RUNNING"))
    [run_id] = rows.rows
    late = run_pb2.RunEvent(run_id=run_id, revision=5, state=run_pb2.RUN_STATE_QUEUED)
    assert rows.change(late) is None
    end = run_pb2.RunEvent(run_id=run_id, revision=6, state=run_pb2.RUN_STATE_SUCCEEDED)
    assert rows.change(end) is not None
    assert not rows.active
    assert rows.exit_code is ExitCode.SUCCESS
    assert rows.change(run_pb2.RunEvent(run_id="other", revision=1)) is None


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("text", ["sending", "x" * 200])
def test_a_status_line_never_wraps(width, text):
    line = StatusLine()
    line.transfer(text, "1.2 GiB of 4.0 GiB", 3, 10)
    [only] = shown(line, width=width)
    assert len(only) <= width
    assert only.endswith("1.2 GiB of 4.0 GiB")
    assert ("━" in only) == (text == "sending")
    line.state(text)
    [only] = shown(line, width=width)
    assert "1.2 GiB" not in only


def test_the_board_of_many_files_fits():
    board = LiveBoard(20)
    for number in range(20):
        board.state(f"a-folder-with-a-long-name/slide-{number}", "RUNNING")
    progress = Progress(done_bytes=1, total_bytes=2, done_files=0, total_files=1)
    board.transfer("a-folder-with-a-long-name/slide-0", "sending", progress)
    lines = shown(board)
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("…")
    assert "slide-0" in lines[0]
    assert lines[-1].endswith("0 of 20")
    board.ended(Ended(item="a-folder-with-a-long-name/slide-0", request="", run="", state="FAILED"))
    assert shown(board)[-1].endswith("1 of 20, 1 failed")


def test_silence_leaves_errors(capsys):
    keep_silence(True)
    with reporter() as quiet:
        quiet.line("a line")
        quiet.state("a state")
        run = run_pb2.Run(id="r", state=run_pb2.RUN_STATE_FAILED, failure={"message": "no room"})
        show_end(run, quiet)
    assert capsys.readouterr().err == "The run r failed (UNSPECIFIED): no room\n"
    assert exit_of("--quiet", "task", "list", "--server", "127.0.0.1:1") == ExitCode.UNREACHABLE
    assert capsys.readouterr().err.startswith("Error: ")


def test_quiet_may_stand_anywhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert exit_of("task", "init", "cells", "-q") == ExitCode.SUCCESS
    assert exit_of("--quiet", "task", "check", "cells") == ExitCode.SUCCESS
    assert capsys.readouterr() == ("", "")
    assert exit_of("task", "init", "more", "--json") == ExitCode.SUCCESS
    assert json.loads(capsys.readouterr().out) == {"folder": "more"}


def test_a_bundle_with_errors_is_not_sent(tmp_path, capsys):
    bundle = tmp_path / "bundle.zip"
    with zipfile.ZipFile(bundle, "w") as zipped:
        zipped.writestr("descriptor.yml", "name: Nothing else\n")
    unreachable = ("--server", "127.0.0.1:1")  # asking it would be another exit code
    assert exit_of("task", "upload", str(bundle), *unreachable) == ExitCode.FAILED
    said = capsys.readouterr()
    assert "error: namespace: " in said.out
    assert "holds no image" in said.out
    assert exit_of("task", "upload", str(bundle), "--json", *unreachable) == ExitCode.FAILED
    assert json.loads(capsys.readouterr().out)["problems"]
    assert exit_of("task", "upload", str(tmp_path / "gone.zip"), *unreachable) == ExitCode.USAGE
    assert "gone.zip cannot be read: No such file" in capsys.readouterr().err


def test_every_error_has_the_exit_code_of_its_kind():
    of_kinds = {
        errors.InvalidValue: 2, errors.LocalFileError: 2, errors.Unavailable: 3, errors.NotFound: 4,
        errors.InvalidArgument: 4, errors.Unauthenticated: 4, errors.ServerFailed: 4,
        errors.BrokenTransfer: 4,
    }  # fmt: skip
    for kind, code in of_kinds.items():
        details = (errors.Details(status="X"),) if issubclass(kind, errors.ServerError) else ()
        assert exit_code_of(kind("x", *details)) == code
    assert exit_code_of(failed(a_run(1, "FAILED"))) == ExitCode.FAILED
    assert exit_code_of(failed(a_run(1, "CANCELLED"))) == ExitCode.FAILED


@pytest.mark.parametrize(
    ("typed", "offered"), [("appengine ru", {"run", "runs"}), ("appengine runs wa", {"watch"})]
)
def test_shells_complete_commands(typed, offered):
    asked = {
        "_APPENGINE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    command = [sys.executable, "-c", "from appengine_client.cli.main import main; main()"]
    done = subprocess.run(
        command, env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert {*done.stdout.split()} == offered
