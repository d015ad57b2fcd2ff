"""Who makes a call, as handlers see it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from appengine_server.identity import LOCAL, Principal, TokenFile
from appengine_server.rpc.interceptors.identity import TokenAuthenticator, principal_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

TOKENS = {"anna": "anna-anna-anna-anna", "bert": "bert-bert-bert-bert"}


@pytest.fixture
async def guarded(serve, as_service, probe, tmp_path: Path) -> Any:
    """Calls a server that wants tokens."""
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("".join(f"{token} {name} {name}s\n" for name, token in TOKENS.items()))
    authenticator = TokenAuthenticator(TokenFile(path))
    async with serve(as_service(probe), authenticator=authenticator) as caller:
        yield caller


def bearer(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {TOKENS[name]}"),)


async def test_an_open_server_knows_the_local_principal(caller, probe, arity: str) -> None:
    seen: list[Principal] = []

    async def act(context: Any) -> None:
        seen.append(principal_of(context))

    probe.act = act
    await caller.call(arity)
    assert seen == [LOCAL]


async def test_handlers_see_the_principal_of_the_token(guarded, probe, arity: str) -> None:
    seen: list[Principal] = []

    async def act(context: Any) -> None:
        async with asyncio.TaskGroup() as group:  # tasks of the call see it too
            task = group.create_task(ask(context))
        seen.append(task.result())

    async def ask(context: Any) -> Principal:
        return principal_of(context)

    probe.act = act
    with capture_logs():
        await guarded.call(arity, bearer("anna"))
    assert seen == [Principal("anna", frozenset({"annas"}), "annas")]


async def test_calls_that_overlap_keep_their_own_principals(guarded, probe, arity: str) -> None:
    seen: list[tuple[str, str]] = []
    all_inside = asyncio.Barrier(10)

    async def act(context: Any) -> None:
        before = principal_of(context).name
        await all_inside.wait()
        seen.append((before, principal_of(context).name))

    probe.act = act
    names = ["anna", "bert"] * 5
    await asyncio.gather(*(guarded.call(arity, bearer(name)) for name in names))
    assert sorted(seen) == sorted((name, name) for name in names)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ((), "wants a token"),
        ((("authorization", "Bearer wrong-wrong-wrong"),), "does not know the token"),
        ((("authorization", "Basic YTpi"),), "must be `Bearer"),
        ((("authorization", "Bearer "),), "must be `Bearer"),
        ((*bearer("anna"), *bearer("bert")), "more than one"),
    ],
)
async def test_without_a_valid_token_no_handler_runs(
    guarded, probe, arity: str, metadata: Any, sentence: str
) -> None:
    error = await guarded.refused(arity, metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert sentence in (error.details() or "")
    assert probe.requests == []


async def test_health_needs_no_token_and_reflection_does(guarded) -> None:
    health = health_pb2_grpc.HealthStub(guarded.channel)
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING

    reflection = reflection_pb2_grpc.ServerReflectionStub(guarded.channel)
    assert await reflection.ServerReflectionInfo().code() is grpc.StatusCode.UNAUTHENTICATED
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = reflection.ServerReflectionInfo(iter([request]), metadata=bearer("anna"))
    assert len([answer async for answer in answers]) == 1


async def test_asking_outside_of_a_call_is_a_bug() -> None:
    with pytest.raises(LookupError):
        principal_of(object())  # type: ignore[arg-type]  # any object that is no call's context
