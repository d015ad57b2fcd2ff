"""Admits waiting runs: QUEUED → PENDING, as many as the scheduler has room for.

Runs are taken in turn over projects. Where the next one must wait, those behind it wait too: a
large task would else be overtaken by small ones for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from appengine_server.database import attempts, outbox, runs
from appengine_server.database.attempts import Held
from appengine_server.database.pool import Connection, Database
from appengine_server.database.records import Json, RunRecord, RunState
from appengine_server.database.runs import RunChange, WaitingRun
from appengine_server.errors import ResourceExhausted, Unavailable
from appengine_server.faultpoints import FaultPoints
from appengine_server.runs.effects import SUBMIT
from appengine_server.runs.phases import begin_attempt
from appengine_server.runs.state import came_from, failure_json, pending_json
from appengine_server.scheduling.scheduler import (
    Admitted,
    Failure,
    FailureReason,
    InUse,
    MustWait,
    NeverFits,
    PendingKind,
    PendingReason,
    Resources,
    Scheduler,
)
from appengine_server.storage.quota import FreeSpace

log = structlog.get_logger(__name__)

_AT_ONCE = 16
_LOOK_AGAIN_SECONDS = 5.0


@dataclass(slots=True)
class _Room:
    """What is in use, counted on while runs are admitted in one transaction."""

    held: Held

    def in_use(self) -> InUse:
        resources = Resources(
            cpus=self.held.cpus, ram_bytes=self.held.ram_bytes, gpus=self.held.gpus
        )
        return InUse(resources=resources, gpu_devices=frozenset(self.held.gpu_devices))

    def take(self, wanted: Held) -> None:
        self.held = Held(
            cpus=self.held.cpus + wanted.cpus,
            ram_bytes=self.held.ram_bytes + wanted.ram_bytes,
            gpus=self.held.gpus + wanted.gpus,
            gpu_devices=[*self.held.gpu_devices, *wanted.gpu_devices],
        )


class Admission:
    """Admits runs one pass after the other. Borrows everything that it is given."""

    def __init__(
        self,
        *,
        database: Database,
        scheduler: Scheduler,
        free_space: FreeSpace,
        faults: FaultPoints,
        effects_added: Callable[[], None],
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._free_space = free_space
        self._faults = faults
        self._effects_added = effects_added
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A run was started, room became free, or a task was published."""
        self._woken.set()

    async def admit_forever(self) -> None:
        """Admit runs as room becomes free; a job."""
        while True:
            self._woken.clear()
            pause = _LOOK_AGAIN_SECONDS
            try:
                while await self.admit() == _AT_ONCE:
                    pass
                pause = await self._until_next()
            except Unavailable as error:
                log.warning("admission.database_out_of_reach", error=str(error))
                pause = 0.5
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def admit(self) -> int:
        """One pass: admit what fits now. Answers how many runs left the queue."""
        async with self._database.transaction() as connection:
            await attempts.lock_admission(connection)
            left = await self._fail_unpublished(connection)
            waiting = await runs.waiting(connection, limit=_AT_ONCE)
            if waiting:
                left += await self._admit_some(connection, waiting)
                await self._faults.reach("admission.admitted")
        if left:
            self._effects_added()
        return left

    async def _until_next(self) -> float:
        async with self._database.connection() as connection:
            moment = await runs.next_backoff_end(connection)
        if moment is None:
            return _LOOK_AGAIN_SECONDS
        until = (moment - datetime.now(UTC)).total_seconds()
        return min(max(until, 0.01), _LOOK_AGAIN_SECONDS)

    async def _admit_some(self, connection: Connection, waiting: list[WaitingRun]) -> int:
        if reason := self._disk_is_low():
            await _must_wait(connection, waiting[0].run, reason)
            return 0
        room = _Room(await attempts.in_use(connection))
        left = 0
        for one in waiting:
            wanted = Resources(cpus=one.cpus, ram_bytes=one.ram_bytes, gpus=one.gpus)
            match self._scheduler.admit(wanted, room.in_use()):
                case Admitted(gpu_devices=gpu_devices):
                    held = Held(
                        cpus=one.cpus,
                        ram_bytes=one.ram_bytes,
                        gpus=one.gpus,
                        gpu_devices=gpu_devices,
                    )
                    if await _admit(connection, one.run, held):
                        room.take(held)
                case NeverFits(failure=failure):
                    await _fail(connection, one.run, failure_json(failure))
                case MustWait(reason=reason):
                    await _must_wait(connection, one.run, reason)
                    break
            left += 1
        return left

    def _disk_is_low(self) -> PendingReason | None:
        try:
            self._free_space.check()
        except ResourceExhausted as refusal:
            return PendingReason(kind=PendingKind.DISK, message=refusal.message)
        return None

    async def _fail_unpublished(self, connection: Connection) -> int:
        vain = await runs.waiting_in_vain(connection)
        for run, why in vain:
            failure = Failure(
                reason=FailureReason.IMAGE_PUBLISH,
                message=f"The image of the task could not be published: {why['message']}",
            )
            await _fail(connection, run, failure_json(failure))
        return len(vain)


async def _admit(connection: Connection, run: RunRecord, held: Held) -> bool:
    """Begin the run's next attempt. False if it was cancelled just now: then nothing is held."""
    number = run.attempt + 1
    change = RunChange(state=RunState.PENDING, attempt=number)
    if not await runs.change(connection, run.id, change, came_from=came_from(RunState.PENDING)):
        return False
    await attempts.insert(connection, run.id, number, held=held, phases=begin_attempt(run))
    await outbox.add(connection, SUBMIT, {"run_id": str(run.id), "attempt": number})
    return True


async def _fail(connection: Connection, run: RunRecord, failure: Json) -> None:
    change = RunChange(
        state=RunState.FAILED,
        failure=failure,
        reason=failure["reason"],
        message=failure["message"],
    )
    await runs.change(connection, run.id, change, came_from={RunState.QUEUED})


async def _must_wait(connection: Connection, run: RunRecord, reason: PendingReason) -> None:
    told = {(old["kind"], old["message"]) for old in run.pending_reasons}
    if (reason.kind.value, reason.message) in told:
        return
    change = RunChange(
        state=RunState.QUEUED, pending_reasons=[pending_json(reason, datetime.now(UTC))]
    )
    await runs.change(connection, run.id, change, came_from={RunState.QUEUED})
