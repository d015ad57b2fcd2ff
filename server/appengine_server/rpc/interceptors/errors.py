"""Turns what handlers raise into statuses. It is the first interceptor, so it sees the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import NoReturn
from uuid import uuid4

import grpc
import grpc.aio
import structlog
from grpc_status import rpc_status

from appengine_server.errors import AppEngineError, Unimplemented
from appengine_server.rpc.interceptors.surround import Context, SurroundingInterceptor
from appengine_server.rpc.status import to_status

log = structlog.get_logger(__name__)

_CALLER_LEFT = grpc.aio.InternalError
"""What writing raises where nobody is there any more, and grpc has not noticed it yet."""


class ErrorsInterceptor(SurroundingInterceptor):
    """Answers refusals with their rich status, and everything else with an incident id."""

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Answer what the handler raises."""
        try:
            yield
        except Exception as error:
            answered = answer_of(error)
            if isinstance(answered, grpc.aio.AbortError):
                raise answered from None
            if isinstance(answered, _CALLER_LEFT):
                raise asyncio.CancelledError from None
            if isinstance(answered, NotImplementedError) and is_unimplemented(context):
                answered = _unimplemented(method)
            if isinstance(answered, AppEngineError):
                await _refuse(answered, context)
            await _report(error, method, context)


def is_unimplemented(context: Context) -> bool:
    """The generated base of a servicer has said that the method is not there.

    It sets the code before it raises NotImplementedError; without that code it is a bug.
    """
    return context.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNIMPLEMENTED.value[0]}


def _unimplemented(full_name: str) -> Unimplemented:
    method = full_name.rpartition("/")[2]
    return Unimplemented(f"this server does not offer {method}; a later version may")


async def _refuse(error: AppEngineError, context: Context) -> NoReturn:
    status = rpc_status.to_status(to_status(error))
    metadata = (*(context.trailing_metadata() or ()), *status.trailing_metadata)
    await context.abort(status.code, status.details, trailing_metadata=metadata)


async def _report(error: Exception, method: str, context: Context) -> NoReturn:
    incident = uuid4().hex  # the error's own text may hold a password
    log.error("rpc.failed", method=method, incident=incident, exc_info=error)
    metadata = tuple(context.trailing_metadata() or ())
    await context.abort(
        grpc.StatusCode.INTERNAL,
        f"internal error; give the administrator this incident id: {incident}",
        trailing_metadata=metadata,
    )


def answer_of(error: BaseException) -> BaseException:
    """The answer inside a TaskGroup's exception, if each of its parts is one; else the error."""
    if not isinstance(error, ExceptionGroup):
        return error
    parts = list(_leaves(error))
    if all(isinstance(part, AppEngineError | grpc.aio.AbortError | _CALLER_LEFT) for part in parts):
        return parts[0]
    return error


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
