"""Data that travel by real agents, against a real server: every way in which it can go wrong.

The pods are processes beside containers (`tests.container.pods`); what is tested here is the
server's half of cluster mode, and the agents.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import pytest
from appengine.v1 import agent_service_pb2 as agents
from appengine.v1 import run_pb2
from appengine.v1 import storage_service_pb2 as storage
from appengine.v1.agent_service_pb2_grpc import AgentServiceStub
from appengine.v1.storage_service_pb2_grpc import StorageServiceStub

from tests.container.engine_server import QUICK, Engine, FailureReason, RunState, wait_for
from tests.container.meter import Meter
from tests.container.pods import Pod
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

MIB = 1 << 20
CONTENT = random.Random(4).randbytes(200 * MIB)


@dataclass(slots=True, kw_only=True)
class Pods(Engine):
    """An engine whose attempts are pods, with a meter between them and the server."""

    nodes: Path
    meter: Meter = field(default_factory=Meter)

    def connect(self) -> None:
        """Connect to the server, and lead the agents to it."""
        Engine.connect(self)
        self.meter.lead_to(int(self.server.address.rpartition(":")[2]))

    @property
    def faults(self) -> Path:
        return self.folder / "faults"

    def pod(self, run: run_pb2.Run, attempt: int = 1) -> Pod:
        return Pod(self.nodes / f"{UUID(run.id)}_{attempt}")

    def kept(self, run: run_pb2.Run, name: str, attempt: int = 1) -> str:
        """What is left of a pod that is gone: `fetch.exit`, `transfer.log`, …"""
        path = self.nodes / "kept" / f"{UUID(run.id)}_{attempt}.{name}"
        return str(wait_for(lambda: path.exists() and path.read_text()))

    def worker(self, run: run_pb2.Run, command: str, attempt: int = 1) -> int:
        """The worker of an agent, once there is one."""
        pod = self.pod(run, attempt)

        def there() -> int:
            try:
                agent = int((pod.folder / f"{command}.pid").read_text())
                children = Path(f"/proc/{agent}/task/{agent}/children").read_text()
                return int(children.split()[0])
            except (OSError, ValueError, IndexError):
                return 0

        return int(wait_for(there))

    def token(self, run: run_pb2.Run, direction: str, attempt: int = 1) -> str:
        return (self.pod(run, attempt).folder / f"{direction}.token").read_text()

    def restart(self) -> None:
        """kill -9, and start again."""
        self.server.kill()
        self.server.start()
        self.connect()


def start(folder: Path, engine_url: str, **settings: str) -> Pods:
    nodes = folder / "nodes"
    (folder / "faults").mkdir(parents=True, exist_ok=True)
    meter = Meter()
    server = ServerProcess(
        folder=folder / "server", engine_url=engine_url, program="tests.container.pods",
        settings={
            **QUICK,
            "SCHEDULER_CPUS": "8",
            "APPENGINE_FAULT_FOLDER": str(folder / "faults"),
            "POD_FOLDER": str(nodes),
            "POD_SERVER": f"http://127.0.0.1:{meter.port}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **settings,
        },
    )  # fmt: skip
    server.start()
    pods = Pods(server=server, folder=folder, nodes=nodes, meter=meter)
    pods.connect()
    return pods


def stop(pods: Pods) -> None:
    pods.remove_all()
    pods.disconnect()
    pods.server.stop()
    pods.meter.close()


@pytest.fixture(scope="module")
def pods(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    running = start(tmp_path_factory.mktemp("pods"), engine_url)
    try:
        yield running
    finally:
        stop(running)


@pytest.fixture(autouse=True)
def fast_again(pods: Pods) -> Iterator[None]:
    yield
    pods.meter.bytes_a_second = 0.0


def seen(run: run_pb2.Run) -> str:
    return f"{run.failure}\n{run.attempts}"


def phases_of(run: run_pb2.Run, attempt: int = 0) -> dict[str, int]:
    return {phase.name: phase.bytes for phase in run.attempts[attempt].phases}


COPY = {"inputs": {"data": "file"}, "outputs": {"copy": "file"}}


def start_copy(
    pods: Pods, content: bytes, script: str = "cp /inputs/data /outputs/copy"
) -> run_pb2.Run:
    task = pods.task(script, **COPY)
    source = pods.folder / "content"
    source.write_bytes(content)
    return pods.client.runs.create(task.id, {"data": source}, start=True)


def is_whole(pods: Pods, run: run_pb2.Run, content: bytes) -> bool:
    [output] = (pods.server.storage / "runs" / run.id / "attempts").glob("*/outputs/copy")
    return hashlib.sha256(output.read_bytes()).digest() == hashlib.sha256(content).digest()


def test_inputs_and_outputs_travel_once_and_every_phase_is_told(pods: Pods) -> None:
    content = CONTENT[: 20 * MIB]
    before = pods.meter.to_server_bytes, pods.meter.from_server_bytes
    run = pods.client.runs.wait(start_copy(pods, content).id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert is_whole(pods, run, content)
    told = phases_of(run)
    assert list(told) == [
        "queued", "pending", "fetching inputs", "running", "uploading outputs", "checking",
    ]  # fmt: skip
    assert told["fetching inputs"] == told["uploading outputs"] == len(content)
    sent = pods.meter.to_server_bytes - before[0], pods.meter.from_server_bytes - before[1]
    assert all(len(content) < one < len(content) * 1.03 + 64 * 1024 for one in sent), sent
    assert pods.kept(run, "fetch.exit") == "0\n"


SLOW = 60 * MIB
"""Bytes a second: slow enough to be met in the middle of a transfer."""


def until_moved(pods: Pods, since: int, more: int, *, to_server: bool) -> None:
    def moved() -> bool:
        now = pods.meter.to_server_bytes if to_server else pods.meter.from_server_bytes
        return now - since > more

    wait_for(moved, seconds=30)


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_a_worker_killed_while_it_fetches_goes_on(pods: Pods) -> None:
    pods.meter.bytes_a_second, before = SLOW, pods.meter.from_server_bytes
    run = start_copy(pods, CONTENT)
    worker = pods.worker(run, "fetch")
    until_moved(pods, before, 60 * MIB, to_server=False)
    assert peak_memory(worker) < 64 * MIB
    fetching = pods.until(run.id, RunState.RUN_STATE_PENDING, reason="bytes so far")
    assert fetching.pending_reasons[0].kind == run_pb2.PENDING_KIND_INPUT_TRANSFER
    os.kill(worker, signal.SIGKILL)
    pods.meter.bytes_a_second = 0
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert is_whole(pods, run, CONTENT)
    assert len(run.attempts) == 1
    assert pods.meter.from_server_bytes - before < len(CONTENT) * 1.03 + 32 * MIB
    assert "restart 1" in pods.kept(run, "fetch.log")


def test_a_worker_killed_while_it_sends_goes_on(pods: Pods) -> None:
    run = start_copy(pods, CONTENT)
    pods.until(run.id, RunState.RUN_STATE_RUNNING, RunState.RUN_STATE_FINALIZING)
    pods.meter.bytes_a_second, before = SLOW, pods.meter.to_server_bytes
    worker = pods.worker(run, "transfer")
    until_moved(pods, before, 60 * MIB, to_server=True)
    assert peak_memory(worker) < 64 * MIB
    os.kill(worker, signal.SIGKILL)
    pods.meter.bytes_a_second = 0
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert is_whole(pods, run, CONTENT)
    assert len(run.attempts) == 1
    assert pods.meter.to_server_bytes - before < len(CONTENT) * 1.03 + 32 * MIB
    assert phases_of(run)["uploading outputs"] == len(CONTENT)


@pytest.mark.parametrize("phase", ["fetch", "transfer"])
def test_a_server_killed_in_the_middle_goes_on(pods: Pods, phase: str) -> None:
    content = CONTENT[: 100 * MIB]
    to_server = phase == "transfer"
    run = start_copy(pods, content)
    before = pods.meter.to_server_bytes if to_server else pods.meter.from_server_bytes
    if to_server:
        pods.until(run.id, RunState.RUN_STATE_RUNNING, RunState.RUN_STATE_FINALIZING)
    pods.meter.bytes_a_second = SLOW
    until_moved(pods, before, 30 * MIB, to_server=to_server)
    pods.restart()
    pods.meter.bytes_a_second = 0
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert is_whole(pods, run, content)
    assert len(run.attempts) == 1


@pytest.mark.parametrize(
    "point", ["submit.tokens", "upload.received", "upload.moved", "upload.committed"]
)
def test_a_server_killed_between_two_steps_does_each_once(pods: Pods, point: str) -> None:
    (pods.faults / f"{point}.armed").touch()
    try:
        run = pods.start("echo 3 > /outputs/count", outputs={"count": "integer"})
        wait_for((pods.faults / f"{point}.held").exists)
        pods.server.kill()
    finally:
        for left in pods.faults.iterdir():
            left.unlink()
    pods.server.start()
    pods.connect()
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert pods.outputs(run)["count"].integer == 3
    assert len(run.attempts) == 1


def test_a_server_that_is_away_when_the_task_ends_only_delays_it(pods: Pods) -> None:
    task = pods.task("sleep 2; echo 3 > /outputs/count", outputs={"count": "integer"})
    run = pods.client.runs.create(task.id, start=True)
    pods.until(run.id, RunState.RUN_STATE_RUNNING)
    pods.server.kill()
    time.sleep(4)  # the task ends meanwhile
    pods.server.start()
    pods.connect()
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert pods.outputs(run)["count"].integer == 3


@pytest.mark.rule("output.kept")
def test_the_files_and_the_log_of_a_failed_task_are_kept(pods: Pods) -> None:
    run = pods.run("echo words; echo half > /outputs/table; echo x > /outputs/extra; exit 3",
                   outputs={"table": "string"})  # fmt: skip
    assert run.state == RunState.RUN_STATE_FAILED
    assert run.failure.reason == FailureReason.FAILURE_REASON_TASK_EXIT_CODE, seen(run)
    assert run.failure.exit_code == 3
    assert pods.left_behind(run) == ["extra", "table"]
    assert pods.log(run) == b"words\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("true", ["OUTPUT_MISSING"]),
        ("mkfifo /outputs/table", ["OUTPUT_SPECIAL_FILE"]),
        ("ln -s /etc/passwd /outputs/table", ["OUTPUT_UNSAFE_LINK"]),
        ("mkdir /outputs/table", ["IS_DIRECTORY"]),
    ],
)
def test_outputs_that_are_none_fail_the_run_once(pods: Pods, script: str, told: list[str]) -> None:
    run = pods.run(script, outputs={"table": "string"})
    assert run.failure.reason == FailureReason.FAILURE_REASON_OUTPUT_INVALID, seen(run)
    assert [problem.reason for problem in run.failure.problems] == told
    assert len(run.attempts) == 1


@pytest.mark.rule("output.extra-is-warning")
def test_what_nobody_declared_is_a_warning(pods: Pods) -> None:
    run = pods.run("echo 1 > /outputs/count; echo x > /outputs/extra; mkfifo /outputs/pipe",
                   outputs={"count": "integer"})  # fmt: skip
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    warned = {(warning.path, warning.reason) for warning in run.warnings}
    assert warned == {("extra", "OUTPUT_EXTRA"), ("pipe", "OUTPUT_EXTRA")}


def test_an_agent_that_dies_beside_its_task_is_infrastructure(pods: Pods) -> None:
    run = pods.start("sleep 1; echo 3 > /outputs/count", outputs={"count": "integer"})
    pods.worker(run, "transfer")
    pods.pod(run).signal("transfer", signal.SIGKILL)
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert [attempt.failure.reason for attempt in run.attempts] == [
        FailureReason.FAILURE_REASON_OUTPUT_TRANSFER, FailureReason.FAILURE_REASON_UNSPECIFIED,
    ]  # fmt: skip


def test_a_tasks_own_failure_wins_over_that_of_its_agent(pods: Pods) -> None:
    run = pods.start("sleep 1; exit 4", outputs={"count": "integer"})
    pods.worker(run, "transfer")
    pods.pod(run).signal("transfer", signal.SIGKILL)
    run = pods.client.runs.wait(run.id)
    assert run.failure.reason == FailureReason.FAILURE_REASON_TASK_EXIT_CODE, seen(run)
    assert "agent" in " ".join(run.failure.details)
    assert len(run.attempts) == 1


def test_a_pod_that_is_taken_away_saves_what_it_can(pods: Pods) -> None:
    run = pods.start(
        "echo 3 > /outputs/count; echo ready; sleep 600",
        outputs={"count": "integer", "late": "integer"},
    )
    pods.until_logged(run, b"ready")
    pods.worker(run, "transfer")
    pods.pod(run).signal("transfer", signal.SIGTERM)
    upload = storage.Resource(attempt_files=storage.AttemptFiles(run_id=run.id, attempt=1))
    wait_for(lambda: [entry.path for entry in pods.client.runs.files(upload)] == ["count"])
    (pods.pod(run).folder / "removed").touch()
    pods.engine("rm", "--force", "--time", "0", *pods.containers(run.id))
    wait_for(lambda: len(pods.client.runs.get(run.id).attempts) == 2)
    first = pods.client.runs.get(run.id).attempts[0]
    assert first.failure.reason == FailureReason.FAILURE_REASON_EVICTED
    assert "not there: late" in " ".join(first.failure.details)
    assert pods.left_behind(run, 1) == ["count"]
    pods.client.runs.cancel(run.id)
    pods.client.runs.wait(run.id)


# ---- tokens


@dataclass(slots=True)
class Agent:
    """Raw calls with the token of an attempt."""

    channel: grpc.Channel
    token: str

    def call(self, method: object, request: object) -> object:
        return method(  # type: ignore[operator]
            request, metadata=(("authorization", f"Bearer {self.token}"),), timeout=20
        )

    def say(self, run: run_pb2.Run, attempt: int = 1, state: int = 1) -> object:
        said = agents.SynchronizeRequest(run_id=run.id, attempt=attempt, state=state)
        return self.call(AgentServiceStub(self.channel).Synchronize, said)

    def refused(self, method: object, request: object) -> grpc.StatusCode:
        def reads() -> None:
            answer = self.call(method, request)
            list(answer)  # type: ignore[call-overload]

        with pytest.raises(grpc.RpcError) as error:
            reads()
        code: grpc.StatusCode = error.value.code()
        return code

    def refused_to_say(self, run: run_pb2.Run, attempt: int = 1) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as error:
            self.say(run, attempt)
        code: grpc.StatusCode = error.value.code()
        return code


ABORTED, DENIED = grpc.StatusCode.ABORTED, grpc.StatusCode.PERMISSION_DENIED


def test_tokens_are_for_one_attempt_and_direction_and_phase(pods: Pods) -> None:
    run, other = (
        pods.start(
            "until [ -e /outputs/go ]; do sleep 0.1; done; echo 1 > /outputs/count",
            outputs={"count": "integer"},
        )
        for _ in range(2)
    )
    for one in (run, other):
        pods.until(one.id, RunState.RUN_STATE_RUNNING)
        pods.worker(one, "transfer")
    with grpc.insecure_channel(pods.server.address) as channel:
        files = StorageServiceStub(channel)
        fetch = Agent(channel, pods.token(run, "fetch"))
        transfer = Agent(channel, pods.token(run, "transfer"))
        inputs = storage.DownloadRequest(resource=storage.Resource(run_inputs=run.id))
        outputs = storage.StartUploadRequest(
            request_id=str(uuid4()),
            attempt_outputs=storage.AttemptOutputsTarget(run_id=run.id, attempt=1),
        )
        # the inputs are there: that phase is over
        assert fetch.refused_to_say(run) is ABORTED
        assert fetch.refused(files.Download, inputs) is ABORTED
        # of another run, or another attempt
        assert transfer.refused_to_say(other) is DENIED
        assert transfer.refused_to_say(run, attempt=2) is DENIED
        theirs = storage.DownloadRequest(resource=storage.Resource(run_inputs=other.id))
        assert fetch.refused(files.Download, theirs) is DENIED
        # the other direction
        assert transfer.refused(files.Download, inputs) is DENIED
        assert fetch.refused(files.StartUpload, outputs) is DENIED
        # too early, and not for what users do
        assert transfer.refused(files.StartUpload, outputs) is grpc.StatusCode.FAILED_PRECONDITION
        bundle = storage.StartUploadRequest(task_bundle=storage.TaskBundleTarget())
        assert transfer.refused(files.StartUpload, bundle) is DENIED
        unknown = storage.GetUploadRequest(upload_id=str(uuid4()))
        assert transfer.refused(files.GetUpload, unknown) is DENIED
        # without a token, on an open loopback, nobody is an agent
        with pytest.raises(grpc.RpcError) as error:
            AgentServiceStub(channel).Synchronize(
                agents.SynchronizeRequest(run_id=run.id, attempt=1, state=1), timeout=20
            )
        assert error.value.code() is DENIED
        forged = Agent(channel, transfer.token[:-2] + "xx")
        assert forged.refused_to_say(run) is grpc.StatusCode.UNAUTHENTICATED
        for one in (run, other):
            (pods.pod(one).folder / "outputs" / "go").touch()
            ended = pods.client.runs.wait(one.id)
            assert ended.state == RunState.RUN_STATE_SUCCEEDED, seen(ended)
        # the attempt is over
        assert transfer.refused_to_say(run) is ABORTED
        assert transfer.refused(files.StartUpload, outputs) is ABORTED


@pytest.mark.rule("run.late-report")
def test_a_late_agent_of_attempt_1_cannot_change_attempt_2(pods: Pods) -> None:
    run = pods.start("sleep 2; echo 3 > /outputs/count", outputs={"count": "integer"})
    pods.worker(run, "transfer")
    token = pods.token(run, "transfer")
    pods.pod(run).signal("transfer", signal.SIGKILL)
    wait_for(lambda: len(pods.client.runs.get(run.id).attempts) == 2)
    with grpc.insecure_channel(pods.server.address) as channel:
        late = Agent(channel, token)
        assert late.refused_to_say(run) is ABORTED
        assert late.refused_to_say(run, attempt=2) is DENIED
        for attempt, code in ((1, ABORTED), (2, DENIED)):
            outputs = storage.StartUploadRequest(
                attempt_outputs=storage.AttemptOutputsTarget(run_id=run.id, attempt=attempt)
            )
            assert late.refused(StorageServiceStub(channel).StartUpload, outputs) is code
    run = pods.client.runs.wait(run.id)
    assert run.state == RunState.RUN_STATE_SUCCEEDED, seen(run)
    assert run.attempts[0].failure.reason == FailureReason.FAILURE_REASON_OUTPUT_TRANSFER


# ---- limits


@pytest.mark.rule("run.time-limits")
def test_limits_end_what_would_never_end(engine_url: str, tmp_path: Path) -> None:
    pods = start(tmp_path, engine_url, RUN_TRANSFER_STALL_LIMIT="2", RUN_MAX_OUTPUT="1Mi",
                 RUN_EXTRA_ATTEMPTS="0")  # fmt: skip
    try:
        large = pods.run("head -c 2000000 /dev/zero > /outputs/data", outputs={"data": "file"})
        assert large.failure.reason == FailureReason.FAILURE_REASON_OUTPUT_INVALID, seen(large)
        assert [problem.reason for problem in large.failure.problems] == ["OUTPUT_TOO_LARGE"]
        assert "1048576" in large.failure.message
        silent = pods.start("sleep 1; echo 3 > /outputs/count", outputs={"count": "integer"})
        os.kill(pods.worker(silent, "transfer"), signal.SIGSTOP)
        silent = pods.client.runs.wait(silent.id)
        assert silent.failure.reason == FailureReason.FAILURE_REASON_OUTPUT_TRANSFER, seen(silent)
        assert "RUN_TRANSFER_STALL_LIMIT" in silent.failure.message
    finally:
        stop(pods)
