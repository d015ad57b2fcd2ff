"""A disk without room stops runs where they are; they go on once there is room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container.engine_server import REAL, Engine, RunState, Starts, wait_for

pytestmark = REAL


@pytest.fixture
def cramped(start_engine: Starts) -> Iterator[Engine]:
    """A server whose runs lie on a small disk of their own."""
    engine = start_engine()
    runs = engine.server.storage / "runs"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(runs)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield engine
    finally:
        subprocess.run(["umount", "-l", str(runs)], check=True)


def test_runs_wait_while_the_disk_is_full_and_then_go_on(cramped: Engine) -> None:
    engine = cramped
    outputs = {"count": "integer"}
    finishing = engine.start("echo 7 > /outputs/count; echo done; sleep 2", outputs=outputs)
    engine.until_logged(finishing, b"done")
    filler = engine.server.storage / "runs" / "filler"
    _fill(filler)
    starting = engine.start("echo 8 > /outputs/count", outputs=outputs)
    wait_for(lambda: _logged(engine, "reconcile.disk_full"))
    wait_for(lambda: _logged(engine, "effect.disk_full"))
    filler.unlink()
    for run, count in ((finishing, 7), (starting, 8)):
        ended = engine.client.runs.wait(run.id)
        assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
        assert engine.outputs(ended)["count"].integer == count
    assert not _logged(engine, "reconcile.failed")
    assert not _logged(engine, "effect.failed")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    room = os.statvfs(path)
    assert room.f_bavail == 0


def _logged(engine: Engine, event: str) -> bool:
    return event in engine.server.log.read_text()
