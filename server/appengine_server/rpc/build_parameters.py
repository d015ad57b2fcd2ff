"""Builds the messages that declare a task's parameters."""

from __future__ import annotations

from appengine.v1 import task_pb2
from appengine_contract.descriptor import Parameter
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.boolean import BooleanType
from appengine_contract.parameters.datetime import DateTimeType
from appengine_contract.parameters.enumeration import EnumerationType
from appengine_contract.parameters.file import FileType
from appengine_contract.parameters.geometry import GeometryType
from appengine_contract.parameters.image import ImageType
from appengine_contract.parameters.integer import IntegerType
from appengine_contract.parameters.number import NumberType
from appengine_contract.parameters.string import StringType
from appengine_contract.parameters.type import ParameterType

from appengine_server.rpc.values import value_message


def parameter(found: Parameter) -> task_pb2.Parameter:
    """A parameter with its type."""
    message = task_pb2.Parameter(
        name=found.name,
        display_name=found.display_name,
        description=found.description,
        type=parameter_type(found.type),
        optional=found.optional,
        derived_from=found.derived_from or "",
        matching=found.matching,
    )
    if found.default is not None:
        message.default.CopyFrom(value_message(found.default))
    return message


def parameter_type(found: ParameterType) -> task_pb2.ParameterType:
    """A type with its constraints."""
    message = task_pb2.ParameterType()
    match found:
        case BooleanType():
            message.boolean.SetInParent()
        case IntegerType():
            message.integer.CopyFrom(
                task_pb2.IntegerType(gt=found.gt, lt=found.lt, geq=found.geq, leq=found.leq)
            )
        case NumberType():
            message.number.CopyFrom(_number(found))
        case StringType():
            message.string.CopyFrom(
                task_pb2.StringType(min_length=found.min_length, max_length=found.max_length)
            )
        case EnumerationType():
            message.enumeration.values.extend(found.values)
            message.enumeration.SetInParent()
        case DateTimeType():
            message.datetime.CopyFrom(
                task_pb2.DateTimeType(before=found.before or "", after=found.after or "")
            )
        case GeometryType():
            message.geometry.SetInParent()
        case FileType():
            message.file.CopyFrom(
                task_pb2.FileType(
                    max_file_size_bytes=found.max_file_size_bytes, formats=found.formats
                )
            )
        case ImageType():
            message.image.CopyFrom(_image(found))
        case ArrayType():
            message.array.CopyFrom(_array(found))
        case _:
            raise NotImplementedError(f"no message for the type {found.id}")
    return message


def _number(found: NumberType) -> task_pb2.NumberType:
    return task_pb2.NumberType(
        gt=found.gt,
        lt=found.lt,
        geq=found.geq,
        leq=found.leq,
        infinity_allowed=found.infinity_allowed,
        nan_allowed=found.nan_allowed,
    )


def _image(found: ImageType) -> task_pb2.ImageType:
    return task_pb2.ImageType(
        formats=found.formats,
        max_file_size_bytes=found.max_file_size_bytes,
        max_width=found.max_width,
        max_height=found.max_height,
    )


def _array(found: ArrayType) -> task_pb2.ArrayType:
    return task_pb2.ArrayType(
        subtype=parameter_type(found.subtype), min_size=found.min_size, max_size=found.max_size
    )
