"""What reflection answers from: protobuf's pool of descriptors, which does not find methods."""

from __future__ import annotations

from typing import Any, cast

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool


class ReflectedPool:
    """A pool whose symbols include methods: `grpcurl describe Service.Method` asks for them."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802  # protobuf's
        """The file of a message, enum, service or method. Raises KeyError."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service_name, _, method = symbol.rpartition(".")
            service = self._pool.FindServiceByName(service_name)
            service.methods_by_name[method]  # or KeyError
            return service.file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


def reflected_pool() -> DescriptorPool:
    """Every descriptor of this process. It only stands in for a pool, whose class is closed."""
    return cast("DescriptorPool", ReflectedPool(descriptor_pool.Default()))
