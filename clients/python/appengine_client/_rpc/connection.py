"""One channel to one server, and the ways in which calls are made over it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio

from appengine_client._rpc.retries import UnaryRetries, call_with_retries
from appengine_client._rpc.settings import ConnectionSettings
from appengine_client._rpc.statuses import translated

if TYPE_CHECKING:
    from google.protobuf.message import Message

Request = TypeVar("Request", bound="Message")
Response = TypeVar("Response", bound="Message")

_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_WINDOW_BYTES = 8 * 1024 * 1024
"""What the server may send ahead of us: 80 MiB/s over a line with 0.1 s of round trip."""

_SILENCE_MS = 30_000
"""After so long without a byte from the server it is asked whether it is there."""
_ANSWER_MS = 10_000
"""What it has to answer that; then the connection ends, and all that went over it resumes."""

STREAM_SECONDS = 24 * 3600.0
"""Deadline of one stream of a transfer; what is not done by then resumes on the next one."""
WATCH_SECONDS = 300.0
"""A watch is asked for anew after so long, so that its silence is bounded."""


_RESTARTING = UnaryRetries(attempts=1000)
"""For a server that answered before: it may be about to start again, so only the time counts."""


class Connection:
    """One channel, opened at the first call. Whoever made it closes it."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._was_reached = False

    @property
    def target(self) -> str:
        """`host:port` of the server, for messages."""
        return self.settings.target

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel. It belongs to the event loop in which it was first asked for."""
        if self._channel is None:
            self._channel = _open(self.settings)
        return self._channel

    async def close(self) -> None:
        """Close the channel; what is under way is cancelled. Closing twice is fine."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def metadata(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """What goes with every call: who calls, and an id for the logs."""
        token = self.settings.token
        identity = (("authorization", f"Bearer {token}"),) if token else ()
        return (*identity, ("x-request-id", request_id))

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        retries: UnaryRetries | None = None,
    ) -> Response:
        """Make one unary call, with retries. Raises the errors of `appengine_client.errors`."""
        request_id = new_id()

        async def once(timeout_seconds: float) -> Response:
            with translated(self.target, request_id):
                return await method(
                    request, timeout=timeout_seconds, metadata=self.metadata(request_id)
                )

        retries = retries or (_RESTARTING if self._was_reached else UnaryRetries())
        answer = await call_with_retries(once, retries)
        self._was_reached = True
        return answer

    async def stream(
        self,
        method: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
        *,
        timeout_seconds: float = WATCH_SECONDS,
    ) -> AsyncIterator[Response]:
        """The answers of one server stream, without retries: the caller knows how to go on."""
        request_id = new_id()
        call = method(request, timeout=timeout_seconds, metadata=self.metadata(request_id))
        try:
            with translated(self.target, request_id):
                async for response in call:
                    yield response
        finally:
            call.cancel()


def new_id() -> str:
    """A random UUID as text."""
    return str(uuid.uuid4())


def _open(settings: ConnectionSettings) -> grpc.aio.Channel:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", _SILENCE_MS),
        ("grpc.keepalive_timeout_ms", _ANSWER_MS),  # bounds what TCP leaves without receipt alone
        ("grpc.http2.ping_timeout_ms", _ANSWER_MS),
        ("grpc.http2.max_pings_without_data", 0),  # a download sends nothing else
        # A proxy that is set for the web must not come between two programs on one machine.
        ("grpc.enable_http_proxy", 0 if settings.is_loopback else 1),
        # gRPC's own pause grows to two minutes; ours is at most 5 s, and it asks again then.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        # A chunk in one frame instead of 128: gRPC for Python copies each piece by itself.
        ("grpc.http2.max_frame_size", _MAX_MESSAGE_BYTES),
        ("grpc.experimental.tcp_min_read_chunk_size", 128 * 1024),
        # A fixed window instead of one that grows with the speed, which is memory.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", _WINDOW_BYTES),
    ]
    if settings.tls:
        credentials = grpc.ssl_channel_credentials(settings.ca_certificate)
        return grpc.aio.secure_channel(settings.target, credentials, options=options)
    return grpc.aio.insecure_channel(settings.target, options=options)
