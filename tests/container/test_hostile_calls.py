"""Calls that race each other, and calls that nobody in their right mind makes: each is answered."""

from __future__ import annotations

import random
from typing import Any
from uuid import uuid4

import grpc
import pytest
from appengine.v1 import run_service_pb2 as pb
from appengine.v1 import storage_service_pb2 as storage
from appengine.v1 import transfer_pb2

from tests.container.engine_server import REAL, Engine, RunState

pytestmark = REAL

_FAR = 2**63 - 1
_MEANT = {
    grpc.StatusCode.OK,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
}


@pytest.mark.parametrize("started", [False, True])
def test_calls_that_race_for_one_run_have_clear_answers(engine: Engine, started: bool) -> None:
    task = engine.task("true")
    for _ in range(5):
        run = engine.client.runs.create(task.id, {}, start=started)
        calls: list[Any] = [
            call
            for _ in range(5)
            for call in (
                engine.runs.StartRun.future(pb.StartRunRequest(run_id=run.id)),
                engine.runs.CancelRun.future(pb.CancelRunRequest(run_id=run.id)),
                engine.runs.DeleteRun.future(pb.DeleteRunRequest(run_id=run.id)),
                engine.runs.RetryRun.future(pb.RetryRunRequest(run_id=run.id)),
                engine.runs.GetRunInputs.future(pb.GetRunInputsRequest(run_id=run.id)),
            )
        ]
        random.shuffle(calls)
        answered = {call.code() for call in calls}
        assert answered <= _MEANT, answered


def test_starting_twice_at_once_answers_a_started_run(engine: Engine) -> None:
    run = engine.client.runs.create(engine.task("true").id, {})
    starts = [engine.runs.StartRun.future(pb.StartRunRequest(run_id=run.id)) for _ in range(20)]
    unstarted = {RunState.RUN_STATE_CREATED, RunState.RUN_STATE_PROVISIONED}
    assert not unstarted & {start.result().run.state for start in starts}
    assert len(engine.client.runs.wait(run.id).attempts) == 1


def test_cursors_and_tokens_that_nobody_was_given_are_refused(engine: Engine) -> None:
    run = engine.run("echo hello")
    with pytest.raises(grpc.RpcError) as far:
        list(engine.runs.TailLogs(pb.TailLogsRequest(run_id=run.id, cursor=_FAR)))
    assert far.value.code() is grpc.StatusCode.OUT_OF_RANGE
    for token in ("9" * 5000 + ".1", "\N{ARABIC-INDIC DIGIT THREE}.1", "1", "1.", "1.--1"):
        with pytest.raises(grpc.RpcError) as forged:
            next(engine.runs.WatchRuns(pb.WatchRunsRequest(resume_token=token)))
        assert forged.value.code() is grpc.StatusCode.INVALID_ARGUMENT, token


def test_a_path_with_nul_ends_the_upload_with_a_reason(engine: Engine) -> None:
    start = storage.StartUploadRequest(task_bundle=storage.TaskBundleTarget())
    upload_id = engine.storage.StartUpload(start).upload_id
    entry = transfer_pb2.Entry(path="a\0b", kind=transfer_pb2.ENTRY_KIND_FILE)
    begin = storage.UploadBegin(upload_id=upload_id, writer_id=str(uuid4()))
    messages = [
        storage.UploadRequest(begin=begin),
        storage.UploadRequest(chunk=transfer_pb2.Chunk(entries=[entry])),
    ]
    with pytest.raises(grpc.RpcError) as refused:
        engine.storage.Upload(iter(messages))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    upload = engine.storage.GetUpload(storage.GetUploadRequest(upload_id=upload_id)).upload
    assert upload.state == storage.UPLOAD_STATE_FAILED


@pytest.mark.parametrize("request_bytes", [b"\xff" * 9, b"\x0a\x02\xff\xfe", b"\x0a\x80"])
def test_bytes_that_are_no_request_are_refused(engine: Engine, request_bytes: bytes) -> None:
    with grpc.insecure_channel(engine.server.address) as channel:
        unary: Any = channel.unary_unary("/appengine.v1.RunService/GetRun")
        stream: Any = channel.unary_stream("/appengine.v1.RunService/WatchRun")
        with pytest.raises(grpc.RpcError) as refused:
            unary(request_bytes)
        with pytest.raises(grpc.RpcError) as refused_stream:
            next(stream(request_bytes))
    for error in (refused.value, refused_stream.value):
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "cannot be read" in (error.details() or "")
