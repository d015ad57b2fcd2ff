"""gRPC as one writes it at first: 64 KiB in protobuf messages, files read and written in the loop.

python -m benchmarks.transfers.naive [CERTIFICATE KEY]     serves; prints its port
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from benchmarks.transfers.processes import Sample, watched
from benchmarks.transfers.tls import Tls

_SERVICE = "benchmarks.Naive"
_CHUNK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Naive:
    """A naive server that runs, and moves by a naive client in a worker."""

    process: subprocess.Popen[bytes]
    address: str
    tls: Tls | None
    worker: Any

    def upload(self, source: Path, folder: Path) -> Sample:
        with watched([self.process.pid]) as receiver:
            seconds, sender = self._do("naive_upload", source, folder / "received")
        return Sample(seconds, sender, receiver)

    def download(self, source: Path, folder: Path) -> Sample:
        with watched([self.process.pid]) as sender:
            seconds, receiver = self._do("naive_download", source, folder / "received")
        return Sample(seconds, sender, receiver)

    def _do(self, what: str, source: Path, target: Path) -> Any:
        return self.worker.do(
            do=what, server=self.address, source=str(source), target=str(target),
            authority=str(self.tls.authority) if self.tls else None,
        )  # fmt: skip


@contextmanager
def naive_server(worker: Any, tls: Tls | None) -> Iterator[Naive]:
    """A naive server in a process of its own."""
    files = (tls.certificate, tls.key) if tls else ()
    process = subprocess.Popen(
        (sys.executable, "-m", "benchmarks.transfers.naive", *files),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().decode().strip()
        yield Naive(process=process, address=f"localhost:{port}", tls=tls, worker=worker)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _channel(order: dict[str, Any]) -> grpc.aio.Channel:
    if not order["authority"]:
        return grpc.aio.insecure_channel(order["server"])
    authority = Path(order["authority"]).read_bytes()
    return grpc.aio.secure_channel(order["server"], grpc.ssl_channel_credentials(authority))


async def upload(order: dict[str, Any]) -> None:
    """Send a file; the first message is the path where it goes."""

    async def messages() -> AsyncIterator[BytesValue]:
        yield BytesValue(value=order["target"].encode())
        with open(order["source"], "rb") as file:
            while data := file.read(_CHUNK_BYTES):
                yield BytesValue(value=data)

    async with _channel(order) as channel:
        call = channel.stream_unary(
            f"/{_SERVICE}/Upload",
            request_serializer=BytesValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        await call(messages(), timeout=600)


async def download(order: dict[str, Any]) -> None:
    """Fetch a file by its path."""
    async with _channel(order) as channel:
        call = channel.unary_stream(
            f"/{_SERVICE}/Download",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=BytesValue.FromString,
        )
        with open(order["target"], "wb") as file:
            async for message in call(StringValue(value=order["source"]), timeout=600):
                file.write(message.value)


class _Handlers:
    async def upload(self, messages: AsyncIterator[BytesValue], _: Any) -> StringValue:
        target = (await anext(messages)).value.decode()
        with open(target, "wb") as file:
            async for message in messages:
                file.write(message.value)
        return StringValue(value=target)

    async def download(self, request: StringValue, _: Any) -> AsyncIterator[BytesValue]:
        with open(request.value, "rb") as file:
            while data := file.read(_CHUNK_BYTES):
                yield BytesValue(value=data)


async def serve(*files: str) -> None:
    """Serve until the process is ended."""
    server, handlers = grpc.aio.server(), _Handlers()
    methods: dict[str, Any] = {
        "Upload": grpc.stream_unary_rpc_method_handler(
            handlers.upload,
            request_deserializer=BytesValue.FromString,
            response_serializer=StringValue.SerializeToString,
        ),
        "Download": grpc.unary_stream_rpc_method_handler(
            handlers.download,
            request_deserializer=StringValue.FromString,
            response_serializer=BytesValue.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    if files:
        certificate, key = (Path(file).read_bytes() for file in files)
        port = server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)])
        )
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
