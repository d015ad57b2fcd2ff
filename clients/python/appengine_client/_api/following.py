"""Streams that outlive their connections, and several of them as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
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


async def merged(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[Item]:
    """The items of several streams as they come, until all have ended.

    A stream whose items nobody takes waits. Raises the first error of one, and ends the others.
    """
    items: asyncio.Queue[Item] = asyncio.Queue(maxsize=max(len(streams), 1))

    async def take(stream: AsyncGenerator[Item]) -> None:
        async with aclosing(stream):
            async for item in stream:
                await items.put(item)

    async def take_all() -> None:
        async with asyncio.TaskGroup() as group:
            for stream in streams:
                group.create_task(take(stream))

    taking = asyncio.create_task(take_all(), name="merged streams")
    try:
        while not (taking.done() and items.empty()):
            getting = asyncio.create_task(items.get())
            await asyncio.wait({getting, taking}, return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                yield getting.result()
            else:
                getting.cancel()
        _raise_first(taking)
    finally:
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)


def _raise_first(taking: asyncio.Task[None]) -> None:
    try:
        taking.result()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
