"""Names of entries inside zips and tars: how they are compared, and which are refused."""

from __future__ import annotations

import posixpath
import re

_DRIVE = re.compile(r"[A-Za-z]:")


def plain_name(name: str) -> str:
    """The name as it is compared: without a leading `./` or `/`."""
    while name.startswith(("./", "/")):
        name = name.removeprefix("./").lstrip("/")
    return name


def what_is_unsafe(name: str) -> str | None:
    """Why no program should unpack an entry under this name, or None when it is harmless."""
    if "\0" in name:
        return "holds a NUL character"
    if _DRIVE.match(name):
        return "begins with a drive letter"
    if ".." in re.split(r"[/\\]", name):
        return "leads out of its folder with `..`"
    return None


def link_destination(name: str, target: str) -> str | None:
    """The entry that a symbolic link names, or None when it leads out of the archive."""
    if target.startswith("/"):
        return None
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    return None if joined == ".." or joined.startswith("../") else joined


def shown(name: str) -> str:
    """The name as it may stand in a sentence: printable, and not longer than a line."""
    text = name.encode("unicode_escape", "backslashreplace").decode("ascii")
    return text if len(text) <= 200 else f"{text[:200]}…"
