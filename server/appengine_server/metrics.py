"""Every metric of the server: names with their units, and nothing else knows them.

One object per process holds them in a registry of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from appengine_server.errors import AppEngineError

log = structlog.get_logger(__name__)

Direction = Literal["upload", "download"]
Outcome = Literal["ended", "cut", "refused", "failed"]
"""In order, by the client or the network, by a refusal of ours, or by a bug."""

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000)


@dataclass(slots=True)
class Stream:
    """What one stream of a transfer has moved until now."""

    _counter: Counter
    moved_bytes: int = 0
    """Of content."""
    began_at_bytes: int = 0
    """What an earlier stream had moved: it was not sent again."""
    repeated_bytes: int = 0
    """Of those moved, what was held already."""

    def moved(self, count: int) -> None:
        """So many bytes of content more."""
        self.moved_bytes += count
        self._counter.inc(count)


class TransferMetrics:
    """Counts streams of transfers, in both directions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._bytes = Counter(
            "appengine_transfer_bytes", "Bytes of content that were moved.", ["direction"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "appengine_transfer_stream_seconds", "Duration of each stream.",
            ["direction", "outcome"], buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._under_way = Gauge(
            "appengine_transfer_streams", "Streams that are under way.", ["direction"],
            registry=registry,
        )  # fmt: skip
        self._resumptions = Counter(
            "appengine_transfer_resumptions", "Streams that went on where an earlier one was.",
            ["direction"], registry=registry,
        )  # fmt: skip
        self._resumed_bytes = Counter(
            "appengine_transfer_resumed_bytes", "Bytes that resuming saved from being sent again.",
            ["direction"], registry=registry,
        )  # fmt: skip
        self._repeated_bytes = Counter(
            "appengine_transfer_repeated_bytes", "Bytes that came although they were held already.",
            ["direction"], registry=registry,
        )  # fmt: skip

    @contextmanager
    def stream(self, direction: Direction) -> Iterator[Stream]:
        """Count what the block notes on the stream that it gets, however it ends."""
        stream, began = Stream(self._bytes.labels(direction)), time.monotonic()
        outcome: Outcome = "failed"
        with self._under_way.labels(direction).track_inprogress():
            try:
                yield stream
                outcome = "ended"
            except (asyncio.CancelledError, GeneratorExit):
                outcome = "cut"
                raise
            except AppEngineError:
                outcome = "refused"
                raise
            finally:
                self._record(direction, stream, outcome, time.monotonic() - began)

    def _record(
        self, direction: Direction, stream: Stream, outcome: Outcome, seconds: float
    ) -> None:
        self._seconds.labels(direction, outcome).observe(seconds)
        if stream.began_at_bytes:
            self._resumptions.labels(direction).inc()
            self._resumed_bytes.labels(direction).inc(stream.began_at_bytes)
        self._repeated_bytes.labels(direction).inc(stream.repeated_bytes)
        log.info(
            "transfer.ended", direction=direction, outcome=outcome, moved_bytes=stream.moved_bytes,
            began_at_bytes=stream.began_at_bytes, repeated_bytes=stream.repeated_bytes,
            duration_seconds=round(seconds, 6),
        )  # fmt: skip


class Metrics:
    """All metrics of a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        """What an exporter reads."""
        self.transfers = TransferMetrics(self.registry)
