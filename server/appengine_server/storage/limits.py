"""How large uploads may be, and how often their place is persisted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from appengine_server.storage.beneath import check_link_target
from appengine_server.storage.sequence import LinkCheck, SequenceLimits


@dataclass(slots=True, kw_only=True)
class Claim:
    """What an upload may grow to before somebody must be asked."""

    bytes: int
    raise_to: Callable[[int], Awaitable[None]]
    """Asks for so many bytes in all; raises ResourceExhausted."""

    async def cover(self, wanted_bytes: int) -> None:
        """Ask, unless it was allowed before."""
        if wanted_bytes > self.bytes:
            await self.raise_to(wanted_bytes)
            self.bytes = wanted_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Limits of every upload."""

    chunk_bytes: int = 2 << 20
    """Largest payload of one chunk."""
    total_bytes: int = 1 << 40
    """Largest sum of the file sizes of an upload."""
    entries: int = 1_000_000
    """Most files, folders and links of an upload."""
    check_link: LinkCheck = check_link_target
    """Raises PathRefused for a path and target of a link that may not be."""
    persist_bytes: int = 28 << 20
    """What was received is at most so far ahead of what is persisted. With what is on its way
    it is what a killed server costs, 36 MiB at most; half as much would be twice the syncs."""
    persist_seconds: float = 1.0
    """Received bytes are persisted after about so long."""
    takeover_seconds: float = 2.5
    """How long a writer waits for one of another server to leave, before it copies a file that
    the other one may still have open. Longer than `persist_seconds`, for that is when a living
    writer notices."""

    def sequence(self) -> SequenceLimits:
        """The part that concerns what is sent."""
        return SequenceLimits(
            chunk_bytes=self.chunk_bytes, total_bytes=self.total_bytes, entries=self.entries,
            check_link=self.check_link,
        )  # fmt: skip
