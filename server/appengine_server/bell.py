"""Wakes whoever waits for a thing to change. A bell is a hint: what rang must be looked up."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import timedelta


class Ringing:
    """One listener's side of a bell. It remembers a ring that came while nobody waited."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the listener, now or at its next wait."""
        self._event.set()

    async def wait(self, at_most: timedelta) -> None:
        """Wait for a ring, but not for ever: a ring can be lost with a connection."""
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                await self._event.wait()
        except TimeoutError:
            pass
        self._event.clear()


class Bells:
    """A bell for each thing, and one rope that rings them all."""

    def __init__(self) -> None:
        self._listeners: defaultdict[Hashable, set[Ringing]] = defaultdict(set)

    @contextmanager
    def listening(self, *things: Hashable) -> Iterator[Ringing]:
        """Listen to these things. Begin to listen before looking at them."""
        ringing = Ringing()
        for thing in things:
            self._listeners[thing].add(ringing)
        try:
            yield ringing
        finally:
            for thing in things:
                self._listeners[thing].discard(ringing)
                if not self._listeners[thing]:
                    del self._listeners[thing]

    def ring(self, thing: Hashable) -> None:
        """Something about this thing may have changed."""
        for ringing in tuple(self._listeners.get(thing, ())):
            ringing.ring()

    def ring_all(self) -> None:
        """Anything may have changed: a connection was lost and is back."""
        for listeners in tuple(self._listeners.values()):
            for ringing in tuple(listeners):
                ringing.ring()
