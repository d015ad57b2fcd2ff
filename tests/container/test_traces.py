"""Traces that a server sends to a collector, here a real one that only keeps them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest
from appengine.v1 import run_service_pb2 as pb
from appengine.v1.run_service_pb2_grpc import RunServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.container.engine_server import REAL, Engine, RunState, started, wait_for

pytestmark = REAL

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SECRET = "a patient's name"


@dataclass(slots=True)
class Collector:
    """Takes traces over HTTP."""

    server: ThreadingHTTPServer
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    received: bytes = b""

    @property
    def url(self) -> str:
        host, port = self.server.server_address[:2]
        return f"http://{host!s}:{port}"

    def take(self, content: bytes) -> None:
        self.received += content
        for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    made = Collector(ThreadingHTTPServer(("127.0.0.1", 0), Taking))
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def traced(
    engine_url: str, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with started(tmp_path_factory.mktemp("traced"), engine_url, settings) as engine:
        yield engine


def test_calls_steps_and_what_the_scheduler_is_asked_for_are_spans(
    traced: Engine, collector: Collector
) -> None:
    run = traced.run("echo hello")
    assert run.state == RunState.RUN_STATE_SUCCEEDED
    expected = {
        "appengine.v1.RunService/CreateRun", "run PENDING", "run FINALIZING", "effect SUBMIT",
        "scheduler submit", "scheduler observe", "effect REMOVE_ATTEMPT", "scheduler delete",
    }  # fmt: skip
    wait_for(lambda: expected <= {span.name for span in collector.spans})
    assert collector.services == {"appengine-server"}
    submitted = [span for span in collector.named("scheduler submit") if _run_of(span) == run.id]
    [effect] = [
        span
        for span in collector.named("effect SUBMIT")
        if span.span_id == submitted[0].parent_span_id
    ]
    assert effect.trace_id == submitted[0].trace_id
    assert not [span for span in collector.spans if "health" in span.name]


def test_a_call_is_a_part_of_its_caller_s_trace_and_tells_no_content(
    traced: Engine, collector: Collector
) -> None:
    parent = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
    with grpc.insecure_channel(traced.server.address) as channel:
        stub = RunServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.GetRun(pb.GetRunRequest(run_id=SECRET), metadata=parent, timeout=10)
    found = wait_for(
        lambda: [
            span
            for span in collector.named("appengine.v1.RunService/GetRun")
            if span.trace_id.hex() == TRACE
        ]
    )
    assert found[0].parent_span_id.hex() == PARENT
    assert found[0].status.code == Status.STATUS_CODE_ERROR
    assert found[0].status.message == "InvalidArgument"
    assert SECRET.encode() not in collector.received


def test_without_a_collector_nothing_of_it_is_imported(traced: Engine, tmp_path: Path) -> None:
    script = (
        "import sys, appengine_server.__main__; "
        "from appengine_server.tracing import open_tracing; "
        "from appengine_server.settings import read_settings\n"
        "with open_tracing(read_settings().tracing) as tracing, tracing.span('x'): pass\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", script], env={}, cwd=tmp_path, check=True)


def _run_of(span: Span) -> str:
    return next(
        (one.value.string_value for one in span.attributes if one.key == "appengine.run"), ""
    )
