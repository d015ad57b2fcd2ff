"""What a client sees of everything that a handler can raise, whatever the call's arity."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from appengine.v1 import storage_service_pb2, storage_service_pb2_grpc
from appengine_contract.problems import Problem
from appengine_server.errors import (
    AppEngineError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    RunStateRefused,
)
from appengine_server.rpc.server import Service
from google.rpc import error_details_pb2 as details_pb2
from google.rpc import status_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from structlog.testing import capture_logs

from tests.streams import begin

SECRET = "postgres://user:secret@host/db"


def raising(error: BaseException) -> Any:
    async def act(context: Any) -> None:
        raise error

    return act


def rich(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    raise AssertionError("there is no rich status")


def detail(status: status_pb2.Status, kind: Any) -> Any:
    [found] = [packed for packed in status.details if packed.Is(kind.DESCRIPTOR)]
    message = kind()
    found.Unpack(message)
    return message


async def test_a_refusal_has_its_status_reason_and_fields(caller, probe, arity: str) -> None:
    probe.act = raising(RunStateRefused("it was started", fields={"run_id": "r1"}))
    error = await caller.refused(arity)
    assert (error.code(), error.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "it was started",
    )
    info = detail(rich(error), details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == ("RUN_STATE", "appengine.cytomine.org")
    assert info.metadata == {"run_id": "r1"}
    assert rich(error).code == grpc.StatusCode.FAILED_PRECONDITION.value[0]


async def test_a_bug_shows_only_an_incident_id(caller, probe, arity: str) -> None:
    probe.act = raising(ValueError(SECRET))
    with capture_logs() as logs:
        error = await caller.refused(arity)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in repr(error)
    [line] = [line for line in logs if line["event"] == "rpc.failed"]
    assert line["incident"] in (error.details() or "")
    assert line["method"].endswith(arity)
    assert SECRET in str(line["exc_info"])


async def test_a_refusal_in_a_task_group_is_unwrapped(caller, probe, arity: str) -> None:
    async def act(context: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(raising(NotFound("no such run"))(context))
            group.create_task(asyncio.sleep(60))

    probe.act = act
    error = await caller.refused(arity)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such run")


async def test_a_bug_beside_a_refusal_in_a_task_group_is_a_bug(caller, probe) -> None:
    group = ExceptionGroup("", [NotFound("no"), ExceptionGroup("", [ValueError(SECRET)])])
    probe.act = raising(group)
    error = await caller.refused("unary_unary")
    assert error.code() is grpc.StatusCode.INTERNAL


async def test_a_handlers_own_abort_is_left_alone(caller, probe, arity: str) -> None:
    async def act(context: Any) -> None:
        await context.abort(grpc.StatusCode.DATA_LOSS, "already answered")

    probe.act = act
    with capture_logs() as logs:
        error = await caller.refused(arity)
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "already answered")
    assert [line["status"] for line in logs if line["event"] == "rpc.ended"] == ["DATA_LOSS"]
    assert not [line for line in logs if line["event"] == "rpc.failed"]


async def test_not_implemented_error_of_our_own_is_a_bug(caller, probe, arity: str) -> None:
    probe.act = raising(NotImplementedError("deep inside"))
    assert (await caller.refused(arity)).code() is grpc.StatusCode.INTERNAL


async def test_the_messages_before_an_error_arrive(caller, probe) -> None:
    probe.act = raising(NotFound("gone meanwhile"))
    call = caller.start("unary_stream")
    assert await call.read() == b"first"
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()
    assert await call.code() is grpc.StatusCode.NOT_FOUND


async def test_a_caller_that_leaves_runs_the_handlers_finally(caller, probe, arity: str) -> None:
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def act(context: Any) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.set()

    probe.act = act
    with capture_logs() as logs:
        call = caller.start(arity)
        await asyncio.wait_for(begun.wait(), 5)
        call.cancel()
        await asyncio.wait_for(cleaned.wait(), 5)
        await asyncio.sleep(0.05)
    assert [line["status"] for line in logs] == ["CANCELLED"]


async def test_a_caller_that_stops_reading_and_leaves_ends_the_generator(
    serve, as_service, probe
) -> None:
    cleaned = asyncio.Event()

    async def flood(request: bytes, context: Any) -> Any:
        try:
            while True:
                yield bytes(1024 * 1024)
        finally:
            cleaned.set()

    probe.unary_stream = flood
    async with serve(as_service(probe)) as caller:
        call = caller.start("unary_stream")
        await call.read()
        await asyncio.sleep(0.2)  # the flood stands against the flow control now
        assert not cleaned.is_set()
        call.cancel()
        await asyncio.wait_for(cleaned.wait(), 5)


async def test_an_answer_to_a_caller_that_has_left_is_no_bug(caller, probe) -> None:
    begun = asyncio.Event()

    async def act(context: Any) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await context.write(b"too late")

    probe.act = act
    with capture_logs() as logs:
        call = caller.start("unary_stream")
        await asyncio.wait_for(begun.wait(), 5)
        call.cancel()
        while not logs:
            await asyncio.sleep(0.01)
    assert [(line["event"], line["status"]) for line in logs] == [("rpc.ended", "CANCELLED")]


async def test_a_connection_that_was_just_lost_is_no_bug_either(
    caller, probe, arity: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()

    async def act(context: Any) -> None:
        begun.set()
        raise grpc.aio.InternalError  # as writing does before grpc knows that nobody is there

    probe.act = act
    with capture_logs() as logs:
        call = caller.start(arity)
        await asyncio.wait_for(begun.wait(), 5)
        while not logs:
            await asyncio.sleep(0.01)
        call.cancel()
    assert [(line["event"], line["status"]) for line in logs] == [("rpc.ended", "CANCELLED")]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


class TestUnimplemented:
    """A method that a servicer leaves to its generated base."""

    @pytest.fixture
    async def stub(self, serve) -> Any:
        services = [
            Service(
                full_name="appengine.v1.StorageService",
                add=storage_service_pb2_grpc.add_StorageServiceServicer_to_server,
                servicer=storage_service_pb2_grpc.StorageServiceServicer(),
            ),
            Service(
                full_name="appengine.test.v1.Reflection",
                add=_add_reflection_base,
                servicer=reflection_pb2_grpc.ServerReflectionServicer(),
            ),
        ]
        async with serve(*services) as caller:
            yield caller.channel

    async def test_of_every_arity(self, stub, arity: str) -> None:
        pb = storage_service_pb2
        name, message = {
            "unary_unary": ("appengine.v1.StorageService/GetCapabilities", pb.UploadRequest()),
            "unary_stream": ("appengine.v1.StorageService/Download", pb.DownloadRequest()),
            "stream_unary": ("appengine.v1.StorageService/Upload", pb.UploadRequest()),
            "stream_stream": (
                "appengine.test.v1.Reflection/Talk",
                reflection_pb2.ServerReflectionRequest(),
            ),
        }[arity]
        call = begin(stub, f"/{name}", arity, [message.SerializeToString()])
        with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as refused:
            await _read_all(call)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "does not offer" in (refused.value.details() or "")
        info = detail(rich(refused.value), details_pb2.ErrorInfo)
        assert info.reason == "UNIMPLEMENTED"
        assert [line["status"] for line in logs] == ["UNIMPLEMENTED"]

    async def test_of_an_unknown_name(self, stub) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.unary_unary("/appengine.v1.StorageService/Nothing")(b"")
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def _read_all(call: Any) -> None:
    if hasattr(call, "__aiter__"):
        async for _ in call:
            pass
    else:
        await call


def _add_reflection_base(servicer: Any, server: grpc.aio.Server) -> None:
    handler = grpc.stream_stream_rpc_method_handler(servicer.ServerReflectionInfo)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("appengine.test.v1.Reflection", {"Talk": handler}),)
    )


class TestDetails:
    """The details of refusals, as a client gets them over the wire."""

    async def test_every_problem_of_a_small_refusal(self, caller, probe) -> None:
        problems = [
            Problem(path="inputs.a", reason="NOT_INTEGER", message="found 'x'"),
            Problem(path="inputs.b[3]", reason="TOO_LARGE", message="found 7, at most 5"),
        ]
        probe.act = raising(InvalidArgument("two values are wrong", problems=problems))
        status = rich(await caller.refused("unary_unary"))
        request = detail(status, details_pb2.BadRequest)
        assert [
            (violation.field, violation.reason, violation.description)
            for violation in request.field_violations
        ] == [(problem.path, problem.reason, problem.message) for problem in problems]
        assert not detail(status, details_pb2.ErrorInfo).metadata

    async def test_what_the_state_lacks(self, caller, probe) -> None:
        problem = Problem(path="inputs.a", reason="MISSING", message="give it a value")
        probe.act = raising(
            FailedPrecondition("an input is missing", reason="INPUTS", problems=[problem])
        )
        status = rich(await caller.refused("unary_unary"))
        [violation] = detail(status, details_pb2.PreconditionFailure).violations
        assert (violation.type, violation.subject, violation.description) == (
            "MISSING",
            "inputs.a",
            "give it a value",
        )
        assert detail(status, details_pb2.ErrorInfo).reason == "INPUTS"

    async def test_when_to_try_again(self, caller, probe) -> None:
        probe.act = raising(ResourceExhausted("full", retry_after=timedelta(seconds=1.5)))
        status = rich(await caller.refused("unary_unary"))
        retry = detail(status, details_pb2.RetryInfo)
        assert retry.retry_delay.ToTimedelta() == timedelta(seconds=1.5)

    async def test_no_retry_info_where_trying_again_does_not_help(self, caller, probe) -> None:
        probe.act = raising(ResourceExhausted("full"))
        status = rich(await caller.refused("unary_unary"))
        assert [packed.TypeName() for packed in status.details] == ["google.rpc.ErrorInfo"]

    @pytest.mark.parametrize("text", ["found 'x', expected an integer", "ü" * 5000, "€%" * 300])
    async def test_of_500_problems_as_many_as_fit_and_the_count_of_the_rest(
        self, caller, probe, text: str
    ) -> None:
        problems = [
            Problem(path=f"inputs.values[{n}]", reason="NOT_INTEGER", message=text)
            for n in range(500)
        ]
        for kind in (InvalidArgument, FailedPrecondition):
            probe.act = raising(kind(f"500 problems: {text}", problems=problems))
            for _ in range(20):  # trailers that are too large fail now and then only
                error = await caller.refused("unary_unary")
                assert error.code() is kind.status
                _check_bounds(error, problems=500)

    async def test_hostile_sizes_stay_within_the_limits(self, caller, probe) -> None:
        refusal = InvalidArgument(
            "\n%é\ud800" * 4000,
            problems=[Problem(path="p" * 9999, reason="R" * 9999, message="€" * 9999)] * 50,
        )
        refusal.fields = {f"field{n}": "ß" * 400 for n in range(99)}
        probe.act = raising(refusal)
        error = await caller.refused("unary_unary")
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        _check_bounds(error, problems=50)


def _check_bounds(error: grpc.aio.AioRpcError, *, problems: int) -> None:
    status = rich(error)
    assert status.ByteSize() <= 4608
    assert len((error.details() or "").encode()) <= 1024
    info = detail(status, details_pb2.ErrorInfo)
    kinds = {packed.TypeName(): packed for packed in status.details}
    if "google.rpc.BadRequest" in kinds:
        sent = len(detail(status, details_pb2.BadRequest).field_violations)
    else:
        sent = len(detail(status, details_pb2.PreconditionFailure).violations)
    assert sent >= 3
    assert int(info.metadata["more_problems"]) == problems - sent


def _leaf_classes(kind: type[AppEngineError]) -> list[type[AppEngineError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaf_classes(child))]


@pytest.mark.rule("report.distinct")
@pytest.mark.parametrize("kind", _leaf_classes(AppEngineError)[1:], ids=lambda kind: kind.__name__)
async def test_every_refusal_arrives(caller, probe, kind: type[AppEngineError]) -> None:
    refusal = kind.__new__(kind)
    AppEngineError.__init__(refusal, "a sentence", fields={"a": "b"})
    refusal.reason = getattr(refusal, "reason", "SOME_REASON")
    refusal.problems = ()  # type: ignore[attr-defined]
    refusal.retry_after = None  # type: ignore[attr-defined]
    probe.act = raising(refusal)
    error = await caller.refused("unary_unary")
    assert error.code() is kind.status
    assert detail(rich(error), details_pb2.ErrorInfo).reason == refusal.reason
    call_status = rpc_status.to_status(rich(error))
    assert call_status.code is kind.status
