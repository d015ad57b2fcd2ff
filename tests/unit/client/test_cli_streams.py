"""What the command line prints arrives, or it says in a sentence why it does not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from appengine_client.cli.main import main
from appengine_client.cli.reporting import LiveReporter


def appengine(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a shell of its own, with what follows it there."""
    program = f"{sys.executable} -m appengine_client.cli"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{program} {command}"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """That of a task with much that is wrong."""
    folder = tmp_path / "日本"
    folder.mkdir()
    (folder / "descriptor.yml").write_text("name: x\n")
    return folder


@pytest.mark.parametrize("options", ["", "--json"])
def test_results_that_cannot_be_printed_are_told_in_one_sentence(
    folder: Path, options: str
) -> None:
    done = appengine(f"task check {options} {folder} >/dev/full")
    told = done.stderr.splitlines()[-1]
    assert told == "Error: the results cannot be printed: No space left on device"
    assert done.returncode == 2


@pytest.mark.parametrize("options", ["", "--json"])
def test_nothing_is_said_where_nobody_reads(folder: Path, options: str) -> None:
    done = appengine(f"task check {options} {folder} | true")
    assert "Traceback" not in done.stderr


def test_a_stdout_that_the_shell_closed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it then
    with pytest.raises(SystemExit) as caught:
        main(["task", "init", "darkness"])
    assert not caught.value.code
    with sys.stdout as opened:
        assert not opened.isatty()


def test_a_terminal_that_has_not_every_letter_shows_their_codes(folder: Path) -> None:
    done = appengine(f"task check {folder}", PYTHONIOENCODING="latin-1")
    assert r"\u65e5\u672c/descriptor.yml" in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_live_line_is_drawn_before_a_line_can_pass_above_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with LiveReporter() as shown:
        shown.state("sending inputs")
        assert "sending inputs" in terminal.getvalue()
        shown.line("The run has the id 1.")
    before, _, _ = terminal.getvalue().partition("The run has the id 1.")
    assert before.endswith("\r\x1b[2K")  # the live line is taken away first
