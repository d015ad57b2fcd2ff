"""How long the parts of an attempt took: one record that feeds the API and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from appengine_server.database.agents import AgentRecord
from appengine_server.database.records import Json, RunRecord

QUEUED = "queued"
PENDING = "pending"
FETCHING = "fetching inputs"
RUNNING = "running"
UPLOADING = "uploading outputs"
CHECKING = "checking"


def begin_attempt(run: RunRecord) -> list[Json]:
    """The phases of an attempt of a run that leaves the queue now."""
    now = datetime.now(UTC)
    return enter([_phase(QUEUED, run.state_since)], PENDING, now)


def enter(phases: Sequence[Json], name: str, at: datetime) -> list[Json]:
    """The phases with the last one ended and this one begun; the same if it is the last."""
    if phases and phases[-1]["name"] == name:
        return list(phases)
    return [*close(phases, at), _phase(name, at)]


def moved(phases: Sequence[Json], name: str, total_bytes: int) -> list[Json]:
    """The phases with so many bytes moved in the one of this name."""
    return [{**phase, "bytes": total_bytes} if phase["name"] == name else phase for phase in phases]


def with_fetch(phases: Sequence[Json], agent: AgentRecord | None) -> list[Json]:
    """The phases of an attempt whose task does not run yet, with what its agent fetches."""
    if agent is None or agent.began_at is None or phases[-1]["name"] not in {PENDING, FETCHING}:
        return list(phases)
    entered = moved(enter(phases, FETCHING, agent.began_at), FETCHING, agent.done_bytes)
    return close(entered, agent.ended_at) if agent.ended_at else entered


def close(phases: Sequence[Json], at: datetime, *, moved_bytes: int = 0) -> list[Json]:
    """The phases with the last one ended."""
    if not phases or phases[-1]["end"] is not None:
        return list(phases)
    known_bytes = phases[-1]["bytes"]
    last = {**phases[-1], "end": at.isoformat(), "bytes": moved_bytes or known_bytes}
    return [*phases[:-1], last]


def _phase(name: str, start: datetime) -> dict[str, Any]:
    return {"name": name, "start": start.isoformat(), "end": None, "bytes": 0}
