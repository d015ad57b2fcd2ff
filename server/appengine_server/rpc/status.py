"""Turns a refusal into the rich status that clients read: `google.rpc.Status` with details."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from appengine_contract.problems import Problem
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2

from appengine_server.errors import (
    AppEngineError,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
)

M = TypeVar("M", bound=Message)

DOMAIN = "appengine.cytomine.org"

STATUS_LIMIT_BYTES = 4608
"""Largest serialized status. Trailers over 8 KiB fail now and then. grpc-java counts them as they
travel: these in base64 (6 KiB), the message beside them (1 KiB), and the other keys."""

MESSAGE_LIMIT_BYTES = 1024
"""Largest message as it travels, where each byte that is not printable ASCII takes three."""

_REASON_LIMIT = 64
_PATH_LIMIT = 256
_TEXT_LIMIT = 512
_FIELDS_LIMIT_BYTES = 1024
_ENVELOPE_BYTES = 128
"""Left free for the type URL of the problems and the count of those that did not fit."""
_ITEM_BYTES = 4
"""Tag and length of one problem."""
_MORE_PROBLEMS = "more_problems"


def to_status(error: AppEngineError) -> status_pb2.Status:
    """The status with every detail that fits: ErrorInfo always, problems as many as there is room.

    The number of problems that did not fit stands in the ErrorInfo's metadata as `more_problems`.
    """
    status = status_pb2.Status(code=error.status.value[0], message=_clip_message(error.message))
    info = details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=_clip_fields(error.fields)
    )
    details: list[Message] = [info]
    if isinstance(error, ResourceExhausted) and error.retry_after is not None:
        retry = details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        details.append(retry)
    room = STATUS_LIMIT_BYTES - _ENVELOPE_BYTES - status.ByteSize()
    room -= sum(_pack(detail).ByteSize() + _ITEM_BYTES for detail in details)
    problems, left_out = _problems_of(error, room)
    if problems is not None:
        details.append(problems)
    if left_out:
        info.metadata[_MORE_PROBLEMS] = str(left_out)
    status.details.extend(_pack(detail) for detail in details)
    return status


def _pack(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def _problems_of(error: AppEngineError, room: int) -> tuple[Message | None, int]:
    if isinstance(error, InvalidArgument) and error.problems:
        fields = _fitting(map(_field_violation, error.problems), room)
        left_out = len(error.problems) - len(fields)
        return details_pb2.BadRequest(field_violations=fields), left_out
    if isinstance(error, FailedPrecondition) and error.problems:
        states = _fitting(map(_state_violation, error.problems), room)
        left_out = len(error.problems) - len(states)
        return details_pb2.PreconditionFailure(violations=states), left_out
    return None, 0


def _field_violation(problem: Problem) -> details_pb2.BadRequest.FieldViolation:
    return details_pb2.BadRequest.FieldViolation(
        field=clip(problem.path, _PATH_LIMIT),
        reason=clip(problem.reason, _REASON_LIMIT),
        description=clip(problem.message, _TEXT_LIMIT),
    )


def _state_violation(problem: Problem) -> details_pb2.PreconditionFailure.Violation:
    return details_pb2.PreconditionFailure.Violation(
        type=clip(problem.reason, _REASON_LIMIT),
        subject=clip(problem.path, _PATH_LIMIT),
        description=clip(problem.message, _TEXT_LIMIT),
    )


def _fitting(violations: Iterable[M], room: int) -> list[M]:
    taken: list[M] = []
    for violation in violations:
        room -= violation.ByteSize() + _ITEM_BYTES
        if room < 0:
            break
        taken.append(violation)
    return taken


def _clip_fields(fields: Mapping[str, str]) -> dict[str, str]:
    room = _FIELDS_LIMIT_BYTES
    kept: dict[str, str] = {}
    for name, value in fields.items():
        clipped = clip(value, _PATH_LIMIT)
        room -= len(name.encode()) + len(clipped.encode()) + 2 * _ITEM_BYTES
        if room < 0:
            break
        kept[name] = clipped
    return kept


def _clip_message(message: str) -> str:
    message = _encodable(message)
    room = MESSAGE_LIMIT_BYTES - len("%E2%80%A6")
    for place, character in enumerate(message):
        plain = " " <= character <= "~" and character != "%"
        room -= 1 if plain else 3 * len(character.encode())
        if room < 0:
            return f"{message[:place]}…"
    return message


def clip(text: str, limit_bytes: int) -> str:
    """The text, or its beginning and an ellipsis, as a message can hold it."""
    encoded = _encodable(text).encode()
    if len(encoded) <= limit_bytes:
        return encoded.decode()
    return f"{encoded[: limit_bytes - 3].decode(errors='ignore')}…"


def _encodable(text: str) -> str:
    """The text without lone surrogates: names of files that are no UTF-8 bring them."""
    return text.encode(errors="replace").decode()
