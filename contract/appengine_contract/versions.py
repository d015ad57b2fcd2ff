"""Which of several versions of a task is the latest, by the precedence of Semantic Versioning."""

from __future__ import annotations

from collections.abc import Iterable

LATEST = "latest"
"""What stands in the place of a version for the latest one; it is no version itself."""

Precedence = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


def precedence(version: str) -> Precedence:
    """Orders semantic versions; build metadata does not count."""
    core, _, before = version.partition("+")[0].partition("-")
    identifiers = tuple(
        (False, int(part), "") if part.isdigit() else (True, 0, part)
        for part in (before.split(".") if before else ())
    )
    return tuple(map(int, core.split("."))), not before, identifiers


def latest(versions: Iterable[str]) -> str | None:
    """The highest release; the highest pre-release where there is no release.

    Of versions that differ in build metadata alone the first counts. None where there are none.
    """
    known = list(versions)
    releases = [version for version in known if "-" not in version.partition("+")[0]]
    return max(releases or known, key=precedence, default=None)
