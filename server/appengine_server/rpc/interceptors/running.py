"""Knows the calls that are running, and ends them when the server stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appengine_server.errors import Unavailable
from appengine_server.rpc.interceptors.surround import Context, SurroundingInterceptor


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCall:
    """A call that has not ended."""

    method: str
    peer: str
    started: float
    """By the monotonic clock, in seconds."""

    def __str__(self) -> str:
        return f"{self.method} of {self.peer} for {time.monotonic() - self.started:.1f} s"


class RunningCalls(SurroundingInterceptor):
    """Keeps the calls that are running.

    The server ends a call with UNAVAILABLE, which clients answer by trying again or going on
    elsewhere; the handler sees it as a cancellation.
    """

    def __init__(self, *, endless: Collection[str]) -> None:
        """`endless`: full names of methods that do not end by themselves."""
        super().__init__()
        self._endless = frozenset(endless)
        self._calls: dict[asyncio.Task[object], RunningCall] = {}
        self._ended: set[asyncio.Task[object]] = set()
        self._closing = False

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Keep the call. Raises Unavailable when the server ends it."""
        if self._closing and method in self._endless:
            raise _stopping()
        task = asyncio.current_task()
        assert task is not None
        self._calls[task] = RunningCall(
            method=method, peer=context.peer(), started=time.monotonic()
        )
        try:
            yield
        except asyncio.CancelledError as error:
            if task in self._ended and task.uncancel() == 0:
                raise _stopping() from error
            raise
        finally:
            self._calls.pop(task, None)
            self._ended.discard(task)

    def running(self) -> list[RunningCall]:
        """What is running now, oldest first."""
        return sorted(self._calls.values(), key=lambda call: call.started)

    def end_endless(self) -> None:
        """End the endless calls, and refuse new ones."""
        self._closing = True
        self._end(self._endless)

    def end_all(self) -> None:
        """End every call."""
        self._closing = True
        self._end({call.method for call in self._calls.values()})

    async def wait_idle(self, timeout_seconds: float) -> bool:
        """Wait until what runs now has ended. False when the time is over."""
        if self._calls:
            await asyncio.wait(set(self._calls), timeout=timeout_seconds)
        return not self._calls

    def _end(self, methods: Collection[str]) -> None:
        for task, call in self._calls.items():
            if call.method in methods and task not in self._ended:
                self._ended.add(task)
                task.cancel()


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; connect again and go on")
