"""Amounts of bytes written with a unit: `4Gi`, `1.5G`, `100 MiB`."""

from __future__ import annotations

import math
import re
from fractions import Fraction

_LONGEST = 64
_LARGEST_BYTES = 2**63 - 1
"""What the API and the scheduler can name: a signed 64-bit number."""

_NUMBER = r"(?P<number>(?:0|[1-9][0-9]*)(?:\.[0-9]+)?)"
_MEMORY = re.compile(rf"{_NUMBER} ?(?P<prefix>[KMGTPE]i|[kMGTPE])", re.ASCII)
_FILE_SIZE = re.compile(
    rf"{_NUMBER} ?(?P<prefix>[KMGTPEZY]i|[kMGTPEZYRQ])?(?P<suffix>B|[Bb]yte|b|bit)?", re.ASCII
)
_BINARY = {f"{letter}i": 2 ** (10 * power) for power, letter in enumerate("KMGTPEZY", start=1)}
_DECIMAL = {letter: 10 ** (3 * power) for power, letter in enumerate("kMGTPEZYRQ", start=1)}
_FACTORS: dict[str, int] = {**_BINARY, **_DECIMAL}
_WITH_BYTE_SUFFIX = re.compile(rf"({_NUMBER} ?(?:[KMGTPE]i|[kMGTPE]))(?:B|[Bb]ytes?|b)", re.ASCII)


class QuantityError(ValueError):
    """The text is no quantity; the message says what to write."""


def memory_bytes(text: str) -> int:
    """The bytes that `text` means in `resources.ram`, rounded up.

    Raises QuantityError, with a hint, when it is none, is zero, or is above 2^63 - 1.
    """
    match = _MEMORY.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise QuantityError(_memory_hint(text))
    result = _bytes(match["number"], match["prefix"], bits=False)
    if result == 0:
        raise QuantityError("the amount of memory must be above zero")
    if result > _LARGEST_BYTES:
        raise QuantityError(f"{text!r} is more than 2^63 - 1 bytes")
    return result


def file_size_bytes(text: str) -> int:
    """The bytes that `text` means in `max_file_size`, rounded up, at most 2^63 - 1.

    Raises QuantityError when it is no quantity.
    """
    match = _FILE_SIZE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise QuantityError(
            f"{text[:_LONGEST]!r} is not a file size; write for example `100Mi`, `100 MB` or `4096`"
        )
    bits = match["suffix"] in ("b", "bit")
    return min(_bytes(match["number"], match["prefix"], bits=bits), _LARGEST_BYTES)


def _bytes(number: str, prefix: str | None, *, bits: bool) -> int:
    exact = Fraction(number) * (_FACTORS[prefix] if prefix else 1)
    return math.ceil(exact / 8 if bits else exact)


def _memory_hint(text: str) -> str:
    shown = repr(text[:_LONGEST])
    if match := _WITH_BYTE_SUFFIX.fullmatch(text):
        return f"{shown} has a unit that Kubernetes does not know; write `{match[1]}`"
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return f"{shown} has no unit; write for example `{text}Gi` or `{text}Mi`"
    return f"{shown} is not an amount of memory; write for example `4Gi`, `512Mi` or `1.5G`"
