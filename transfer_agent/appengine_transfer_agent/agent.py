"""One attempt's agent: tells the server what it does, and does what the server orders."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from importlib.metadata import version
from typing import Any, TypeVar

from appengine.v1 import agent_service_pb2 as pb
from appengine.v1.agent_service_pb2_grpc import AgentServiceStub
from appengine.v1.transfer_pb2 import Place
from appengine_client.errors import (
    Aborted,
    AppEngineError,
    NotFound,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
)
from appengine_client.transfer import Connection, Patience, Progress, UnaryRetries

from appengine_transfer_agent.exits import Ended, Exit
from appengine_transfer_agent.moves import Move, Report
from appengine_transfer_agent.settings import AgentSettings

log = logging.getLogger(__name__)
Result = TypeVar("Result")

_CALL_SECONDS = 60.0
"""For one call: the server may keep its answer back until it has an order."""
_LEAST_PAUSE_SECONDS = 0.05
"""Between two calls, whatever the server says."""
_VERSION = version("appengine-transfer-agent")


class Agent:
    """Obeys one kind of order. Whoever makes it closes the connection."""

    def __init__(self, settings: AgentSettings, connection: Connection, move: Move) -> None:
        self._settings = settings
        self._connection = connection
        self._move = move
        self._service = AgentServiceStub(connection.channel)
        self._patience = Patience(stall_seconds=settings.outage_seconds)
        self._news = asyncio.Event()
        """Set while there is something that the server does not know yet."""
        self._terminating = False
        self._progress = Place()
        self._moving: asyncio.Task[None] | None = None
        self._report = Report()
        self._report_known = asyncio.Event()

    def terminate(self) -> None:
        """Tell the server that the container is to end. What it has ordered is finished."""
        self._terminating = True
        self._news.set()

    async def run(self) -> Exit:
        """Call the server until it says that this is the end, and say how it ended.

        Raises Ended for every end but the good one.
        """
        try:
            while True:
                told, answer = await self._synchronize()
                if told.state == pb.AGENT_STATE_FAILED:
                    raise Ended(Exit.TRANSFER_FAILED, told.message)
                if answer.order == pb.AGENT_ORDER_STOP:
                    return self._stop(told)
                self._obey(answer)
                pause = answer.call_again_after.ToMilliseconds() / 1000
                await self._unless_news(asyncio.sleep(max(pause, _LEAST_PAUSE_SECONDS)))
        finally:
            if self._moving is not None:
                self._moving.cancel()
                await asyncio.gather(self._moving, return_exceptions=True)

    def _stop(self, told: pb.SynchronizeRequest) -> Exit:
        if told.state == self._move.moved:
            return Exit.DONE
        raise Ended(Exit.STOPPED)

    def _obey(self, answer: pb.SynchronizeResponse) -> None:
        if answer.order == pb.AGENT_ORDER_WAIT:
            return
        if answer.order != self._move.order:
            raise Ended(Exit.NOT_UNDERSTOOD, f"the server gave the order {answer.order}")
        if self._moving is None:
            log.info("ordered: %s", pb.AgentOrder.Name(answer.order))
            self._moving = asyncio.create_task(
                self._move.do(
                    self._settings, self._connection, answer, self._on_progress, self._tell
                ),
                name="move",
            )
            self._moving.add_done_callback(lambda _: self._news.set())

    async def _tell(self, report: Report) -> None:
        self._report = report
        self._news.set()
        await self._report_known.wait()

    def _on_progress(self, progress: Progress) -> None:
        self._progress = Place(bytes=progress.done_bytes, entries=progress.done_files)
        if progress.waiting_because:
            log.warning("the transfer waits: %s", progress.waiting_because)

    async def _synchronize(self) -> tuple[pb.SynchronizeRequest, pb.SynchronizeResponse]:
        """Tell the newest until the server has answered it, for as long as it may be away."""
        while True:
            self._news.clear()
            said = self._what_is()
            try:
                answer = await self._unless_news(self._call(said))
                if answer is not None:
                    self._patience.progressed()
                    if said.missing_outputs or said.unsent:
                        self._report_known.set()
                    return said, answer
            except AppEngineError as refusal:
                await self._unless_news(self._pause(refusal))

    async def _call(self, said: pb.SynchronizeRequest) -> pb.SynchronizeResponse:
        once = UnaryRetries(attempts=1, total_seconds=_CALL_SECONDS)
        return await self._connection.call(self._service.Synchronize, said, retries=once)

    async def _pause(self, refusal: AppEngineError) -> None:
        log.warning("the server did not answer: %s", refusal.message)
        try:
            await self._patience.wait(refusal)
        except AppEngineError:
            raise Ended(_exit_of(refusal), refusal.message) from refusal

    def _what_is(self) -> pb.SynchronizeRequest:
        request = pb.SynchronizeRequest(
            run_id=self._settings.run_id,
            attempt=self._settings.attempt,
            state=pb.AGENT_STATE_IDLE,
            progress=self._progress,
            version=_VERSION,
            terminating=self._terminating,
            missing_outputs=self._report.missing,
            unsent=self._report.unsent,
        )
        if self._moving is None:
            return request
        if not self._moving.done():
            request.state = self._move.moving
        elif (error := self._moving.exception()) is None:
            request.state = self._move.moved
        elif isinstance(error, AppEngineError):
            request.state = pb.AGENT_STATE_FAILED
            request.message = error.message
        else:
            raise error
        return request

    async def _unless_news(self, doing: Coroutine[Any, Any, Result]) -> Result | None:
        """What `doing` gives, or None when there are news before it ends; it is cancelled then."""
        task, news = asyncio.create_task(doing), asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({task, news}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            task.cancel()
            news.cancel()
            await asyncio.gather(task, news, return_exceptions=True)


def _exit_of(refusal: AppEngineError) -> Exit:
    match refusal:
        case Unauthenticated() | PermissionDenied():
            return Exit.NOT_ALLOWED
        case Aborted():
            return Exit.STALE
        case NotFound():
            return Exit.RUN_GONE
        case ServerError(status="UNIMPLEMENTED"):
            return Exit.NOT_OFFERED
        case Unavailable():
            return Exit.SERVER_AWAY
        case _:
            return Exit.NOT_UNDERSTOOD
