"""How much a sweep does at once: little enough that nobody waits for it."""

from __future__ import annotations

import asyncio

_BATCH_SECONDS = 0.02
"""Aim for one transaction. What it holds, others may wait for; 0.05 s is what they may notice."""

_FIRST, _MOST = 10, 500


class Pace:
    """The size of the next batch, learnt from the last ones."""

    def __init__(self) -> None:
        self.limit = _FIRST
        """Rows of the next batch."""

    async def rest(self, seconds: float) -> None:
        """Note how long a batch took, and leave the database to others for as long."""
        factor = min(2.0, _BATCH_SECONDS / max(seconds, 1e-6))
        self.limit = max(1, min(_MOST, round(self.limit * factor)))
        await asyncio.sleep(min(seconds, 1.0))
