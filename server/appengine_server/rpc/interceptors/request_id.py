"""Gives every call an id that stands in its log lines and goes back to the caller."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import structlog

from appengine_server.rpc.interceptors.surround import Context, SurroundingInterceptor

REQUEST_ID_KEY = "x-request-id"

_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class RequestIdInterceptor(SurroundingInterceptor):
    """Takes the caller's `x-request-id`, or makes one; answers it in the trailing metadata.

    An id that is longer than 64 characters or has others than letters, digits, `.`, `_` and `-` is
    replaced: it goes into logs.
    """

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Bind the id to the log lines of this call."""
        request_id = _request_id_of(context)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        context.set_trailing_metadata(((REQUEST_ID_KEY, request_id),))
        yield


def _request_id_of(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_KEY and isinstance(value, str) and _ACCEPTED.fullmatch(value):
            return value
    return uuid4().hex
