"""How pods are removed: those of attempts that are deleted, and those that come too late.

The controller of Jobs makes one more pod when it sees that the first one is gone, and has not heard
yet that its Job is gone as well: after an outage of the API for seconds. Such a stray would execute
a task once more whose run has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster
from appengine_server.scheduling.kubernetes.fields import time_of
from appengine_server.scheduling.kubernetes.labels import Json, is_going
from appengine_server.scheduling.kubernetes.reasons import task_state
from appengine_server.scheduling.kubernetes.view import View
from appengine_server.scheduling.scheduler import AttemptRef, SchedulerUnavailable

log = structlog.get_logger(__name__)

_JOB_MARK = "batch.kubernetes.io/job-tracking"
_KILL_SECONDS = 30
"""How long a kubelet that answers may take to end a pod that is deleted."""
_STRAY_SECONDS = 0.3
"""Most pods whose Job is gone are deleted by whoever deleted it; no task starts so soon."""
_STUCK_AFTER = timedelta(minutes=5)
"""Controllers that were cut off from the API have heard all that happened long before."""


class Pods:
    """Removes pods. Made by `open_pods`."""

    def __init__(self, cluster: Cluster, view: View) -> None:
        """Both stay their owner's."""
        self._cluster = cluster
        self._view = view

    async def delete(self, pod: Json, *, grace_seconds: int) -> None:
        """Delete a pod; one of a lost node at once, for nobody will ever confirm its end.

        The controller of Jobs takes its mark off once it has counted the pod. Where we did so, it
        would not count it, and make another one. Raises SchedulerUnavailable.
        """
        if is_stuck(pod):
            await self._take_mark_off(pod)
        try:
            await self._cluster.delete(
                self._path(pod),
                gracePeriodSeconds=0 if self._view.is_node_lost(pod) else grace_seconds,
                preconditions={"uid": pod["metadata"]["uid"]},
            )
        except ApiRefused as error:
            if error.status != 409:  # another pod has that name now
                raise SchedulerUnavailable(f"Kubernetes keeps a pod: {error}") from error

    async def until_ended(self, ref: AttemptRef, pod: Json) -> None:
        """Wait until the task of a deleted pod runs no more, unless nobody can tell.

        Raises SchedulerUnavailable.
        """
        uid = pod["metadata"]["uid"]
        deadline = asyncio.get_running_loop().time() + _KILL_SECONDS
        while task_state(pod) == "running" and not self._view.is_node_lost(pod):
            if asyncio.get_running_loop().time() > deadline:
                name = pod["metadata"]["name"]
                raise SchedulerUnavailable(f"the pod {name} was deleted and does not end")
            with self._view.listening() as news:
                try:
                    async with asyncio.timeout(1):
                        while await news.get() != ref:
                            pass
                except TimeoutError:
                    pass
            found = [
                one for one in await self._view.read_pods(ref) if one["metadata"]["uid"] == uid
            ]
            if not found:
                return
            pod = found[0]

    async def remove_strays_forever(self) -> None:
        """Delete pods that come when their Jobs are gone. What fails here, the sweep finds."""
        while True:
            refs = {await self._view.strays.get()}
            await asyncio.sleep(_STRAY_SECONDS)
            while not self._view.strays.empty():
                refs.add(self._view.strays.get_nowait())
            for ref in refs:
                try:
                    await self._remove_strays(ref)
                except (SchedulerUnavailable, ApiRefused) as error:
                    log.info("kubernetes.stray_kept", attempt=ref.name, error=str(error))
                except Exception:  # or nobody would remove any more
                    log.exception("kubernetes.stray_kept", attempt=ref.name)

    async def _remove_strays(self, ref: AttemptRef) -> None:
        if await self._view.read_job(ref) is not None:  # it was only not seen yet
            return
        for pod in await self._view.read_pods(ref):
            if not is_going(pod):
                log.warning("kubernetes.stray_pod", pod=pod["metadata"]["name"])
                await self.delete(pod, grace_seconds=1)

    async def _take_mark_off(self, pod: Json) -> None:
        metadata = pod["metadata"]
        others = [mark for mark in metadata.get("finalizers") or () if mark != _JOB_MARK]
        change = {"metadata": {"uid": metadata["uid"], "finalizers": others}}
        try:
            await self._cluster.patch(self._path(pod), change)
        except ApiRefused as error:
            log.info("kubernetes.mark_kept", pod=metadata["name"], error=str(error))

    def _path(self, pod: Json) -> str:
        return self._cluster.path("api/v1", "pods", pod["metadata"]["name"])


def is_stuck(item: Json) -> bool:
    """Whether its deletion was asked for so long ago that nobody seems to see to it."""
    asked_at = time_of(item["metadata"].get("deletionTimestamp"))
    return asked_at is not None and datetime.now(UTC) > asked_at + _STUCK_AFTER


@asynccontextmanager
async def open_pods(cluster: Cluster, view: View) -> AsyncIterator[Pods]:
    """Remove strays for as long as the context is open."""
    pods = Pods(cluster, view)
    removing = asyncio.create_task(pods.remove_strays_forever(), name="remove stray pods")
    try:
        yield pods
    finally:
        removing.cancel()
        await asyncio.gather(removing, return_exceptions=True)
