"""The agents that move the data of attempts: their tokens, what they may do, and what they should.

Level-triggered like everything else: an order follows from the recorded state of the attempt, and
the same question gets the same answer from every server, before and after a restart.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from time import monotonic
from uuid import UUID

import structlog

from appengine_server.bell import Bells
from appengine_server.database import agents, attempts, runs
from appengine_server.database.agents import AgentState, AgentWord
from appengine_server.database.pool import Database
from appengine_server.database.records import RunRecord, RunState, UploadState
from appengine_server.errors import AttemptStale, NotFound, PermissionDenied
from appengine_server.identity import AttemptPrincipal, Direction
from appengine_server.runs.arrivals import Arrivals
from appengine_server.runs.state import WITH_SCHEDULER, failure_json
from appengine_server.scheduling.scheduler import AgentTokens, AttemptRef, Failure, FailureReason
from appengine_server.tasks.tasks import Tasks

log = structlog.get_logger(__name__)

_TOKEN_PREFIX = "appengine-attempt-"  # noqa: S105 - what tells them from the tokens of users
_TOKEN_BYTES = 32

_OPEN = {
    Direction.FETCH: frozenset({RunState.PENDING}),
    Direction.TRANSFER: WITH_SCHEDULER | {RunState.FINALIZING, RunState.CANCELLING},
}
"""While the newest attempt's run is in one of these states, its token of a direction is valid."""

_HOLD = timedelta(seconds=10)
"""How long an agent that has to wait waits for its answer: shorter than proxies cut a call."""
_WHILE_MOVING = timedelta(seconds=1)
_AT_ONCE = timedelta(0)
_WORTH_A_WRITE = timedelta(seconds=2)
"""Progress is written at most this often."""


class Order(StrEnum):
    """What an agent should do."""

    WAIT = "WAIT"
    FETCH = "FETCH"
    UPLOAD = "UPLOAD"
    STOP = "STOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an agent should do, and when it should ask again."""

    order: Order
    call_again_after: timedelta = _AT_ONCE
    upload_id: UUID | None = None
    """Where to send the outputs."""
    outputs: tuple[str, ...] = ()
    """The declared ones."""


class Agents:
    """Knows and orders agents. Borrows everything that it is given."""

    def __init__(
        self, *, database: Database, tasks: Tasks, arrivals: Arrivals, bells: Bells
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._arrivals = arrivals
        self._bells = bells

    async def issue_tokens(self, ref: AttemptRef) -> AgentTokens:
        """New tokens for an attempt that is submitted now; earlier ones of it stay valid."""
        made = {direction: _new_token() for direction in Direction}
        async with self._database.transaction() as connection:
            for direction, token in made.items():
                owner = AttemptPrincipal(run_id=ref.run_id, attempt=ref.number, direction=direction)
                await agents.add_token(connection, _hash(token), owner)
        return AgentTokens(fetch=made[Direction.FETCH], transfer=made[Direction.TRANSFER])

    def looks_like_one(self, token: str) -> bool:
        """Whether this can be the token of an attempt, and of nobody else."""
        return token.startswith(_TOKEN_PREFIX)

    async def principal_of(self, token: str) -> AttemptPrincipal | None:
        """Whose token this is; None if it was never made. It may be valid no more."""
        async with self._database.connection() as connection:
            return await agents.owner_of(connection, _hash(token))

    async def check_open(self, who: AttemptPrincipal, direction: Direction) -> RunRecord:
        """The run of an agent that may move data this way now.

        Raises PermissionDenied for the other direction, AttemptStale when the attempt or this phase
        of it is over, and NotFound when the run is gone.
        """
        if who.direction is not direction:
            raise PermissionDenied("the token of this agent is for the other direction")
        run = await self._run_of(who)
        if not _is_open(who, run):
            raise _stale(who)
        return run

    def check_own(self, who: AttemptPrincipal, run_id: str, attempt: int) -> None:
        """Raise PermissionDenied unless this is the attempt of the agent."""
        if (run_id, attempt) != (str(who.run_id), who.attempt):
            raise PermissionDenied("the token of this agent is for another run or attempt")

    async def synchronize(self, who: AttemptPrincipal, word: AgentWord) -> Answer:
        """Take note of what an agent says, and answer what it should do.

        Holds an answer WAIT back for a while, so that another order reaches the agent at once.
        Raises AttemptStale and NotFound.
        """
        until = monotonic() + _HOLD.total_seconds()
        with self._bells.listening(who.run_id) as ringing:
            if await self._has_done_its_work(who, word):
                return Answer(order=Order.STOP)
            await self._take_note(await self.check_open(who, who.direction), who, word)
            while True:
                answer = await self._answer(who, word)
                left = until - monotonic()
                if answer.order is not Order.WAIT or left <= 0:
                    return answer
                await ringing.wait(timedelta(seconds=left))

    async def _has_done_its_work(self, who: AttemptPrincipal, word: AgentWord) -> bool:
        """Whether all outputs have arrived, and with them perhaps the end of the run."""
        if who.direction is not Direction.TRANSFER or word.state is not AgentState.UPLOADED:
            return False
        run = await self._run_of(who)
        upload = await self._arrivals.upload_of(who.run_id, who.attempt)
        return (
            run.attempt == who.attempt
            and upload is not None
            and upload.state is UploadState.FINISHED
        )

    async def _take_note(self, run: RunRecord, who: AttemptPrincipal, word: AgentWord) -> None:
        if word.state is AgentState.UPLOADING:  # what has arrived counts, not what was sent
            place = await self._arrivals.place(who.run_id, who.attempt)
            word = replace(word, done_bytes=place.bytes, done_entries=place.entries)
        async with self._database.transaction() as connection:
            await agents.say(connection, who, word, at_most_every=_WORTH_A_WRITE)
            if who.direction is Direction.FETCH and word.state is AgentState.FAILED:
                failure = Failure(
                    reason=FailureReason.INPUT_TRANSFER,
                    message=f"The inputs could not be brought to the task: {word.message}",
                )
                await attempts.set_failure(connection, run.id, who.attempt, failure_json(failure))

    async def _answer(self, who: AttemptPrincipal, word: AgentWord) -> Answer:
        run = await self.check_open(who, who.direction)
        if who.direction is Direction.FETCH:
            if word.terminating or word.state in {AgentState.FETCHED, AgentState.FAILED}:
                return Answer(order=Order.STOP)
            return Answer(order=Order.FETCH, call_again_after=_WHILE_MOVING)
        if word.state in {AgentState.UPLOADED, AgentState.FAILED}:
            return Answer(order=Order.STOP)
        if run.state is not RunState.FINALIZING and not word.terminating:
            return Answer(order=Order.WAIT)
        upload = await self._arrivals.open(run, rescue=run.state is not RunState.FINALIZING)
        if upload.state not in {UploadState.OPEN, UploadState.FINISHED}:
            return Answer(order=Order.STOP)
        descriptor = await self._tasks.descriptor(run.task_id)
        return Answer(
            order=Order.UPLOAD,
            call_again_after=_WHILE_MOVING,
            upload_id=upload.id,
            outputs=tuple(output.name for output in descriptor.outputs),
        )

    async def _run_of(self, who: AttemptPrincipal) -> RunRecord:
        async with self._database.connection() as connection:
            run = await runs.get(connection, who.run_id, None)
        if run is None:
            raise NotFound(f"There is no run {who.run_id} any more.")
        return run


def _is_open(who: AttemptPrincipal, run: RunRecord) -> bool:
    return run.attempt == who.attempt and run.state in _OPEN[who.direction]


def _stale(who: AttemptPrincipal) -> AttemptStale:
    return AttemptStale(
        f"attempt {who.attempt} of the run needs no {who.direction.value.lower()} any more: stop"
    )


def _new_token() -> str:
    return _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
