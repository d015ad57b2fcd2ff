"""The endless tasks of a server: each has a name and an owner, and none ends unnoticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from types import CoroutineType, TracebackType
from typing import Any, Self

import structlog

log = structlog.get_logger(__name__)


class Jobs:
    """Owns endless tasks. Leaving the context cancels all and waits until `deadline` for them.

    A job that returns or raises while nobody has asked it to stop is an error, and `on_end` is
    called: a server without one of its jobs does not work, so it should stop.
    """

    def __init__(
        self, *, on_end: Callable[[], None], deadline: timedelta = timedelta(seconds=10)
    ) -> None:
        self._on_end = on_end
        self._deadline = deadline
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            return
        _, stuck = await asyncio.wait(self._tasks, timeout=self._deadline.total_seconds())
        for task in stuck:
            log.error("job.stuck", job=task.get_name(), stack=stack_of(task))

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until the context is left. The name is for logs."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)  # the event loop keeps only a weak reference
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if not self._stopping:  # returning is as wrong as raising
            log.error("job.ended", job=task.get_name(), exc_info=error)
            self._on_end()
        elif error is not None:
            log.error("job.failed_while_stopping", job=task.get_name(), exc_info=error)


def stack_of(task: asyncio.Task[Any]) -> list[str]:
    """Where a suspended task waits, outermost first, as `file:line function`.

    `Task.get_stack` shows only the outermost frame of a suspended task; what it waits for is
    deeper.
    """
    lines: list[str] = []
    awaited: object = task.get_coro()
    while isinstance(awaited, CoroutineType):
        frame = awaited.cr_frame
        if frame is not None:
            code = frame.f_code
            lines.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
        awaited = awaited.cr_await
    if awaited is not None:
        lines.append(type(awaited).__qualname__)
    return lines
