"""From what the engine shows of a container to what we say of its attempt. Pure."""

from __future__ import annotations

import re
import signal
from datetime import datetime
from typing import Any

from appengine_server.scheduling.container.process import Evidence
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    Failure,
    FailureReason,
    Observation,
    PendingKind,
    PendingReason,
)
from appengine_server.scheduling.verdicts import (
    exit_code_failure,
    format_bytes,
    out_of_memory_failure,
)

_BEFORE = {"created", "configured", "initialized"}
_DURING = {"running", "paused", "restarting", "stopping"}
_SIGKILLED = 128 + signal.SIGKILL
_NEVER = "0001-"
_TIME = re.compile(r"(.*T\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$")


def was_started(details: dict[str, Any]) -> bool:
    """Tell whether the container ever ran."""
    state = details["State"]
    return state.get("Status") not in _BEFORE or moment_of(state.get("StartedAt")) is not None


def observation_of(
    ref: AttemptRef,
    details: dict[str, Any],
    *,
    evidence: Evidence | None,
    killed_by_us: bool,
    engine_tells_oom: bool,
) -> Observation:
    """Say how far the attempt is. `details` is what inspecting its container answered."""
    state = details["State"]
    started_at, ended_at = moment_of(state.get("StartedAt")), moment_of(state.get("FinishedAt"))
    if not was_started(details):
        waiting = PendingReason(
            kind=PendingKind.SCHEDULER, message="the container is made and not yet started"
        )
        return Observation(ref=ref, phase=AttemptPhase.PENDING, pending_reasons=(waiting,))
    if state["Status"] in _DURING:
        return Observation(ref=ref, phase=AttemptPhase.RUNNING, started_at=started_at)
    if started_at is not None and ended_at is not None:
        ended_at = max(started_at, ended_at)  # podman stamps the start after a very short run
    exit_code = None if state["Status"] in _BEFORE else int(state["ExitCode"])
    if exit_code is not None and exit_code < 0:
        exit_code = None
    evidence = evidence or Evidence()
    oom = state.get("OOMKilled") is True or bool(evidence.oom_kills)
    guess_oom = evidence.oom_kills is None and not engine_tells_oom
    return Observation(
        ref=ref,
        phase=AttemptPhase.ENDED,
        started_at=started_at,
        ended_at=ended_at,
        exit_code=exit_code,
        failure=_failure(
            exit_code,
            ram_bytes=int((details.get("HostConfig") or {}).get("Memory") or 0),
            oom=oom and not killed_by_us,
            guess_oom=guess_oom and not killed_by_us,
        ),
        usage=evidence.usage,
    )


def _failure(
    exit_code: int | None, *, ram_bytes: int, oom: bool, guess_oom: bool
) -> Failure | None:
    if exit_code == 0:
        return None
    if exit_code is None:
        return Failure(
            reason=FailureReason.NODE_LOST,
            message="the task's exit code is lost: the machine or its container engine stopped "
            "while it ran",
        )
    if oom:
        return out_of_memory_failure(exit_code, ram_bytes)
    if guess_oom and exit_code == _SIGKILLED:
        return Failure(
            reason=FailureReason.OUT_OF_MEMORY,
            exit_code=exit_code,
            message="the task was killed by SIGKILL, most likely because it needed more than its "
            f"{format_bytes(ram_bytes)} of memory: raise the ram that its descriptor asks for, or "
            "give it smaller inputs",
        )
    return exit_code_failure(exit_code)


def moment_of(text: str | None) -> datetime | None:
    """Read the engine's time: nanoseconds, more than datetime holds, and year 1 for never."""
    match = _TIME.match(text or "")
    if match is None or match[1].startswith(_NEVER):
        return None
    fraction = (match[2] or ".0")[:7]
    return datetime.fromisoformat(f"{match[1]}{fraction:0<7}{match[3].replace('Z', '+00:00')}")
