"""What a task printed, from its pod: live while it runs, and whole once it has ended.

The node keeps the log as it was printed but for CR before LF, which container runtimes drop, and
gives it from its beginning until it rotates it (at 10 MiB by default, with about 46 bytes more for
each line). Of what is longer, parts may be missing, most likely for who did not follow it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog

from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster, NodeOutOfReach
from appengine_server.scheduling.kubernetes.labels import TASK, Json
from appengine_server.scheduling.kubernetes.reasons import observation_of, task_state
from appengine_server.scheduling.kubernetes.view import News, View
from appengine_server.scheduling.scheduler import AttemptPhase, AttemptRef

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0
_REFUSALS = 5
"""How often a node may refuse the log of a task that has ended, while its pod is still there."""
_SETTLE_SECONDS = 0.1
"""Runtimes write the last of a log some milliseconds after they report that the task has ended."""
_BUFFER_BYTES = 1024 * 1024
_SLOW_SECONDS = 0.05
_LINE_BYTES = 46
"""What the node adds to each line."""
_SAFE_BYTES = 4 * 1024 * 1024
"""A log of this size on the node may have been rotated by the time that it is read again."""
_NO_LOG = re.compile(
    rb"(unable to retrieve container logs for \S+|failed to try resolving symlinks in path .*)\Z",
    re.DOTALL,
)
"""What kubelets answer in the place of a log that is gone, as if it were one."""


class _NoLog(Exception):
    """The node answered, and the answer is no log."""


class LogReader:
    """Reads the log of one attempt."""

    def __init__(self, cluster: Cluster, view: View, ref: AttemptRef) -> None:
        self._cluster = cluster
        self._view = view
        self._ref = ref
        self._sent_bytes = 0
        self._node_bytes = 0
        self._refusals = 0
        self._read_whole = False

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Give the log as it grows, until the task has ended."""
        with self._view.listening() as news:
            while (pod := await self._started_pod(news)) is not None:
                if self._is_lost():
                    log.warning("log.lost", attempt=self._ref.name)
                    return
                ended, before = task_state(pod) == "terminated", self._sent_bytes
                try:
                    async with aclosing(self._pieces(pod, news, follow=not ended)) as pieces:
                        async for piece in pieces:
                            yield piece
                except NodeOutOfReach as error:
                    log.info("log.node_out_of_reach", attempt=self._ref.name, error=str(error))
                    await asyncio.sleep(_AGAIN_SECONDS)
                except (ApiRefused, _NoLog) as error:
                    if ended and self._is_given_up(error):
                        return
                    await self._news(news)
                else:
                    if ended and await self._is_whole(before):
                        return
                    if not self._has_ended():
                        await self._news(news)

    async def _is_whole(self, before: int) -> bool:
        """Whether another reading of an ended task's log brought nothing more than `before`."""
        if self._read_whole and self._sent_bytes == before:
            return True
        self._read_whole = True
        await asyncio.sleep(_SETTLE_SECONDS)
        return False

    def _is_given_up(self, error: Exception) -> bool:
        """Whether the log of a task that has ended is not to be had any more."""
        if self._view.job(self._ref) is None or self._view.live_pod(self._ref) is None:
            return True  # it was deleted, and its log with it
        self._refusals += 1
        if self._refusals < _REFUSALS:
            return False
        log.warning("log.refused", attempt=self._ref.name, error=str(error))
        return True

    async def _started_pod(self, news: asyncio.Queue[News]) -> Json | None:
        """Wait until the task has started. None if it never will, or is gone with its log."""
        while True:
            job = self._view.job(self._ref) or await self._view.read_job(self._ref)
            if job is None:
                return None
            pod = self._view.live_pod(self._ref)
            if pod is None and not self._view.synced:
                pod = await self._view.read_pod(self._ref)
            if pod is not None and task_state(pod) != "waiting":
                return pod
            shown = observation_of(self._view.sight(self._ref, job, pod))
            if shown.phase is AttemptPhase.ENDED or shown.failure is not None:
                return None
            await self._news(news)

    async def _pieces(
        self, pod: Json, news: asyncio.Queue[News], *, follow: bool
    ) -> AsyncGenerator[bytes, None]:
        """What was not sent yet; of a log that is followed, what came while the task ran."""
        path = self._cluster.path("api/v1", "pods", pod["metadata"]["name"]) + "/log"
        query = {"container": TASK, "follow": str(follow).lower()}
        skip = self._sent_bytes
        async with aclosing(self._cluster.stream(path, query)) as chunks:
            async for chunk in chunks if not follow else self._until_ended(chunks, news):
                if _NO_LOG.match(chunk) and self._sent_bytes == 0:
                    raise _NoLog(chunk.decode(errors="replace"))
                fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                if fresh:
                    self._sent_bytes += len(fresh)
                    self._node_bytes += len(fresh) + _LINE_BYTES * fresh.count(b"\n")
                    yield fresh

    async def _until_ended(
        self, chunks: AsyncGenerator[bytes, None], news: asyncio.Queue[News]
    ) -> AsyncGenerator[bytes, None]:
        """Stop when the task has ended: the node closes a followed log up to a second later.

        A log that may have been rotated is followed until the node closes it, though. A node sends
        each line by itself; what came meanwhile is given as one piece.
        """
        came, arrived = bytearray(), asyncio.Event()
        pumping = asyncio.create_task(_pump(chunks, came, arrived))
        try:
            while not (self._is_lost() or (self._has_ended() and self._node_bytes < _SAFE_BYTES)):
                await self._arrival_or_news(pumping, arrived, news)
                arrived.clear()
                if came:
                    piece = bytes(came)
                    came.clear()
                    yield piece
                elif pumping.done():
                    pumping.result()  # raises what ended it
                    return
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)

    async def _arrival_or_news(
        self, pumping: asyncio.Task[None], arrived: asyncio.Event, news: asyncio.Queue[News]
    ) -> None:
        arriving = asyncio.create_task(arrived.wait())
        hearing = asyncio.create_task(news.get())
        try:
            await asyncio.wait({pumping, arriving, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in (arriving, hearing):
                waiting.cancel()
            await asyncio.gather(arriving, hearing, return_exceptions=True)

    def _has_ended(self) -> bool:
        if self._view.job(self._ref) is None:
            return self._view.synced
        pod = self._view.live_pod(self._ref)
        return (pod is None and self._view.synced) or (
            pod is not None and task_state(pod) == "terminated"
        )

    def _is_lost(self) -> bool:
        """Whether the node of a task that had not ended will give no more, as far as we see."""
        job, pod = self._view.job(self._ref), self._view.live_pod(self._ref)
        if job is None or pod is None:
            return False
        shown = observation_of(self._view.sight(self._ref, job, pod))
        return shown.phase is AttemptPhase.ENDED and task_state(pod) != "terminated"

    async def _news(self, news: asyncio.Queue[News]) -> None:
        """Wait until something about the attempt may have changed, a second at most."""
        try:
            async with asyncio.timeout(_AGAIN_SECONDS):
                while await news.get() != self._ref:
                    pass
        except TimeoutError:
            pass


async def _pump(
    chunks: AsyncGenerator[bytes, None], came: bytearray, arrived: asyncio.Event
) -> None:
    async for chunk in chunks:
        came += chunk
        arrived.set()
        if len(came) > _BUFFER_BYTES:  # whoever takes it is slower than the node
            await asyncio.sleep(_SLOW_SECONDS)
