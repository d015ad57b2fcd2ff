"""Reads requests into the engine's own values. What is malformed is refused here, all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from appengine.v1 import (
    agent_service_pb2,
    problem_pb2,
    run_pb2,
    run_service_pb2,
    storage_service_pb2,
    task_pb2,
    task_service_pb2,
)
from appengine_contract.layout import item_label
from appengine_contract.problems import ContractError, Problem
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from appengine_server.database.agents import AgentState, AgentWord
from appengine_server.database.records import InputPart, RunState, TaskState, UploadTarget
from appengine_server.database.run_queries import RunQuery
from appengine_server.errors import InvalidArgument
from appengine_server.identity import Principal
from appengine_server.problems_json import problem_json, storable
from appengine_server.rpc.values import value_of
from appengine_server.runs.provisioning import GivenInput, GivenInputs
from appengine_server.runs.runs import RunOrder
from appengine_server.runs.transfers import ResourceName, UploadOrder
from appengine_server.tasks.tasks import Request, TaskName

_MOST_LABELS = 64
_LONGEST_LABEL = 255
_LONGEST_NAME = 512
_LONGEST_PATH = 4096
_LONGEST_SENTENCE = 2000
_MOST_NAMES = 100
_A_UUID = "0d4c4fd3-4a3c-4b43-9b0e-6d2b7a0d7d11"


def uuid(text: str, field: str) -> UUID:
    """A UUID. Raises InvalidArgument that names the field."""
    try:
        return UUID(text)
    except ValueError:
        message = f"{field} must be a UUID such as {_A_UUID}; found {text[:80]!r}."
        raise _refused(field, "FIELD_FORMAT", message) from None


def request(message: Message, request_id: str) -> Request:
    """What tells this request from others; the same request is the same, whatever its id."""
    if not request_id:
        return Request(id=None, hash=None)
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField("request_id")
    digest = hashlib.sha256(copy.SerializeToString(deterministic=True)).digest()
    return Request(id=uuid(request_id, "request_id"), hash=digest)


def task_name(message: task_service_pb2.TaskName) -> TaskName:
    """The name of a task. Raises InvalidArgument where it names none."""
    if not message.id and not (message.namespace and message.version):
        words = "Name the task by its id, or by namespace and version."
        raise _refused("task", "FIELD_MISSING", words)
    for field in ("namespace", "version"):
        text(getattr(message, field), f"task.{field}")
    return TaskName(
        id=uuid(message.id, "task.id") if message.id else None,
        project=message.project,
        namespace=message.namespace,
        version=message.version,
    )


def run_order(message: run_service_pb2.CreateRunRequest) -> RunOrder:
    """What is to be run."""
    return RunOrder(
        project=message.project,
        task=task_name(message.task),
        request=request(message, message.request_id),
        labels=labels(message.labels),
        inputs=given_inputs(message.inputs),
        start=message.start,
    )


def given_inputs(messages: Iterable[run_service_pb2.InputValue]) -> GivenInputs:
    """Values for inputs, and every problem of those that cannot be read."""
    given: list[GivenInput] = []
    problems: list[Problem] = []
    seen: set[tuple[str, tuple[int, ...]]] = set()
    for message in messages:
        index = tuple(message.index)
        at = item_label(message.parameter, index)
        if (message.parameter, index) in seen:
            problems.append(Problem(path=at, reason="VALUE_TWICE", message=f"{at} is given twice."))
        seen.add((message.parameter, index))
        try:
            value = value_of(message.value, at)
        except ContractError as error:
            problems += error.problems
        else:
            given.append(GivenInput(parameter=message.parameter, index=index, value=value))
    return GivenInputs(values=given, problems=problems)


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Labels of a run. Raises InvalidArgument."""
    if len(given) > _MOST_LABELS:
        raise _refused("labels", "FIELD_RANGE", f"A run has at most {_MOST_LABELS} labels.")
    for key, value in given.items():
        if not key or len(key) > _LONGEST_LABEL or len(value) > _LONGEST_LABEL:
            raise _refused(
                "labels", "FIELD_RANGE", "Keys and values of labels have 1 to 255 characters."
            )
        if "\0" in key or "\0" in value:
            raise _refused("labels", "TEXT_NUL", "Labels hold no NUL character.")
    return dict(given)


def run_query(message: run_service_pb2.RunFilter, principal: Principal) -> RunQuery:
    """Which runs of those that the principal may see."""
    if message.task_version and not message.task_namespace:
        raise _refused(
            "filter.task_version", "FIELD_MISSING", "task_version needs task_namespace beside it."
        )
    return RunQuery(
        project=principal.resolve_project(message.project),
        task_id=uuid(message.task_id, "filter.task_id") if message.task_id else None,
        task_namespace=text(message.task_namespace, "filter.task_namespace") or None,
        task_version=text(message.task_version, "filter.task_version") or None,
        states=[_run_state(state) for state in message.states] or None,
        labels=labels(message.labels) or None,
        created_from=_moment(message, "created_from"),
        created_before=_moment(message, "created_before"),
    )


def task_states(
    states: Iterable[task_pb2.TaskState.ValueType],
) -> list[TaskState] | None:
    """States of tasks; None means any."""
    found = []
    for state in states:
        name = _enum_name(task_pb2.TaskState.DESCRIPTOR, state, "TASK_STATE_", "states")
        found.append(TaskState(name))
    return found or None


def upload_order(message: storage_service_pb2.StartUploadRequest) -> UploadOrder:
    """What a client wants to send."""
    if message.expected_bytes < 0:
        raise _refused("expected_bytes", "FIELD_RANGE", "expected_bytes is negative.")
    same = request(message, message.request_id)
    match message.WhichOneof("target"):
        case "task_bundle":
            return UploadOrder(
                project=message.task_bundle.project,
                target=UploadTarget.TASK_BUNDLE,
                expected_bytes=message.expected_bytes,
                request=same,
            )
        case "input":
            part = _enum_name(
                storage_service_pb2.InputPart.DESCRIPTOR,
                message.input.part,
                "INPUT_PART_",
                "input.part",
            )
            return UploadOrder(
                project="",
                target=UploadTarget.INPUT,
                run_id=uuid(message.input.run_id, "input.run_id"),
                parameter=text(message.input.parameter, "input.parameter"),
                part=InputPart(part),
                expected_bytes=message.expected_bytes,
                request=same,
            )
        case "attempt_outputs":
            outputs = message.attempt_outputs
            return UploadOrder(
                project="",
                target=UploadTarget.ATTEMPT_OUTPUTS,
                run_id=uuid(outputs.run_id, "attempt_outputs.run_id"),
                attempt=not_negative(outputs.attempt, "attempt_outputs.attempt"),
                expected_bytes=message.expected_bytes,
                request=same,
            )
        case None:
            raise _refused("target", "FIELD_MISSING", "Say what the upload is for: set a target.")


def resource(message: storage_service_pb2.Resource) -> ResourceName:
    """A tree of files."""
    match message.WhichOneof("resource"):
        case "run_inputs":
            run_id = uuid(message.run_inputs, "resource.run_inputs")
            return ResourceName(kind="run_inputs", run_id=run_id, path=message.path)
        case "run_outputs":
            run_id = uuid(message.run_outputs, "resource.run_outputs")
            return ResourceName(kind="run_outputs", run_id=run_id, path=message.path)
        case "attempt_files":
            files = message.attempt_files
            return ResourceName(
                kind="attempt_files",
                run_id=uuid(files.run_id, "resource.attempt_files.run_id"),
                attempt=not_negative(files.attempt, "resource.attempt_files.attempt"),
                path=message.path,
            )
        case None:
            raise _refused("resource", "FIELD_MISSING", "Name a resource to list or download.")


def agent_word(message: agent_service_pb2.SynchronizeRequest) -> AgentWord:
    """What an agent says, cut to what is worth keeping."""
    state = _enum_name(
        agent_service_pb2.AgentState.DESCRIPTOR, message.state, "AGENT_STATE_", "state"
    )
    return AgentWord(
        state=AgentState(state),
        message=storable(message.message[:_LONGEST_SENTENCE]),
        terminating=message.terminating,
        done_bytes=max(message.progress.bytes, 0),
        done_entries=max(message.progress.entries, 0),
        missing_outputs=[
            storable(name[:_LONGEST_NAME]) for name in message.missing_outputs[:_MOST_NAMES]
        ],
        unsent=[_problem(problem) for problem in message.unsent[:_MOST_NAMES]],
    )


def _problem(message: problem_pb2.Problem) -> dict[str, object]:
    return problem_json(
        Problem(
            path=message.path[:_LONGEST_PATH],
            reason=storable(message.reason[:_LONGEST_NAME]),
            message=message.message[:_LONGEST_SENTENCE],
        )
    )


def not_negative(number: int, field: str) -> int:
    """A number that counts something. Raises InvalidArgument."""
    if number < 0:
        raise _refused(field, "FIELD_RANGE", f"{field} is negative.")
    return number


def text(given: str, field: str) -> str:
    """A text that a database can hold. Raises InvalidArgument."""
    if "\0" in given or len(given) > _LONGEST_NAME:
        raise _refused(field, "FIELD_FORMAT", f"{field} is too long, or holds a NUL character.")
    return given


def _run_state(state: run_pb2.RunState.ValueType) -> RunState:
    return RunState(_enum_name(run_pb2.RunState.DESCRIPTOR, state, "RUN_STATE_", "filter.states"))


def _enum_name(enum: EnumDescriptor, value: int, prefix: str, field: str) -> str:
    known = enum.values_by_number.get(value) if value else None
    if known is None:
        raise _refused(field, "FIELD_RANGE", f"{field} holds {value}, which this server lacks.")
    return known.name.removeprefix(prefix)


def _moment(message: Message, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    found: Timestamp = getattr(message, field)
    try:
        return found.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _refused(f"filter.{field}", "FIELD_FORMAT", f"{field} is no moment.") from None


def _refused(field: str, reason: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, problems=[Problem(path=field, reason=reason, message=message)])
