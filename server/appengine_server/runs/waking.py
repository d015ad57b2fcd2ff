"""Who is woken by what: the one place where a change finds the loops that care.

A wake-up is a hint and may be lost: every loop also looks by itself from time to time.
"""

from __future__ import annotations

from uuid import UUID

from appengine_server.bell import Bells
from appengine_server.database import agents, outbox, runs, tasks
from appengine_server.database.records import RunState
from appengine_server.runs.admission import Admission
from appengine_server.runs.effects import Effects
from appengine_server.runs.reconcile import Reconciler
from appengine_server.runs.steps import Steps
from appengine_server.runs.watching import ALL_RUNS
from appengine_server.scheduling.scheduler import AttemptRef, Failure
from appengine_server.tasks.publish import Publisher

CHANNELS = (runs.CHANNEL, tasks.CHANNEL, outbox.CHANNEL, agents.CHANNEL)
"""What the database notifies."""


class Waking:
    """Passes wake-ups on. The loops are attached once they are all there."""

    def __init__(self, bells: Bells) -> None:
        self._bells = bells
        self._reconciler: Reconciler | None = None
        self._admission: Admission | None = None
        self._effects: Effects | None = None
        self._steps: Steps | None = None
        self._publisher: Publisher | None = None

    def attach(
        self,
        *,
        reconciler: Reconciler,
        admission: Admission,
        effects: Effects,
        steps: Steps,
        publisher: Publisher,
    ) -> None:
        """From now on wake these."""
        self._reconciler = reconciler
        self._admission = admission
        self._effects = effects
        self._steps = steps
        self._publisher = publisher

    def run_changed(self, run_id: UUID, state: RunState) -> None:
        """A run was started, or is to be cancelled, here or by another server."""
        if state is RunState.QUEUED:
            self.room_freed()
        elif state is RunState.CANCELLING and self._reconciler:
            self._reconciler.wake(run_id)

    def room_freed(self) -> None:
        """A run may be admitted now."""
        if self._admission:
            self._admission.wake()

    def effects_added(self) -> None:
        """There is something in the outbox."""
        if self._effects:
            self._effects.wake()

    def attempt_changed(self, ref: AttemptRef) -> None:
        """An attempt was submitted, or asked to stop."""
        if self._reconciler:
            self._reconciler.wake(ref.run_id)

    def agent_spoke(self, run_id: UUID) -> None:
        """An agent said something new, or outputs have arrived, here or at another server."""
        if self._reconciler:
            self._reconciler.wake(run_id)

    async def submission_failed(self, ref: AttemptRef, failure: Failure) -> None:
        """The scheduler will never take this attempt."""
        assert self._steps is not None
        await self._steps.submission_failed(ref, failure)

    def wake(self) -> None:
        """There is a task to publish."""
        if self._publisher:
            self._publisher.wake()

    def on_notification(self, channel: str, payload: str) -> None:
        """The database says that something has changed."""
        if channel == outbox.CHANNEL:
            self.effects_added()
            return
        if channel == agents.CHANNEL:
            self.agent_spoke(UUID(payload))
            return
        name, _, state = payload.partition(" ")
        self._bells.ring(UUID(name))
        if channel == tasks.CHANNEL:
            self.room_freed()
        else:
            self._bells.ring(ALL_RUNS)
            self.run_changed(UUID(name), RunState(state))

    def on_connected(self) -> None:
        """Notifications may have been lost: everybody looks."""
        self._bells.ring_all()
        self.room_freed()
        self.effects_added()
        self.wake()
