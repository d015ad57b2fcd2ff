"""Runs the server's checks on variables that a test gives, and finds what they say."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from appengine_server.checks.catalogue import CHECKS
from appengine_server.checks.check import Result, Surroundings
from appengine_server.checks.running import run_checks
from appengine_server.settings import Room, review_settings


def variables() -> set[str]:
    """Every variable that the settings read."""
    return {
        str(field.alias) for room in Room.__subclasses__() for field in room.model_fields.values()
    }


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[None]:
    """Only these of the server's variables are set."""
    before = dict(os.environ)
    for name in variables():
        os.environ.pop(name, None)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def results_of(
    given: Mapping[str, str], *names: str, is_served: bool = False
) -> dict[str, Result]:
    """What the checks of these names find, of all where none is named."""
    with environment(given):
        reviewed = review_settings()
        surroundings = Surroundings(
            settings=reviewed.settings, wrong=reviewed.wrong, is_served=is_served
        )
        chosen = [check for check in CHECKS if not names or check.name in names]
        results: Sequence[Result] = await run_checks(surroundings, chosen)
    return {result.check.name: result for result in results}


async def sentences_of(given: Mapping[str, str], *names: str, is_served: bool = False) -> list[str]:
    """What is wrong, a sentence each."""
    results = await results_of(given, *names, is_served=is_served)
    return [str(finding) for result in results.values() for finding in result.findings]
