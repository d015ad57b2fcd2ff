"""Ctrl-C while a run is followed: the run belongs to the server, so it is a question."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable
from enum import Enum
from types import TracebackType
from typing import TypeVar

from appengine_client.cli.errors import complain

Result = TypeVar("Result")


class Wish(Enum):
    """What to do with the run after Ctrl-C."""

    CANCEL = "cancel"
    LEAVE = "leave"
    STAY = "stay"


class Interrupted(Exception):
    """Ctrl-C was pressed."""


class Interrupts:
    """Makes an event of Ctrl-C while it is open."""

    def __init__(self) -> None:
        self._pressed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Interrupts:
        """Take the signal over."""
        self._loop.add_signal_handler(signal.SIGINT, self._pressed.set)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signal back: Ctrl-C raises KeyboardInterrupt again."""
        self._loop.remove_signal_handler(signal.SIGINT)

    async def unless_pressed(self, work: Awaitable[Result]) -> Result:
        """Await the work, or raise Interrupted; then it goes on and can be awaited again."""
        self._pressed.clear()
        working = asyncio.ensure_future(work)
        pressing = asyncio.create_task(self._pressed.wait())
        try:
            await asyncio.wait({working, pressing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pressing.cancel()
        if not working.done():
            raise Interrupted
        return working.result()

    def ask(self) -> Wish:
        """Ask what to do. Without a terminal, and on a second Ctrl-C, the run is left alone."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return Wish.LEAVE
        self._loop.remove_signal_handler(signal.SIGINT)
        try:
            return _asked()
        except (KeyboardInterrupt, EOFError):
            complain("")
            return Wish.LEAVE
        finally:
            self._loop.add_signal_handler(signal.SIGINT, self._pressed.set)


def _asked() -> Wish:
    while True:
        print(
            "\nCancel the run (c), leave it running (l), or go on watching (w)? ",
            end="",
            file=sys.stderr,
            flush=True,
        )
        match input().strip().lower()[:1]:
            case "c":
                return Wish.CANCEL
            case "l":
                return Wish.LEAVE
            case "w":
                return Wish.STAY
