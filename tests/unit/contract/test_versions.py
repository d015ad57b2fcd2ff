"""The latest of several versions."""

from __future__ import annotations

import random

import pytest
from appengine_contract.versions import latest, precedence

IN_ORDER = [
    "0.9.9", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
    "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.9", "1.0.10",
    "1.2.0", "1.10.0", "2.0.0-x-y", "10.0.0",
]  # fmt: skip


def test_precedence_is_that_of_semantic_versioning() -> None:
    shuffled = random.Random(7).sample(IN_ORDER, len(IN_ORDER))
    assert sorted(shuffled, key=precedence) == IN_ORDER
    assert precedence("1.0.0+a") == precedence("1.0.0+b.2-c")


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([], None),
        (["1.9.0", "1.10.0", "1.2.0"], "1.10.0"),
        (["1.0.0", "2.0.0-rc.1"], "1.0.0"),
        (["2.0.0-rc.1", "2.0.0-rc.2"], "2.0.0-rc.2"),
        (["1.0.0+build-2", "1.0.0+build-1", "0.1.0"], "1.0.0+build-2"),
    ],
)
def test_a_release_comes_before_what_is_not_released(
    versions: list[str], expected: str | None
) -> None:
    assert latest(versions) == expected
