"""Notes beside a download that say how far it is, for the process that follows a killed one.

One line of JSON for each chunk, written after its bytes. A line that was cut is no line: what its
chunk wrote is dropped, and comes again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from appengine_client._transfer.places import Place


class OpenPart(NamedTuple):
    """The file whose content is arriving."""

    entry: int
    path: str
    written: int
    rest: int
    crc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """How far a download is."""

    etag: str
    end: Place
    place: Place
    begun: Sequence[tuple[str, int]]
    """Path and kind of each entry that has begun, in order."""
    ended: Sequence[tuple[str, int]]
    """Path and crc32c of each file that is whole."""
    open_part: OpenPart | None


class Notes:
    """Writes the notes of one download."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
        )

    def header(self, etag: str, end: Place) -> None:
        """What is downloaded."""
        self._write({"etag": etag, "end": end})

    def step(
        self,
        place: Place,
        begun: Sequence[tuple[str, int]],
        ended: Sequence[tuple[str, int]],
        open_part: OpenPart | None,
    ) -> None:
        """Everything before this place is written."""
        self._write({"place": place, "begun": begun, "ended": ended, "open": open_part})

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write(self, note: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(note).encode() + b"\n")


def read_notes(path: Path) -> Noted | None:
    """What the notes say, cut to their last whole line; None where they say nothing."""
    try:
        *lines, torn = path.read_bytes().split(b"\n")
        if torn:
            os.truncate(path, sum(len(line) + 1 for line in lines))
    except OSError:
        return None
    if not lines:
        return None
    header, *steps = [json.loads(line) for line in lines]
    begun = [(entry, kind) for step in steps for entry, kind in step["begun"]]
    ended = [(path, crc) for step in steps for path, crc in step.get("ended", ())]
    last: dict[str, Any] = steps[-1] if steps else {"place": (0, 0), "open": None}
    return Noted(
        etag=header["etag"],
        end=Place(*header["end"]),
        place=Place(*last["place"]),
        begun=begun,
        ended=ended,
        open_part=OpenPart(*last["open"]) if last["open"] else None,
    )
