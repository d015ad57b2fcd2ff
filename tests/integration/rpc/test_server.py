"""Where the server listens, what it offers, and how it stops."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from appengine_server.rpc.interceptors.identity import OpenAuthenticator
from appengine_server.rpc.server import (
    CannotBind,
    Stop,
    TlsFiles,
    UnsafeBind,
    build_server,
    check_bind_is_safe,
    running_server,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def built(address: str = "127.0.0.1:0", tls: TlsFiles | None = None) -> Any:
    return await build_server(
        services=[], authenticator=OpenAuthenticator(), address=address, tls=tls
    )


class TestListening:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1:8080", "127.1.2.3:0", "[::1]:8080", "localhost:1", "unix:/run/x.sock"],
    )
    def test_loopback_may_be_open(self, address: str) -> None:
        check_bind_is_safe(address, tls=False, tokens=False, allow_insecure=False)

    @pytest.mark.parametrize(
        "address",
        ["0.0.0.0:8080", "[::]:8080", ":8080", "10.0.0.1:1", "host:1", "[::ffff:10.0.0.1]:1", ""],
    )
    @pytest.mark.parametrize(
        ("tls", "tokens", "missing"),
        [
            (False, False, "no TLS and no tokens"),
            (True, False, "no tokens"),
            (False, True, "no TLS"),
        ],
    )
    def test_any_other_address_needs_tls_and_tokens(
        self, address: str, tls: bool, tokens: bool, missing: str
    ) -> None:
        with pytest.raises(UnsafeBind) as refused:
            check_bind_is_safe(address, tls=tls, tokens=tokens, allow_insecure=False)
        assert missing in str(refused.value)
        assert "ALLOW_INSECURE=true" in str(refused.value)
        check_bind_is_safe(address, tls=True, tokens=True, allow_insecure=False)

    def test_an_insecure_address_is_allowed_by_the_setting_and_logged(self) -> None:
        with capture_logs() as logs:
            check_bind_is_safe("0.0.0.0:1", tls=True, tokens=False, allow_insecure=True)
        assert [(line["event"], line["missing"]) for line in logs] == [("rpc.insecure", ["tokens"])]

    async def test_a_port_in_use_is_one_sentence(self) -> None:
        first = await built()
        with pytest.raises(CannotBind, match=f"cannot listen on 127.0.0.1:{first.port}: another"):
            await built(f"127.0.0.1:{first.port}")
        await first.drain(Stop(grace=timedelta(0)))

    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        address = f"unix:{tmp_path / 'engine.sock'}"
        async with (
            running_server(await built(address), Stop(grace=timedelta(0))),
            grpc.aio.insecure_channel(address) as channel,
        ):
            stub = health_pb2_grpc.HealthStub(channel)
            assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING

    async def test_tls(self, serve, as_service, probe, tls_files, certificate_authority) -> None:
        root = certificate_authority.cert_pem.bytes()
        credentials = grpc.ssl_channel_credentials(root)
        async with serve(as_service(probe), tls=tls_files, credentials=credentials) as caller:
            assert (await caller.call("unary_unary"))[0] == [b"answer"]
        stranger = grpc.ssl_channel_credentials(trustme.CA().cert_pem.bytes())
        async with serve(as_service(probe), tls=tls_files, credentials=stranger) as caller:
            error = await caller.refused("unary_unary")
            assert error.code() is grpc.StatusCode.UNAVAILABLE

    @pytest.mark.parametrize("breakage", ["absent", "not PEM", "another's key"])
    async def test_unusable_tls_files_are_one_sentence(
        self, tls_files: TlsFiles, tmp_path: Path, breakage: str
    ) -> None:
        key = tmp_path / "key.pem"
        if breakage == "not PEM":
            key.write_text("nonsense")
        elif breakage == "another's key":
            trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(key)
        with pytest.raises(CannotBind, match=r"cannot be used: .*belong together"):
            await built(tls=TlsFiles(certificate=tls_files.certificate, key=key))


class TestOffering:
    async def test_reflection_lists_exactly_what_is_registered(self, caller) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        [answer] = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
        assert {service.name for service in answer.list_services_response.service} == {
            "appengine.test.v1.Probe",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        }

    @pytest.mark.parametrize(
        ("symbol", "found"),
        [
            ("grpc.health.v1.Health", True),
            ("grpc.health.v1.Health.Check", True),
            ("grpc.health.v1.HealthCheckRequest", True),
            ("grpc.health.v1.Health.Cheque", False),
            ("no.such.Service.Check", False),
            ("", False),
        ],
    )
    async def test_reflection_finds_methods_too(self, caller, symbol: str, found: bool) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(caller.channel)
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        [answer] = [answer async for answer in stub.ServerReflectionInfo(iter([request]))]
        assert answer.HasField("file_descriptor_response") == found
        assert answer.HasField("error_response") != found

    @pytest.mark.parametrize("service", ["", "appengine.test.v1.Probe"])
    async def test_health_knows_every_service(self, caller, service: str) -> None:
        stub = health_pb2_grpc.HealthStub(caller.channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == SERVING

    async def test_health_of_an_unknown_service_is_not_found(self, caller) -> None:
        stub = health_pb2_grpc.HealthStub(caller.channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_a_message_over_4_mib_is_refused(self, caller, probe) -> None:
        stub = caller.channel.unary_unary("/appengine.test.v1.Probe/unary_unary")
        assert await stub(bytes(4 * 1024 * 1024)) == b"answer"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub(bytes(4 * 1024 * 1024 + 1))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


class TestStopping:
    async def test_calls_end_in_the_grace_and_a_watch_of_health_sees_it(
        self, serve, as_service, probe
    ) -> None:
        begun = asyncio.Event()

        async def act(context: Any) -> None:
            begun.set()
            await asyncio.sleep(0.3)

        probe.act = act
        async with serve(as_service(probe), stop=Stop()) as caller:
            watch = health_pb2_grpc.HealthStub(caller.channel).Watch(
                health_pb2.HealthCheckRequest()
            )
            assert (await watch.read()).status == SERVING
            call = asyncio.create_task(caller.call("unary_unary"))
            await begun.wait()
            started = time.monotonic()
            await caller.server.drain(Stop(grace=timedelta(seconds=10)))
            assert time.monotonic() - started < 3
            assert (await call)[0] == [b"answer"]
            assert (await watch.read()).status == NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await watch.read()
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE

    async def test_endless_calls_end_at_once_with_unavailable(
        self, serve, as_service, probe, arity: str
    ) -> None:
        begun, cleaned = asyncio.Event(), asyncio.Event()

        async def act(context: Any) -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                cleaned.set()

        probe.act = act
        service = as_service(probe, endless=frozenset({arity}))
        async with serve(service) as caller:
            call = asyncio.create_task(caller.refused(arity))
            await begun.wait()
            started = time.monotonic()
            with capture_logs() as logs:
                await caller.server.drain(Stop(grace=timedelta(seconds=10)))
            assert time.monotonic() - started < 3
            assert cleaned.is_set()
            error = await call
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert "the server is stopping" in (error.details() or "")
            assert [line["status"] for line in logs] == ["UNAVAILABLE"]

    async def test_what_is_stuck_is_named_and_ended(self, serve, as_service, probe) -> None:
        begun = asyncio.Event()

        async def act(context: Any) -> None:
            begun.set()
            await asyncio.sleep(60)

        probe.act = act
        async with serve(as_service(probe)) as caller:
            call = asyncio.create_task(caller.refused("stream_unary"))
            await begun.wait()
            with capture_logs() as logs:
                await caller.server.drain(Stop(grace=timedelta(seconds=0.2)))
            assert (await call).code() is grpc.StatusCode.UNAVAILABLE
            [line] = [line for line in logs if line["event"] == "rpc.stuck"]
            [stuck] = line["calls"]
            assert stuck.startswith("/appengine.test.v1.Probe/stream_unary of ipv4:127.0.0.1")

    async def test_a_load_balancer_is_given_time_to_notice(self, serve, as_service, probe) -> None:
        async with serve(as_service(probe)) as caller:
            wait = Stop(grace=timedelta(0), endpoint_wait=timedelta(seconds=0.5))
            drained = asyncio.create_task(caller.server.drain(wait))
            await asyncio.sleep(0.1)
            stub = health_pb2_grpc.HealthStub(caller.channel)
            for service in ("", "appengine.test.v1.Probe"):
                answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
                assert answer.status == NOT_SERVING
            assert (await caller.call("unary_unary"))[0] == [b"answer"]
            await drained
            assert (await caller.refused("unary_unary")).code() is grpc.StatusCode.UNAVAILABLE
