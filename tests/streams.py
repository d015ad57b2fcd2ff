"""Calls of any arity that show the server's own status, also where it refuses at once.

grpc.aio puts INTERNAL in the place of the server's status when a stream ends while a request is
being written to it. So requests are written here below `call.write()`, which does that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from grpc._cython.cygrpc import InternalError  # type: ignore[import-not-found]


def begin(
    channel: Any,
    method: str,
    arity: str,
    requests: list[bytes],
    *,
    response_deserializer: Callable[[bytes], Any] | None = None,
    **options: Any,
) -> Any:
    """Call a method (`/package.Service/Method`) with serialised requests.

    The answers are messages as bytes, unless a `response_deserializer` is given. `options` are
    those of a call of grpc.aio.
    """
    start = getattr(channel, arity)(method, response_deserializer=response_deserializer)
    if arity.startswith("unary"):
        return start(requests[0], **options)
    call = start(**options)
    call.sending = asyncio.create_task(_send(call, requests))
    return call


async def _send(call: Any, requests: list[bytes]) -> None:
    with suppress(InternalError, asyncio.CancelledError):  # it ended: its status tells why
        for request in requests:
            await call._cython_call.send_serialized_message(request)
        await call.done_writing()
