"""Attempts as Jobs of a Kubernetes cluster.

Everything is found again by the attempt's name and labels, so Jobs outlive the server; what is kept
in memory is a copy of what the cluster shows. A Job is here until `delete`, and with it the word
that the attempt ended. Its pod keeps exit code and log as long as nobody deletes it. So `cancel`
does not delete a pod that a node has: it sets the pod's deadline to now, upon which the
kubelet sends SIGTERM, and SIGKILL after the grace period that the pod was made with.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from appengine_server.scheduling.kubernetes import waiting
from appengine_server.scheduling.kubernetes.cluster import ApiRefused, Cluster, open_cluster
from appengine_server.scheduling.kubernetes.job_cluster import cluster_job
from appengine_server.scheduling.kubernetes.job_local import local_job
from appengine_server.scheduling.kubernetes.labels import (
    CANCELLED_ANNOTATION,
    ENGINE_LABEL,
    Json,
    is_going,
    ref_of,
)
from appengine_server.scheduling.kubernetes.logs import LogReader
from appengine_server.scheduling.kubernetes.network import policy_of
from appengine_server.scheduling.kubernetes.nodes import admit
from appengine_server.scheduling.kubernetes.pods import Pods, is_stuck, open_pods
from appengine_server.scheduling.kubernetes.reasons import (
    all_ended,
    is_finished,
    observation_of,
    task_state,
)
from appengine_server.scheduling.kubernetes.secret import (
    owned_by,
    pull_secret_of,
    secret_of,
)
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    KubernetesSchedulerSettings,
    LocalMode,
)
from appengine_server.scheduling.kubernetes.view import View, open_view
from appengine_server.scheduling.scheduler import (
    Admission,
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    Failure,
    FailureReason,
    InUse,
    Observation,
    Resources,
    SchedulerUnavailable,
    StillWanted,
    SubmissionRefused,
)
from appengine_server.scheduling.verdicts import check_folders

log = structlog.get_logger(__name__)

_BATCH, _CORE, _NETWORKING = "apis/batch/v1", "api/v1", "apis/networking.k8s.io/v1"


class KubernetesScheduler:
    """A Scheduler. Made by `open_kubernetes_scheduler`, which also closes what it uses."""

    def __init__(
        self, cluster: Cluster, view: View, pods: Pods, settings: KubernetesSchedulerSettings
    ) -> None:
        """`cluster`, `view` and `pods` stay their owner's."""
        self._cluster = cluster
        self._view = view
        self._pods = pods
        self._settings = settings
        self._cancelled: set[AttemptRef] = set()
        """Until they are deleted: a submission under way must not start them."""

    @property
    def moves_data(self) -> bool:
        """True in cluster mode."""
        return isinstance(self._settings.mode, ClusterMode)

    @property
    def isolates_network(self) -> bool:
        """Whether the cluster is known to enforce NetworkPolicies, ours or an administrator's."""
        settings = self._settings
        on_host = settings.pods.host_network and self.moves_data
        return settings.network_isolated and not on_host

    def admit(self, wanted: Resources, in_use: InUse) -> Admission:
        """Let everything in that a node could ever hold: Kubernetes knows where there is room."""
        return admit(wanted, self._view.nodes, self._settings)

    async def submit(self, spec: AttemptSpec, *, still_wanted: StillWanted | None = None) -> None:
        """Make the Secret, the Job, and the Job the Secret's owner.

        A Job cannot be made on a condition. One that is made by a server which was paused between
        asking and making is removed by its caller, before a node has it; in cluster mode it could
        not begin either, for its tokens are refused.
        """
        if not self.moves_data:
            check_folders(spec)
        if still_wanted is not None and not await still_wanted():
            return
        match self._settings.mode:
            case LocalMode():
                await self._make_job(spec.ref, local_job(spec, self._settings))
            case ClusterMode() as mode:
                await self._make_secret(spec, mode)
                job = await self._make_job(spec.ref, cluster_job(spec, self._settings, mode))
                await self._cluster.patch(
                    self._cluster.path(_CORE, "secrets", spec.ref.name), owned_by(job)
                )
        if spec.ref in self._cancelled:  # while it was made
            await self._stop(spec.ref, spec.cancel_grace)

    async def observe(self, ref: AttemptRef) -> Observation:
        """Show the attempt as the watches show it, or ask where they do not know it."""
        if self._view.synced and (job := self._view.job(ref)) is not None:
            return observation_of(self._view.sight(ref, job, self._view.live_pod(ref)))
        job = await self._view.read_job(ref)
        if job is None or is_going(job):
            return Observation(ref=ref, phase=AttemptPhase.ABSENT)
        return observation_of(self._view.sight(ref, job, await self._view.read_pod(ref)))

    async def list_attempts(self) -> Sequence[AttemptRef]:
        """Every attempt of this engine id that has a Job, a pod or a Secret, unless these are
        being deleted.
        """
        query = {"labelSelector": f"{ENGINE_LABEL}={self._settings.engine_id}"}
        kinds = [self._cluster.path(_BATCH, "jobs"), self._cluster.path(_CORE, "pods")]
        if self.moves_data:
            kinds.append(self._cluster.path(_CORE, "secrets"))
        lists = [await self._cluster.get(path, query) or {} for path in kinds]
        items = [item for found in lists for item in found.get("items") or ()]
        held = [item for item in items if not is_going(item) or is_stuck(item)]
        return sorted({ref for item in held if (ref := ref_of(item)) is not None})

    async def cancel(self, ref: AttemptRef, grace: timedelta) -> None:
        """End the task, as the module says.

        The kubelet's grace is that of the submission. A shorter one deletes the pod: its exit code
        is still seen here, while its log is lost to who did not follow it.
        """
        self._cancelled.add(ref)
        await self._stop(ref, grace)

    async def delete(self, ref: AttemptRef) -> None:
        """Remove Job, pods and Secret. Waits for the end of a task that runs on a living node."""
        job = self._view.job(ref) or await self._view.read_job(ref)
        if job is not None:
            await self._delete_job(job)
        pods = await self._view.read_pods(ref)
        for pod in pods:
            # At once where no task runs any more: its room on the node would stay taken for a
            # second, and an agent that still runs has nothing left to do.
            ended = task_state(pod) == "terminated"
            await self._pods.delete(pod, grace_seconds=0 if ended else 1)
        if self.moves_data:
            await self._cluster.delete(self._cluster.path(_CORE, "secrets", ref.name))
        for pod in pods:
            await self._pods.until_ended(ref, pod)
        self._cancelled.discard(ref)

    async def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        """Follow the log while the task runs; then read it again for what is left."""
        async with aclosing(LogReader(self._cluster, self._view, ref).read()) as pieces:
            async for piece in pieces:
                yield piece

    async def changes(self) -> AsyncGenerator[AttemptRef, None]:
        """Begin with every attempt there is, then tell each that a watch shows a change of."""
        with self._view.listening() as news:
            await self._view.until_synced()
            while not news.empty():  # what was lost before is found below
                news.get_nowait()
            for ref in sorted(self._view.attempts()):
                yield ref
            while not isinstance(item := await news.get(), SchedulerUnavailable):
                yield item
            raise item

    async def keep_network_policy(self) -> None:
        """Make the NetworkPolicy, or bring it up to date. One that we may not make is warned of."""
        policy = policy_of(self._settings)
        change = {"spec": policy["spec"]}
        try:
            await self._cluster.put("networkpolicies", policy, change, group=_NETWORKING)
        except (ApiRefused, SchedulerUnavailable) as error:
            log.warning("kubernetes.no_network_policy", error=str(error))

    async def keep_pull_secret(self, registry_auth: str) -> None:
        """Make the Secret by which nodes pull images, or bring it up to date.

        Raises SchedulerUnavailable where we may not: no task could start.
        """
        secret = pull_secret_of(self._settings.engine_id, registry_auth)
        try:
            await self._cluster.put("secrets", secret, {"data": secret["data"]})
        except ApiRefused as error:
            name = secret["metadata"]["name"]
            raise SchedulerUnavailable(
                f"Kubernetes refuses the Secret {name}, by which nodes pull images: {error}"
            ) from error

    async def _make_secret(self, spec: AttemptSpec, mode: ClusterMode) -> None:
        if spec.tokens is None:
            message = f"attempt {spec.ref.name} has no tokens for its agents"
            raise SubmissionRefused(Failure(reason=FailureReason.ENGINE, message=message))
        secret = secret_of(self._settings.engine_id, spec.ref, spec.tokens, mode.ca_pem)
        try:
            await self._cluster.create(self._cluster.path(_CORE, "secrets"), secret)
        except ApiRefused as error:
            if error.reason != "AlreadyExists":
                raise SubmissionRefused(waiting.refused(error.message)) from error

    async def _make_job(self, ref: AttemptRef, job: Json) -> Json:
        """Make the Job, or find the one that was made before."""
        try:
            return await self._cluster.create(self._cluster.path(_BATCH, "jobs"), job)
        except ApiRefused as error:
            if error.reason != "AlreadyExists":
                if self.moves_data:
                    await self._cluster.delete(self._cluster.path(_CORE, "secrets", ref.name))
                raise SubmissionRefused(_job_refused(error)) from error
        found = await self._view.read_job(ref)
        if found is None:
            message = f"a Job {ref.name} exists and belongs to another engine id, or is just gone"
            raise SchedulerUnavailable(message)
        if is_going(found):
            raise SchedulerUnavailable(f"the Job {ref.name} is being deleted")
        return found

    async def _stop(self, ref: AttemptRef, grace: timedelta) -> None:
        """End an attempt that runs; remove one that no node has."""
        job = await self._view.read_job(ref)
        if job is None or is_finished(job):
            return
        pod = await self._view.read_pod(ref)
        # NB: a task on a node may run for a second before that is shown.
        if pod is None or not pod["spec"].get("nodeName"):
            await self._delete_job(job)
            if pod is not None:
                await self._pods.delete(pod, grace_seconds=1)
            return
        if all_ended(pod):
            return
        path = self._cluster.path(_CORE, "pods", pod["metadata"]["name"])
        cancelled = {CANCELLED_ANNOTATION: datetime.now(UTC).isoformat()}
        change: Json = {"metadata": {"annotations": cancelled}}
        grace_seconds = max(1, math.ceil(grace.total_seconds()))
        if grace < timedelta(seconds=pod["spec"]["terminationGracePeriodSeconds"]):
            await self._cluster.patch(path, change)
            await self._pods.delete(pod, grace_seconds=grace_seconds)
        else:
            await self._cluster.patch(path, {**change, "spec": {"activeDeadlineSeconds": 1}})

    async def _delete_job(self, job: Json) -> None:
        metadata = job["metadata"]
        await self._cluster.delete(
            self._cluster.path(_BATCH, "jobs", metadata["name"]),
            propagationPolicy="Background",
        )
        self._view.forget(job)


@asynccontextmanager
async def open_kubernetes_scheduler(
    settings: KubernetesSchedulerSettings,
) -> AsyncIterator[KubernetesScheduler]:
    """Connect to the cluster; raises SchedulerUnavailable where it cannot be used."""
    async with (
        open_cluster(settings.connection, settings.namespace) as cluster,
        open_view(cluster, settings.engine_id) as view,
        open_pods(cluster, view) as pods,
    ):
        scheduler = KubernetesScheduler(cluster, view, pods, settings)
        if settings.network_policy:
            await scheduler.keep_network_policy()
        if settings.registry_auth is not None:
            await scheduler.keep_pull_secret(settings.registry_auth)
        yield scheduler


def _job_refused(error: ApiRefused) -> Failure:
    if error.status == 403:
        return waiting.refused(error.message)
    return Failure(
        reason=FailureReason.ENGINE, message=f"Kubernetes refused the task's Job: {error.message}"
    )
