"""`appengine-server sweep` beside a server that runs, and the server's own sweeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from appengine.v1 import task_pb2
from appengine_client._transfer.source import following_links
from appengine_client.errors import NotFound

from tests.container.bundles import make_bundle
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


def create(engine: Engine, namespace: str, version: str) -> task_pb2.Task:
    """A task whose image is that of all others of the namespace; it is being published."""
    bundle = make_bundle(
        engine.folder / f"{version}.zip", namespace=namespace, version=version,
        files={"same": namespace.encode()},
    )  # fmt: skip
    upload = engine.client.uploads.send_bundle(following_links([(bundle.name, bundle)]))
    return engine.client.tasks.create(upload.id)


@pytest.fixture
def held_engine(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server that sweeps at its start alone, and holds at faults of its folder."""
    folder = tmp_path_factory.mktemp("held")  # a short name, for the database's socket
    settings = {"APPENGINE_FAULT_FOLDER": str(folder), "RETENTION_INTERVAL": "3600"}
    with started(folder, engine_url, settings) as engine:
        yield engine


async def test_an_image_of_no_task_is_found_and_removed_and_no_other(held_engine: Engine) -> None:
    """One task was deleted in the last moment of its publishing, one is published meanwhile."""
    engine, folder = held_engine, held_engine.folder
    armed, held = (folder / f"publish.before_ready.{state}" for state in ("armed", "held"))
    namespace = f"org.example.o{uuid4().hex[:12]}"

    def is_ready(task: task_pb2.Task) -> bool:
        return engine.client.tasks.get(task.id).state == task_pb2.TASK_STATE_READY

    used = create(engine, namespace, "1.0.0")
    wait_for(lambda: is_ready(used))
    armed.touch()
    lost = create(engine, namespace, "2.0.0")
    wait_for(held.exists)
    engine.client.tasks.delete(lost.id)
    # as if the server had been paused, and another one had swept meanwhile
    await engine.fetch("DELETE FROM task_images WHERE task_id = $1", UUID(lost.id))
    held.unlink()
    wait_for(lambda: "publish.lost" in engine.server.log.read_text())
    orphan = f"localhost/appengine-task:{lost.id}"
    strangers = f"localhost/appengine-task:{uuid4()}", f"localhost/users-own:{uuid4()}"
    for name in strangers:  # of another engine, and of the user
        engine.engine("tag", f"localhost/appengine-task:{used.id}", name)
    assert counts(sweep(engine, "--json")) == {}, "a young one is left alone"

    await engine.fetch("UPDATE task_images SET made_at = now() - interval '1 day'")
    shown = json.loads(sweep(engine, "--dry-run", "--json").stdout)
    assert {one["kind"]: one["names"] for one in shown if one["count"]} == {
        "orphaned images": [orphan]
    }
    assert engine.has_image(orphan)

    armed.touch()
    coming = create(engine, namespace, "3.0.0")
    wait_for(held.exists)
    assert counts(sweep(engine, "--json")) == {"orphaned images": 1}
    assert not engine.has_image(orphan)
    held.unlink()
    wait_for(lambda: is_ready(coming))
    for task in (used, coming):
        run = engine.client.runs.wait(engine.client.runs.create(task.id, start=True).id)
        assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    for name in strangers:
        assert engine.has_image(name)
        engine.engine("rmi", name)
    assert counts(sweep(engine, "--json")) == {}


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
