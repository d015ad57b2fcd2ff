"""A server whose certificate nobody vouches for."""

from __future__ import annotations

import grpc
from appengine_client._rpc.statuses import from_rpc_error
from appengine_client.errors import Unavailable
from grpc.aio import AioRpcError, Metadata

_HANDSHAKE = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:443: Tls handshake "
    "failed: SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: self signed certificate"
)


def test_the_sentence_says_how_to_trust_it() -> None:
    refused = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), details=_HANDSHAKE)
    error = from_rpc_error(refused, "engine.example.org:443")
    assert isinstance(error, Unavailable)
    assert "--ca-file" in error.message
    assert "OPENSSL" not in error.message
