"""Where the server is and who calls it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appengine_client.errors import InvalidValue

DEFAULT_SERVER = "127.0.0.1:8080"
_DEFAULT_PORT = 8080
_MAX_PORT = 65535
_TLS_SCHEMES = frozenset({"https", "grpcs"})
_PLAIN_SCHEMES = frozenset({"", "http", "grpc"})
_LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """All that is needed to talk to one server."""

    target: str
    """`host:port`, as gRPC takes it."""
    tls: bool
    token: str | None
    ca_certificate: bytes | None
    """PEM; None means the certificates that gRPC trusts by itself."""
    project: str
    """Used where a call names none; empty means the caller's default one at the server."""

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return self.target.startswith(_LOOPBACK)


def read_settings(
    *,
    server: str | None = None,
    token: str | None = None,
    ca_certificate: Path | str | bytes | None = None,
    project: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ConnectionSettings:
    """Complete what was given by the APPENGINE_* variables of the environment.

    Raises InvalidValue for an address that cannot be read, or a file that is not there.
    """
    address = server or environment.get("APPENGINE_SERVER") or DEFAULT_SERVER
    ca = ca_certificate or environment.get("APPENGINE_CA_FILE") or None
    target, tls = parse_address(address)
    return ConnectionSettings(
        target=target,
        tls=tls or ca is not None,
        token=_sendable(token, "the token") if token else _token_from(environment),
        ca_certificate=ca if isinstance(ca, bytes | None) else _read_certificate(Path(ca)),
        project=environment.get("APPENGINE_PROJECT", "") if project is None else project,
    )


def parse_address(address: str) -> tuple[str, bool]:
    """`(host:port, whether TLS is used)`. A path behind the port is ignored."""
    scheme, separator, rest = address.strip().rpartition("://")
    scheme = scheme.lower() if separator else ""
    if scheme not in _TLS_SCHEMES | _PLAIN_SCHEMES:
        raise InvalidValue(
            f"the server address {address!r} has the unknown scheme {scheme!r}: "
            "use HOST:PORT, http://HOST:PORT or https://HOST:PORT"
        )
    host = rest.partition("/")[0]
    if not host:
        raise InvalidValue(f"the server address {address!r} names no host")
    tls = scheme in _TLS_SCHEMES
    _, colon, port = host.rpartition("]")[2].partition(":")
    if not colon:
        return f"{host}:{443 if tls else _DEFAULT_PORT}", tls
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise InvalidValue(
            f"the server address {address!r} has the port {port!r}: "
            f"use a number from 1 to {_MAX_PORT}"
        )
    return host, tls


def _token_from(environment: Mapping[str, str]) -> str | None:
    if token := environment.get("APPENGINE_TOKEN"):
        return _sendable(token.strip(), "APPENGINE_TOKEN")
    if path := environment.get("APPENGINE_TOKEN_FILE"):
        return read_token(Path(path))
    return None


def read_token(path: Path) -> str:
    """The token in a file. Raises InvalidValue when there is none."""
    token = _read(path, "token").decode("utf-8", "replace").strip()
    if not token:
        raise InvalidValue(f"the token file {path} is empty")
    return _sendable(token, f"the token file {path}")


def _sendable(token: str, source: str) -> str:
    """The token, if a header can carry it; gRPC says nothing useful of one that cannot be sent."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidValue(f"{source} must hold one token alone: one word, on one line")
    return token


def _read_certificate(path: Path) -> bytes:
    content = _read(path, "CA certificate")
    if b"-----BEGIN " not in content:
        raise InvalidValue(
            f"the CA certificate file {path} (--ca-file or APPENGINE_CA_FILE) holds no PEM "
            "certificate: it must have a line that begins with -----BEGIN CERTIFICATE"
        )
    return content


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidValue(
            f"the {what} file {path} cannot be read: {error.strerror or error}"
        ) from error
