"""What several modules here read in objects of the API: times, conditions, quantities. Pure."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal

from appengine_server.scheduling.kubernetes.labels import Json

_SUFFIXES = {
    "": Decimal(1), "m": Decimal("0.001"),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip
_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<suffix>[a-zA-Z]*)$")
_NO_FOLDER = re.compile(r"hostPath type check failed: (?P<path>.+) is not a directory")


def time_of(text: str | None) -> datetime | None:
    """Read a time."""
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def condition(item: Json, kind: str) -> Json | None:
    """The condition of this kind, whether it holds or not; None before it was looked at."""
    for one in (item.get("status") or {}).get("conditions") or ():
        if one["type"] == kind:
            return dict(one)
    return None


def holds(item: Json, kind: str) -> bool:
    """Whether the condition of this kind is known to be true."""
    return (condition(item, kind) or {}).get("status") == "True"


def quantity(text: str) -> int:
    """A quantity as a whole number, rounded up."""
    return math.ceil(exact(text))


def exact(text: str) -> Decimal:
    """A quantity; 0 for what is none."""
    match = _QUANTITY.match(text.strip())
    if match is None or match["suffix"] not in _SUFFIXES:
        return Decimal(0)
    return Decimal(match["number"]) * _SUFFIXES[match["suffix"]]


def missing_folder(event: Json) -> str | None:
    """The folder that an event says a node has not; None if it says something else."""
    found = _NO_FOLDER.search(str(event.get("message") or ""))
    return None if found is None else found["path"]
