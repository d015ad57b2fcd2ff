"""Places where tests hold the server, to kill something at a known moment.

Without a folder (APPENGINE_FAULT_FOLDER) they do nothing. With one, a test arms a point by making
the file `NAME.armed`; who reaches it first renames the file to `NAME.held`, and stays there until
the test removes that.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

_LOOK_AGAIN_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPoints:
    """The points that are armed by files in one folder. None: there are none."""

    folder: Path | None = None

    async def reach(self, name: str) -> None:
        """Stay here while this point holds; it holds one caller each time that it is armed."""
        if self.folder is None:
            return
        held = self.folder / f"{name}.held"
        try:
            (self.folder / f"{name}.armed").rename(held)
        except FileNotFoundError:
            return
        while held.exists():  # noqa: ASYNC110 - the event is in another process
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
