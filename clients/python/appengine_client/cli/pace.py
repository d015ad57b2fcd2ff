"""How fast a transfer is, and what is said of its progress. Knows no clock and no terminal."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from appengine_client.cli.words import duration, size

if TYPE_CHECKING:
    from appengine_client.transfer import Progress

_WINDOW_SECONDS = 5.0
_LEAST_SECONDS = 0.5
"""Less says nothing of a rate."""


class Pace:
    """Bytes per second over the last moments, so that a pause shows and is soon forgotten."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, done_bytes: int) -> float | None:
        """The rate now that so many bytes are done; None while it cannot be told.

        Fewer bytes than before are those of another transfer, or of one that went back.
        """
        if self._seen and done_bytes < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done_bytes))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()
        began, before = self._seen[0]
        if now - began < _LEAST_SECONDS:
            return None
        return (done_bytes - before) / (now - began)


def told(progress: Progress, rate: float | None) -> str:
    """Bytes, files, rate and time left, in the words of a status line."""
    parts = [f"{size(progress.done_bytes)} of {size(progress.total_bytes)}"]
    if progress.total_files > 1:
        parts.append(f"{progress.done_files} of {progress.total_files} files")
    left_bytes = progress.total_bytes - progress.done_bytes
    if rate is not None and left_bytes > 0:
        parts.append(f"{size(rate)}/s")
        if rate > 0:
            parts.append(f"{duration(left_bytes / rate)} left")
    return ", ".join(parts)
