"""A real server on a free port, with a service of all four arities that does what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from appengine_server.rpc.interceptors.identity import Authenticator, OpenAuthenticator
from appengine_server.rpc.server import (
    RpcServer,
    Service,
    Stop,
    TlsFiles,
    build_server,
    running_server,
)

from tests.streams import begin

SERVICE = "appengine.test.v1.Probe"
ARITIES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
NO_GRACE = Stop(grace=timedelta(0))

Act = Callable[[Any], Awaitable[None]]


async def _nothing(context: Any) -> None:
    return None


@dataclass
class Probe:
    """Calls `act` in every handler: before the answer, or between two messages of a stream."""

    act: Act = _nothing
    requests: list[bytes] = field(default_factory=list)

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        self.requests.append(request)
        await self.act(context)
        return b"answer"

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for request in requests:
            self.requests.append(request)
        await self.act(context)
        return b"answer"

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.requests.append(request)
        yield b"first"
        await self.act(context)
        yield b"second"

    async def stream_stream(
        self, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            self.requests.append(request)
            yield b"first"
            await self.act(context)
        yield b"second"


def add_probe(probe: Any, server: grpc.aio.Server) -> None:
    handlers = {
        arity: getattr(grpc, f"{arity}_rpc_method_handler")(getattr(probe, arity))
        for arity in ARITIES
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def probe_service(probe: Probe, *, endless: frozenset[str] = frozenset()) -> Service:
    return Service(full_name=SERVICE, add=add_probe, servicer=probe, endless=endless)


@dataclass
class Caller:
    """Calls the probe by the name of an arity."""

    channel: grpc.aio.Channel
    server: RpcServer

    def start(self, arity: str, metadata: Any = None, timeout: float = 10) -> Any:
        """The call itself; streams of requests have one message."""
        method = f"/{SERVICE}/{arity}"
        return begin(self.channel, method, arity, [b"request"], metadata=metadata, timeout=timeout)

    async def call(self, arity: str, metadata: Any = None) -> tuple[list[bytes], Any]:
        """Every answer and the call. Raises grpc.aio.AioRpcError."""
        call = self.start(arity, metadata)
        if arity.endswith("stream"):
            return [part async for part in call], call
        return [await call], call

    async def refused(self, arity: str, metadata: Any = None) -> grpc.aio.AioRpcError:
        """The error of a call that must fail."""
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.call(arity, metadata)
        return refused.value


@asynccontextmanager
async def serving(
    *services: Service,
    authenticator: Authenticator | None = None,
    tls: TlsFiles | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    stop: Stop = NO_GRACE,
) -> AsyncIterator[Caller]:
    server = await build_server(
        services=services,
        authenticator=authenticator or OpenAuthenticator(),
        address="127.0.0.1:0",
        tls=tls,
    )
    async with running_server(server, stop):
        target = f"localhost:{server.port}" if credentials else f"127.0.0.1:{server.port}"
        channel = (
            grpc.aio.secure_channel(target, credentials)
            if credentials
            else grpc.aio.insecure_channel(target)
        )
        async with channel:
            yield Caller(channel=channel, server=server)


@pytest.fixture(scope="session")
def certificate_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_files(certificate_authority: trustme.CA, tmp_path_factory: Any) -> TlsFiles:
    folder: Path = tmp_path_factory.mktemp("tls")
    issued = certificate_authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(folder / "certificate.pem", append=True)
    return TlsFiles(certificate=folder / "certificate.pem", key=folder / "key.pem")


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def caller(probe: Probe) -> AsyncIterator[Caller]:
    """Calls an open server with the probe."""
    async with serving(probe_service(probe)) as caller:
        yield caller


@pytest.fixture(params=ARITIES)
def arity(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def serve() -> Any:
    """`serving`, for tests that need a server of their own."""
    return serving


@pytest.fixture
def as_service() -> Any:
    """`probe_service`, for tests that need a server of their own."""
    return probe_service
