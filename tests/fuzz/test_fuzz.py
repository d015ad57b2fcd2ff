"""No input makes a parser crash, escape, or take more than 512 MB and a second.

Quick: inputs that once broke something, and some hundred damaged samples. With the soak tests ten
minutes of a coverage-guided fuzzer, and how many branches of the parsers it reached.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.branches import branches_of
from tests.fuzz.targets import TARGETS, damaged, modules_of

_ROOT = Path(__file__).parents[2]
_REGRESSIONS = Path(__file__).parent / "found"
_QUICK_INPUTS = 300
_SOAK_SECONDS = 600
_FEWEST_BRANCHES = 0.9
_REPLAY_SECONDS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_broke_a_parser_does_not_any_more(name: str) -> None:
    target = TARGETS[name]
    for path in sorted((_REGRESSIONS / name).glob("*")):
        target.check(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_samples_are_answered_with_problems(name: str) -> None:
    target = TARGETS[name]
    chance = random.Random(name)
    pool = target.samples()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zips with two entries of one name are what we want
        for _ in range(_QUICK_INPUTS):
            data = damaged(target, chance.choice(pool), chance)
            began = time.process_time()
            target.check(data)
            assert time.process_time() - began < 1, f"{len(data)} bytes, seed {name}"
            pool.append(data[:20_000])


@pytest.mark.soak
@pytest.mark.timeout(2 * _SOAK_SECONDS + 2 * _REPLAY_SECONDS * len(TARGETS))
def test_ten_minutes_of_fuzzing_break_nothing_and_reach_the_branches(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    pytest.importorskip("atheris", reason="no fuzzer for this system: it is built for Linux x86_64")
    broken = []
    for name in TARGETS:
        broken += _fuzzed(name, tmp_path, seconds=_SOAK_SECONDS / len(TARGETS))
        _replayed(name, tmp_path / name, "--coverage", str(tmp_path / f"coverage.{name}"))
    found = branches_of(modules_of(list(TARGETS.values())), tmp_path)
    record_property("table", found.lines())
    assert not broken, "\n".join(broken)
    assert found.share >= _FEWEST_BRANCHES, "\n".join(found.lines())


def _fuzzed(name: str, folder: Path, *, seconds: float) -> list[str]:
    """What broke the target within that time, with the place of each input."""
    corpus, found = folder / name, folder / f"{name}-found"
    corpus.mkdir()
    found.mkdir()
    ends = time.monotonic() + seconds
    broken: dict[Path, str] = {}
    while (left := ends - time.monotonic()) > 1:
        # NB: the fuzzer may hang where it ends for an input that takes too long, and has kept it.
        try:
            done = _python("fuzzer", name, corpus, found, f"{left:.0f}", timeout=left + 30)
            ended_badly = bool(done.returncode)
            said = done.stderr
        except subprocess.TimeoutExpired:
            ended_badly, said = True, "it hung"
        for path in set(found.iterdir()) - broken.keys():
            again = _python("replay", name, path, timeout=_REPLAY_SECONDS)
            # The fuzzer's second is one of a clock, which goes on while others compute.
            is_late_only = again.returncode == 0 and path.name.startswith(("timeout", "slow"))
            broken[path] = "" if is_late_only else again.stdout or said[-4000:]
        if ended_badly and not broken:
            return [f"the fuzzer of {name} failed: {said[-4000:]}"]
        if any(broken.values()):
            break
    return [text for text in broken.values() if text]


def _replayed(name: str, *arguments: object) -> None:
    done = _python("replay", name, *arguments, timeout=_REPLAY_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def _python(module: str, *arguments: object, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{module}", *map(str, arguments)],
        cwd=_ROOT, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, timeout=timeout,
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
