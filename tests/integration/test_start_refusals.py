"""What keeps a server from starting is said in one sentence that names what mends it.

Here are the refusals that need no container engine; the others are in tests/container.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from appengine_server.settings import SettingsRefused, read_settings

from tests.container.callers import issue_certificate
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(40)

EXIT_REFUSED = 2
SECONDS = 30

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Starts a server that must refuse, and gives what it says for it."""

    def start(**settings: str) -> str:
        server = ServerProcess(folder=tmp_path / "server", engine_url="unix:///no/such/engine.sock")
        process = server.launch(**settings)
        try:
            assert process.wait(SECONDS) == EXIT_REFUSED, server.log.read_text()
        except subprocess.TimeoutExpired:
            server.kill()
            raise
        assert "Traceback" not in server.log.read_text()
        return server.log.read_text().partition("appengine-server cannot start: ")[2]

    return start


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    return issue_certificate(tmp_path)[1]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text("token-of-anna-0123456789 anna lab\n")
    return path


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "engine.example.org"])
def test_an_address_open_to_others_needs_tls_and_tokens(refused: Refused, address: str) -> None:
    sentence = refused(BIND_ADDRESS=address)
    assert "can be reached from other machines" in sentence
    assert "the server has no TLS and no tokens" in sentence
    for setting in ("TLS_CERTIFICATE_FILE", "TLS_KEY_FILE", "TOKENS_FILE", "ALLOW_INSECURE=true"):
        assert setting in sentence


def test_tls_alone_does_not_open_an_address(refused: Refused, tls: dict[str, str]) -> None:
    sentence = refused(BIND_ADDRESS="0.0.0.0", **tls)
    assert "the server has no tokens:" in sentence
    assert "ALLOW_INSECURE=true" in sentence


def test_tokens_alone_do_not_open_an_address(refused: Refused, tokens: Path) -> None:
    sentence = refused(BIND_ADDRESS="0.0.0.0", TOKENS_FILE=str(tokens))
    assert "the server has no TLS:" in sentence
    assert "ALLOW_INSECURE=true" in sentence


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("PORT", "http", "should be a valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("DB_PORT", "0", "greater than or equal to 1"),
        ("STORAGE_LOW_WATER", "lots", "must be a size such as 512Mi or 2G, or a number of bytes"),
        ("SCHEDULER_RAM", "4 GB", "must be a size such as 512Mi or 2G, or a number of bytes"),
        ("RUN_TIME_LIMIT", "a week", "must be a number of seconds"),
        ("RUN_TIME_LIMIT", "-1", "must not be negative"),
        ("RUN_TIME_LIMIT", "1e400", "must be a number of seconds"),
        ("REGISTRY_URL", "localhost:5000", "must begin with http:// or https://"),
        ("SCHEDULER", "slurm", "should be 'container' or 'kubernetes'"),
        ("LOG_LEVEL", "loud", "should be 'debug', 'info', 'warning' or 'error'"),
        ("ALLOW_INSECURE", "perhaps", "should be a valid boolean"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_found(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(setting, value)
    with pytest.raises(SettingsRefused) as refused:
        read_settings()
    [said] = str(refused.value).splitlines()
    assert said.startswith(f"{setting}: ")
    assert sentence in said
    assert said.endswith(f" (found {value!r}).")


def test_every_wrong_setting_has_a_line(refused: Refused) -> None:
    said = refused(PORT="http", RUN_LEASE="soon", LOG_LEVEL="loud")
    settings = [line.partition(":")[0] for line in said.splitlines()]
    assert settings == ["PORT", "RUN_LEASE", "LOG_LEVEL", "DOCKER_HOST"]


def test_a_key_without_its_certificate_is_refused(refused: Refused) -> None:
    said = refused(TLS_KEY_FILE="server.key")
    assert said.startswith("TLS_CERTIFICATE_FILE and TLS_KEY_FILE: give both or none.\n")


def test_a_token_file_that_others_may_read_is_refused(refused: Refused, tokens: Path) -> None:
    tokens.chmod(0o644)
    assert refused(TOKENS_FILE=str(tokens)).splitlines()[0] == (
        f"TOKENS_FILE: token file {tokens}: others may read it (mode 0644); set its mode to 600."
    )


def test_a_token_file_that_is_not_there_is_refused(refused: Refused, tmp_path: Path) -> None:
    missing = tmp_path / "nothing"
    assert f"token file {missing}: it cannot be read: No such file" in refused(
        TOKENS_FILE=str(missing)
    )


def test_a_data_folder_that_cannot_be_made_is_refused(refused: Refused, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    said = refused(STORAGE_BASE_PATH=str(file))
    assert said.startswith(f"STORAGE_BASE_PATH: the data folder {file} cannot be made or written")


def test_a_database_out_of_reach_is_refused(refused: Refused) -> None:
    said = refused(DB_HOST="127.0.0.1", DB_PORT="1", DB_PASSWORD="my-secret-password")
    [line, engine] = said.splitlines()
    assert line.startswith(
        "DB_HOST and DB_PORT: PostgreSQL at 127.0.0.1:1/appengine is out of reach"
    )
    assert line.endswith("see whether it runs, and whether DB_HOST and DB_PORT are right.")
    assert engine.startswith("DOCKER_HOST: "), "not the first problem alone is told"
    assert "my-secret-password" not in said


def test_without_a_container_engine_the_sentence_says_what_to_start(refused: Refused) -> None:
    said = refused()
    assert "no container engine answers: start Docker or podman's service" in said
    assert "DOCKER_HOST" in said
    assert "unix:///no/such/engine.sock (no such socket)" in said


def test_kubernetes_without_a_namespace_is_refused(refused: Refused) -> None:
    said = refused(SCHEDULER="kubernetes")
    assert said == "SCHEDULER_TASKS_NAMESPACE: name the namespace that tasks run in.\n"


def test_datasets_that_are_not_there_are_refused(refused: Refused) -> None:
    said = refused(REF_STORAGE_BASE_PATH="/nope")
    assert said.startswith("REF_STORAGE_BASE_PATH: there is no folder /nope")


def test_a_certificate_is_looked_at_before_anything_is_started(refused: Refused) -> None:
    said = refused(TLS_CERTIFICATE_FILE="/no/cert.pem", TLS_KEY_FILE="/no/key.pem")
    assert said.startswith("TLS_CERTIFICATE_FILE and TLS_KEY_FILE: the certificate /no/cert.pem")


def test_kubernetes_without_a_way_to_it_is_refused(refused: Refused, tmp_path: Path) -> None:
    said = refused(SCHEDULER_TASKS_NAMESPACE="tasks", HOME=str(tmp_path))
    assert "no way to Kubernetes by neither a kubeconfig nor a service account" in said


def test_an_engine_that_is_silent_is_said_to_be_so(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        said = refused(DOCKER_HOST=f"unix://{path}")
    assert f"unix://{path} (the container engine does not answer: TimeoutError)" in said
