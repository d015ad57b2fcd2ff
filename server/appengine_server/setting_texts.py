"""How the texts of settings are read: sizes, durations, addresses, lists. All raise ValueError."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>Ki|Mi|Gi|Ti|k|M|G|T)?", re.ASCII)
REGISTRY_HOST = re.compile(r"(https?://)?[0-9A-Za-z.-]+(:\d+)?(/[0-9a-z._/-]*)?", re.ASCII)
_UNITS = {
    None: 1, "Ki": KIB, "Mi": MIB, "Gi": GIB, "Ti": 1024 * GIB,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip


def parse_bytes(given: Any) -> Any:
    """Read a size; what is no text is left as it is."""
    if not isinstance(given, str):
        return given
    match = _SIZE.fullmatch(given.strip())
    if match is None:
        raise ValueError("must be a size such as 512Mi or 2G, or a number of bytes")
    return int(float(match["number"]) * _UNITS[match["unit"]])


def parse_seconds(given: Any) -> Any:
    """Read a duration; what is no text is left as it is."""
    if not isinstance(given, str):
        return given
    try:
        seconds = timedelta(seconds=float(given))
    except (ValueError, OverflowError):
        raise ValueError("must be a number of seconds") from None
    if seconds < timedelta(0):
        raise ValueError("must not be negative")
    return seconds


Bytes = Annotated[int, BeforeValidator(parse_bytes)]
"""A size: `512Mi`, `2G`, or a plain number of bytes."""

Seconds = Annotated[timedelta, BeforeValidator(parse_seconds)]
"""A duration, written as a number of seconds."""


def project_roots(text: str) -> dict[str, tuple[str, ...]]:
    """Project → folders, of REF_STORAGE_PROJECT_ROOTS. Raises ValueError."""
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        project, equals, listed = part.partition("=")
        folders = tuple(filter(None, map(str.strip, listed.split(","))))
        name = project.strip()
        if not equals or not name or name in found:
            raise ValueError("must be `project=folder,folder;project=folder`, each project once")
        if any(folder.startswith("/") or ".." in folder.split("/") for folder in folders):
            raise ValueError("must name folders below REF_STORAGE_BASE_PATH, without `..`")
        found[name] = folders
    return found


def url_of(given: str | None) -> str | None:
    """The URL, None for an empty one. Raises ValueError for what is no URL of HTTP."""
    if not given:
        return None
    try:
        parts = urlsplit(given)
        host = parts.hostname and (parts.port or True)
    except ValueError:
        host = None
    if not given.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    if not host:
        raise ValueError("must be http://host:port or https://host:port")
    return given


def pairs_of(text: str) -> dict[str, str]:
    """Read `name=value,name=value`. Raises ValueError."""
    found: dict[str, str] = {}
    for part in names_of(text):
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise ValueError("must be `name=value`, divided by commas")
        found[name.strip()] = value.strip()
    return found


def tolerations_of(text: str) -> tuple[dict[str, str], ...]:
    """Read taints as kubectl writes them, as a pod's tolerations. Raises ValueError."""
    return tuple(map(_toleration, names_of(text)))


def _toleration(text: str) -> dict[str, str]:
    taint, colon, effect = text.partition(":")
    key, equals, value = taint.partition("=")
    if not key or (colon and effect not in {"NoSchedule", "PreferNoSchedule", "NoExecute"}):
        raise ValueError("must be `key=value:Effect`, `key:Effect` or `key`, divided by commas")
    found = {"key": key, "operator": "Equal" if equals else "Exists"}
    found |= {"value": value} if equals else {}
    return found | ({"effect": effect} if effect else {})


def names_of(text: str) -> tuple[str, ...]:
    """Read names that are divided by commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))
