"""What is seen of all attempts of this engine, and who waits for changes of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog

from appengine_server.scheduling.kubernetes.cluster import Cluster, NotAllowed
from appengine_server.scheduling.kubernetes.labels import (
    ENGINE_LABEL,
    Json,
    attempt_labels,
    is_going,
    ref_of,
    selector,
)
from appengine_server.scheduling.kubernetes.nodes import architecture_of, is_ready, unready_since
from appengine_server.scheduling.kubernetes.reasons import Sight
from appengine_server.scheduling.kubernetes.watch import Collection
from appengine_server.scheduling.scheduler import AttemptRef, SchedulerUnavailable

log = structlog.get_logger(__name__)

_OURS = re.compile(r"appengine-(?P<run>[0-9a-f]{32})-(?P<number>\d+)(-|$)")

News = AttemptRef | SchedulerUnavailable


class View:
    """What the watches showed last. Made by `open_view`, which also ends the watches."""

    def __init__(self, cluster: Cluster, engine_id: str) -> None:
        """`cluster` stays its owner's, who closes it after this."""
        self._cluster = cluster
        self._engine_id = engine_id
        self._deleted_jobs: set[str] = set()
        """Uids that we deleted, and whose end no watch has shown yet."""
        self._pods: dict[AttemptRef, Json] = {}
        self._gone: dict[AttemptRef, Json] = {}
        """The last that was seen of pods that are no more; kept as long as their Jobs."""
        self._warnings: dict[AttemptRef, dict[str, Json]] = {}
        self.strays: asyncio.Queue[AttemptRef] = asyncio.Queue()
        """Attempts of which a pod was seen without a Job: it is gone, or was not seen yet."""
        self._listeners: set[asyncio.Queue[News]] = set()
        self._ever_synced = asyncio.Event()
        ours = {"labelSelector": f"{ENGINE_LABEL}={engine_id}"}
        self._jobs = self._collection(
            cluster.path("apis/batch/v1", "jobs"), self._job_changed, ours
        )
        self._pod_items = self._collection(cluster.path("api/v1", "pods"), self._pod_changed, ours)
        self._events = self._collection(
            cluster.path("api/v1", "events"), self._event_changed, {"fieldSelector": "type=Warning"}
        )
        self._nodes = self._collection("/api/v1/nodes", self._node_changed, {})

    @property
    def synced(self) -> bool:
        """Whether what is seen here is as new as live watches make it."""
        return self._jobs.synced and self._pod_items.synced

    @property
    def nodes(self) -> Iterable[Json]:
        """Nodes of the cluster; none where we may not see them."""
        return self._nodes.items.values()

    def attempts(self) -> set[AttemptRef]:
        """Every attempt that has a Job."""
        return {ref for job in self._jobs.items.values() if (ref := ref_of(job)) is not None}

    def job(self, ref: AttemptRef) -> Json | None:
        """The Job of an attempt, if it is seen and was not deleted by us."""
        job = self._jobs.items.get(ref.name)
        return None if job is None or job["metadata"]["uid"] in self._deleted_jobs else job

    def forget(self, job: Json) -> None:
        """We deleted this Job: it is not seen any more, whatever watches still bring."""
        uid = job["metadata"]["uid"]
        if job["metadata"]["name"] in self._jobs.items:
            self._deleted_jobs.add(uid)

    def sight(self, ref: AttemptRef, job: Json, pod: Json | None) -> Sight:
        """What is seen of an attempt whose Job and pod are these."""
        known = pod or self._gone.get(ref)
        node = self._node_of(known)
        return Sight(
            ref=ref,
            job=job,
            pod=known,
            gone=pod is None and known is not None,
            unready_since=None if node is None else unready_since(node),
            architecture=architecture_of(node),
            warnings=self._warnings_of(ref),
            now=datetime.now(UTC),
        )

    def live_pod(self, ref: AttemptRef) -> Json | None:
        """The pod of an attempt, while there is one."""
        return self._pods.get(ref)

    def is_node_lost(self, pod: Json) -> bool:
        """Whether the node of a pod does not answer, as far as we can see."""
        node = self._node_of(pod)
        return node is not None and not is_ready(node)

    async def read_job(self, ref: AttemptRef) -> Json | None:
        """Ask for the Job of an attempt; None if there is none of ours."""
        job = await self._cluster.get(self._cluster.path("apis/batch/v1", "jobs", ref.name))
        if job is None:
            return None
        labels = job["metadata"].get("labels") or {}
        return job if labels.get(ENGINE_LABEL) == self._engine_id else None

    async def read_pod(self, ref: AttemptRef) -> Json | None:
        """Ask for the pod of an attempt; None if there is none."""
        pods = await self.read_pods(ref)
        return pods[0] if pods else None

    async def read_pods(self, ref: AttemptRef) -> list[Json]:
        """Ask for the pods of an attempt, the first one first. More than one is possible."""
        query = {"labelSelector": selector(attempt_labels(self._engine_id, ref))}
        found = await self._cluster.get(self._cluster.path("api/v1", "pods"), query) or {}
        return sorted(found.get("items") or (), key=_created)

    async def until_synced(self) -> None:
        """Wait until there is something to see."""
        while not self.synced:
            self._ever_synced.clear()
            await self._ever_synced.wait()

    @contextmanager
    def listening(self) -> Any:
        """A queue of attempts that may have changed, and of losses of the watches."""
        queue: asyncio.Queue[News] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Keep all this up to date, once it was seen. Raises SchedulerUnavailable before that."""
        kept = [self._jobs, self._pod_items, self._events]
        if await self._may_see_nodes():
            kept.append(self._nodes)
        tasks = [asyncio.create_task(one.keep_forever(), name="watch Kubernetes") for one in kept]
        try:
            await self._first_sight()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _first_sight(self) -> None:
        """Wait until everything was listed once. Raises what a watch was lost by before that."""
        seeing = asyncio.create_task(self.until_synced())
        try:
            with self.listening() as news:
                while not seeing.done():
                    hearing = asyncio.create_task(news.get())
                    await asyncio.wait({seeing, hearing}, return_when=asyncio.FIRST_COMPLETED)
                    heard = hearing.result() if hearing.done() else None
                    hearing.cancel()
                    if isinstance(heard, SchedulerUnavailable):
                        raise heard
        finally:
            seeing.cancel()

    async def _may_see_nodes(self) -> bool:
        try:
            await self._cluster.get("/api/v1/nodes", {"limit": "1"})
        except NotAllowed as error:
            log.warning("kubernetes.nodes_unreadable", error=str(error))
            return False
        return True

    def _collection(self, path: str, on_change: Any, query: dict[str, str]) -> Collection:
        return Collection(
            self._cluster, path, query=query, on_change=on_change, on_lost=self._lost,
            on_synced=self._synced,
        )  # fmt: skip

    def _node_of(self, pod: Json | None) -> Json | None:
        name = ((pod or {}).get("spec") or {}).get("nodeName")
        return self._nodes.items.get(name) if name else None

    def _warnings_of(self, ref: AttemptRef) -> Sequence[Json]:
        events = self._warnings.get(ref, {}).values()
        return sorted(events, key=lambda event: str(event.get("lastTimestamp") or ""))

    def _job_changed(self, job: Json, gone: bool) -> None:
        ref = ref_of(job)
        if gone and ref is not None:
            self._gone.pop(ref, None)
            self._warnings.pop(ref, None)
            if (pod := self._pods.get(ref)) and job["metadata"]["uid"] not in self._deleted_jobs:
                self._tell_stray(ref, pod)
            self._deleted_jobs.discard(job["metadata"]["uid"])
        self._tell(ref)

    def _pod_changed(self, pod: Json, gone: bool) -> None:
        if (ref := ref_of(pod)) is None:
            return
        if not gone:
            self._tell_stray(ref, pod)
        known = self._pods.get(ref)
        if known is not None and _created(known) < _created(pod):
            return  # a second pod of one Job never counts
        _keep_deletion(known or self._gone.get(ref), pod)
        if not gone:
            self._pods[ref] = pod
        else:
            self._pods.pop(ref, None)
            if ref.name in self._jobs.items or not self._jobs.synced:
                self._gone[ref] = pod
        self._tell(ref)

    def _event_changed(self, event: Json, gone: bool) -> None:
        ref = _ref_of_name(str((event.get("involvedObject") or {}).get("name") or ""))
        if ref is None:
            return
        name = event["metadata"]["name"]
        if gone:
            self._warnings.get(ref, {}).pop(name, None)
            return
        self._warnings.setdefault(ref, {})[name] = event
        self._tell(ref)

    def _node_changed(self, node: Json, gone: bool) -> None:
        if gone or not is_ready(node):
            name = node["metadata"]["name"]
            for ref, pod in self._pods.items():
                if pod["spec"].get("nodeName") == name:
                    self._tell(ref)

    def _lost(self, error: SchedulerUnavailable) -> None:
        log.warning("kubernetes.watch_lost", error=str(error))
        for queue in self._listeners:
            queue.put_nowait(error)

    def _synced(self) -> None:
        self._ever_synced.set()
        for pod in self._pod_items.items.values():
            if (ref := ref_of(pod)) is not None:
                self._tell_stray(ref, pod)

    def _tell_stray(self, ref: AttemptRef, pod: Json) -> None:
        if self._jobs.synced and self.job(ref) is None and not is_going(pod):
            self.strays.put_nowait(ref)

    def _tell(self, ref: AttemptRef | None) -> None:
        if ref is not None:
            for queue in self._listeners:
                queue.put_nowait(ref)


@asynccontextmanager
async def open_view(cluster: Cluster, engine_id: str) -> AsyncIterator[View]:
    """Begin to watch; raises SchedulerUnavailable where that cannot be."""
    view = View(cluster, engine_id)
    async with view.watching():
        yield view


def _ref_of_name(name: str) -> AttemptRef | None:
    match = _OURS.match(name)
    return None if match is None else AttemptRef(UUID(match["run"]), int(match["number"]))


def _keep_deletion(known: Json | None, pod: Json) -> None:
    """Keep when a pod's deletion was asked for: kubelets stamp it anew when they confirm it."""
    if known is None or known["metadata"]["uid"] != pod["metadata"]["uid"]:
        return
    for mark in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if mark in known["metadata"]:
            pod["metadata"][mark] = known["metadata"][mark]


def _created(pod: Json) -> tuple[str, str]:
    return str(pod["metadata"].get("creationTimestamp")), str(pod["metadata"]["name"])
