"""A scheduler whose calls are spans."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta

from appengine_server.scheduling.scheduler import (
    Admission,
    AttemptRef,
    AttemptSpec,
    InUse,
    Observation,
    Resources,
    Scheduler,
    StillWanted,
)
from appengine_server.tracing import Tracing


class TracedScheduler:
    """A Scheduler that passes everything on to another one, whose owner closes it."""

    def __init__(self, scheduler: Scheduler, tracing: Tracing) -> None:
        self._scheduler = scheduler
        self._tracing = tracing

    @property
    def moves_data(self) -> bool:
        """As the other one."""
        return self._scheduler.moves_data

    @property
    def isolates_network(self) -> bool:
        """As the other one."""
        return self._scheduler.isolates_network

    def admit(self, wanted: Resources, in_use: InUse) -> Admission:
        """As the other one: it only computes."""
        return self._scheduler.admit(wanted, in_use)

    async def submit(self, spec: AttemptSpec, *, still_wanted: StillWanted | None = None) -> None:
        """Begin to execute the attempt."""
        with self._tracing.span("scheduler submit", _names(spec.ref)):
            await self._scheduler.submit(spec, still_wanted=still_wanted)

    async def observe(self, ref: AttemptRef) -> Observation:
        """Show the attempt as it is."""
        with self._tracing.span("scheduler observe", _names(ref)):
            return await self._scheduler.observe(ref)

    async def list_attempts(self) -> Sequence[AttemptRef]:
        """Every attempt of this engine."""
        with self._tracing.span("scheduler list"):
            return await self._scheduler.list_attempts()

    async def cancel(self, ref: AttemptRef, grace: timedelta) -> None:
        """Ask the task to end."""
        with self._tracing.span("scheduler cancel", _names(ref)):
            await self._scheduler.cancel(ref, grace)

    async def delete(self, ref: AttemptRef) -> None:
        """Remove every trace of the attempt."""
        with self._tracing.span("scheduler delete", _names(ref)):
            await self._scheduler.delete(ref)

    def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        """As the other one: it lasts as long as the task."""
        return self._scheduler.logs(ref)

    def changes(self) -> AsyncGenerator[AttemptRef, None]:
        """As the other one: it lasts for ever."""
        return self._scheduler.changes()


def _names(ref: AttemptRef) -> Mapping[str, str | int]:
    return {"appengine.run": str(ref.run_id), "appengine.attempt": ref.number}
