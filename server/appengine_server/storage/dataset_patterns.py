"""Patterns of paths in datasets, such as `/data/set1/*.tiff`: what matches, in natural order."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from appengine_server.storage.datasets import DatasetFolders, ReferenceRefused

MAX_MATCHES = 100_000
"""Most files that one pattern stands for."""
_MAX_SCANNED = 1_000_000
_MAX_PATTERN = 4096
_WILD = re.compile(r"[*?[]")


def match_pattern(folders: DatasetFolders, pattern: str) -> list[str]:
    """The absolute paths that match, files and folders, with numbers in names ordered by value.

    `*`, `?` and `[...]` stand for characters of one name; hidden names match only where the pattern
    writes the dot. Raises ReferenceRefused: REFERENCE_PATTERN, REFERENCE_OUTSIDE, or
    REFERENCE_NOT_FOUND where nothing matches.
    """
    fixed, wild = _parts_of(pattern)
    base = folders.real_folder(fixed)
    found = [base] if base is not None else []
    for position, part in enumerate(wild, start=1):
        found = _step(folders, found, part, is_last=position == len(wild))
    if not found:
        raise ReferenceRefused("REFERENCE_NOT_FOUND", f"No file matches {pattern}.")
    return sorted(found, key=natural_key)


def natural_key(path: str) -> tuple[list[list[tuple[int, str]]], str]:
    """Orders paths as people do: 2 before 10, whatever the case of letters."""
    return [_name_key(name) for name in path.split("/")], path


@lru_cache(maxsize=1024)  # thousands of paths have the same folders
def _name_key(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _parts_of(pattern: str) -> tuple[str, list[str]]:
    """The folder that the pattern begins with, and the parts behind it."""
    parts = pattern.split("/")[1:]
    if not pattern.startswith("/") or "\0" in pattern or len(pattern) > _MAX_PATTERN:
        raise _refused("A pattern is an absolute path of at most 4096 characters.")
    if any(part in ("", ".", "..") for part in parts):
        raise _refused(f"The pattern {pattern} has an empty part, `.` or `..`.")
    if any("**" in part for part in parts):
        raise _refused(f"The pattern {pattern} has `**`: write a `*` for each folder.")
    first = next((index for index, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    return "/" + "/".join(parts[:first]), parts[first:]


def _step(folders: DatasetFolders, inside: Iterable[str], part: str, *, is_last: bool) -> list[str]:
    """What matches one part of the pattern in each of these folders."""
    matches = _matcher(part)
    found: list[str] = []
    left = _MAX_SCANNED
    for folder in inside:
        names = folders.names_in(folder, limit=left)
        left -= len(names)
        for name, may_be_folder in names:
            if not matches(name) or not (is_last or may_be_folder):
                continue
            path = f"{folder.rstrip('/')}/{_checked(name, folder)}"
            reached = path if is_last else folders.real_folder(path)
            if reached is not None:
                found.append(reached)
        if len(found) > MAX_MATCHES:
            raise _refused(f"More than {MAX_MATCHES} files match: write a narrower pattern.")
    return found


def _matcher(part: str) -> Callable[[str], object]:
    if not _WILD.search(part):
        return part.__eq__
    match = re.compile(fnmatch.translate(part)).match
    if part.startswith("."):
        return match
    return lambda name: not name.startswith(".") and match(name)


def _checked(name: str, folder: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        message = f"The name {shown} in {folder} matches, but is not UTF-8."
        raise ReferenceRefused("REFERENCE_NOT_FOUND", message) from None
    return name


def _refused(message: str) -> ReferenceRefused:
    return ReferenceRefused("REFERENCE_PATTERN", message)
