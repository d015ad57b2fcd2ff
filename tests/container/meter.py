"""A line between agents and their server that counts what passes, and can be slow or cut."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

_PIECE_BYTES = 64 * 1024


class Meter:
    """Listens on a port of its own and leads to a server, whose port may change."""

    def __init__(self) -> None:
        self.port = 0
        self.to_server_bytes = 0
        self.from_server_bytes = 0
        self.bytes_a_second = 0.0
        """0 is as fast as it goes."""
        self._server_port = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(5)

    def lead_to(self, port: int) -> None:
        """Pass new connections on to this port of the machine."""
        self._server_port = port

    def close(self) -> None:
        """Stop listening; connections are cut."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self) -> None:
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        self._listening.close()
        for writer in self._connections:
            writer.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        self._connections |= {writer, there}
        await asyncio.gather(
            self._pass_on(reader, there, inward=True),
            self._pass_on(there_reader, writer, inward=False),
        )

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, inward: bool
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if inward:
                    self.to_server_bytes += len(piece)
                else:
                    self.from_server_bytes += len(piece)
                writer.write(piece)
                await writer.drain()
                if self.bytes_a_second and len(piece) > 4096:
                    await asyncio.sleep(len(piece) / self.bytes_a_second)
        with suppress(OSError):
            writer.close()
