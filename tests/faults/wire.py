"""A wire between a client and a server that counts what it carries, and breaks where it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["up", "down"]
"""From the client to the server, or back."""

_BUFFER_BYTES = 256 * 1024  # small: what waits in the wire is sent again after a cut
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Wire:
    """Carries every connection to wherever `backend` says that the server is now."""

    backend: Callable[[], str]
    """`host:port`; asked for each connection anew, as a server may come back on another port."""
    carried: dict[Direction, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    """Bytes that were taken from a sender, also those that did not reach the other side."""
    connections: int = 0
    _listener: asyncio.Server | None = None
    _ends: set[_End] = field(default_factory=set)
    _armed: tuple[Direction, int, Callable[[], None]] | None = None

    @property
    def address(self) -> str:
        assert self._listener is not None
        host, port = self._listener.sockets[0].getsockname()
        return f"{host}:{port}"

    def arm(self, direction: Direction, at_byte: int, act: Callable[[], None]) -> None:
        """Have `act` called once so many bytes were carried in this direction."""
        self._armed = (direction, at_byte, act)

    def cut(self, *, reset: bool) -> None:
        """End every connection, in order or by a reset."""
        for end in list(self._ends):
            end.close(reset=reset)

    def freeze(self) -> None:
        """Carry nothing more on these connections, and end none: a network that lost its way."""
        for end in self._ends:
            end.freeze()

    def carry(self, end: _End, data: bytes) -> None:
        """Pass on what came in at one end."""
        direction = end.direction
        before = self.carried[direction]
        if (
            self._armed is None
            or self._armed[0] != direction
            or before + len(data) < self._armed[1]
        ):
            self._pass(end, data)
            return
        _, at_byte, act = self._armed
        self._armed = None
        self._pass(end, data[: at_byte - before])
        act()
        self._pass(end, data[at_byte - before :])

    def _pass(self, end: _End, data: bytes) -> None:
        if end in self._ends and data:
            self.carried[end.direction] += len(data)
            if end.other is not None and end.other.transport is not None:
                end.other.transport.write(data)


class _End(asyncio.Protocol):
    """One side of one connection."""

    def __init__(self, wire: Wire, direction: Direction, other: _End | None = None) -> None:
        self._wire = wire
        self.direction = direction
        self.other = other
        self.transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._early = b""
        self._is_frozen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._wire._ends.add(self)
        made = transport.get_extra_info("socket")
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            made.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        if self.other is None:
            self._wire.connections += 1
            self._opening = asyncio.create_task(self._open(transport))

    async def _open(self, transport: asyncio.Transport) -> None:
        other = _End(self._wire, "down", self)
        try:
            host, _, port = self._wire.backend().rpartition(":")
            await asyncio.get_running_loop().create_connection(lambda: other, host, int(port))
        except (OSError, ValueError):  # the server is away, or has no port yet
            self.close(reset=True)
            return
        self.other = other
        if transport.is_closing():
            other.close(reset=True)
        else:
            self._wire.carry(self, self._early)

    def data_received(self, data: bytes) -> None:
        if self.other is None:  # pausing in connection_made does not hold in Python 3.11.2
            self._early += data
        else:
            self._wire.carry(self, data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self._is_frozen and self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._wire._ends.discard(self)
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def freeze(self) -> None:
        self._is_frozen = True
        if self.transport is not None:
            self.transport.pause_reading()

    def close(self, *, reset: bool) -> None:
        if self.transport is None:
            return
        self._wire._ends.discard(self)
        if reset:
            closed = self.transport.get_extra_info("socket")
            closed.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.transport.abort()


@asynccontextmanager
async def open_wire(backend: Callable[[], str]) -> AsyncIterator[Wire]:
    """A wire to a server, which need not run all the time."""
    wire = Wire(backend)
    loop = asyncio.get_running_loop()
    wire._listener = await loop.create_server(lambda: _End(wire, "up"), "127.0.0.1", 0)
    try:
        yield wire
    finally:
        wire._listener.close()
        wire.cut(reset=False)
        await asyncio.sleep(0)
