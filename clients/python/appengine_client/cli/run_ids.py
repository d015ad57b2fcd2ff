"""From what a person writes for a run to its id."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from appengine_client.errors import Details, InvalidValue, NotFound

if TYPE_CHECKING:
    from appengine_client._api.client import Client

_BEGINNING = re.compile(r"[0-9a-f]{8}[0-9a-f-]*")
_RECENT = 1000
"""Runs among which a beginning is looked for."""


async def run_id_of(client: Client, text: str) -> str:
    """The id of a run that is given by its id, or by 8 characters or more that it begins with.

    Raises InvalidValue for anything else and where several runs match, NotFound where none does.
    """
    if _is_whole(text):
        return text
    if not _BEGINNING.fullmatch(text.lower()):
        raise InvalidValue(
            f"{text!r} is no run: give its id, or the first 8 characters of it or more "
            "(appengine runs list shows them)"
        )
    found = [run_id for run_id in await _recent(client) if run_id.startswith(text.lower())]
    if len(found) > 1:
        raise InvalidValue(f"{text} is the beginning of several runs: {', '.join(found)}")
    if not found:
        raise NotFound(
            f"none of the newest {_RECENT} runs begins with {text}: appengine runs list shows them",
            Details(status="NOT_FOUND"),
        )
    return found[0]


async def _recent(client: Client) -> list[str]:
    ids: list[str] = []
    async for run in client.runs.list():
        ids.append(run.id)
        if len(ids) == _RECENT:
            break
    return ids


def _is_whole(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
