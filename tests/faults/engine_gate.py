"""A gate between a server and its container engine, which tests shut and open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_PIECE_BYTES = 64 * 1024


@dataclass(slots=True, kw_only=True)
class EngineGate:
    """A socket that leads to the engine while it is open. Shutting it cuts every connection."""

    engine: Path
    path: Path
    _server: asyncio.Server | None = None
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    async def open(self) -> None:
        """Let connections through. Opening twice is fine."""
        if self._server is not None:
            return
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def shut(self) -> None:
        """Like an engine whose service has ended: its socket refuses."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        for writer in list(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_unix_connection(self.engine)
        self._connections |= {writer, there}
        both = (
            asyncio.create_task(_pass_on(reader, there)),
            asyncio.create_task(_pass_on(there_reader, writer)),
        )
        await asyncio.wait(both, return_when=asyncio.ALL_COMPLETED)
        self._connections -= {writer, there}


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def engine_gate(engine_url: str, folder: Path) -> AsyncIterator[EngineGate]:
    """An open gate to an engine on a Unix socket."""
    gate = EngineGate(engine=Path(engine_url.removeprefix("unix://")), path=folder / "engine.sock")
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()
