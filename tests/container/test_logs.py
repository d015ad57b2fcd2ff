"""Logs of tasks: live, kept, read from any byte, and never larger than their limit."""

from __future__ import annotations

import pytest
from appengine.v1 import run_service_pb2
from appengine_client.errors import NotFound, OutOfRange

from tests.container.engine_server import REAL, Engine, RunState

pytestmark = REAL

KIB = 1024
LIMIT = 64 * KIB


def test_a_log_arrives_while_the_task_runs(engine: Engine) -> None:
    run = engine.start("echo first; until [ -e /outputs/go ]; do sleep 0.05; done; echo last")
    pieces = engine.client.runs.logs(run.id, follow=True)
    seen = next(pieces)
    assert seen == b"first\n"
    assert engine.client.runs.get(run.id).state == RunState.RUN_STATE_RUNNING
    engine.attempt_outputs(run.id).joinpath("go").touch()
    assert seen + b"".join(pieces) == b"first\nlast\n"
    assert engine.client.runs.wait(run.id).state == RunState.RUN_STATE_SUCCEEDED
    assert engine.log(run) == b"first\nlast\n"


def test_both_streams_and_any_bytes_are_kept(engine: Engine) -> None:
    run = engine.run(r"printf 'a\000b\377\r\n'; echo error >&2; printf 'no line end'")
    log = engine.log(run)
    # The two streams are two pipes: nothing says which of them is read first.
    assert log.replace(b"error\n", b"") == b"a\0b\xff\r\nno line end"
    assert b"error\n" in log
    assert run.attempts[0].log_bytes == len(log)


def test_a_log_can_be_read_from_any_byte(engine: Engine) -> None:
    run = engine.run("for i in $(seq 1000); do echo line $i; done")
    whole = engine.log(run)
    assert whole == b"".join(b"line %d\n" % number for number in range(1, 1001))
    for cursor in (1, 500, len(whole) - 1, len(whole)):
        assert b"".join(engine.client.runs.logs(run.id, cursor=cursor)) == whole[cursor:]
    with pytest.raises(OutOfRange):
        list(engine.client.runs.logs(run.id, cursor=len(whole) + 1))


def test_a_reader_that_was_cut_goes_on_at_its_cursor(engine: Engine) -> None:
    run = engine.start("for i in $(seq 40); do echo line $i; sleep 0.03; done")
    request = run_service_pb2.TailLogsRequest(run_id=run.id, follow=True)
    seen = b""
    while True:
        stream = engine.runs.TailLogs(request)
        piece = next(stream, None)
        stream.cancel()
        if piece is None:
            break
        assert request.cursor + len(piece.data) == piece.next_cursor
        seen += piece.data
        request.cursor, request.attempt = piece.next_cursor, piece.attempt
    assert seen == b"".join(b"line %d\n" % number for number in range(1, 41))


def test_of_a_log_that_is_too_long_the_beginning_and_the_end_are_kept(engine: Engine) -> None:
    run = engine.run("echo begin; yes 0123456789abcde | head -n 20000; echo the error")
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    log = engine.log(run)
    assert log.startswith(b"begin\n0123456789abcde\n")
    assert log.endswith(b"0123456789abcde\nthe error\n")
    assert b" bytes left out " in log
    assert 2 * LIMIT <= len(log) < 2 * LIMIT + 100
    assert run.attempts[0].log_bytes == len(log)


def test_a_run_without_an_attempt_has_no_log(engine: Engine) -> None:
    run = engine.client.runs.create(engine.shell().id, {"script": "true"})
    with pytest.raises(NotFound):
        list(engine.client.runs.logs(run.id))
    with pytest.raises(NotFound):
        list(engine.client.runs.logs(run.id, attempt=1))


def test_a_reader_may_wait_for_the_start(engine: Engine) -> None:
    run = engine.client.runs.create(engine.shell().id, {"script": "echo hello"})
    stream = engine.runs.TailLogs(run_service_pb2.TailLogsRequest(run_id=run.id, follow=True))
    engine.client.runs.start(run.id)
    assert b"".join(piece.data for piece in stream) == b"hello\n"
