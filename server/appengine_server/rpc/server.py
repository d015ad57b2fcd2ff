"""The gRPC server: how it listens, what stands before every handler, and how it stops."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from appengine_server.rpc.interceptors.decoding import DecodingInterceptor
from appengine_server.rpc.interceptors.errors import ErrorsInterceptor
from appengine_server.rpc.interceptors.identity import Authenticator, IdentityInterceptor
from appengine_server.rpc.interceptors.logging import LoggingInterceptor
from appengine_server.rpc.interceptors.request_id import RequestIdInterceptor
from appengine_server.rpc.interceptors.running import RunningCalls
from appengine_server.rpc.interceptors.tracing import TracingInterceptor
from appengine_server.rpc.reflected import reflected_pool
from appengine_server.tracing import Tracing

log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message in either direction: what every gRPC client takes without being told."""

WINDOW_BYTES = 4 * 1024 * 1024
"""What a client may send ahead of the reader: 40 MiB/s over a line with 0.1 s of round trip.

So much may lie in memory for each upload, besides the chunk that is written.
"""

_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_ENDLESS_OF_OURS = (f"/{_HEALTH}/Watch", f"/{reflection.SERVICE_NAME}/ServerReflectionInfo")
_LAST_WORD_SECONDS = 2.0
"""For the handlers of ended calls to clean up; after it grpc cuts them."""

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # else two servers share a port in silence
    ("grpc.max_concurrent_streams", 1000),  # a connection; many watches share one
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),  # bounds what TCP leaves without receipt alone
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),  # a silent watch is pinged all the same
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),  # clients ping each 10 to 30 s
    # A chunk in one frame instead of 128: gRPC for Python copies each piece by itself.
    ("grpc.http2.max_frame_size", MAX_MESSAGE_BYTES),
    ("grpc.experimental.tcp_min_read_chunk_size", 128 * 1024),
    # A fixed window instead of one that grows with the speed, which is memory for each stream.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
)


class CannotServe(Exception):
    """The server cannot start as it was told. The message is a sentence that says what to do."""


class CannotBind(CannotServe):
    """The address cannot be listened on, or its TLS files cannot be used."""


class UnsafeBind(CannotServe):
    """The address is open to others, and nothing keeps them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the server's own certificate is."""

    certificate: Path
    """PEM, the server's first, then those that signed it."""
    key: Path
    """PEM, without a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service to offer."""

    full_name: str
    """Such as `appengine.v1.RunService`."""
    add: Callable[[Any, grpc.aio.Server], None]
    """The generated `add_…Servicer_to_server`."""
    servicer: object
    endless: frozenset[str] = field(default_factory=frozenset)
    """Methods that do not end by themselves, such as WatchRuns: a stop ends them at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How a server stops."""

    grace: timedelta = timedelta(seconds=10)
    """How long calls may go on."""
    endpoint_wait: timedelta = timedelta(0)
    """Between NOT_SERVING and the stop: how long a load balancer takes to send no more calls."""


class RpcServer:
    """A server that is bound to its address. Its maker starts and drains it: `running_server`."""

    def __init__(
        self,
        *,
        server: grpc.aio.Server,
        health: health_aio.HealthServicer,
        calls: RunningCalls,
        port: int,
    ) -> None:
        self._server = server
        self._health = health
        self._calls = calls
        self.port = port
        """The port that was bound; 1 for a Unix socket."""

    async def start(self) -> None:
        """Take calls. Health answers SERVING from now on."""
        await self._server.start()

    async def drain(self, stop: Stop) -> None:
        """Stop: say NOT_SERVING, wait for load balancers, let calls end, end what is left.

        Endless calls are ended at once, the others when the grace is over; those are logged.
        """
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(stop.endpoint_wait.total_seconds())
        grace = stop.grace.total_seconds()
        stopping = asyncio.create_task(
            self._server.stop(grace + _LAST_WORD_SECONDS), name="stop the gRPC server"
        )
        await asyncio.sleep(0)  # now new calls are refused, and only then the endless ones end
        self._calls.end_endless()
        if not await self._calls.wait_idle(grace):
            stuck = [str(call) for call in self._calls.running()]
            log.warning("rpc.stuck", grace_seconds=grace, calls=stuck)
            self._calls.end_all()
        await stopping


async def build_server(
    *,
    services: Sequence[Service],
    authenticator: Authenticator,
    address: str,
    tls: TlsFiles | None = None,
    tracing: Tracing | None = None,
) -> RpcServer:
    """A server with these services, health and reflection, bound to `address` but not started.

    Raises CannotBind.
    """
    calls = RunningCalls(endless=[*_ENDLESS_OF_OURS, *_endless_methods(services)])
    server = grpc.aio.server(
        interceptors=(
            ErrorsInterceptor(),
            RequestIdInterceptor(),
            *([TracingInterceptor(tracing)] if tracing is not None and tracing.is_on else []),
            LoggingInterceptor(),
            calls,
            IdentityInterceptor(authenticator),
            DecodingInterceptor(),
        ),
        options=_OPTIONS,
    )
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = [service.full_name for service in services]
    for service in services:
        service.add(service.servicer, server)
        await health.set(service.full_name, health_pb2.HealthCheckResponse.SERVING)
    offered = [*names, _HEALTH, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(offered, server, pool=reflected_pool())
    port = _bind(server, address, tls)
    return RpcServer(server=server, health=health, calls=calls, port=port)


@asynccontextmanager
async def running_server(server: RpcServer, stop: Stop) -> AsyncIterator[RpcServer]:
    """Start the server, and drain it at the end."""
    await server.start()
    try:
        yield server
    finally:
        await server.drain(stop)


def check_bind_is_safe(address: str, *, tls: bool, tokens: bool, allow_insecure: bool) -> None:
    """Return if it is safe to listen on this address, or if the operator wants it all the same.

    Raises UnsafeBind.
    """
    missing = [name for name, given in (("TLS", tls), ("tokens", tokens)) if not given]
    if not missing or is_loopback(address):
        return
    if allow_insecure:
        log.warning("rpc.insecure", address=address, missing=missing)
        return
    raise UnsafeBind(
        f"{address} can be reached from other machines, and the server has no"
        f" {' and no '.join(missing)}: set TLS_CERTIFICATE_FILE, TLS_KEY_FILE and TOKENS_FILE,"
        " or listen on 127.0.0.1, or set ALLOW_INSECURE=true if something in front of the server"
        " keeps others out."
    )


def is_loopback(address: str) -> bool:
    """Only this machine reaches the address: 127.0.0.0/8, `[::1]`, localhost, a Unix socket."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _endless_methods(services: Sequence[Service]) -> list[str]:
    return [f"/{service.full_name}/{name}" for service in services for name in service.endless]


def _bind(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, grpc.ssl_server_credentials([read_tls(tls)]))
    except RuntimeError as error:
        raise CannotBind(
            f"cannot listen on {address}: another program has the port, or the address is not of"
            " this machine; choose another PORT or BIND_ADDRESS."
        ) from error


def read_tls(tls: TlsFiles) -> tuple[bytes, bytes]:
    """Key and certificate chain, once they are known to belong together. Raises CannotBind."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            tls.certificate, tls.key, password=_no_password
        )
        return tls.key.read_bytes(), tls.certificate.read_bytes()
    except (OSError, ssl.SSLError, ValueError) as error:
        raise CannotBind(
            f"the certificate {tls.certificate} and the key {tls.key} cannot be used: {error};"
            " both must be PEM, belong together, and the key must have no password."
        ) from error


def _no_password() -> str:
    raise ValueError("the key has a password")
