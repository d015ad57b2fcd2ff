"""What mypy --strict must refuse, at the lines that end in a mark; never run."""

from __future__ import annotations

from pathlib import Path

from appengine_client import connect, sync
from appengine_client.errors import Nothing  # wrong


async def one() -> None:
    async with connect("127.0.0.1:8080", password="x") as client:  # wrong
        result = await client.run("a:1", image=object())  # wrong
        count: str = result.run.revision  # wrong
        await client.run(5)  # wrong
        print(count, Nothing)


def blocking() -> None:
    with sync.connect() as client:
        client.run("a:1", min_area=20, output_dir="results")  # wrong
        for outcome in client.map("a:1", image=Path().glob("*"), at_once="4"):  # wrong
            print(outcome)
