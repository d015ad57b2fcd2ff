"""When to try again: the only module that decides it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from appengine_client._rpc.statuses import TLS_MISTAKE
from appengine_client.errors import Aborted, AppEngineError, CutTransfer, OutOfRange, ServerError

Result = TypeVar("Result")

_RETRIED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})
_RETRIED_ONCE = frozenset({"INTERNAL"})
# Proxies and cut connections also give UNKNOWN and CANCELLED. A transfer can ask where it is.
_RESUMED = _RETRIED | {"INTERNAL", "UNKNOWN", "CANCELLED"}
_RESUMED_REASONS = frozenset({"CHUNK_CORRUPT", "UPLOAD_PLACE", "UPLOAD_STALLED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Growing pauses with full jitter, so that many clients do not come back at once."""

    first_seconds: float = 0.1
    factor: float = 2.0
    cap_seconds: float = 5.0

    def pause_seconds(self, failures: int, hint: float | None = None) -> float:
        """How long to wait after so many failures in a row; the server's hint wins."""
        if hint is not None:
            return hint
        # Beyond 2^30 the cap has long been reached, and a float would overflow.
        longest = self.first_seconds * self.factor ** min(failures - 1, 30)
        return random.uniform(0, min(self.cap_seconds, longest))  # noqa: S311 - jitter, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class UnaryRetries:
    """How often one call is tried, and for how long in all."""

    attempts: int = 4
    total_seconds: float = 15.0
    backoff: Backoff = field(default_factory=Backoff)


async def call_with_retries(
    call: Callable[[float], Awaitable[Result]], retries: UnaryRetries
) -> Result:
    """Await `call(timeout_seconds)` until it succeeds, may not be tried again, or time is up.

    Every call is made with a request id or may be repeated, so that a second try does no harm.
    """
    deadline = time.monotonic() + retries.total_seconds
    failures = 0
    while True:
        try:
            return await call(max(deadline - time.monotonic(), 0.1))
        except ServerError as error:
            failures += 1
            if failures >= retries.attempts or not _worth_another_try(error, failures):
                raise
            pause = retries.backoff.pause_seconds(failures, error.retry_after_seconds)
            if time.monotonic() + pause >= deadline:
                raise
        await asyncio.sleep(pause)


def _worth_another_try(error: ServerError, failures: int) -> bool:
    if error.reason == TLS_MISTAKE:
        # A second try may even hide it: of the addresses of a name, gRPC tells one error alone.
        return False
    if error.status == "RESOURCE_EXHAUSTED":
        return error.retry_after_seconds is not None
    return error.status in _RETRIED or (error.status in _RETRIED_ONCE and failures == 1)


def is_resumable(error: AppEngineError) -> bool:
    """Whether a stream that ended so can go on from the place that was reached."""
    match error:
        case CutTransfer():
            return True
        case Aborted() | OutOfRange():
            return error.reason in _RESUMED_REASONS
        case ServerError():
            return error.status in _RESUMED or (
                error.status == "RESOURCE_EXHAUSTED" and error.retry_after_seconds is not None
            )
        case _:
            return False


@dataclass(slots=True, kw_only=True)
class Patience:
    """How long a stream is tried again: without limit while it makes progress."""

    stall_seconds: float = 120.0
    """Without any progress for so long, the last error is final."""
    backoff: Backoff = field(default_factory=Backoff)
    _failures: int = 0
    _stalled_since: float | None = None

    def progressed(self) -> None:
        """Start counting anew: something got through."""
        self._failures = 0
        self._stalled_since = None

    async def wait(self, error: AppEngineError) -> None:
        """Pause before the next try, or raise the error when it cannot or should not go on."""
        if not is_resumable(error):
            raise error
        now = time.monotonic()
        if self._stalled_since is None:
            self._stalled_since = now
        self._failures += 1
        hint = error.retry_after_seconds if isinstance(error, ServerError) else None
        pause = self.backoff.pause_seconds(self._failures, hint)
        if now + pause - self._stalled_since > self.stall_seconds:
            raise error
        await asyncio.sleep(pause)
