"""A span for each call, in the trace of its caller if that has one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appengine_server.rpc.interceptors.surround import Context, SurroundingInterceptor
from appengine_server.tracing import Tracing

_HEADERS = ("traceparent", "tracestate")
_PROBES = "/grpc.health.v1.Health/"


class TracingInterceptor(SurroundingInterceptor):
    """Makes spans of calls, but of those that only ask whether the server lives."""

    def __init__(self, tracing: Tracing) -> None:
        super().__init__()
        self._tracing = tracing

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        """Have the call be a span."""
        if method.startswith(_PROBES):
            yield
            return
        service, _, name = method.removeprefix("/").partition("/")
        given = context.invocation_metadata() or ()
        caller = {key: str(value) for key, value in given if key in _HEADERS}
        labels = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        with self._tracing.span(f"{service}/{name}", labels, caller=caller):
            yield
