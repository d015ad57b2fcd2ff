"""Reads requests inside the handler, so that a malformed one is refused as everything else is.

grpc itself reads them outside of every interceptor, and answers UNKNOWN with Python's own words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from appengine_server.errors import InvalidArgument
from appengine_server.rpc.interceptors.surround import Call, Context, Handler, Next, arity_of

Read = Callable[[bytes], Any]


class DecodingInterceptor(grpc.aio.ServerInterceptor):
    """Refuses bytes that are no message of the method. The last interceptor: only the bytes of
    callers who were let in are read.
    """

    def __init__(self) -> None:
        self._decoding: dict[str, Handler] = {}

    async def intercept_service(self, continuation: Next, call: Call) -> Handler | None:
        """Give back the handler of this call, made once for each method, with bytes as requests."""
        known = self._decoding.get(call.method)
        if known is not None:
            return known
        handler = await continuation(call)
        if handler is None or handler.request_deserializer is None:
            return handler
        self._decoding[call.method] = _decoding(handler, handler.request_deserializer)
        return self._decoding[call.method]


def _decoding(handler: Handler, read: Read) -> Handler:
    arity = arity_of(handler)
    behaviour: Callable[[Any, Context], Any] = getattr(handler, arity)
    read_request: Callable[[Any, Read], Any] = _read_all if handler.request_streaming else _read_one

    def decoded(request: Any, context: Context) -> Any:
        return behaviour(read_request(request, read), context)

    rebuild: Callable[..., Handler] = getattr(grpc, f"{arity}_rpc_method_handler")
    return rebuild(decoded, None, handler.response_serializer)


def _read_one(request: bytes, read: Read) -> Any:
    try:
        return read(request)
    except DecodeError as error:
        raise InvalidArgument(
            "The request cannot be read: it is no message of this method, has text that is not "
            "UTF-8, or is nested more than 100 levels deep."
        ) from error


async def _read_all(requests: AsyncIterator[bytes], read: Read) -> AsyncIterator[Any]:
    async for request in requests:
        yield _read_one(request, read)
