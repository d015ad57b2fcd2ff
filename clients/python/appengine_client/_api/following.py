"""Streams that outlive their connections."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from appengine_client._rpc.retries import Patience
from appengine_client.errors import AppEngineError

Item = TypeVar("Item")

SILENCE_SECONDS = 300.0
"""How long a watch bears a server that is away."""
_HEALTHY_SECONDS = 60.0
"""A stream that stood so long was a good one, though nothing came on it."""


async def following(
    open_stream: Callable[[], AsyncIterator[Item]], patience: Patience | None = None
) -> AsyncIterator[Item]:
    """The items of one stream after the other, until one ends well.

    `open_stream` is called again after each cut, and begins behind the last item that it gave.
    Raises the last error once nothing has come for as long as `patience` allows.
    """
    patience = patience or Patience(stall_seconds=SILENCE_SECONDS)
    while True:
        opened = time.monotonic()
        try:
            async for item in open_stream():
                patience.progressed()
                yield item
            return
        except AppEngineError as refusal:
            error = refusal
        if time.monotonic() - opened > _HEALTHY_SECONDS:
            patience.progressed()  # it stood until our own bound on its silence
        await patience.wait(error)
