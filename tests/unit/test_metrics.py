"""What streams of transfers moved is counted while they move, and how they ended."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from appengine_server.errors import NotFound
from appengine_server.metrics import Metrics

from tests.dashboard import DASHBOARD, dashboard_expressions, names_in


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"appengine_transfer_{name}", labels)


def test_bytes_are_counted_while_a_stream_is_under_way():
    metrics = Metrics()
    with metrics.transfers.stream("upload") as stream:
        stream.moved(1000)
        assert value(metrics, "bytes_total", direction="upload") == 1000
        assert value(metrics, "streams", direction="upload") == 1
    assert value(metrics, "streams", direction="upload") == 0
    assert value(metrics, "resumptions_total", direction="upload") is None
    ended = value(metrics, "stream_seconds_count", direction="upload", outcome="ended")
    assert ended == 1


def test_what_resuming_saved_and_what_came_twice_is_counted():
    metrics = Metrics()
    with metrics.transfers.stream("download") as stream:
        stream.began_at_bytes = 700
        stream.moved(300)
        stream.repeated_bytes += 50
    assert value(metrics, "resumptions_total", direction="download") == 1
    assert value(metrics, "resumed_bytes_total", direction="download") == 700
    assert value(metrics, "repeated_bytes_total", direction="download") == 50


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (asyncio.CancelledError(), "cut"),
        (GeneratorExit(), "cut"),
        (NotFound("gone"), "refused"),
        (ValueError(), "failed"),
    ],
)
def test_how_a_stream_ended_is_told(error, outcome):
    metrics = Metrics()
    with pytest.raises(type(error)), metrics.transfers.stream("upload"):
        raise error
    assert value(metrics, "stream_seconds_count", direction="upload", outcome=outcome) == 1


UNITS = (
    "_bytes", "_seconds", "_streams", "_resumptions", "_runs", "_ended", "_retried", "_effects",
    "_connections", "_waiters", "_things",
)  # fmt: skip


def test_names_have_their_unit():
    for family in Metrics().registry.collect():
        if family.name.startswith("process_") or family.name == "appengine_build":
            continue
        assert family.name.startswith("appengine_")
        assert family.name.endswith(UNITS), family.name


def samples_of(metrics: Metrics) -> set[str]:
    """Every name that Prometheus can ask for."""
    endings = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        f"{family.name}{ending}"
        for family in metrics.registry.collect()
        for ending in endings[family.type]
    }


def test_every_metric_of_the_dashboard_is_in_the_catalogue_and_the_other_way_round():
    asked = {name for expression in dashboard_expressions() for name in names_in(expression)}
    samples = samples_of(Metrics())
    assert asked <= samples
    families = {re.sub("_(total|bucket|sum|count)$", "", name) for name in asked}
    shown_nowhere = {
        family.name
        for family in Metrics().registry.collect()
        if family.name not in families and not family.name.startswith("process_")
    }
    assert not shown_nowhere


def test_every_metric_is_in_the_docs():
    page = (DASHBOARD.parents[2] / "docs" / "operations.md").read_text()
    for family in Metrics().registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if not name.startswith("process_"):
            assert re.search(rf"`{name}[`{{]", page), name


def test_panels_of_the_dashboard_do_not_overlap_and_have_ids_of_their_own():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_what_is_no_longer_there_is_counted_as_none():
    metrics = Metrics()
    standing = {
        "waiting": {}, "oldest_waiting_seconds": 0.0, "overdue_seconds": 0.0, "effects": 0,
        "oldest_effect_seconds": 0.0,
    }  # fmt: skip
    metrics.runs.stand(runs={"RUNNING": 2}, **standing)
    metrics.runs.stand(runs={"QUEUED": 1}, **standing)
    found = {
        state: metrics.registry.get_sample_value("appengine_runs", {"state": state})
        for state in ("RUNNING", "QUEUED")
    }
    assert found == {"RUNNING": 0, "QUEUED": 1}
