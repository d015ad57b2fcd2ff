"""One line in the log when a call ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import structlog

from appengine_server.errors import AppEngineError
from appengine_server.rpc.interceptors.errors import answer_of, is_unimplemented
from appengine_server.rpc.interceptors.surround import Context, SurroundingInterceptor

log = structlog.get_logger(__name__)

_PROBES = "/grpc.health.v1.Health/"


class LoggingInterceptor(SurroundingInterceptor):
    """Logs method, status and duration; request id and principal are bound by their interceptors.

    Requests and answers are never logged: they may be patients' data.
    """

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Log the call when it has ended, however it ends."""
        started = time.perf_counter()
        status = "UNKNOWN"
        try:
            yield
            status = _code_of(context) or "OK"
        except BaseException as error:
            status = _status_of(error, context)
            raise
        finally:
            write = log.debug if method.startswith(_PROBES) else log.info
            write(
                "rpc.ended",
                method=method,
                status=status,
                duration_seconds=round(time.perf_counter() - started, 6),
            )


def _status_of(error: BaseException, context: Context) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "CANCELLED"
    answer = answer_of(error)
    if isinstance(answer, grpc.aio.InternalError):  # the caller left while it was written to
        return "CANCELLED"
    if isinstance(answer, AppEngineError):
        return answer.status.name
    if isinstance(answer, grpc.aio.AbortError) or (
        isinstance(answer, NotImplementedError) and is_unimplemented(context)
    ):
        return _code_of(context) or "UNKNOWN"
    return "INTERNAL"


def _code_of(context: Context) -> str | None:
    """Name of the code that was set on the context, which grpc keeps as a number."""
    code = context.code()
    for known in grpc.StatusCode:
        if code in {known, known.value[0]}:
            return known.name
    return None
