"""Values of inputs and outputs, to and from their messages."""

from __future__ import annotations

from datetime import UTC, datetime

from appengine.v1 import value_pb2
from appengine_contract.parameters.datetime import timestamp_text
from appengine_contract.problems import ContractError, Problem
from appengine_contract.values import (
    ArrayValue,
    BooleanValue,
    DateTimeValue,
    EnumerationValue,
    FileValue,
    GeometryValue,
    IntegerValue,
    NullValue,
    NumberValue,
    ReferencePattern,
    ReferenceValue,
    StringValue,
    Value,
)
from google.protobuf import struct_pb2
from google.protobuf.timestamp_pb2 import Timestamp


def value_of(message: value_pb2.Value, at: str) -> Value:
    """The value of a message. Raises ContractError where it has none; `at` names it."""
    match message.WhichOneof("kind"):
        case "boolean":
            return BooleanValue(message.boolean)
        case "integer":
            return IntegerValue(message.integer)
        case "number":
            return NumberValue(message.number)
        case "string":
            return StringValue(message.string)
        case "enumeration":
            return EnumerationValue(message.enumeration)
        case "datetime":
            return DateTimeValue(_datetime_text(message.datetime, at))
        case "geometry":
            return GeometryValue(message.geometry)
        case "array":
            items = [
                value_of(item, f"{at}[{index}]") for index, item in enumerate(message.array.items)
            ]
            return ArrayValue(tuple(items))
        case "file":
            return FileValue(message.file.path, message.file.size_bytes)
        case "dataset":
            return _reference(message.dataset, at)
        case "null":
            return NullValue()
        case None:
            text = f"{at} has no value: set one of its kinds, or null to clear it."
            raise ContractError([Problem(path=at, reason="VALUE_MISSING", message=text)])


def value_message(value: Value) -> value_pb2.Value:
    """The message of a value."""
    match value:
        case BooleanValue():
            return value_pb2.Value(boolean=value.value)
        case IntegerValue():
            return value_pb2.Value(integer=value.value)
        case NumberValue():
            return value_pb2.Value(number=value.value)
        case StringValue():
            return value_pb2.Value(string=value.text)
        case EnumerationValue():
            return value_pb2.Value(enumeration=value.text)
        case DateTimeValue():
            return value_pb2.Value(datetime=_datetime(value.text))
        case GeometryValue():
            return value_pb2.Value(geometry=value.text)
        case ArrayValue():
            items = [value_message(item) for item in value.items]
            return value_pb2.Value(array=value_pb2.ArrayValue(items=items))
        case FileValue():
            return value_pb2.Value(file=file_reference(value))
        case ReferenceValue():
            return value_pb2.Value(dataset=value_pb2.DatasetReference(path=value.path))
        case ReferencePattern():
            return value_pb2.Value(dataset=value_pb2.DatasetReference(pattern=value.pattern))
        case NullValue():
            return value_pb2.Value(null=struct_pb2.NULL_VALUE)


def file_reference(value: FileValue) -> value_pb2.FileReference:
    """The message of bytes that the server holds."""
    return value_pb2.FileReference(
        path=value.path,
        size_bytes=value.size_bytes,
        file_count=value.file_count,
        format=value.format,
    )


def _reference(message: value_pb2.DatasetReference, at: str) -> Value:
    if message.path and message.pattern:
        text = f"{at} has a path and a pattern: give one of them."
        raise ContractError([Problem(path=at, reason="VALUE_TWICE", message=text)])
    if message.pattern:
        return ReferencePattern(message.pattern)
    return ReferenceValue(message.path)


def _datetime_text(message: value_pb2.DateTime, at: str) -> str:
    if message.text:
        return message.text
    if not message.HasField("instant"):
        text = f"{at} has neither a text nor an instant."
        raise ContractError([Problem(path=at, reason="VALUE_MISSING", message=text)])
    try:
        return timestamp_text(message.instant.seconds, message.instant.nanos)
    except OverflowError as error:
        problem = Problem(path=at, reason="NOT_DATETIME", message=f"{at} is no moment.")
        raise ContractError([problem]) from error


def _datetime(text: str) -> value_pb2.DateTime:
    message = value_pb2.DateTime(text=text)
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        instant = Timestamp()
        instant.FromDatetime(moment.astimezone(UTC))
        message.instant.CopyFrom(instant)
    except (ValueError, OverflowError):
        pass  # more digits than Python keeps, or a leap second: the text says it all
    return message
