"""Page tokens: what another one forged is refused, and never an accident."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from appengine_server.errors import InvalidArgument
from appengine_server.rpc import pages

QUERY = "0123456789abcdef"


def test_tokens_come_back_as_they_were_made() -> None:
    place = (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), uuid4())
    assert pages.read_time_token(pages.make_time_token(QUERY, place), QUERY) == place
    token = pages.make_token(QUERY, 3, 17)
    assert pages.read_number_token(token, QUERY, count=2) == [3, 17]


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [1],
        ["2026-01-02T03:04:05+00:00"],
        ["2026-01-02T03:04:05+00:00", "no id"],
        ["2026-01-02T03:04:05+00:00", str(uuid4()), 3],
        ["0001-01-01T00:00:00+23:59", str(uuid4())],
        ["9999-12-31T23:59:59-23:59", str(uuid4())],
        [[], {}],
    ],
)
def test_a_forged_time_token_is_refused(keys: list[object]) -> None:
    with pytest.raises(InvalidArgument):
        pages.read_time_token(pages.make_token(QUERY, *keys), QUERY)


@pytest.mark.parametrize("keys", [[], [1], [1, 2, 3], [True, 0], [1.5, 2], ["1", 2], [-1, 0]])
def test_a_forged_number_token_is_refused(keys: list[object]) -> None:
    with pytest.raises(InvalidArgument):
        pages.read_number_token(pages.make_token(QUERY, *keys), QUERY, count=2)


@pytest.mark.parametrize(
    "keys", [[], [1], [1, "a", 2], [True, "a"], [-1, "a"], [1 << 50, "a"], [1, 2], [1, "\ud800"]]
)
def test_a_forged_path_token_is_refused(keys: list[object]) -> None:
    with pytest.raises(InvalidArgument):
        pages.read_path_token(pages.make_token(QUERY, *keys), QUERY)


def test_the_longest_path_fits_into_a_token() -> None:
    path = "/".join(["\x01" * 255] * 16)[:4095]
    assert pages.read_path_token(pages.make_token(QUERY, 3, path), QUERY) == (3, path)


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "[" * 100_000, '"' + "x" * 100_000 + '"', "9" * 5000, "{", ""]
)
def test_a_token_that_is_no_list_of_ours_is_refused(text: str) -> None:
    token = base64.urlsafe_b64encode(text.encode()).decode() or "!"
    with pytest.raises(InvalidArgument):
        pages.read_token(token, QUERY)
