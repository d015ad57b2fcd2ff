"""What the agent is told by its environment. The token comes from a file, and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appengine_client.errors import InvalidValue
from appengine_client.transfer import ConnectionSettings, read_settings

_DEFAULT_OUTAGE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """One attempt, and where its server is."""

    connection: ConnectionSettings
    run_id: str
    attempt: int
    folder: Path
    """Of the inputs or of the outputs, as the task sees it."""
    outage_seconds: float
    """How long the server may be away, and a transfer without progress. An hour by default: an
    outage shall delay the end of a run, and not lose its outputs."""


def read_agent_settings(environment: Mapping[str, str] = os.environ) -> AgentSettings:
    """Read everything. Raises InvalidValue with a sentence that names the variable."""
    taken = {
        name: _required(environment, name) for name in ("APPENGINE_SERVER", "APPENGINE_TOKEN_FILE")
    }
    if authorities := environment.get("APPENGINE_CA_FILE"):
        taken["APPENGINE_CA_FILE"] = authorities
    return AgentSettings(
        connection=read_settings(environment=taken),
        run_id=_required(environment, "APPENGINE_RUN_ID"),
        attempt=int(_number(environment, "APPENGINE_ATTEMPT", None)),
        folder=Path(_required(environment, "APPENGINE_FOLDER")),
        outage_seconds=_number(environment, "APPENGINE_OUTAGE_LIMIT", _DEFAULT_OUTAGE_SECONDS),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise InvalidValue(f"{name} is not set")


def _number(environment: Mapping[str, str], name: str, default: float | None) -> float:
    if default is not None and not environment.get(name):
        return default
    text = _required(environment, name)
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise InvalidValue(f"{name} must be a whole number from 1 on, and is {text!r}")
    return int(text)
