"""Every script says what it does, and what is wrong with its arguments, before it does anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

_SCRIPTS = Path(__file__).parents[2] / "scripts"
_NAMES = sorted(path.name for path in _SCRIPTS.iterdir() if path.is_file())


def called(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_SCRIPTS / name, *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("name", _NAMES)
def test_help_is_given_from_any_folder(name: str, tmp_path: Path) -> None:
    done = called(name, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= 1
    assert not any(line.startswith(("#", "set ", "source")) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", [name for name in _NAMES if name != "test"])  # it passes them on
def test_an_unknown_option_is_named(name: str, tmp_path: Path) -> None:
    done = called(name, "--nonsense", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--nonsense" in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("name", "option", "sentence"),
    [
        ("demo", "--output-dir", "error: --output-dir needs a folder"),
        ("build-bundle", "-o", "error: -o needs a file"),
    ],
)
def test_an_option_without_its_value_is_a_sentence(
    name: str, option: str, sentence: str, tmp_path: Path
) -> None:
    done = called(name, option, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == sentence
