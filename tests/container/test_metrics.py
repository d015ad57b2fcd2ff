"""What Prometheus reads of a server after real runs and transfers."""

from __future__ import annotations

import os
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.container.engine_server import REAL, Engine, RunState, started, wait_for
from tests.dashboard import dashboard_expressions, names_in
from tests.registry import free_port

pytestmark = REAL

COUNTED_SECONDS = 30
"""Runs are counted each 10 s."""
NOT_MOVED_HERE = {
    # nothing was cut, nothing is late, and nobody waits
    "appengine_transfer_resumptions_total", "appengine_transfer_resumed_bytes_total",
    "appengine_transfer_repeated_bytes_total", "appengine_transfer_streams",
    "appengine_reconcile_overdue_seconds", "appengine_database_waiters",
    "appengine_outbox_effects", "appengine_outbox_oldest_seconds",
    "appengine_storage_low_water_bytes", "appengine_swept_things_total",
}  # fmt: skip

Read = Callable[..., float]


@pytest.fixture(scope="module")
def measured(
    engine_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Read]]:
    """A server, and what reads the sum of a metric's samples with given labels."""
    port = free_port()
    settings = {"METRICS_PORT": str(port), "SCHEDULER_CPUS": "1", "RUN_RETRY_BACKOFF": "0"}

    def read(name: str, **labels: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found: dict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if all(sample.labels.get(label) == value for label, value in labels.items()):
                    found[sample.name] += sample.value
        return found[name]

    with started(tmp_path_factory.mktemp("measured"), engine_url, settings) as engine:
        yield engine, read


def test_real_runs_move_every_metric_of_the_dashboard(
    measured: tuple[Engine, Read], tmp_path: Path
) -> None:
    engine, read = measured
    assert read("appengine_runs_ended_total") == 0, "each server counts from its own start"
    picture = tmp_path / "picture"
    picture.write_bytes(os.urandom(3_000_000))
    task = engine.task("cp /inputs/in /outputs/out", inputs={"in": "file"}, outputs={"out": "file"})
    run = engine.client.runs.create(task.id, {"in": picture}, start=True)
    assert engine.client.runs.wait(run.id).state == RunState.RUN_STATE_SUCCEEDED
    engine.client.runs.download_outputs(run.id, tmp_path / "fetched")
    assert engine.run("exit 3").state == RunState.RUN_STATE_FAILED

    stays = engine.start("sleep 300")
    waits = engine.start("sleep 300")
    engine.until(stays.id, RunState.RUN_STATE_RUNNING)
    engine.until(waits.id, RunState.RUN_STATE_QUEUED, reason="CPU")
    [container] = engine.containers(stays.id)
    wait_for(lambda: read("appengine_queue_runs", kind="RESOURCES"), COUNTED_SECONDS)
    assert read("appengine_runs", state="RUNNING") == 1
    assert read("appengine_queue_oldest_seconds") > 0
    engine.engine("rm", "--force", "--time", "0", container)  # by somebody else
    wait_for(lambda: read("appengine_attempts_retried_total", reason="EVICTED"), COUNTED_SECONDS)

    def moved(name: str) -> bool:
        return name in NOT_MOVED_HERE or read(name) > 0

    names = {name for expression in dashboard_expressions() for name in names_in(expression)}
    not_moved = [name for name in sorted(names) if not moved(name)]
    assert not not_moved
    assert read("appengine_transfer_bytes_total", direction="upload") >= 3_000_000
    assert read("appengine_transfer_bytes_total", direction="download") >= 3_000_000
    assert read("appengine_runs_ended_total", state="SUCCEEDED", reason="") == 1
    assert read("appengine_runs_ended_total", state="FAILED", reason="TASK_EXIT_CODE") == 1
    for phase in ("queued", "pending", "running", "checking"):
        assert read("appengine_run_phase_seconds_count", phase=phase) >= 2
    assert read("appengine_run_seconds_count", state="SUCCEEDED") == 1

    engine.client.runs.cancel(stays.id)
    engine.client.runs.cancel(waits.id)
    wait_for(lambda: read("appengine_runs_ended_total", state="CANCELLED") == 2, COUNTED_SECONDS)
    assert read("appengine_runs", state="RUNNING") == 0


def test_the_server_stops_and_starts_with_its_metrics(measured: tuple[Engine, Read]) -> None:
    engine, read = measured
    engine.disconnect()
    assert engine.server.stop() == 0
    engine.server.start()
    engine.connect()
    assert read("appengine_build") == 1
    assert read("appengine_runs_ended_total") == 0
