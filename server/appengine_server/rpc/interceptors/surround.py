"""Puts one context manager round every handler, whatever its arity."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, TypeAlias

import grpc
import grpc.aio

Call = grpc.HandlerCallDetails
# NB: text, because these classes are generic in grpc's stubs only.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Next: TypeAlias = "Callable[[Call], Awaitable[Handler | None]]"


class SurroundingInterceptor(grpc.aio.ServerInterceptor, ABC):
    """Runs `around` about every handler.

    What `around` raises reaches the interceptors outside of it, because it runs in the handler
    that is returned: what `intercept_service` itself raises would pass by them.

    Every part of a call runs in the one task that grpc made for it, streams as well. So a context
    variable set in `around` holds for the whole call and for nothing else, and needs no reset.
    """

    def __init__(self) -> None:
        self._surrounded: dict[str, Handler] = {}

    @abstractmethod
    def around(self, method: str, context: Context) -> AbstractAsyncContextManager[None]:
        """What to do before and after the handler of a method, such as `/package.Service/Get`."""

    async def intercept_service(self, continuation: Next, call: Call) -> Handler | None:
        """Give back the handler of this call with `around` about it, made once for each method."""
        known = self._surrounded.get(call.method)
        if known is not None:
            return known
        handler = await continuation(call)
        if handler is None:  # unknown method: grpc itself answers UNIMPLEMENTED
            return None
        self._surrounded[call.method] = self._surround(call.method, handler)
        return self._surrounded[call.method]

    def _surround(self, method: str, handler: Handler) -> Handler:
        arity = arity_of(handler)
        behaviour: Callable[[Any, Context], Any] = getattr(handler, arity)
        finish = _send_all if handler.response_streaming else _answer

        async def surrounded(request: Any, context: Context) -> Any:
            async with self.around(method, context):
                return await finish(behaviour(request, context), context)

        rebuild: Callable[..., Handler] = getattr(grpc, f"{arity}_rpc_method_handler")
        return rebuild(surrounded, handler.request_deserializer, handler.response_serializer)


def arity_of(handler: Handler) -> str:
    """`unary_unary`, `unary_stream`, `stream_unary` or `stream_stream`."""
    request = "stream" if handler.request_streaming else "unary"
    response = "stream" if handler.response_streaming else "unary"
    return f"{request}_{response}"


async def _answer(answer: Any, _context: Context) -> Any:
    return await answer if inspect.isawaitable(answer) else answer


async def _send_all(parts: Any, context: Context) -> None:
    """Send what an async generator yields; await what sends by itself.

    Sending here instead of yielding to grpc keeps the generator's end in the call's own task: when
    a caller leaves, its `finally` has run before anything outside of it goes on.
    """
    if inspect.isawaitable(parts):
        await parts
        return
    generator: AsyncIterator[Any] = parts
    async with aclosing(generator):  # type: ignore[type-var]  # handlers are async generators
        async for part in generator:
            await context.write(part)
