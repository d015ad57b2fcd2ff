"""crc32c of buffers, and of what was put together from parts whose crc32c is known."""

from __future__ import annotations

import ctypes
from functools import cache

import google_crc32c

_POLYNOMIAL = 0x82F63B78  # of crc32c, its bits in reverse
_COPY_BELOW_BYTES = 16 * 1024  # copying so little is cheaper than asking for its address


class _PyBuffer(ctypes.Structure):
    """`Py_buffer` of CPython, whose layout is part of the stable ABI since 3.11."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


# NB: prototypes, for argument types that are set on ctypes.pythonapi would hold for everybody.
_get_buffer = ctypes.PYFUNCTYPE(
    ctypes.c_int, ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int
)(("PyObject_GetBuffer", ctypes.pythonapi))
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_PyBuffer))(
    ("PyBuffer_Release", ctypes.pythonapi)
)


def extend_crc32c(crc: int, data: bytes | bytearray | memoryview) -> int:
    """The crc32c of what had `crc`, followed by `data`; 0 is that of nothing. Frees the GIL.

    google_crc32c takes `bytes` alone, so another large buffer is shown to it by its address:
    copying a payload only to check it costs 5 % of a transfer.
    """
    if isinstance(data, bytes):
        return int(google_crc32c.extend(crc, data))
    if len(data) < _COPY_BELOW_BYTES:
        return int(google_crc32c.extend(crc, bytes(data)))
    buffer = _PyBuffer()
    _get_buffer(data, ctypes.byref(buffer), 0)
    try:
        done = 0
        while (rest := buffer.len - done) >= _COPY_BELOW_BYTES:
            window = _window(rest.bit_length() - 1)
            crc = google_crc32c.extend(crc, window.from_address(buffer.buf + done))
            done += ctypes.sizeof(window)
    finally:
        _release_buffer(ctypes.byref(buffer))
    return int(google_crc32c.extend(crc, bytes(data[done:]))) if rest else int(crc)


@cache
def _window(power: int) -> type[ctypes.Array[ctypes.c_char]]:
    """Memory of 2**power bytes. Making a type for each size would take longer than the sum."""
    return ctypes.c_char * (1 << power)


def crc32c_of(data: bytes | bytearray | memoryview) -> int:
    """The crc32c of `data`."""
    return extend_crc32c(0, data)


def joined_crc32c(crc: int, more: int, more_bytes: int) -> int:
    """The crc32c of what had `crc`, followed by so many bytes that had `more`.

    The bytes themselves are not needed: they were read once already.
    """
    power = 0
    while more_bytes:
        if more_bytes & 1:
            low, second, third, high = _by_bytes(power)
            crc = (
                low[crc & 0xFF]
                ^ second[crc >> 8 & 0xFF]
                ^ third[crc >> 16 & 0xFF]
                ^ high[crc >> 24]
            )
        more_bytes >>= 1
        power += 1
    return crc ^ more


@cache
def _by_bytes(power: int) -> tuple[list[int], ...]:
    """The products of `_zeros` with all values of each byte of a checksum, the lowest first."""
    matrix = _zeros(power)
    return tuple(_sums(matrix[first : first + 8]) for first in range(0, 32, 8))


def _sums(columns: tuple[int, ...]) -> list[int]:
    sums = [0]
    for column in columns:
        sums += [column ^ known for known in sums]
    return sums


@cache
def _zeros(power: int) -> tuple[int, ...]:
    """What 2**power zero bytes do to a checksum: a matrix over bits, by columns."""
    if power:
        return _squared(_zeros(power - 1))
    one_bit = (_POLYNOMIAL, *(1 << bit for bit in range(31)))
    return _squared(_squared(_squared(one_bit)))


def _squared(matrix: tuple[int, ...]) -> tuple[int, ...]:
    return tuple([_times(matrix, column) for column in matrix])


def _times(matrix: tuple[int, ...], vector: int) -> int:
    product = 0
    for column in matrix:
        if vector & 1:
            product ^= column
        vector >>= 1
    return product
