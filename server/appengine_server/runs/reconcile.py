"""The loop that drives runs: it compares what the database wants with what the scheduler shows, and
does the next idempotent step.

Events only wake it, and may be lost: every active run is looked at again after a while. A run is
claimed with a lease and a fence before each step, and each write names the fence and the state that
it comes from. A server that was paused, or overtaken by a cancel, writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from uuid import UUID, uuid4

import structlog

from appengine_server.database import runs
from appengine_server.database.pool import Database
from appengine_server.database.records import ClaimedRun, RunState
from appengine_server.errors import Unavailable
from appengine_server.metrics import LoopMetrics
from appengine_server.runs.absence import Absence, show_absence
from appengine_server.runs.steps import Steps
from appengine_server.scheduling.scheduler import (
    AttemptRef,
    Failure,
    FailureReason,
    Scheduler,
    SchedulerUnavailable,
)
from appengine_server.settings import RunSettings
from appengine_server.storage.quota import is_full
from appengine_server.tracing import Tracing

log = structlog.get_logger(__name__)

_AT_ONCE = 16
_DUE_INTERVAL_SECONDS = 1.0
_DUE_AT_ONCE = 200
_DISK_FULL_SECONDS = 3.0
_HOPELESS = 5
"""Steps of one run that failed for no reason we know; then the run fails."""


class Reconciler:
    """Drives the runs of all projects. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        scheduler: Scheduler,
        steps: Steps,
        settings: RunSettings,
        server_id: UUID,
        metrics: LoopMetrics,
        tracing: Tracing,
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._steps = steps
        self._settings = settings
        self._server_id = server_id
        self._metrics = metrics
        self._tracing = tracing
        self._waiting: dict[UUID, float] = {}
        """Runs that were woken, and when."""
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._failed_steps: Counter[UUID] = Counter()
        self._absence = Absence()

    def wake(self, run_id: UUID) -> None:
        """Something about this run may have changed."""
        self._waiting.setdefault(run_id, monotonic())
        self._woken.set()

    async def reconcile_forever(self) -> None:
        """Look at every run that was woken; a job."""
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                self._begin_steps()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def wake_due_forever(self) -> None:
        """Wake the runs that nobody looked at for a while, those of dead servers too; a job."""
        while True:
            try:
                async with self._database.connection() as connection:
                    due = await runs.due(
                        connection, owner=self._server_id, limit=_DUE_AT_ONCE,
                        look_again=self._settings.observe_interval,
                    )  # fmt: skip
                    if self._under_way:
                        await runs.extend_leases(
                            connection, self._under_way, owner=self._server_id,
                            lease=self._settings.lease,
                        )  # fmt: skip
                for run_id in due:
                    self.wake(run_id)
            except Unavailable as error:
                log.warning("reconcile.database_out_of_reach", error=str(error))
            await asyncio.sleep(_DUE_INTERVAL_SECONDS)

    async def listen_forever(self) -> None:
        """Wake the runs whose attempts the scheduler says have changed; a job."""
        while True:
            try:
                if self._absence.lasts:
                    await self._scheduler.list_attempts()  # `changes` may be silent for long
                    self._absence.over()
                async for ref in self._scheduler.changes():
                    self.wake(ref.run_id)
                log.info("scheduler.changes_ended")
            except SchedulerUnavailable as error:
                self._absence.noticed(error)
            await asyncio.sleep(0.5)
            await self._wake_all()

    async def release(self) -> None:
        """Let other servers go on at once: the last step of a shutdown."""
        with contextlib.suppress(Unavailable):
            async with self._database.connection() as connection:
                await runs.release_leases(connection, owner=self._server_id)

    async def _wake_all(self) -> None:
        """After the scheduler was out of reach anything may have happened."""
        with contextlib.suppress(Unavailable):
            async with self._database.connection() as connection:
                for run_id in await runs.with_scheduler(connection):
                    self.wake(run_id)

    def _begin_steps(self) -> None:
        """Begin a step for each woken run, but one at a time for each and not too many in all."""
        for run_id in list(self._waiting):
            if len(self._under_way) >= _AT_ONCE:
                return
            if run_id in self._under_way:
                continue
            self._metrics.waited(monotonic() - self._waiting.pop(run_id))
            task = asyncio.create_task(self._look_at(run_id), name=f"reconcile {run_id}")
            self._under_way[run_id] = task
            task.add_done_callback(partial(self._step_ended, run_id))

    def _step_ended(self, run_id: UUID, _: asyncio.Task[None]) -> None:
        del self._under_way[run_id]
        if self._waiting:
            self._woken.set()

    async def _look_at(self, run_id: UUID) -> None:
        began = monotonic()
        try:
            await self._look_at_once(run_id)
        finally:
            self._metrics.looked(monotonic() - began)

    async def _look_at_once(self, run_id: UUID) -> None:
        with structlog.contextvars.bound_contextvars(run=str(run_id)):
            try:
                await self._drive(run_id)
            except Unavailable as error:
                log.warning("reconcile.postponed", error=str(error))
                asyncio.get_running_loop().call_later(1.0, self.wake, run_id)
            except SchedulerUnavailable as error:
                log.debug("reconcile.postponed", error=str(error))
                asyncio.get_running_loop().call_later(1.0, self.wake, run_id)
                with contextlib.suppress(Unavailable):
                    await show_absence(self._database, run_id)
            except Exception as error:
                if is_full(error):  # it passes, and no output is lost meanwhile
                    log.warning("reconcile.disk_full")
                    asyncio.get_running_loop().call_later(_DISK_FULL_SECONDS, self.wake, run_id)
                else:
                    await self._count_failure(run_id)
            else:
                self._failed_steps.pop(run_id, None)

    async def _drive(self, run_id: UUID) -> None:
        """Claim the run and do steps until there is nothing to do now."""
        while True:
            claimed = await self._claim(run_id)
            if claimed is None:
                return
            about: dict[str, str | int] = {
                "appengine.run": str(run_id), "appengine.attempt": claimed.run.attempt,
            }  # fmt: skip
            with self._tracing.span(f"run {claimed.run.state}", about):
                goes_on = await self._step(claimed)
            if not goes_on:
                return

    async def _claim(self, run_id: UUID) -> ClaimedRun | None:
        async with self._database.connection() as connection:
            return await runs.claim(
                connection, run_id, owner=self._server_id, lease=self._settings.lease,
                look_again=self._settings.observe_interval,
            )  # fmt: skip

    async def _step(self, claimed: ClaimedRun) -> bool:
        """Do the next step; answers whether there may be another one at once."""
        ref = AttemptRef(claimed.run.id, claimed.run.attempt)
        structlog.contextvars.bind_contextvars(attempt=ref.number)  # until the end of this task
        match claimed.run.state:
            case RunState.PENDING | RunState.RUNNING:
                return await self._steps.follow(claimed, ref)
            case RunState.FINALIZING:
                return await self._steps.finalize(claimed, ref)
            case RunState.CANCELLING:
                return await self._steps.finish_cancel(claimed, ref)
            case _:
                return False

    async def _count_failure(self, run_id: UUID) -> None:
        incident = uuid4().hex
        log.exception("reconcile.failed", incident=incident)
        self._failed_steps[run_id] += 1
        if self._failed_steps[run_id] < _HOPELESS:
            asyncio.get_running_loop().call_later(
                2.0 ** self._failed_steps[run_id], self.wake, run_id
            )
            return
        del self._failed_steps[run_id]
        failure = Failure(
            reason=FailureReason.ENGINE,
            message=f"The engine failed; its administrator finds incident {incident} in its log.",
        )
        with contextlib.suppress(Unavailable):
            if (claimed := await self._claim(run_id)) is not None:
                await self._steps.give_up(claimed, failure, at=datetime.now(UTC))
