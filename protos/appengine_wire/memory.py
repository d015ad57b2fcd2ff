"""Messages that are filled in their place, instead of being put together from copies."""

from __future__ import annotations

import ctypes

# gRPC takes `bytes` alone. C code may fill new ones before anybody else has seen them.
_new_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
_address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(
    ("PyBytes_AsString", ctypes.pythonapi)
)
_view_of = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)
_WRITABLE = 0x200  # PyBUF_WRITE


def writable_bytes(size: int) -> tuple[bytes, memoryview]:
    """New bytes with any content, and the view to fill them by.

    The bytes must live as long as the view, and be shown to nobody before they are filled.
    """
    fresh: bytes = _new_bytes(None, size)
    return fresh, _view_of(_address_of(fresh), size, _WRITABLE)
