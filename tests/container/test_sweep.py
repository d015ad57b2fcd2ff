"""`appengine-server sweep` beside a server that runs, and the server's own sweeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from appengine_client.errors import NotFound

from tests.container.engine_server import REAL, Engine, RunState, started, wait_for

pytestmark = REAL


def sweep(engine: Engine, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command with the environment of the engine's server."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    server = engine.server
    ours = {"STORAGE_BASE_PATH": str(server.storage), "DOCKER_HOST": server.engine_url}
    return subprocess.run(
        [sys.executable, "-m", "appengine_server", "sweep", *arguments],
        env={**kept, **ours, **settings}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    assert done.returncode == 0, done.stderr
    return {one["kind"]: one["count"] for one in json.loads(done.stdout) if one["count"]}


def is_gone(engine: Engine, run_id: str) -> bool:
    try:
        engine.client.runs.get(run_id)
    except NotFound:
        return True
    return False


def test_a_dry_run_shows_what_a_sweep_then_removes(engine: Engine) -> None:
    old = engine.run("true")
    assert old.state == RunState.RUN_STATE_SUCCEEDED
    active = engine.start("sleep 300")
    engine.until(active.id, RunState.RUN_STATE_RUNNING)
    kept = sweep(engine, "--dry-run")
    assert "kept  finished runs: RETENTION_FINISHED_RUNS is not set" in kept.stdout
    given = {"RETENTION_FINISHED_RUNS": "0"}
    shown = json.loads(sweep(engine, "--dry-run", "--json", **given).stdout)
    assert old.id in shown[0]["names"]
    assert active.id not in shown[0]["names"]
    assert not is_gone(engine, old.id)
    assert (engine.server.storage / "runs" / old.id).exists()
    plain = sweep(engine, "--dry-run", **given).stdout.splitlines()
    assert plain[0] == "would remove:"
    assert plain[1].split(maxsplit=1) == [str(shown[0]["count"]), "finished runs"]

    assert counts(sweep(engine, "--json", **given)) == {"finished runs": shown[0]["count"]}
    assert is_gone(engine, old.id)
    assert not (engine.server.storage / "runs" / old.id).exists()
    assert not is_gone(engine, active.id)
    assert engine.containers(active.id), "what is needed is left alone"
    engine.client.runs.cancel(active.id)
    engine.until(active.id, RunState.RUN_STATE_CANCELLED)


def test_a_container_of_no_run_is_found_and_removed(engine: Engine) -> None:
    run = engine.start("sleep 300")
    engine.until(run.id, RunState.RUN_STATE_RUNNING)
    [container] = engine.containers(run.id)
    stranger = uuid4().hex
    details = json.loads(engine.engine("inspect", container))[0]
    labels = {**details["Config"]["Labels"], "appengine.run": stranger}
    options = [part for pair in labels.items() for part in ("--label", "=".join(pair))]
    engine.engine("create", "--name", f"appengine-{stranger}-1", *options, details["Image"], "x")
    found = counts(sweep(engine, "--json"))
    assert found == {"orphaned containers and Jobs": 1}
    assert engine.containers(run.id) == [container]
    engine.client.runs.cancel(run.id)
    engine.until(run.id, RunState.RUN_STATE_CANCELLED)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"STORAGE_BASE_PATH": "/no/such/folder"}, "STORAGE_BASE_PATH: there is no folder"),
        ({"RETENTION_FINISHED_RUNS": "soon"}, "RETENTION_FINISHED_RUNS: must be a number"),
        ({"RETENTION_ORPHANS": "5"}, "RETENTION_ORPHANS: "),
        ({"DOCKER_HOST": "unix:///no.sock"}, "no container engine answers"),
    ],
)
def test_what_keeps_it_from_sweeping_is_told(
    engine: Engine, settings: dict[str, str], words: str
) -> None:
    done = sweep(engine, **settings)
    assert done.returncode == 2
    assert done.stderr.startswith("appengine-server cannot sweep: ")
    assert words in done.stderr


def test_a_server_sweeps_by_itself(engine_url: str, tmp_path: Path) -> None:
    settings = {"RETENTION_FINISHED_RUNS": "3", "RETENTION_INTERVAL": "1"}
    with started(tmp_path, engine_url, settings) as engine:
        run = engine.run("true")
        assert run.state == RunState.RUN_STATE_SUCCEEDED
        wait_for(lambda: is_gone(engine, run.id))
        wait_for(lambda: not (engine.server.storage / "runs" / run.id).exists())
