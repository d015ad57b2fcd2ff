"""What the agent can be ordered to do: bring the inputs, send the outputs."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appengine.v1 import agent_service_pb2 as pb
from appengine.v1 import storage_service_pb2
from appengine.v1.problem_pb2 import Problem
from appengine_client.errors import LocalFileError
from appengine_client.transfer import (
    Connection,
    EntryHead,
    Kind,
    OnProgress,
    Patience,
    Source,
    SourceEntry,
    keeping_links,
    link_may_be_absolute,
    pull,
    push,
)

from appengine_transfer_agent.settings import AgentSettings

log = logging.getLogger(__name__)

_MOST_UNSENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the server should know of a folder besides its bytes."""

    missing: Sequence[str] = ()
    """Names of declared outputs that are not there."""
    unsent: Sequence[Problem] = ()
    """With what is there and cannot be sent."""


Tell = Callable[[Report], Coroutine[Any, Any, None]]
"""Tells the server; returns once it knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """An order that a command obeys, with the states that it goes through."""

    order: pb.AgentOrder.ValueType
    moving: pb.AgentState.ValueType
    moved: pb.AgentState.ValueType
    do: Callable[
        [AgentSettings, Connection, pb.SynchronizeResponse, OnProgress, Tell],
        Coroutine[Any, Any, None],
    ]
    """Raises the errors of `appengine_client.errors`."""


async def _fetch(
    settings: AgentSettings,
    connection: Connection,
    _: pb.SynchronizeResponse,
    on_progress: OnProgress,
    _tell: Tell,
) -> None:
    resource = storage_service_pb2.Resource(run_inputs=settings.run_id)
    await pull(
        resource,
        settings.folder,
        connection,
        patience=Patience(stall_seconds=settings.outage_seconds),
        on_progress=on_progress,
        name="inputs",  # a worker before this one may have begun
        link_rule=link_may_be_absolute,  # into datasets, which the task's own container mounts
    )


async def _send(
    settings: AgentSettings,
    connection: Connection,
    answer: pb.SynchronizeResponse,
    on_progress: OnProgress,
    tell: Tell,
) -> None:
    source, report = await asyncio.to_thread(list_outputs, settings.folder, answer.outputs)
    if report.missing or report.unsent:
        await tell(report)  # before all has arrived, for then the server decides
    await push(
        source,
        connection,
        answer.upload_id,
        patience=Patience(stall_seconds=settings.outage_seconds),
        on_progress=on_progress,
        resume=True,  # a worker before this one may have begun
    )


FETCH = Move(
    order=pb.AGENT_ORDER_FETCH,
    moving=pb.AGENT_STATE_FETCHING,
    moved=pb.AGENT_STATE_FETCHED,
    do=_fetch,
)
UPLOAD = Move(
    order=pb.AGENT_ORDER_UPLOAD,
    moving=pb.AGENT_STATE_UPLOADING,
    moved=pb.AGENT_STATE_UPLOADED,
    do=_send,
)


def list_outputs(folder: Path, declared: Sequence[str]) -> tuple[Source, Report]:
    """Everything in the folder: what is declared first, and what is small before what is large.

    That order saves most when the pod is taken away meanwhile, and is the same each time.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise LocalFileError(f"{folder} cannot be read: {error.strerror or error}") from error
    listing = _Listing(folder)
    wanted = [listing.below(name) for name in declared if name in names]
    others = [listing.below(name) for name in sorted(set(names) - set(declared))]
    ordered = [*sorted(wanted, key=_size), *sorted(others, key=_size)]
    missing = sorted(name for name in declared if name not in names)
    report = Report(missing=missing, unsent=listing.unsent)
    return Source(entry for entries in ordered for entry in entries), report


class _Listing:
    """Lists what can be sent, and remembers what cannot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unsent: list[Problem] = []

    def below(self, path: str) -> list[SourceEntry]:
        """The entry at this path and all that is in it."""
        local = self._folder / path
        try:
            path.encode()
            mode = local.lstat().st_mode
            if not stat.S_ISDIR(mode):
                return list(keeping_links([(path, local)]).entries)
            inside = sorted(os.listdir(local))
        except UnicodeEncodeError:
            self._leave_out(path, "OUTPUT_UNREADABLE", "the name is not UTF-8")
            return []
        except LocalFileError as error:
            self._leave_out(path, _reason(mode), error.message)
            return []
        except OSError as error:
            self._leave_out(path, "OUTPUT_UNREADABLE", error.strerror or str(error))
            return []
        found = [SourceEntry(head=EntryHead(path=path, kind=Kind.FOLDER))]
        for name in inside:
            found += self.below(f"{path}/{name}")
        return found

    def _leave_out(self, path: str, reason: str, why: str) -> None:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        log.warning("not sent: %r: %s", shown, why)
        if len(self.unsent) < _MOST_UNSENT:
            message = f"`{shown}` cannot be sent: {why}"
            self.unsent.append(Problem(path=shown, reason=reason, message=message))


def _reason(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "OUTPUT_UNSAFE_LINK"
    return "OUTPUT_UNREADABLE" if stat.S_ISREG(mode) else "OUTPUT_SPECIAL_FILE"


def _size(entries: Sequence[SourceEntry]) -> int:
    return sum(entry.head.size_bytes for entry in entries)
