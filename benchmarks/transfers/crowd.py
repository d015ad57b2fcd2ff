"""Many transfers at once: memory of the server, fairness, the sum, and other calls meanwhile."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from appengine_client import sync

from benchmarks.transfers.ours import Prepared
from benchmarks.transfers.processes import ended, watched
from benchmarks.transfers.rounds import GIB, scratch, touch
from benchmarks.transfers.webserver import WebServer
from benchmarks.transfers.worker import Worker, worker

CLIENTS = 16
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What sixteen clients at once saw."""

    direction: str
    server_peak_mib: float
    server_cpu_seconds: float
    slowest_to_fastest: float
    gib_per_second: float
    nginx_gib_per_second: float | None
    unary_p99_ms: float

    @property
    def to_nginx(self) -> float | None:
        if self.nginx_gib_per_second is None:
            return None
        return self.gib_per_second / self.nginx_gib_per_second


def measure_crowds(prepared: Prepared, web: WebServer | None, folder: Path) -> list[Crowd]:
    """Uploads, then downloads, of the prepared source by sixteen clients in their own processes."""
    size = prepared.source.stat().st_size
    with ExitStack() as stack:
        workers = [stack.enter_context(worker()) for _ in range(CLIENTS)]
        touch(folder, CLIENTS * size)
        run_ids = prepared.new_runs(CLIENTS)
        orders = [prepared.upload_order(run_id) for run_id in run_ids]
        up = _crowd("upload", prepared, workers, orders, _put_all(web, prepared, folder))
        prepared.drop_runs(run_ids)
        get_all = _get_all(web, prepared, folder)
        with scratch(folder) as place:
            orders = [prepared.download_order(place / str(i)) for i in range(CLIENTS)]
            down = _crowd("download", prepared, workers, orders, get_all)
    return [up, down]


def _crowd(
    direction: str,
    prepared: Prepared,
    workers: Sequence[Worker],
    orders: Sequence[dict[str, str | None]],
    nginx_seconds: float | None,
) -> Crowd:
    total_gib = CLIENTS * prepared.source.stat().st_size / GIB
    with probing(prepared) as pauses, watched([prepared.ours.server.pid]) as server:
        started = time.perf_counter()
        for one, order in zip(workers, orders, strict=True):
            one.tell(**order)
        seconds = [one.answer()[0] for one in workers]
        whole = time.perf_counter() - started
    pauses.sort()
    return Crowd(
        direction=direction,
        server_peak_mib=server.peak_mib,
        server_cpu_seconds=server.cpu_seconds,
        slowest_to_fastest=min(seconds) / max(seconds),
        gib_per_second=total_gib / whole,
        nginx_gib_per_second=total_gib / nginx_seconds if nginx_seconds else None,
        unary_p99_ms=pauses[int(len(pauses) * 0.99)] * 1000,
    )


@contextmanager
def probing(prepared: Prepared) -> Iterator[list[float]]:
    """GetRun again and again in a thread: the seconds that each took."""
    seconds: list[float] = []
    over = threading.Event()

    def probe() -> None:
        ours = prepared.ours
        with sync.connect(ours.url, ca_certificate=ours.authority) as client:
            while not over.is_set():
                started = time.perf_counter()
                client.runs.get(prepared.run_id)
                seconds.append(time.perf_counter() - started)
                over.wait(_PAUSE_SECONDS)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()


def _put_all(web: WebServer | None, prepared: Prepared, folder: Path) -> float | None:
    if web is None:
        return None
    with scratch(folder):
        return _curls(
            [
                (*web.curl, "-T", str(prepared.source), f"{web.url}/scratch/{i}")
                for i in range(CLIENTS)
            ]
        )


def _get_all(web: WebServer | None, prepared: Prepared, folder: Path) -> float | None:
    if web is None:
        return None
    with scratch(folder) as place:
        url = f"{web.url}/source/{prepared.source.name}"
        return _curls([(*web.curl, "-o", str(place / str(i)), url) for i in range(CLIENTS)])


def _curls(commands: Sequence[tuple[str, ...]]) -> float:
    started = time.perf_counter()
    for process in [subprocess.Popen(command) for command in commands]:
        ended(process)
    return time.perf_counter() - started
