"""Watches and logs outlive their connections; reports suit files and pipes."""

from __future__ import annotations

import asyncio

import pytest
from appengine.v1 import run_pb2, run_service_pb2, value_pb2
from appengine_client import Progress, errors
from appengine_client._api.following import following, merged
from appengine_client._api.pages import joined
from appengine_client.cli.errors import ExitCode, show_error
from appengine_client.cli.following import show_end, show_where_to_look
from appengine_client.cli.reporting import PlainReporter


def cut() -> errors.Unavailable:
    return errors.Unavailable("cut", errors.Details(status="UNAVAILABLE"))


def streams(*lengths_and_ends):
    """Streams that go on behind the last number, each with so many numbers and an end."""
    left = list(lengths_and_ends)
    seen = 0

    async def open_stream():
        nonlocal seen
        length, end = left.pop(0)
        for _ in range(length):
            seen += 1
            yield seen
        if end is not None:
            raise end

    return open_stream, left


async def test_a_watch_goes_on_after_cuts(patience):
    open_stream, left = streams((2, cut()), (0, cut()), (1, cut()), (2, None))
    assert [item async for item in following(open_stream, patience)] == [1, 2, 3, 4, 5]
    assert left == []


async def test_a_refusal_ends_a_watch(patience):
    gone = errors.NotFound("gone", errors.Details(status="NOT_FOUND"))
    open_stream, _ = streams((1, gone), (1, None))
    with pytest.raises(errors.NotFound):
        assert [item async for item in following(open_stream, patience)]


async def test_a_watch_gives_up_on_a_server_that_stays_away(patience):
    open_stream, left = streams(*((0, cut()) for _ in range(10_000)))
    with pytest.raises(errors.Unavailable):
        assert [item async for item in following(open_stream, patience)]
    assert left


def part(name: str, *numbers: int) -> run_service_pb2.ParameterValue:
    items = [value_pb2.Value(integer=number) for number in numbers]
    value = value_pb2.Value(array=value_pb2.ArrayValue(items=items))
    return run_service_pb2.ParameterValue(parameter=name, value=value)


def test_arrays_are_joined_over_pages():
    whole = joined([[part("a", 1), part("b", 2, 3)], [part("b", 4)], [part("b", 5), part("c")]])
    assert [(one.parameter, len(one.value.array.items)) for one in whole] == [
        ("a", 1),
        ("b", 4),
        ("c", 0),
    ]


def test_plain_reports_do_not_repeat_themselves(capsys):
    with PlainReporter() as shown:
        shown.state("run r: QUEUED")
        shown.state("run r: QUEUED")
        for done in (0, 1, 2, 1024):
            shown.transfer(
                "sending", Progress(done_bytes=done, total_bytes=1024, done_files=0, total_files=1)
            )
        shown.line("\x1b[31mred")
    assert capsys.readouterr().err.splitlines() == [
        "run r: QUEUED",
        "sending: 0 B of 1.0 KiB",
        "sending: 1.0 KiB of 1.0 KiB",
        "�[31mred",
    ]


def test_a_failed_run_says_why_and_where_its_log_is(capsys):
    run = run_pb2.Run(
        id="r",
        state=run_pb2.RUN_STATE_FAILED,
        failure=run_pb2.Failure(
            reason=run_pb2.FAILURE_REASON_TASK_EXIT_CODE,
            message="The task ended with exit code 3.",
            details=["The node was lost."],
        ),
        attempts=[run_pb2.Attempt(number=1, log_bytes=5)],
    )
    assert show_end(run, PlainReporter()) is ExitCode.FAILED
    show_where_to_look(run, PlainReporter())
    assert capsys.readouterr().err.splitlines() == [
        "The run r failed (TASK_EXIT_CODE): The task ended with exit code 3.",
        "  afterwards: The node was lost.",
        "Its log: appengine runs logs r",
    ]
    run.state = run_pb2.RUN_STATE_SUCCEEDED
    assert show_end(run, PlainReporter()) is ExitCode.SUCCESS
    show_where_to_look(run, PlainReporter())
    assert capsys.readouterr().err.splitlines() == ["run r: SUCCEEDED"]


def test_every_problem_has_its_line(capsys):
    details = errors.Details(
        status="INVALID_ARGUMENT",
        problems=(errors.Problem(path="a[1]", reason="R", message="is wrong"),),
        problem_count=3,
    )
    show_error(errors.InvalidArgument("Values are refused.", details))
    assert capsys.readouterr().err.splitlines() == [
        "Error: Values are refused.",
        "  a[1]: is wrong",
        "  … and 2 more",
    ]


async def numbers(*items, end=None):
    for item in items:
        yield item
    if end is not None:
        raise end


async def test_several_streams_are_one():
    assert sorted([item async for item in merged([numbers(1, 4), numbers(), numbers(2, 3)])]) == [
        1, 2, 3, 4,
    ]  # fmt: skip
    assert [item async for item in merged([])] == []


async def test_the_error_of_one_of_several_streams_ends_all():
    ended = []

    async def endless():
        try:
            while True:
                yield 0
        finally:
            ended.append(True)

    with pytest.raises(errors.Unavailable):
        async for _ in merged([endless(), numbers(1, end=cut())]):
            pass
    streams = merged([endless()])
    assert await anext(streams) == 0
    await streams.aclose()
    await asyncio.sleep(0)
    assert len(ended) == 2
