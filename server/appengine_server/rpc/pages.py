"""Page tokens: opaque, with every key of the order, and bound to the query that made them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.message import Message

from appengine_server.errors import InvalidArgument

_DEFAULT_SIZE = 100
_LARGEST_SIZE = 1000
_MOST_ENTRIES = 1 << 40
_LONGEST_TOKEN = 40 << 10  # with a path of 4 KiB, each byte of it escaped; longer are not ours


def page_size(asked: int, *, default: int = _DEFAULT_SIZE, largest: int = _LARGEST_SIZE) -> int:
    """The size of a page; 0 means the default, and more than the largest is cut."""
    if asked < 0:
        raise InvalidArgument("page_size is negative: leave it out, or give a positive number.")
    return min(asked or default, largest)


def query_of(request: Message) -> str:
    """What tells one query from another: the request without its page."""
    copy = type(request)()
    copy.CopyFrom(request)
    for field in ("page_token", "page_size"):
        copy.ClearField(field)
    return hashlib.sha256(copy.SerializeToString(deterministic=True)).hexdigest()[:16]


def make_token(query: str, *keys: Any) -> str:
    """A token that begins behind these keys."""
    packed = json.dumps([query, *keys], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode()


def read_token(token: str, query: str) -> list[Any] | None:
    """The keys of a token; None for the first page.

    Raises InvalidArgument for a token of another query, or one that this server did not make.
    """
    if not token:
        return None
    if len(token) > _LONGEST_TOKEN:
        raise _refused()
    try:
        found = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _refused() from error
    if not isinstance(found, list) or not found or found[0] != query:
        raise _refused()
    return found[1:]


def make_time_token(query: str, before: tuple[datetime, UUID] | None) -> str:
    """The token behind a creation time and id; empty on the last page."""
    return make_token(query, before[0].isoformat(), str(before[1])) if before else ""


def read_time_token(token: str, query: str) -> tuple[datetime, UUID] | None:
    """The inverse of `make_time_token`."""
    keys = read_token(token, query)
    if keys is None:
        return None
    try:
        created, run_or_task = keys
        # The database counts in UTC, where a moment of another zone may lie outside all years.
        return datetime.fromisoformat(created).astimezone(UTC), UUID(run_or_task)
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise _refused() from error


def read_number_token(token: str, query: str, *, count: int) -> list[int] | None:
    """The keys of a token that are `count` numbers."""
    keys = read_token(token, query)
    if keys is None:
        return None
    if len(keys) != count or not all(type(key) is int and key >= 0 for key in keys):
        raise _refused()
    return keys


def read_path_token(token: str, query: str) -> tuple[int, str] | None:
    """The keys of a token behind a path: how many came before, and the path."""
    keys = read_token(token, query)
    if keys is None:
        return None
    try:
        count, path = keys
        path.encode()
    except (ValueError, AttributeError) as error:
        raise _refused() from error
    if type(count) is not int or not 0 <= count < _MOST_ENTRIES:
        raise _refused()
    return count, path


def _refused() -> InvalidArgument:
    return InvalidArgument(
        "The page_token is not of this query: begin again without one.", reason="PAGE_TOKEN"
    )
