"""The pure parts of the container scheduler: what the engine is asked, and what it answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from appengine_server.runs.state import worth_another_attempt
from appengine_server.scheduling.container.config import container_config
from appengine_server.scheduling.container.engine import EngineFacts, EngineRefused
from appengine_server.scheduling.container.logs import Demultiplexer, FollowedLog
from appengine_server.scheduling.container.observation import observation_of, was_started
from appengine_server.scheduling.container.process import Evidence
from appengine_server.scheduling.container.refusals import submission_refused
from appengine_server.scheduling.container.settings import MIB, ContainerSettings
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    FailureReason,
    LogIncomplete,
    Observation,
    Resources,
    Usage,
)
from appengine_server.scheduling.verdicts import is_exec_format_error
from hypothesis import assume, given
from hypothesis import strategies as st

REF = AttemptRef(UUID(int=7), 2)
SPEC = AttemptSpec(
    ref=REF,
    project="lab",
    image="sha256:abc",
    resources=Resources(cpus=2, ram_bytes=512 * MIB, gpus=1),
    gpu_devices=("1",),
    inputs_path=Path("/data/in"),
    outputs_path=Path("/data/out"),
    input_folder="/inputs",
    output_folder="/outputs",
    dataset_paths=(Path("/datasets/a"),),
    run_limit=timedelta(hours=1),
    cancel_grace=timedelta(seconds=30),
)
FACTS = EngineFacts(
    is_podman=False,
    cpus=8,
    ram_bytes=8 * 1024 * MIB,
    architecture="amd64",
)
NEVER = "0001-01-01T00:00:00Z"


@given(
    printed=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=20),
)
def test_frames_are_stripped_wherever_the_stream_is_cut(
    printed: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(
        bytes([number, 0, 0, 0]) + len(content).to_bytes(4, "big") + content
        for number, content in printed
    )
    demultiplexer, received, at = Demultiplexer(), b"", 0
    while at < len(stream):
        cut = cuts[at % len(cuts)]
        received += demultiplexer.feed(stream[at : at + cut])
        at += cut
    assert received == b"".join(content for _, content in printed)


@given(st.lists(st.binary(max_size=40)), st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_a_followed_log_goes_on_where_following_ended(
    followed: list[bytes], left: list[bytes], piece_bytes: int
) -> None:
    log = FollowedLog()
    for chunk in followed:
        log.give(chunk)
    whole = b"".join([*followed, *left])
    pieces = [whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes)]
    assert b"".join(map(log.rest_of, pieces)) == b"".join(left)


@given(st.binary(min_size=2), st.data(), st.integers(1, 50))
def test_bytes_that_were_left_out_while_following_are_noticed(
    whole: bytes, data: st.DataObject, piece_bytes: int
) -> None:
    at = data.draw(st.integers(0, len(whole) - 2))
    log = FollowedLog()
    given_bytes = whole[:at] + whole[at + 1 :]
    log.give(given_bytes)
    assume(not whole.startswith(given_bytes))
    pieces = [whole[start : start + piece_bytes] for start in range(0, len(whole), piece_bytes)]
    with pytest.raises(LogIncomplete):
        b"".join(map(log.rest_of, pieces))


@pytest.mark.rule("configuration.internet", "layout.image-runs-as-it-is", "reference.same-path")
def test_the_container_is_fenced_in_and_the_image_keeps_its_own() -> None:
    config = container_config(SPEC, ContainerSettings(engine_id="e"), FACTS)
    host = config["HostConfig"]
    assert not {"User", "Entrypoint", "Cmd", "Env", "WorkingDir"} & set(config)
    assert (host["CapDrop"], host["NetworkMode"], host["Privileged"]) == (["ALL"], "none", False)
    assert "no-new-privileges" in host["SecurityOpt"]
    assert (host["Memory"], host["MemorySwap"]) == (512 * MIB, 512 * MIB)
    assert host["NanoCpus"] == 2_000_000_000
    assert host["DeviceRequests"] == [{"DeviceIDs": ["1"], "Capabilities": [["gpu"]]}]
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    assert [(mount["Target"], mount["ReadOnly"]) for mount in host["Mounts"]] == [
        ("/inputs", True),
        ("/outputs", False),
        ("/datasets/a", True),
    ]


@pytest.mark.rule("layout.root-writable")
@pytest.mark.parametrize("forbidden", [False, True])
def test_the_root_can_be_written_unless_forbidden(forbidden: bool) -> None:
    settings = ContainerSettings(engine_id="e", **({"read_only_root": True} if forbidden else {}))
    config = container_config(SPEC, settings, FACTS)
    assert config["HostConfig"]["ReadonlyRootfs"] is forbidden


def test_no_more_cpus_are_asked_for_than_the_engine_accepts() -> None:
    config = container_config(
        SPEC, ContainerSettings(engine_id="e", cpus=64), replace(FACTS, cpus=1)
    )
    assert config["HostConfig"]["NanoCpus"] == 1_000_000_000


def test_gpu_devices_are_named_or_counted() -> None:
    assert ContainerSettings(engine_id="e").devices() == ()
    assert ContainerSettings(engine_id="e", gpus=2).devices() == ("0", "1")
    assert ContainerSettings(engine_id="e", gpu_devices=("a", "b"), gpus=1).devices() == ("a",)


@pytest.mark.parametrize(
    ("oom_killed", "evidence", "killed_by_us", "tells_oom", "reason"),
    [
        (True, None, False, True, FailureReason.OUT_OF_MEMORY),
        (False, Evidence(oom_kills=1), False, False, FailureReason.OUT_OF_MEMORY),
        (False, Evidence(oom_kills=0), False, False, FailureReason.TASK_EXIT_CODE),
        (False, None, False, False, FailureReason.OUT_OF_MEMORY),  # podman, from afar
        (False, None, False, True, FailureReason.TASK_EXIT_CODE),  # Docker would have said so
        (False, None, True, False, FailureReason.TASK_EXIT_CODE),
        (True, Evidence(oom_kills=3), True, True, FailureReason.TASK_EXIT_CODE),
    ],
)
def test_a_kill_for_memory_is_told_from_others(
    oom_killed: bool,
    evidence: Evidence | None,
    killed_by_us: bool,
    tells_oom: bool,
    reason: FailureReason,
) -> None:
    observation = observation_of(
        REF,
        _details(ExitCode=137, OOMKilled=oom_killed),
        evidence=evidence,
        killed_by_us=killed_by_us,
        engine_tells_oom=tells_oom,
    )
    assert observation.failure is not None
    assert (observation.failure.reason, observation.exit_code) == (reason, 137)


def test_a_task_that_survived_a_kill_for_memory_and_ended_well_is_well() -> None:
    observation = _observe(_details(OOMKilled=True), Evidence(oom_kills=2))
    assert (observation.exit_code, observation.failure) == (0, None)


def test_a_container_that_ran_and_is_new_again_has_lost_its_exit_code() -> None:
    details = _details(Status="created", FinishedAt=NEVER)
    observation = _observe(details)
    assert was_started(details)
    assert observation.exit_code is None
    assert observation.failure is not None
    assert observation.failure.reason is FailureReason.NODE_LOST


def test_a_container_that_was_never_started_is_pending() -> None:
    observation = _observe(_details(Status="created", StartedAt=NEVER, FinishedAt=NEVER))
    assert observation.phase is AttemptPhase.PENDING
    assert observation.pending_reasons


@pytest.mark.parametrize("status", ["running", "paused"])
def test_a_running_container_is_running(status: str) -> None:
    assert _observe(_details(Status=status, FinishedAt=NEVER)).phase is AttemptPhase.RUNNING


def test_times_keep_their_zone_and_the_end_is_never_before_the_start() -> None:
    observation = _observe(
        _details(
            StartedAt="2026-01-01T12:00:00.123456789+02:00", FinishedAt="2026-01-01T10:00:00.1Z"
        ),
        Evidence(usage=Usage(peak_memory_bytes=5, cpu_seconds=0.1)),
    )
    assert observation.started_at == datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert observation.ended_at == observation.started_at
    assert observation.usage.peak_memory_bytes == 5


@pytest.mark.parametrize(
    ("code", "words"), [(3, "exit code 3"), (143, "SIGTERM"), (127, "not found"), (255, "255")]
)
def test_the_sentence_names_code_and_signal(code: int, words: str) -> None:
    failure = _observe(_details(ExitCode=code)).failure
    assert failure is not None
    assert words in failure.message


@pytest.mark.parametrize(
    ("status", "text", "reason"),
    [
        (404, "No such image: sha256:abc", FailureReason.IMAGE_PULL),
        (400, "no command specified", FailureReason.IMAGE_CANNOT_START),
        (500, "no command or entrypoint provided, and no CMD", FailureReason.IMAGE_CANNOT_START),
        (
            400,
            'OCI runtime create failed: runc create failed: exec: "x": executable file not found '
            "in $PATH",
            FailureReason.IMAGE_CANNOT_START,
        ),
        (
            500,
            'unable to start container process: exec: "/x": permission denied',
            FailureReason.IMAGE_CANNOT_START,
        ),
        (500, "unable to find user appuser: no matching", FailureReason.IMAGE_CANNOT_START),
        (400, "invalid mount config: bind source path does not exist: /x", FailureReason.ENGINE),
        (500, "no space left on device", FailureReason.ENGINE),
        (
            500,
            "crun: setrlimit `RLIMIT_NPROC`: Operation not permitted: OCI permission denied",
            FailureReason.ADMISSION_REFUSED,
        ),
    ],
)
def test_refusals_are_explained(status: int, text: str, reason: FailureReason) -> None:
    refused = submission_refused(SPEC, EngineRefused(status, text))
    assert refused.failure.reason is reason


@pytest.mark.parametrize(
    ("text", "again"), [("no space left on device", True), ("Operation not permitted", False)]
)
def test_a_refusal_says_what_to_do_and_is_tried_again_only_where_that_can_help(
    text: str, again: bool
) -> None:
    failure = submission_refused(SPEC, EngineRefused(500, text)).failure
    assert "ask the administrator to look at the container engine" in failure.message
    assert failure.message.endswith(text)
    assert worth_another_attempt(failure.reason) is again


def test_only_a_log_of_nothing_else_is_an_exec_format_error() -> None:
    assert is_exec_format_error(b"exec /bin/x: exec format error\n")
    assert is_exec_format_error(
        b"standard_init_linux.go:228: exec user process caused: exec format error"
    )
    assert not is_exec_format_error(b"working\nexec /bin/x: exec format error\n")
    assert not is_exec_format_error(b"")


def _details(**state: object) -> dict[str, Any]:
    return {
        "State": {
            "Status": "exited",
            "ExitCode": 0,
            "OOMKilled": False,
            "StartedAt": "2026-01-01T10:00:00Z",
            "FinishedAt": "2026-01-01T10:00:01Z",
            **state,
        },
        "HostConfig": {"Memory": 64 * MIB},
    }


def _observe(details: dict[str, Any], evidence: Evidence | None = None) -> Observation:
    return observation_of(
        REF, details, evidence=evidence, killed_by_us=False, engine_tells_oom=True
    )
