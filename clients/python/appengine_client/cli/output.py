"""Prints results on stdout: as JSON for programs, as text for people."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from appengine_client.cli.errors import printable
from appengine_client.cli.live import STATE_STYLES, painted, takes_colours
from appengine_client.cli.words import rough_duration

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

_GAP = "  "
_LEAST_WIDTH = 10
SHORT_ID = 8
"""Characters of an id that people see and type."""


def print_json(message: Message) -> None:
    """Print the protobuf JSON form of a message."""
    from google.protobuf.json_format import MessageToJson

    print(MessageToJson(message, ensure_ascii=False))


def print_json_line(message: Message) -> None:
    """Print the protobuf JSON form on one line, for streams of messages."""
    from google.protobuf.json_format import MessageToJson

    print(MessageToJson(message, ensure_ascii=False, indent=None), flush=True)


def print_path(name: str, path: Path, *, as_json: bool) -> None:
    """Print where something was made: the path alone, or an object with it."""
    print(json.dumps({name: str(path)}, ensure_ascii=False) if as_json else path)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns. What a cell holds is made printable, and put on one line.

    On a terminal lines are cut to its width, and words of states have their colours.
    """
    lines = [headings, *([" ".join(printable(cell).split()) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sys.stdout.isatty():
        widths = _fitted(widths, get_terminal_size().columns)
    paint = takes_colours(sys.stdout)
    for number, line in enumerate(lines):
        cells = (_cut(cell, width) for cell, width in zip(line, widths, strict=True))
        text = _GAP.join(cells).rstrip()
        print(_painted_line(text, line, is_heading=number == 0) if paint else text)


def _fitted(widths: list[int], room: int) -> list[int]:
    """The widest columns give way, but none to less than can be read."""
    widths = list(widths)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > room and max(widths) > _LEAST_WIDTH:
        widths[widths.index(max(widths))] -= 1
    return widths


def _cut(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else f"{cell[: width - 1]}…"


def _painted_line(text: str, cells: Sequence[str], *, is_heading: bool) -> str:
    if is_heading:
        return painted(text, "bold")
    state = next((cell for cell in cells if cell in STATE_STYLES), None)
    return text if state is None else text.replace(state, painted(state, STATE_STYLES[state]), 1)


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


def ago(timestamp: Timestamp) -> str:
    """How long ago a moment was; empty where there is none."""
    if not timestamp.seconds:
        return ""
    return f"{rough_duration(time.time() - timestamp.seconds)} ago"


def between(start: Timestamp, end: Timestamp) -> str:
    """How long something took; empty where it has not ended."""
    if not start.seconds or not end.seconds:
        return ""
    return rough_duration(end.seconds - start.seconds + (end.nanos - start.nanos) / 1e9)


def run_label(run_id: str, stream: TextIO | None = None) -> str:
    """The id of a run; on a terminal the beginning of it, which every command takes."""
    return run_id[:SHORT_ID] if (stream or sys.stdout).isatty() else run_id


def counted(count: int, noun: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def enum_word(name: str, prefix: str) -> str:
    """`RUN_STATE_QUEUED` as `QUEUED`."""
    return name.removeprefix(prefix)
