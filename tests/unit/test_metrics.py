"""What streams of transfers moved is counted while they move, and how they ended."""

from __future__ import annotations

import asyncio

import pytest
from appengine_server.errors import NotFound
from appengine_server.metrics import Metrics


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


def test_names_have_their_unit():
    units = ("_bytes", "_seconds", "_streams", "_resumptions")
    for family in Metrics().registry.collect():
        assert family.name.startswith("appengine_")
        assert family.name.endswith(units), family.name
