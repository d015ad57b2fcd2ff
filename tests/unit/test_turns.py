"""Turns at the event loop: one piece of work in each round, and nobody is forgotten."""

from __future__ import annotations

import asyncio

from appengine_server.rpc.turns import Turns


async def test_other_calls_go_on_between_the_work_of_a_crowd():
    turns, seen = Turns(), []

    async def work(number: int) -> None:
        await turns.next()
        seen.append(number)

    async def call() -> None:
        for _ in range(6):
            await asyncio.sleep(0)
            seen.append("step")

    await asyncio.gather(call(), *(work(number) for number in range(20)))
    before = seen[: len(seen) - 1 - seen[::-1].index("step")]
    assert sum(isinstance(one, int) for one in before) <= 6
    assert [one for one in seen if one != "step"] == list(range(20))


async def test_a_turn_is_taken_at_once_where_nobody_works():
    turns = Turns()
    for _ in range(3):
        asked = turns.next()
        try:
            asked.send(None)
        except StopIteration:
            pass
        else:
            raise AssertionError("it waits")
        await asyncio.sleep(0.01)


async def test_the_turn_of_a_cancelled_call_goes_to_the_next():
    turns = Turns()
    _, first, second = (asyncio.create_task(turns.next()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 10)
    assert first.cancelled()
