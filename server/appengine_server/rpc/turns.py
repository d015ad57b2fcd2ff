"""Turns at the event loop, for work that takes a millisecond and comes in crowds."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Lets one piece of work begin in each round of the event loop, in the order of asking.

    gRPC copies the bytes of a chunk in the loop. When 16 transfers have a chunk ready, any other
    call would wait for all 16 at each of its own steps; so it waits for one or two.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False

    async def next(self) -> None:
        """Wait for a turn; no wait at all while nobody else works."""
        if not self._taken:
            self._taken = True
            asyncio.get_running_loop().call_soon(self._pass_on)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else its call was cancelled
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._pass_on)
                return
        self._taken = False
