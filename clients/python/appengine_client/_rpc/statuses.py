"""Turns what gRPC raises into the errors of this library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from appengine_client import errors
from appengine_client.errors import Details, Problem, ServerError

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any

TLS_MISTAKE = "TLS"
"""The reason of what no second try mends: certificates that do not fit, or TLS on one side only."""

_DETAILS_KEY = "grpc-status-details-bin"

_CLASSES: dict[grpc.StatusCode, type[ServerError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: errors.OutOfRange,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.ABORTED: errors.Aborted,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.DATA_LOSS: errors.DataLoss,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
}


@contextmanager
def translated(target: str, request_id: str = "") -> Iterator[None]:
    """Raise our error in place of gRPC's. `target` is the server, for the message."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        refusal = from_rpc_error(error, target, request_id)
    else:
        return
    raise refusal from None


def from_rpc_error(error: grpc.aio.AioRpcError, target: str, request_id: str = "") -> ServerError:
    """The error of this library for one of gRPC, with all details that the server gave."""
    code = error.code()
    text = error.details() or ""
    details = _details(error, request_id)
    kind = _CLASSES.get(code, errors.ServerFailed)
    if _has_details(error):
        return kind(text, details)
    if (mistake := _tls_mistake(code, text, target)) is not None:
        return kind(mistake, replace(details, reason=TLS_MISTAKE))
    return kind(_sentence(code, text, target), details)


def _sentence(code: grpc.StatusCode, text: str, target: str) -> str:
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            is_closed = text.startswith("failed to connect") and text.endswith("Socket closed")
            return _closed(target) if is_closed else _unreachable(text, target)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"the server {target} did not answer in time"
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"the server {target} does not offer this: {text}"
        case _:
            return text or f"the server {target} answered {code.name}"


def _unreachable(text: str, target: str) -> str:
    """What keeps a connection from being made, and what to do."""
    cause = text.rpartition("Failed to connect to remote host: ")[2]
    if "errors resolving" in text or "DNS resolution failed" in text:
        cause = "nobody knows this name"
    return (
        f"the server {target} cannot be reached: {cause}. See whether it runs, and whether this is "
        "its address (--server or APPENGINE_SERVER)"
    )


def _closed(target: str) -> str:
    return (
        f"the server {target} closed the connection: if it speaks TLS, use https://{target} "
        "(with --ca-file or APPENGINE_CA_FILE if its certificate is of an own CA)"
    )


def _tls_mistake(code: grpc.StatusCode, text: str, target: str) -> str | None:
    """What is wrong with the certificates; gRPC tells it in the words of its TLS library."""
    if code is not grpc.StatusCode.UNAVAILABLE:
        return None
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            f"the certificate of the server {target} is not trusted: give the PEM file of the "
            "CA that signed it (--ca-file or APPENGINE_CA_FILE), and use the name it is for"
        )
    if "Hostname Verification Check failed" in text:
        return (
            f"the certificate of the server {target} is not for this name: call the server by "
            "the name that its certificate is for"
        )
    if "WRONG_VERSION_NUMBER" in text:
        return (
            f"the server {target} does not speak TLS: use http://{target}, without a CA "
            "certificate (--ca-file or APPENGINE_CA_FILE)"
        )
    if "Failed to create security handshaker" in text:
        return "the CA certificate (--ca-file or APPENGINE_CA_FILE) is no PEM certificate"
    return None


def _details(error: grpc.aio.AioRpcError, request_id: str) -> Details:
    reason = ""
    fields: dict[str, str] = {}
    problems: list[Problem] = []
    retry_after: float | None = None
    for detail in _unpacked(error):
        match detail:
            case error_details_pb2.BadRequest():
                problems += [
                    Problem(path=v.field, reason=v.reason, message=v.description)
                    for v in detail.field_violations
                ]
            case error_details_pb2.PreconditionFailure():
                problems += [
                    Problem(path=v.subject, reason=v.type, message=v.description)
                    for v in detail.violations
                ]
            case error_details_pb2.ErrorInfo():
                reason, fields = detail.reason, dict(detail.metadata)
            case error_details_pb2.RetryInfo():
                retry_after = detail.retry_delay.ToTimedelta().total_seconds()
    return Details(
        status=error.code().name,
        reason=reason,
        problems=tuple(problems),
        problem_count=_count(fields, len(problems)),
        fields=fields,
        retry_after_seconds=retry_after,
        request_id=request_id,
    )


def _count(fields: dict[str, str], listed: int) -> int:
    """All problems: the server says how many of them did not fit into its answer."""
    more = fields.pop("more_problems", "")
    return listed + int(more) if more.isdigit() else listed


_Detail = (
    error_details_pb2.BadRequest
    | error_details_pb2.PreconditionFailure
    | error_details_pb2.ErrorInfo
    | error_details_pb2.RetryInfo
)
_DETAIL_TYPES: tuple[type[_Detail], ...] = (
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.ErrorInfo,
    error_details_pb2.RetryInfo,
)


def _has_details(error: grpc.aio.AioRpcError) -> bool:
    return _status(error) is not None


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:  # an old proxy may cut trailers: then there are no details
                return None
    return None


def _unpacked(error: grpc.aio.AioRpcError) -> Iterator[_Detail]:
    status = _status(error)
    for packed in status.details if status is not None else ():
        if (detail := _unpack(packed)) is not None:
            yield detail


def _unpack(packed: Any) -> _Detail | None:
    for kind in _DETAIL_TYPES:
        detail = kind()
        if packed.Unpack(detail):  # only when it is of this type
            return detail
    return None
