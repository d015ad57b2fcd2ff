"""Builds the messages that clients get from the engine's own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from appengine.v1 import problem_pb2, run_pb2, task_pb2
from appengine_contract.problems import Problem
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from appengine_server.database.records import (
    AttemptRecord,
    EventRecord,
    Json,
    RunRecord,
)
from appengine_server.problems_json import problem_of
from appengine_server.rpc.build_parameters import parameter
from appengine_server.rpc.status import clip
from appengine_server.tasks.tasks import Task

_MOST_PROBLEM_BYTES = 2 << 20
"""Well below the 4 MiB of a message. Who sends 50,000 wrong values is not told of each."""

_LONGEST_PROBLEM_TEXT_BYTES = 8 << 10

_ITEM_BYTES = 6  # tag and length of a repeated message


def timestamp(moment: datetime) -> Timestamp:
    """A moment."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def problem(found: Problem) -> problem_pb2.Problem:
    """A problem. It may quote names and values of any length."""
    return problem_pb2.Problem(
        path=clip(found.path, _LONGEST_PROBLEM_TEXT_BYTES),
        reason=found.reason,
        message=clip(found.message, _LONGEST_PROBLEM_TEXT_BYTES),
        line=found.line or 0,
    )


def problems(found: Iterable[Problem]) -> list[problem_pb2.Problem]:
    """Several problems: as many as a message holds, and one more that counts the rest."""
    answered: list[problem_pb2.Problem] = []
    left_bytes, left_out = _MOST_PROBLEM_BYTES, 0
    for one in found:
        message = problem(one)
        left_bytes -= message.ByteSize() + _ITEM_BYTES
        if left_bytes > 0:
            answered.append(message)
        else:
            left_out += 1
    if left_out:
        text = f"and {left_out} more, which no answer could hold"
        answered.append(problem_pb2.Problem(reason="MORE_PROBLEMS", message=text))
    return answered


def task(found: Task) -> task_pb2.Task:
    """A task with its parameters."""
    record, descriptor = found.record, found.descriptor
    message = task_pb2.Task(
        id=str(record.id),
        project=record.project,
        namespace=record.namespace,
        version=record.version,
        name=descriptor.name,
        name_short=descriptor.name_short,
        description=descriptor.description,
        authors=[
            task_pb2.Author(
                first_name=author.first_name,
                last_name=author.last_name,
                organization=author.organization,
                email=author.email,
                is_contact=author.is_contact,
            )
            for author in descriptor.authors
        ],
        owner=record.owner,
        state=task_pb2.TaskState.Value(f"TASK_STATE_{record.state}"),
        publish_progress=task_pb2.PublishProgress(
            done_bytes=record.done_bytes, total_bytes=record.total_bytes
        ),
        resources=task_pb2.TaskResources(
            cpus=record.cpus,
            ram_bytes=record.ram_bytes,
            gpus=record.gpus,
            internet=descriptor.resources.internet,
        ),
        inputs=[parameter(one) for one in descriptor.inputs],
        outputs=[parameter(one) for one in descriptor.outputs],
        warnings=[_stored_problem(warning) for warning in record.warnings],
        image=record.image or "",
        create_time=timestamp(record.created_at),
        update_time=timestamp(record.updated_at),
        revision=record.revision,
        has_logo=record.has_logo,
        external=task_pb2.ExternalLinks(
            source_code=descriptor.source_code or "", dois=descriptor.dois
        ),
    )
    if record.failure is not None:
        message.failure.CopyFrom(_stored_problem(record.failure))
    return message


def run(found: RunRecord) -> run_pb2.Run:
    """A run with its attempts."""
    message = run_pb2.Run(
        id=str(found.id),
        project=found.project,
        owner=found.owner,
        task_id=str(found.task_id),
        task_namespace=found.task_namespace,
        task_version=found.task_version,
        state=run_state(found.state),
        labels=found.labels,
        pending_reasons=_pending_reasons(found.pending_reasons),
        warnings=[_stored_problem(warning) for warning in found.warnings],
        attempts=[_attempt(found, one) for one in found.attempts],
        retry_of=str(found.retry_of) if found.retry_of else "",
        revision=found.revision,
        create_time=timestamp(found.created_at),
        update_time=timestamp(found.updated_at),
        start_time=_timestamp_or_none(found.started_at),
        end_time=_timestamp_or_none(found.ended_at),
        missing_inputs=found.missing_inputs,
    )
    if found.failure is not None:
        message.failure.CopyFrom(_failure(found.failure))
    return message


def event(found: EventRecord) -> run_pb2.RunEvent:
    """One change of a run."""
    return run_pb2.RunEvent(
        run_id=str(found.run_id),
        revision=found.revision,
        state=run_state(found.state),
        attempt=found.attempt,
        reason=_reason(found.reason),
        message=found.message or "",
        pending_reasons=_pending_reasons(found.pending_reasons),
        time=timestamp(found.at),
    )


def run_state(state: str) -> run_pb2.RunState.ValueType:
    """A state of a run."""
    return run_pb2.RunState.Value(f"RUN_STATE_{state}")


def _attempt(run_found: RunRecord, found: AttemptRecord) -> run_pb2.Attempt:
    message = run_pb2.Attempt(
        number=found.number,
        exit_code=found.exit_code,
        phases=[_phase(phase) for phase in found.phases],
        peak_memory_bytes=found.peak_memory_bytes or 0,
        log_bytes=found.log_bytes,
        scheduler_name=f"appengine-{run_found.id.hex}-{found.number}",
    )
    if found.failure is not None:
        message.failure.CopyFrom(_failure(found.failure))
    if found.cpu_seconds is not None:
        message.cpu_time.CopyFrom(Duration(nanos=0, seconds=int(found.cpu_seconds)))
        message.cpu_time.nanos = int(found.cpu_seconds % 1 * 1e9)
    return message


def _failure(found: Json) -> run_pb2.Failure:
    return run_pb2.Failure(
        reason=_reason(found["reason"]),
        message=found["message"],
        exit_code=found.get("exit_code"),
        problems=[_stored_problem(one) for one in found.get("problems", ())],
        details=found.get("details", ()),
    )


def _phase(found: Json) -> run_pb2.Phase:
    end = found["end"]
    return run_pb2.Phase(
        name=found["name"],
        start_time=timestamp(datetime.fromisoformat(found["start"])),
        end_time=timestamp(datetime.fromisoformat(end)) if end else None,
        bytes=found["bytes"],
    )


def _pending_reasons(found: Sequence[Json]) -> list[run_pb2.PendingReason]:
    return [
        run_pb2.PendingReason(
            kind=run_pb2.PendingKind.Value(f"PENDING_KIND_{one['kind']}"),
            message=one["message"],
            since=timestamp(datetime.fromisoformat(one["since"])),
        )
        for one in found
    ]


def _stored_problem(found: Mapping[str, Any]) -> problem_pb2.Problem:
    return problem(problem_of(found))


def _reason(found: str | None) -> run_pb2.FailureReason.ValueType:
    if (
        not found
        or f"FAILURE_REASON_{found}" not in run_pb2.FailureReason.DESCRIPTOR.values_by_name
    ):
        return run_pb2.FAILURE_REASON_UNSPECIFIED
    return run_pb2.FailureReason.Value(f"FAILURE_REASON_{found}")


def _timestamp_or_none(moment: datetime | None) -> Timestamp | None:
    return timestamp(moment) if moment is not None else None
