"""Problems as the database keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appengine_contract.problems import Problem


def problem_json(problem: Problem) -> dict[str, Any]:
    """A problem as JSON."""
    return {
        "path": storable(problem.path),
        "reason": problem.reason,
        "message": storable(problem.message),
        "line": problem.line,
    }


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL, and halves of surrogate pairs.

    Both come with names of files, which a problem quotes.
    """
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def problem_of(found: Mapping[str, Any]) -> Problem:
    """The inverse of `problem_json`."""
    return Problem(**found)
