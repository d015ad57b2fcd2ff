"""What the engine asks of a scheduler, and the values that both speak.

A scheduler executes attempts. It knows nothing of runs, databases or users: it is told what to
execute, shows what it sees, and wakes us when something may have changed. Every call may be made
twice: names are derived from run and attempt, so a second call finds the work of the first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID


class FailureReason(StrEnum):
    """Why an attempt or a run failed: the closed list of the API."""

    TASK_EXIT_CODE = "TASK_EXIT_CODE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    OUTPUT_INVALID = "OUTPUT_INVALID"
    INPUT_UNAVAILABLE = "INPUT_UNAVAILABLE"
    IMAGE_PUBLISH = "IMAGE_PUBLISH"
    IMAGE_PULL = "IMAGE_PULL"
    IMAGE_CANNOT_START = "IMAGE_CANNOT_START"
    ADMISSION_REFUSED = "ADMISSION_REFUSED"
    UNSCHEDULABLE = "UNSCHEDULABLE"
    TIMEOUT = "TIMEOUT"
    EVICTED = "EVICTED"
    NODE_LOST = "NODE_LOST"
    INPUT_TRANSFER = "INPUT_TRANSFER"
    OUTPUT_TRANSFER = "OUTPUT_TRANSFER"
    ENGINE = "ENGINE"


class PendingKind(StrEnum):
    """What a waiting run waits for: the closed list of the API."""

    PUBLISHING = "PUBLISHING"
    RESOURCES = "RESOURCES"
    QUOTA = "QUOTA"
    DISK = "DISK"
    BACKOFF = "BACKOFF"
    SCHEDULER = "SCHEDULER"
    IMAGE_PULL = "IMAGE_PULL"
    NODE = "NODE"
    INPUT_TRANSFER = "INPUT_TRANSFER"
    MAINTENANCE = "MAINTENANCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReason:
    """One thing that a run waits for."""

    kind: PendingKind
    message: str
    """A sentence for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt cannot go on or ended badly."""

    reason: FailureReason
    message: str
    """A sentence that says what to do."""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class AttemptRef:
    """One attempt of one run: what everything in a scheduler is named after."""

    run_id: UUID
    number: int
    """From 1."""

    @property
    def name(self) -> str:
        """Name of the container or Job, the same every time."""
        return f"appengine-{self.run_id.hex}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a task may use, or what a machine has."""

    cpus: int
    ram_bytes: int
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTokens:
    """What the agents of one attempt prove themselves with: a token for each direction."""

    fetch: str = field(repr=False)
    transfer: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSpec:
    """Everything that is needed to execute one attempt."""

    ref: AttemptRef
    project: str
    image: str
    """Image id or reference pinned by digest."""
    user: str = ""
    """The user that the image runs as, `uid` or `uid:gid`, in numbers where they are known; empty
    is root."""
    resources: Resources
    gpu_devices: tuple[str, ...] = ()
    """The devices that admission chose, as many as `resources.gpus`."""
    network: bool = False
    """The task may reach the network."""
    inputs_path: Path
    """Folder of the inputs on our side; mounted read-only at `input_folder`."""
    outputs_path: Path
    """Empty folder on our side that any user may write to; mounted at `output_folder`."""
    input_folder: str
    output_folder: str
    dataset_paths: tuple[Path, ...] = ()
    """Folders to mount read-only at the same absolute path."""
    run_limit: timedelta
    """Outer limit of the execution, for schedulers that enforce one by themselves."""
    cancel_grace: timedelta
    """Between SIGTERM and SIGKILL when the scheduler stops the task by itself."""
    tokens: AgentTokens | None = None
    """For the agents of a scheduler that moves data. A second submission may bring others; those
    of the first one stay in use then."""


class AttemptPhase(StrEnum):
    """How far the scheduler is with an attempt."""

    ABSENT = "ABSENT"
    """It knows nothing of it: never submitted, deleted, or removed by others."""
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the task used; None where the scheduler cannot tell."""

    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the scheduler shows of one attempt, now."""

    ref: AttemptRef
    phase: AttemptPhase
    pending_reasons: tuple[PendingReason, ...] = ()
    """Only while PENDING."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    """Only when ENDED; None when the task never ran or its code is lost."""
    failure: Failure | None = None
    """Set when it ENDED in any way but by exit code 0, and while PENDING for ever."""
    agent_failure: Failure | None = None
    """Only where data are moved: why the agent beside the task can send no more outputs; None while
    it can. An agent that has done its work and ended by 0 is one that can send no more."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """There is room: the attempt may be submitted."""

    gpu_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MustWait:
    """There is no room now."""

    reason: PendingReason


@dataclass(frozen=True, slots=True, kw_only=True)
class NeverFits:
    """There can never be room."""

    failure: Failure


Admission = Admitted | MustWait | NeverFits


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """What the attempts that were admitted and have not ended hold together."""

    resources: Resources
    gpu_devices: frozenset[str] = frozenset()


StillWanted = Callable[[], Awaitable[bool]]
"""Whether an attempt that was decided to be submitted still is to be."""


class SchedulerUnavailable(Exception):
    """The scheduler cannot be reached. Nothing is known about the attempt: try again."""


class LogIncomplete(Exception):
    """What was given of a log has gaps: ask again, and write it anew from its first byte."""


class SubmissionRefused(Exception):
    """The scheduler will never take this attempt. `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Scheduler(Protocol):
    """Executes attempts. Every method may raise SchedulerUnavailable."""

    @property
    def moves_data(self) -> bool:
        """Whether inputs and outputs travel by an agent; otherwise the task sees our folders."""
        ...

    @property
    def isolates_network(self) -> bool:
        """Whether a task that asks for no network surely gets none."""
        ...

    def admit(self, wanted: Resources, in_use: InUse) -> Admission:
        """Say whether an attempt that wants this may be submitted. Pure: it reserves nothing."""
        ...

    async def submit(self, spec: AttemptSpec, *, still_wanted: StillWanted | None = None) -> None:
        """Begin to execute the attempt. OK if it was submitted before.

        `still_wanted` is asked as late as can be: a server that was paused must not begin what
        another one has ended and removed meanwhile. If it is not, nothing is begun; None: it is.
        Raises SubmissionRefused where trying again cannot help, and what `still_wanted` raises.
        """
        ...

    async def observe(self, ref: AttemptRef) -> Observation:
        """Show the attempt as it is; ABSENT where there is none."""
        ...

    async def list_attempts(self) -> Sequence[AttemptRef]:
        """Every attempt of this engine that the scheduler still holds, ended ones too."""
        ...

    async def cancel(self, ref: AttemptRef, grace: timedelta) -> None:
        """Ask the task to end (SIGTERM, and SIGKILL after `grace`); returns without waiting.

        OK if it has ended or was never there. An attempt that did not start yet never starts.
        """
        ...

    async def delete(self, ref: AttemptRef) -> None:
        """Remove every trace of the attempt, killing it if it runs. OK if there is none."""
        ...

    def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        """What the task printed, from its first byte until it ends: the same bytes every time.

        Raises LogIncomplete at the end where that turns out not to be so.
        """
        ...

    def changes(self) -> AsyncGenerator[AttemptRef, None]:
        """Attempts that may have changed. A hint: some may be missing, some may come twice.

        Ends or raises SchedulerUnavailable when the connection is lost; then call it again and
        observe everything.
        """
        ...
