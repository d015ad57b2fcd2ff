"""Every metric of the server: names with their units, and nothing else knows them.

One object per process holds them in a registry of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)

from appengine_server.errors import AppEngineError
from appengine_server.version import VERSION

log = structlog.get_logger(__name__)

Direction = Literal["upload", "download"]
Outcome = Literal["ended", "cut", "refused", "failed"]
"""In order, by the client or the network, by a refusal of ours, or by a bug."""

_MOMENTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
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


class RunMetrics:
    """Counts runs and what they wait for, as the database has them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Gauge(
            "appengine_runs", "Runs that have not ended.", ["state"], registry=registry
        )
        self._ended = Counter(
            "appengine_runs_ended", "Runs that ended.", ["state", "reason"], registry=registry
        )
        self._run_seconds = Histogram(
            "appengine_run_seconds", "From the start of a run to its end.", ["state"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._failed_attempts = Counter(
            "appengine_attempts_retried", "Attempts that failed and were followed by another.",
            ["reason"], registry=registry,
        )  # fmt: skip
        self._phase_seconds = Histogram(
            "appengine_run_phase_seconds", "How long the parts of attempts took.", ["phase"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._waiting = Gauge(
            "appengine_queue_runs", "Runs in the queue, by what they wait for.", ["kind"],
            registry=registry,
        )  # fmt: skip
        self._oldest_waiting = Gauge(
            "appengine_queue_oldest_seconds", "How long the oldest run of the queue waits.",
            registry=registry,
        )  # fmt: skip
        self._overdue = Gauge(
            "appengine_reconcile_overdue_seconds",
            "How long ago the run that waits longest for a look should have had it.",
            registry=registry,
        )  # fmt: skip
        self._effects = Gauge(
            "appengine_outbox_effects", "Effects that were decided and have not happened yet.",
            registry=registry,
        )  # fmt: skip
        self._oldest_effect = Gauge(
            "appengine_outbox_oldest_seconds", "How long ago the oldest of them was decided.",
            registry=registry,
        )  # fmt: skip

    def run_ended(self, state: str, reason: str, seconds: float | None) -> None:
        """A run is over; the reason is empty unless it failed."""
        self._ended.labels(state, reason).inc()
        if seconds is not None:
            self._run_seconds.labels(state).observe(seconds)

    def attempt_failed(self, reason: str) -> None:
        """An attempt failed, and its run gets another one."""
        self._failed_attempts.labels(reason).inc()

    def phase_ended(self, name: str, seconds: float) -> None:
        """A part of an attempt that is over took so long."""
        self._phase_seconds.labels(name).observe(seconds)

    def stand(
        self,
        *,
        runs: Mapping[str, int],
        waiting: Mapping[str, int],
        oldest_waiting_seconds: float,
        overdue_seconds: float,
        effects: int,
        oldest_effect_seconds: float,
    ) -> None:
        """What is there now."""
        _set_all(self._runs, runs)
        _set_all(self._waiting, waiting)
        self._oldest_waiting.set(oldest_waiting_seconds)
        self._overdue.set(overdue_seconds)
        self._effects.set(effects)
        self._oldest_effect.set(oldest_effect_seconds)


class LoopMetrics:
    """Counts what the loop that drives runs does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "appengine_reconcile_lag_seconds", "From the waking of a run to the look at it.",
            buckets=_MOMENTS, registry=registry,
        )  # fmt: skip
        self._step = Histogram(
            "appengine_reconcile_step_seconds", "How long a look at a run took.",
            buckets=_MOMENTS, registry=registry,
        )  # fmt: skip

    def waited(self, seconds: float) -> None:
        """A run that was woken is looked at now."""
        self._lag.observe(seconds)

    def looked(self, seconds: float) -> None:
        """The look is over."""
        self._step.observe(seconds)


class DatabaseMetrics:
    """Counts the pool's connections."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._connections = Gauge(
            "appengine_database_connections", "Connections of the pool.", ["state"],
            registry=registry,
        )  # fmt: skip
        self._waiters = Gauge(
            "appengine_database_waiters", "Who waits for a connection of the pool.",
            registry=registry,
        )  # fmt: skip
        self._acquire = Histogram(
            "appengine_database_acquire_seconds", "How long a connection was waited for.",
            buckets=_MOMENTS, registry=registry,
        )  # fmt: skip

    def acquired(self, seconds: float) -> None:
        """A connection was got after so long."""
        self._acquire.observe(seconds)

    def read_pool(
        self, used: Callable[[], int], idle: Callable[[], int], waiters: Callable[[], int]
    ) -> None:
        """Ask these whenever somebody reads the metrics, from another thread."""
        self._connections.labels("used").set_function(used)
        self._connections.labels("idle").set_function(idle)
        self._waiters.set_function(waiters)


class StorageMetrics:
    """Tells the room on the disk."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._free = Gauge(
            "appengine_storage_free_bytes", "What can still be written to the storage.",
            registry=registry,
        )  # fmt: skip
        self._low_water = Gauge(
            "appengine_storage_low_water_bytes", "Free bytes below which new work is refused.",
            registry=registry,
        )  # fmt: skip

    def read_disk(self, free_bytes: Callable[[], int], low_water_bytes: int) -> None:
        """Ask this whenever somebody reads the metrics, from another thread."""
        self._free.set_function(free_bytes)
        self._low_water.set(low_water_bytes)


class RetentionMetrics:
    """Counts what is kept no longer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._swept = Counter(
            "appengine_swept_things", "What was removed because it is kept no longer.", ["kind"],
            registry=registry,
        )  # fmt: skip

    def swept(self, kind: str) -> None:
        """One thing of this kind was removed."""
        self._swept.labels(kind).inc()


class Metrics:
    """All metrics of a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        """What an exporter reads."""
        self.transfers = TransferMetrics(self.registry)
        self.runs = RunMetrics(self.registry)
        self.loop = LoopMetrics(self.registry)
        self.database = DatabaseMetrics(self.registry)
        self.storage = StorageMetrics(self.registry)
        self.retention = RetentionMetrics(self.registry)
        ProcessCollector(registry=self.registry)
        build = Gauge("appengine_build", "Always 1.", ["version"], registry=self.registry)
        build.labels(VERSION).set(1)

    @contextmanager
    def exported(self, address: str, port: int) -> Iterator[None]:
        """Answer Prometheus over HTTP, in a thread of its own. Raises OSError."""
        server, thread = start_http_server(port, address, registry=self.registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _set_all(gauge: Gauge, counts: Mapping[str, int]) -> None:
    """Set these, and to 0 all that were set before and are not among them."""
    for sample in next(iter(gauge.collect())).samples:
        [label] = sample.labels.values()
        if label not in counts:
            gauge.labels(label).set(0)
    for label, count in counts.items():
        gauge.labels(label).set(count)
