"""Declared types, in a short form."""

from __future__ import annotations

from appengine.v1 import task_pb2


def typed(kind: str) -> task_pb2.ParameterType:
    """The type of `integer`, `array/array/image` and the like."""
    whole = task_pb2.ParameterType()
    getattr(whole, kind.rpartition("/")[2]).SetInParent()
    for _ in range(kind.count("/")):
        whole = task_pb2.ParameterType(array=task_pb2.ArrayType(subtype=whole))
    return whole
