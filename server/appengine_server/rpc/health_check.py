"""Asks a server whether it serves, as an orchestrator does. Nothing else here is a client."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from appengine_server.settings import RpcSettings

_SECONDS = 5.0
"""For the whole question; a server that is well answers in milliseconds."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}  # noqa: S104 - what it says


class NotServing(Exception):
    """The server is away, starting or stopping. The message is a sentence."""


def own_address(settings: RpcSettings) -> str:
    """Where a server with these settings is reached from its own machine, as `host:port`.

    Raises NotServing while a server that chooses its port has not said which.
    """
    host = _ANY.get(settings.bind_address, settings.bind_address)
    if settings.port:
        return f"{host}:{settings.port}"
    if settings.port_file is None:
        raise NotServing("nothing says which port the server chose: set PORT or PORT_FILE")
    try:
        return f"{host}:{settings.port_file.read_text()}"
    except OSError as error:
        raise NotServing(f"the server has not said its port: {error}") from error


def check_health(address: str, *, certificate: Path | None) -> None:
    """Return if the server at `address` (`host:port`) answers SERVING.

    `certificate` is the file that the server itself was given, or None without TLS. The peer must
    present what is in it, whatever name that is for: the address is usually 127.0.0.1.

    Raises NotServing.
    """
    try:
        with _channel(address, certificate) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except grpc.RpcError as error:
        call: Any = error  # what a stub raises is both
        raise NotServing(f"{address} does not answer: {_why(call.details() or '')}") from error
    except ssl.SSLCertVerificationError as error:
        raise NotServing(
            f"{address} does not answer with the certificate of TLS_CERTIFICATE_FILE "
            f"({certificate}): another server has the port, or it was started before the "
            f"certificate was renewed ({error.verify_message or error})"
        ) from error
    except ssl.SSLError as error:
        raise NotServing(
            f"{address} does not speak TLS: leave TLS_CERTIFICATE_FILE out, as its server does "
            f"({error.reason or error})"
        ) from error
    except (OSError, ValueError) as error:
        raise NotServing(f"{address} does not answer: {error}") from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise NotServing(f"{address} answers {status}")


def _why(details: str) -> str:
    """What grpc says about a connection, for people."""
    if details.startswith("failed to connect") and details.endswith("Socket closed"):
        return (
            "it closed the connection; if it speaks TLS, set TLS_CERTIFICATE_FILE and "
            "TLS_KEY_FILE here too"
        )
    return details.rpartition("Failed to connect to remote host: ")[2]


def _channel(address: str, certificate: Path | None) -> grpc.Channel:
    options: list[tuple[str, Any]] = [("grpc.enable_http_proxy", 0)]
    if certificate is None:
        return grpc.insecure_channel(address, options=options)
    options.append(("grpc.ssl_target_name_override", _name_in_certificate(address, certificate)))
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    return grpc.secure_channel(address, credentials, options=options)


def _name_in_certificate(address: str, certificate: Path) -> str:
    """The first name that the peer's certificate is for, once it is known to be ours."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as connection,
        context.wrap_socket(connection) as secured,
    ):
        facts: Any = secured.getpeercert()
    names = [str(name) for _, name in facts.get("subjectAltName", ())]
    if not names:
        raise ValueError("its certificate is for no name")
    return names[0].replace("*", "health", 1)
