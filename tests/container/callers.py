"""Raw calls of any RPC as one principal, by name: no client library that would soften an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import trustme
from appengine.v1 import (  # imported so that the descriptor pool knows them
    agent_service_pb2,
    run_service_pb2,
    storage_service_pb2,
    task_service_pb2,
)
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2 as reflection
from grpc_reflection.v1alpha import reflection_pb2_grpc as reflection_grpc
from grpc_status import rpc_status

from tests.streams import begin

PACKAGE = "appengine.v1"

_SERVICES = {
    service.name: service
    for module in (agent_service_pb2, run_service_pb2, storage_service_pb2, task_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}

_ENDLESS_SECONDS = 0.5
"""How long a stream that never ends is listened to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a caller can learn from one call."""

    code: grpc.StatusCode
    text: str
    reason: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    messages: tuple[Message, ...] = ()

    def seen(self) -> str:
        """Everything that the caller sees, as one text."""
        return "\n".join(
            [self.code.name, self.text, self.reason, str(self.fields), *map(str, self.messages)]
        )


class Caller:
    """One principal on one connection; close it."""

    def __init__(self, address: str, ca_certificate: bytes, token: str | None) -> None:
        credentials = grpc.ssl_channel_credentials(ca_certificate)
        self._channel = grpc.aio.secure_channel(address, credentials)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def close(self) -> None:
        await self._channel.close()

    async def call(self, rpc: str, *requests: Message) -> Answer:
        """Call `Service/Method` and answer what came, also where it was refused."""
        method = method_of(rpc)
        call = self._start(method, requests)
        received: list[Message] = []
        try:
            if method.server_streaming:
                await _receive(call, received)
            else:
                received.append(await call)
        except grpc.aio.AioRpcError as error:
            return _refusal(error, received)
        return Answer(code=grpc.StatusCode.OK, text="", messages=tuple(received))

    async def one(self, rpc: str, *requests: Message) -> Any:
        """Call an RPC that must succeed and that answers one message."""
        answer = await self.call(rpc, *requests)
        assert answer.code is grpc.StatusCode.OK, f"{rpc}: {answer.seen()}"
        [message] = answer.messages
        return message

    async def reflected_rpcs(self) -> dict[str, bool]:
        """Every RPC of ours that the server offers, and whether it only reads.

        Read from the server itself, so that nothing it offers can be forgotten here.
        """
        stub = reflection_grpc.ServerReflectionStub(self._channel)
        found: dict[str, bool] = {}
        listed = await self._ask(stub, reflection.ServerReflectionRequest(list_services=""))
        for service in listed.list_services_response.service:
            if not service.name.startswith(f"{PACKAGE}."):
                continue
            request = reflection.ServerReflectionRequest(file_containing_symbol=service.name)
            answer = await self._ask(stub, request)
            for raw in answer.file_descriptor_response.file_descriptor_proto:
                found |= _rpcs_of(raw, service.name.removeprefix(f"{PACKAGE}."))
        return found

    async def _ask(
        self, stub: Any, request: reflection.ServerReflectionRequest
    ) -> reflection.ServerReflectionResponse:
        call = stub.ServerReflectionInfo(iter([request]), metadata=self._metadata)
        [answer] = [answer async for answer in call]
        return answer

    def _start(self, method: MethodDescriptor, requests: Sequence[Message]) -> Any:
        arity = "_".join(
            "stream" if streaming else "unary"
            for streaming in (method.client_streaming, method.server_streaming)
        )
        return begin(
            self._channel,
            f"/{method.containing_service.full_name}/{method.name}",
            arity,
            [request.SerializeToString() for request in requests],
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            metadata=self._metadata,
            timeout=15,
        )


def method_of(rpc: str) -> MethodDescriptor:
    service, _, name = rpc.partition("/")
    return _SERVICES[service].methods_by_name[name]


def empty_request(rpc: str) -> Message:
    return message_factory.GetMessageClass(method_of(rpc).input_type)()


def issue_certificate(folder: Path) -> tuple[bytes, dict[str, str]]:
    """A certificate of 127.0.0.1: its authority, and the settings of a server that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = folder / "server.pem", folder / "server.key"
    issued.private_key_pem.write_to_path(key)
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(certificate, append=number > 0)
    settings = {"TLS_CERTIFICATE_FILE": str(certificate), "TLS_KEY_FILE": str(key)}
    return authority.cert_pem.bytes(), settings


async def _receive(call: Any, received: list[Message]) -> None:
    """Collect a stream to its end, or for a moment where it has none."""
    try:
        async with asyncio.timeout(_ENDLESS_SECONDS):
            async for message in call:
                received.append(message)
    except TimeoutError:
        call.cancel()


def _refusal(error: grpc.aio.AioRpcError, received: Sequence[Message]) -> Answer:
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        detail.Unpack(info)
    return Answer(
        code=error.code(),
        text=error.details() or "",
        reason=info.reason,
        fields=tuple(sorted(info.metadata.items())),
        messages=tuple(received),
    )


def _rpcs_of(raw: bytes, service_name: str) -> dict[str, bool]:
    file = descriptor_pb2.FileDescriptorProto.FromString(raw)
    only_reads = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    return {
        f"{service.name}/{method.name}": method.options.idempotency_level == only_reads
        for service in file.service
        if service.name == service_name
        for method in service.method
    }
