"""Does what the outbox says: the effects that were decided in a transaction.

An effect is done as often as it takes and may be done twice; every one of them is idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import structlog
from appengine_contract.problems import Problem

from appengine_server.database import attempts, outbox, runs, tasks, uploads
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import Json, OutboxRow, RunState
from appengine_server.errors import Unavailable
from appengine_server.faultpoints import FaultPoints
from appengine_server.problems_json import problem_json
from appengine_server.runs.absence import show_absence
from appengine_server.runs.agents import Agents
from appengine_server.runs.state import ATTEMPT_GOES_ON
from appengine_server.runs.submission import Submission
from appengine_server.scheduling.scheduler import (
    AttemptRef,
    Failure,
    FailureReason,
    Scheduler,
    SchedulerUnavailable,
    SubmissionRefused,
)
from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.quota import is_full
from appengine_server.storage.uploads import Uploads
from appengine_server.tasks.kept_images import KeptImages
from appengine_server.tasks.tasks import REMOVE_TASK, REMOVE_UPLOAD
from appengine_server.tracing import Tracing

log = structlog.get_logger(__name__)

SUBMIT = "SUBMIT"
CANCEL = "CANCEL"
REMOVE_ATTEMPT = "REMOVE_ATTEMPT"
"""Of the scheduler: its files are the run's and stay."""
REMOVE_RUN = "REMOVE_RUN"
"""Files and attempts of a run whose row is gone."""
REMOVE_PROVISIONED = "REMOVE_PROVISIONED"
"""The bytes of an input that was replaced."""

_NETWORK_NOT_ISOLATED = problem_json(
    Problem(
        path="network",
        reason="NETWORK_NOT_ISOLATED",
        message="The task did not ask for a network and may have one all the same: it is not known "
        "that the cluster enforces NetworkPolicies (SCHEDULER_NETWORK_ISOLATED).",
    )
)

_LONGEST_DELAY = timedelta(seconds=60)
_LOOK_AGAIN_SECONDS = 5.0
_AT_ONCE = 16
_HOPELESS_SUBMISSIONS = 8
"""Failures to submit that are not the scheduler's absence; then the attempt fails."""


class Noticing(Protocol):
    """Is told what an effect changed."""

    def attempt_changed(self, ref: AttemptRef) -> None:
        """The attempt was submitted, or ended by an effect."""
        ...

    async def submission_failed(self, ref: AttemptRef, failure: Failure) -> None:
        """The scheduler will never take this attempt."""
        ...


class Effects:
    """Empties the outbox. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        layout: StorageLayout,
        scheduler: Scheduler,
        images: KeptImages,
        upload_bytes: Uploads,
        submission: Submission,
        agents: Agents,
        cancel_grace: timedelta,
        lease: timedelta,
        faults: FaultPoints,
        noticing: Noticing,
        tracing: Tracing,
    ) -> None:
        self._database = database
        self._layout = layout
        self._scheduler = scheduler
        self._images = images
        self._upload_bytes = upload_bytes
        self._submission = submission
        self._agents = agents
        self._cancel_grace = cancel_grace
        self._lease = lease
        self._faults = faults
        self._woken = asyncio.Event()
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._noticing = noticing
        self._tracing = tracing
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._how: dict[str, Callable[[Json], Awaitable[None]]] = {
            SUBMIT: self._submit,
            CANCEL: self._cancel,
            REMOVE_ATTEMPT: self._remove_attempt,
            REMOVE_RUN: self._remove_run,
            REMOVE_PROVISIONED: self._remove_provisioned,
            REMOVE_UPLOAD: self._remove_upload,
            REMOVE_TASK: self._remove_task,
        }

    def wake(self) -> None:
        """There may be something in the outbox."""
        self._woken.set()

    async def do_forever(self) -> None:
        """Do what the outbox says; a job."""
        try:
            while True:
                self._woken.clear()
                try:
                    while await self._do_some():
                        pass
                except Unavailable as error:
                    log.warning("effects.database_out_of_reach", error=str(error))
                    await asyncio.sleep(0.5)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                        await self._woken.wait()
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def keep_forever(self) -> None:
        """Keep other servers from doing what is under way here; a job.

        If this server dies, another one does it once the lease is over.
        """
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            with contextlib.suppress(Unavailable):
                async with self._database.connection() as connection:
                    await outbox.keep(connection, self._under_way, lease=self._lease)

    async def _do_some(self) -> bool:
        await self._free.acquire()
        self._free.release()
        async with self._database.transaction() as connection:
            rows = await outbox.claim_due(connection, lease=self._lease, limit=_AT_ONCE)
        for row in rows:
            if row.id in self._under_way:  # the database was away for longer than the lease
                continue
            await self._free.acquire()
            task = asyncio.create_task(self._do(row), name=f"effect {row.action}")
            self._under_way[row.id] = task
            task.add_done_callback(partial(self._ended, row.id))
        return len(rows) == _AT_ONCE

    def _ended(self, row_id: int, task: asyncio.Task[None]) -> None:
        del self._under_way[row_id]
        self._free.release()
        if not task.cancelled() and task.exception() is not None:
            log.error("effect.lost", exc_info=task.exception())

    async def _do(self, row: OutboxRow) -> None:
        """Do one effect and record it, however long the database is away meanwhile."""
        with structlog.contextvars.bound_contextvars(effect=row.action, **_bound(row.subject)):
            try:
                await self._do_once(row)
            except asyncio.CancelledError:  # the server stops: the next one goes on at once
                await self._give_back(row)
                raise

    async def _do_once(self, row: OutboxRow) -> None:
        try:
            about = {f"appengine.{name}": value for name, value in _bound(row.subject).items()}
            with self._tracing.span(f"effect {row.action}", about):
                await self._how[row.action](row.subject)
        except (SchedulerUnavailable, Unavailable) as error:
            log.warning("effect.postponed", error=str(error), tries=row.tries)
            if row.action == SUBMIT and isinstance(error, SchedulerUnavailable):
                with contextlib.suppress(Unavailable):
                    await show_absence(self._database, _ref(row.subject).run_id)
            await self._postpone(row)
        except Exception as error:
            if is_full(error):  # it passes; the limit of pending is that of waiting for it
                log.warning("effect.disk_full", tries=row.tries)
                await self._postpone(row)
            else:
                log.exception("effect.failed", tries=row.tries)
                await self._give_up_or_postpone(row)
        else:
            await self._record(partial(outbox.done, row_id=row.id))

    async def _record(self, write: Callable[[Connection], Awaitable[None]]) -> None:
        while True:
            try:
                async with self._database.connection() as connection:
                    return await write(connection)
            except Unavailable as error:
                log.warning("effects.database_out_of_reach", error=str(error))
                await asyncio.sleep(0.5)

    async def _give_back(self, row: OutboxRow) -> None:
        with contextlib.suppress(Unavailable):  # it comes back after the lease all the same
            async with self._database.connection() as connection:
                await outbox.postpone(connection, row.id, delay=timedelta(0))

    async def _postpone(self, row: OutboxRow) -> None:
        delay = min(timedelta(seconds=0.5 * 2 ** min(row.tries, 10)), _LONGEST_DELAY)
        await self._record(partial(outbox.postpone, row_id=row.id, delay=delay))
        asyncio.get_running_loop().call_later(delay.total_seconds(), self.wake)

    async def _give_up_or_postpone(self, row: OutboxRow) -> None:
        if row.action != SUBMIT or row.tries < _HOPELESS_SUBMISSIONS:
            await self._postpone(row)
            return
        failure = Failure(
            reason=FailureReason.ENGINE,
            message="The engine could not prepare the task: ask the administrator to look at its "
            "log, then retry the run.",
        )
        try:
            await self._noticing.submission_failed(_ref(row.subject), failure)
        except Unavailable:
            await self._postpone(row)
        else:
            await self._record(partial(outbox.done, row_id=row.id))

    async def _submit(self, subject: Json) -> None:
        ref = _ref(subject)
        async with self._database.connection() as connection:
            run = await runs.get(connection, ref.run_id, None)
            inputs = await runs.inputs_of(connection, ref.run_id)
            task = await tasks.get(connection, run.task_id, None) if run else None
        if (
            run is None
            or inputs is None
            or run.attempt != ref.number
            or run.state not in ATTEMPT_GOES_ON
        ):
            await self._scheduler.delete(ref)  # a server may have died right after submitting it
            return
        if run.state is not RunState.PENDING or run.attempts[-1].submitted_at is not None:
            return  # it was submitted before, or its cancel sees to it
        if task is None or task.image is None:
            failure = Failure(
                reason=FailureReason.ENGINE, message="The task was deleted while the run waited."
            )
            await self._noticing.submission_failed(ref, failure)
            return
        await self._faults.reach("submit.before")
        try:
            spec = await self._submission.prepare(run, task, inputs)
            if self._scheduler.moves_data:
                spec = replace(spec, tokens=await self._agents.issue_tokens(ref))
                await self._faults.reach("submit.tokens")
            await self._scheduler.submit(spec, still_wanted=partial(self._is_wanted, ref))
        except SubmissionRefused as refusal:
            await self._noticing.submission_failed(ref, refusal.failure)
            return
        await self._faults.reach("submit.after")
        async with self._database.transaction() as connection:
            wanted = await attempts.set_submitted(connection, ref.run_id, ref.number)
            if wanted and not (spec.network or self._scheduler.isolates_network):
                await runs.warn(connection, ref.run_id, _NETWORK_NOT_ISOLATED)
        if not wanted:
            await self._scheduler.delete(ref)
        self._noticing.attempt_changed(ref)

    async def _is_wanted(self, ref: AttemptRef) -> bool:
        await self._faults.reach("submit.asking")
        async with self._database.connection() as connection:
            wanted = await attempts.is_to_be_submitted(connection, ref.run_id, ref.number)
        await self._faults.reach("submit.asked")
        return wanted

    async def _cancel(self, subject: Json) -> None:
        ref = _ref(subject)
        await self._scheduler.cancel(ref, self._cancel_grace)
        self._noticing.attempt_changed(ref)

    async def _remove_attempt(self, subject: Json) -> None:
        await self._faults.reach("remove_attempt.before")
        await self._scheduler.delete(_ref(subject))

    async def _remove_run(self, subject: Json) -> None:
        run_id = UUID(subject["run_id"])
        for number in range(1, subject["attempts"] + 1):
            await self._scheduler.delete(AttemptRef(run_id, number))
        await asyncio.to_thread(self._layout.remove_run, run_id)
        async with self._database.connection() as connection:
            await uploads.release_run(connection, run_id)

    async def _remove_provisioned(self, subject: Json) -> None:
        await asyncio.to_thread(
            self._layout.remove_uploaded, UUID(subject["run_id"]), UUID(subject["upload_id"])
        )
        async with self._database.connection() as connection:
            await uploads.release(connection, UUID(subject["upload_id"]))

    async def _remove_upload(self, subject: Json) -> None:
        await self._upload_bytes.remove(subject["upload_id"])
        async with self._database.connection() as connection:
            await uploads.release_bundle(connection, UUID(subject["upload_id"]))

    async def _remove_task(self, subject: Json) -> None:
        """Remove what is left of a task, unless runs of it are left: then their removal does."""
        async with self._database.connection() as connection:
            gone = [
                task
                for task in await tasks.deletable(connection)
                if str(task.id) == subject["task_id"]
            ]
        for task in gone:
            if task.upload_id is not None:
                await self._upload_bytes.remove(str(task.upload_id))
            await asyncio.to_thread(self._layout.remove_task, task.id)
            if task.image is not None:  # or somebody may still be making one, and it is swept
                await self._images.remove_of(task.id)
            async with self._database.connection() as connection:
                if task.upload_id is not None:
                    await uploads.release(connection, task.upload_id)
                await tasks.delete(connection, task.id)


def _ref(subject: Json) -> AttemptRef:
    return AttemptRef(UUID(subject["run_id"]), subject["attempt"])


def _bound(subject: Json) -> dict[str, str]:
    return {name.removesuffix("_id"): str(value) for name, value in subject.items()}
