"""What log lines look like, and what never stands in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from appengine_server.logging_setup import configure_logging


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_are_json_with_time_level_and_bound_fields() -> None:
    stream = io.StringIO()
    configure_logging("info", stream=stream)
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.get_logger("appengine_server.x").info("run.started", attempt=2)
    [line] = lines_of(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "run.started",
        "attempt": 2,
        "level": "info",
        "logger": "appengine_server.x",
        "request_id": "r-1",
    }


def test_lines_of_libraries_look_the_same() -> None:
    stream = io.StringIO()
    configure_logging("debug", stream=stream)
    logging.getLogger("aiohttp.client").warning("lost %s", "it")
    logging.getLogger("asyncio").debug("chatter")
    [line] = lines_of(stream)
    assert (line["event"], line["level"], line["logger"]) == (
        "lost it",
        "warning",
        "aiohttp.client",
    )


def test_the_level_is_kept() -> None:
    stream = io.StringIO()
    configure_logging("warning", stream=stream)
    structlog.get_logger().info("no")
    logging.getLogger("grpc").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines_of(stream)] == ["yes"]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_a_traceback_has_no_locals_and_bytes_only_a_length(stream: io.StringIO) -> None:
    configure_logging("info", stream=stream)
    secret = "hunter" + "2" * 3
    try:
        raise ValueError(len(secret))
    except ValueError:
        structlog.get_logger().exception("failed", chunk=secret.encode())
    text = stream.getvalue()
    assert "ValueError: 9" in text
    assert "<9 bytes>" in text
    assert "hunter222" not in text
