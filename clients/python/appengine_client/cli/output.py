"""Prints results on stdout: as JSON for programs, as text for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from appengine_client.cli.errors import printable

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def print_json(message: Message) -> None:
    """Print the protobuf JSON form of a message."""
    from google.protobuf.json_format import MessageToJson

    print(MessageToJson(message, ensure_ascii=False))


def print_json_line(message: Message) -> None:
    """Print the protobuf JSON form on one line, for streams of messages."""
    from google.protobuf.json_format import MessageToJson

    print(MessageToJson(message, ensure_ascii=False, indent=None), flush=True)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns. What a cell holds is made printable, and put on one line."""
    lines = [headings, *([" ".join(printable(cell).split()) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print one `name: value` a line; those without a value are left out."""
    shown = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name + ':':<{width + 1}} {printable(value)}")


def print_bytes(data: bytes) -> None:
    """Write bytes to stdout as they are, at once."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def moment(timestamp: Timestamp) -> str:
    """A moment in the local zone, which is named; empty where there is none."""
    if not timestamp.seconds:
        return ""
    utc = datetime.fromtimestamp(timestamp.seconds, UTC)
    return utc.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def size(count: float) -> str:
    """A number of bytes for people."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def counted(count: int, noun: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def enum_word(name: str, prefix: str) -> str:
    """`RUN_STATE_QUEUED` as `QUEUED`."""
    return name.removeprefix(prefix)
