"""The rows that the query modules answer, and the states that they can be in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

Json = Mapping[str, Any]


class RunState(StrEnum):
    """How far a run is; see `runs.state` for what follows what."""

    CREATED = "CREATED"
    PROVISIONED = "PROVISIONED"
    QUEUED = "QUEUED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINALIZING = "FINALIZING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class TaskState(StrEnum):
    """Whether runs of a task can execute."""

    PUBLISHING = "PUBLISHING"
    READY = "READY"
    FAILED = "FAILED"
    DELETING = "DELETING"


class UploadTarget(StrEnum):
    """What an upload is for."""

    TASK_BUNDLE = "TASK_BUNDLE"
    INPUT = "INPUT"
    ATTEMPT_OUTPUTS = "ATTEMPT_OUTPUTS"


class InputPart(StrEnum):
    """How much of an input an upload holds."""

    WHOLE = "WHOLE"
    ITEMS = "ITEMS"
    COMPANION = "COMPANION"


class UploadState(StrEnum):
    """What an upload can still do."""

    OPEN = "OPEN"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """One row of `tasks`."""

    id: UUID
    project: str
    owner: str
    namespace: str
    version: str
    state: TaskState
    upload_id: UUID | None
    image_entry: str | None
    image_reference: str | None
    image: str | None
    image_user: str | None
    cpus: int
    ram_bytes: int
    gpus: int
    has_logo: bool
    warnings: Sequence[Json]
    failure: Json | None
    done_bytes: int
    total_bytes: int
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One row of `attempts`."""

    number: int
    cpus: int
    ram_bytes: int
    gpus: int
    gpu_devices: Sequence[str]
    submitted_at: datetime | None
    released_at: datetime | None
    failure: Json | None
    exit_code: int | None
    phases: Sequence[Json]
    peak_memory_bytes: int | None
    cpu_seconds: float | None
    log_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One row of `runs` with its attempts, without its inputs and outputs."""

    id: UUID
    project: str
    owner: str
    task_id: UUID
    task_namespace: str
    task_version: str
    state: RunState
    retry_of: UUID | None
    labels: Mapping[str, str]
    missing_inputs: Sequence[str]
    outputs_attempt: int | None
    pending_reasons: Sequence[Json]
    failure: Json | None
    warnings: Sequence[Json]
    attempt: int
    not_before: datetime | None
    revision: int
    state_since: datetime
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempts: Sequence[AttemptRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """A run that this server may drive until its lease ends; writes name the fence."""

    run: RunRecord
    fence: int
    inputs: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One change of a run."""

    run_id: UUID
    revision: int
    state: RunState
    attempt: int
    reason: str | None
    message: str | None
    pending_reasons: Sequence[Json]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRecord:
    """One row of `uploads`."""

    id: UUID
    project: str
    owner: str
    target: UploadTarget
    run_id: UUID | None
    attempt: int | None
    """Whose outputs it holds."""
    parameter: str | None
    part: InputPart | None
    rescue: bool
    """Opened before the server knew that the task had ended."""
    state: UploadState
    total_bytes: int
    total_entries: int
    held_bytes: int
    """What it counts in the quotas."""
    problems: Sequence[Json]
    expires_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One effect that must happen."""

    id: int
    action: str
    subject: Json
    tries: int
