"""Request ids, and the line that each call leaves in the log."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from appengine_server.errors import NotFound
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs


def merging() -> Any:
    return capture_logs(processors=[structlog.contextvars.merge_contextvars])


async def request_id_of(call: Any) -> str:
    return dict(await call.trailing_metadata())["x-request-id"]


async def test_the_callers_request_id_comes_back_and_is_logged(caller, probe, arity: str) -> None:
    async def act(context: Any) -> None:
        structlog.get_logger().info("inside")

    probe.act = act
    with merging() as logs:
        _, call = await caller.call(arity, (("x-request-id", "from-me.1"),))
    assert await request_id_of(call) == "from-me.1"
    assert [(line["event"], line["request_id"]) for line in logs] == [
        ("inside", "from-me.1"),
        ("rpc.ended", "from-me.1"),
    ]


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "a;b"])
async def test_without_a_good_one_an_id_is_made(caller, given: str | None) -> None:
    metadata = (("x-request-id", given),) if given is not None else None
    _, one = await caller.call("unary_unary", metadata)
    _, two = await caller.call("unary_unary", metadata)
    made = {await request_id_of(one), await request_id_of(two)}
    assert len(made) == 2
    assert all(len(request_id) == 32 for request_id in made)


@pytest.mark.parametrize("error", [NotFound("no"), ValueError("bug")])
async def test_refused_calls_have_their_request_id_too(caller, probe, error: Exception) -> None:
    async def act(context: Any) -> None:
        raise error

    probe.act = act
    with merging() as logs:
        refused = await caller.refused("unary_stream", (("x-request-id", "r7"),))
    assert dict(refused.trailing_metadata())["x-request-id"] == "r7"
    assert {line["request_id"] for line in logs} == {"r7"}


async def test_a_line_tells_method_status_duration_and_principal(caller, arity: str) -> None:
    with merging() as logs:
        await caller.call(arity)
    [line] = logs
    assert line.pop("duration_seconds") >= 0
    assert len(line.pop("request_id")) == 32
    assert line == {
        "event": "rpc.ended",
        "log_level": "info",
        "method": f"/appengine.test.v1.Probe/{arity}",
        "status": "OK",
        "principal": "local",
    }


@pytest.mark.parametrize(
    ("error", "status"), [(NotFound("no"), "NOT_FOUND"), (ValueError("bug"), "INTERNAL")]
)
async def test_the_status_of_a_failed_call_is_logged(
    caller, probe, arity: str, error: Exception, status: str
) -> None:
    async def act(context: Any) -> None:
        raise error

    probe.act = act
    with merging() as logs:
        await caller.refused(arity)
    assert [line["status"] for line in logs if line["event"] == "rpc.ended"] == [status]


async def test_payloads_are_not_logged(caller, arity: str) -> None:
    with merging() as logs:
        await caller.call(arity)
    assert "answer" not in str(logs)
    assert "b'request'" not in str(logs)


async def test_health_checks_are_logged_at_debug(caller) -> None:
    with merging() as logs:
        await health_pb2_grpc.HealthStub(caller.channel).Check(health_pb2.HealthCheckRequest())
    assert [(line["log_level"], line["status"]) for line in logs] == [("debug", "OK")]
