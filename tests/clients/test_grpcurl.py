"""The commands of docs/grpcurl.md, run as they stand there, against real servers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from appengine.v1 import run_service_pb2, storage_service_pb2, task_service_pb2

from tests.container.callers import issue_certificate
from tests.container.conftest import engine_url  # noqa: F401  # pytest finds fixtures by their name
from tests.missing import missing
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(600)]  # the image may have to be built

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "grpcurl.md"
DESCRIPTOR = ROOT / "examples" / "greeting" / "descriptor.yml"
TOKEN = "token-of-anna-0123456789"


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    names = [name for name in ("grpcurl", "jq") if shutil.which(name) is None]
    if names:
        missing(f"{' and '.join(names)} cannot be found; scripts/test sets them up")


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server on loopback, open, without any task."""
    url = request.getfixturevalue("engine_url")
    made = ServerProcess(folder=tmp_path, engine_url=url, settings={"SCHEDULER_SHM": "16Mi"})
    made.start()
    yield made
    made.stop()


def blocks() -> dict[str, str]:
    """The shell blocks of the guide by their names, in their order."""
    found = re.findall(r"^```sh (.+?)\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert len({name for name, _ in found}) == len(found) == GUIDE.read_text().count("```sh")
    return dict(found)


def run(names: list[str], **variables: str) -> dict[str, str]:
    """Run these blocks in one shell, as a reader would, and give what each prints."""
    script = "".join(f"echo '@@ {name}'\n{blocks()[name]}" for name in names)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, **variables},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    parts = re.split(r"^@@ (.+)\n", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_guide_works_on_a_loopback_server(server: ServerProcess) -> None:
    names = [name for name in blocks() if not name.startswith(("setup", "tls"))]
    said = run(names, SERVER=server.address)
    services = said["services"].split()
    for name in ("TaskService", "RunService", "StorageService", "AgentService"):
        assert f"appengine.v1.{name}" in services
    assert "grpc.health.v1.Health" in services
    assert "appengine.v1.RunService.WatchRun" in services
    assert "rpc CreateRun ( .appengine.v1.CreateRunRequest )" in said["describe"]
    assert "repeated .appengine.v1.InputValue inputs = 5;" in said["describe"]
    assert "StartRun puts" in said["protoset"]
    assert said["protoset"].splitlines()[-1] == str(2 << 20)
    assert '"status": "SERVING"' in said["health"]
    assert said["tasks"] == "org.cytomine.examples.greeting:1.0.0 TASK_STATE_READY\n"
    assert said["task"].splitlines()[1:] == [
        "TASK_STATE_READY", *DESCRIPTOR.read_text().splitlines()[:2], "exit code 69",
    ]  # fmt: skip
    assert "namespace" in said["descriptor"].split()
    states = said["watch"].split()
    assert states[0] == "RUN_STATE_QUEUED"
    assert states[-1] == "RUN_STATE_SUCCEEDED"
    assert said["logs"] == "hello Ada\n" * 3
    assert said["outputs"] == "greeting = hello Ada\n"
    assert len(said["list"].split()) == 1
    assert "Code: InvalidArgument" in said["refusal"]
    assert "times" in said["refusal"]
    assert "exit code" in said["refusal"]
    assert said["steps"].split()[:2] == ["RUN_STATE_PROVISIONED", "RUN_STATE_QUEUED"]
    assert 'name = {"string":"Grace"}' in said["steps"]
    repeated, stopped, *_ = said["many"].split()
    assert repeated in said["steps"].split()
    assert stopped == "RUN_STATE_CANCELLED"
    assert said["upload"] == "UPLOAD_STATE_FINISHED\n"
    assert said["download"] == "hello from a file\n"
    assert {"name", "notes", "18"} <= {*said["files"].split()}


def test_every_call_for_clients_has_its_command() -> None:
    services = (task_service_pb2, run_service_pb2, storage_service_pb2)
    calls = {
        f"{service.full_name}/{method}"
        for module in services
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods_by_name
    }
    commands = "".join(blocks().values())
    assert not {call for call in calls if call not in commands}


def test_the_guide_works_with_tls_and_a_token(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    authority, settings = issue_certificate(tmp_path)
    (tmp_path / "ca.pem").write_bytes(authority)
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f"{TOKEN} anna lab\n")
    made = ServerProcess(
        folder=tmp_path,
        engine_url=request.getfixturevalue("engine_url"),
        settings={**settings, "TOKENS_FILE": str(tokens)},
    )
    made.start()
    try:
        said = run(["tls"], CA=str(tmp_path / "ca.pem"), SERVER=made.address, TOKEN=TOKEN)
    finally:
        made.stop()
    assert "appengine.v1.RunService" in said["tls"]
    assert said["tls"].splitlines()[-1] == str(2 << 20)
