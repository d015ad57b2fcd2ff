"""A server that orders as the test says, and the real command against it, in its own process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import grpc.aio
import pytest
from appengine.v1 import agent_service_pb2 as pb
from appengine.v1 import storage_service_pb2_grpc
from appengine.v1.agent_service_pb2_grpc import (
    AgentServiceServicer,
    add_AgentServiceServicer_to_server,
)
from google.protobuf.duration_pb2 import Duration

from tests.unit.client.conftest import FakeStorage, refuse

RUN_ID = "0b7e7c3e-4a64-4d6c-b6a5-0f5a1a4f7a11"
TOKEN = "the-token-of-attempt-2"
WAIT, FETCH, UPLOAD, STOP = 1, 2, 3, 4

Order = Callable[[pb.SynchronizeRequest], pb.SynchronizeResponse | tuple[grpc.StatusCode, str]]


def order(kind: int, *, again_ms: int = 10, outputs: tuple[str, ...] = ()) -> Order:
    answer = pb.SynchronizeResponse(
        order=kind,
        upload_id="u" if kind == UPLOAD else "",
        outputs=outputs,
        call_again_after=Duration(nanos=again_ms * 1_000_000),
    )
    return lambda _: answer


def refusal(code: str, reason: str = "") -> Order:
    return lambda _: (grpc.StatusCode[code], reason)


def until(state: int, before: Order, after: Order) -> Order:
    """`before` until the agent says that it is in this state."""
    return lambda request: (after if request.state == state else before)(request)


@dataclass
class FakeOrders(AgentServiceServicer):
    """Answers each call by the next of `orders`; the last one holds for all that follow."""

    orders: deque[Order] = field(default_factory=deque)
    said: list[pb.SynchronizeRequest] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    hold_seconds: float = 0.0
    """How long an answer WAIT is kept back."""

    async def Synchronize(self, request, context):
        self.said.append(request)
        self.tokens.add(dict(context.invocation_metadata()).get("authorization", ""))
        chosen = self.orders.popleft() if len(self.orders) > 1 else self.orders[0]
        answer = chosen(request)
        if isinstance(answer, tuple):
            await refuse(context, *answer)
        if answer.order == WAIT and not request.terminating:
            await asyncio.sleep(self.hold_seconds)
        return answer


@dataclass
class Bench:
    """One server on a port of its own, and agents that call it."""

    folder: Path
    orders: FakeOrders = field(default_factory=FakeOrders)
    storage: FakeStorage = field(default_factory=FakeStorage)
    port: int = 0
    agents: list[Process] = field(default_factory=list)
    _server: grpc.aio.Server | None = None

    @property
    def files(self) -> Path:
        return self.folder / "files"

    async def serve(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_AgentServiceServicer_to_server(self.orders, self._server)
        storage_service_pb2_grpc.add_StorageServiceServicer_to_server(self.storage, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def away(self) -> None:
        assert self._server is not None
        await self._server.stop(0)

    async def start(self, command: str, **environment: str) -> Process:
        token = self.folder / "token"
        token.write_text(TOKEN + "\n")
        ours = {
            "APPENGINE_SERVER": f"http://127.0.0.1:{self.port}",
            "APPENGINE_TOKEN_FILE": str(token),
            "APPENGINE_RUN_ID": RUN_ID,
            "APPENGINE_ATTEMPT": "2",
            "APPENGINE_FOLDER": str(self.files),
        }
        agent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "appengine_transfer_agent",
            command,
            env={"PATH": os.environ["PATH"], **ours, **environment},
            stderr=PIPE,
        )
        self.agents.append(agent)
        return agent

    async def run(self, command: str, **environment: str) -> tuple[int, str]:
        """Its exit code and what it logged."""
        return await ended(await self.start(command, **environment))

    async def until_said(self, **facts: object) -> None:
        """Wait until the agent has said this."""
        async with asyncio.timeout(15):
            while not any(
                all(getattr(request, name) == fact for name, fact in facts.items())
                for request in self.orders.said
            ):
                await asyncio.sleep(0.01)


async def ended(agent: Process) -> tuple[int, str]:
    _, log = await asyncio.wait_for(agent.communicate(), 15)
    assert agent.returncode is not None
    return agent.returncode, log.decode()


def worker_of(agent: Process) -> int:
    """The process that the supervisor has started."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text()
    return int(children.split()[0])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    bench.files.mkdir()
    await bench.serve()
    yield bench
    for agent in bench.agents:
        if agent.returncode is None:
            for pid in (worker_of(agent), agent.pid):
                os.kill(pid, signal.SIGKILL)
            await agent.wait()
    await bench.away()
