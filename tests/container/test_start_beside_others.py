"""A server that starts where another one is already, refused in one sentence."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(180)]

EXIT_REFUSED = 2
SECONDS = 30


@pytest.fixture(scope="module")
def first(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(folder=tmp_path_factory.mktemp("first"), engine_url=engine_url)
    server.start()
    yield server
    server.stop()


def refusal_of(server: ServerProcess, **settings: str) -> str:
    process = server.launch(**settings)
    try:
        assert process.wait(SECONDS) == EXIT_REFUSED, server.log.read_text()
    except subprocess.TimeoutExpired:
        server.kill()
        raise
    assert "Traceback" not in server.log.read_text()
    return server.log.read_text().partition("appengine-server cannot start: ")[2]


def test_a_port_in_use_is_refused(first: ServerProcess, tmp_path: Path) -> None:
    port = first.address.rpartition(":")[2]
    second = ServerProcess(folder=tmp_path, engine_url=first.engine_url)
    assert refusal_of(second, PORT=port) == (
        f"BIND_ADDRESS and PORT: cannot listen on 127.0.0.1:{port}: another program has the port, "
        "or the address is not of this machine; choose another PORT or BIND_ADDRESS.\n"
    )
    sentences = [line for line in second.log.read_text().splitlines() if not line.startswith("{")]
    assert len(sentences) == 1, "gRPC's own line about it is left out"


def test_a_certificate_that_cannot_be_used_is_refused(first: ServerProcess, tmp_path: Path) -> None:
    certificate = tmp_path / "server.pem"
    certificate.write_text("no certificate")
    second = ServerProcess(folder=tmp_path, engine_url=first.engine_url)
    said = refusal_of(second, TLS_CERTIFICATE_FILE=str(certificate), TLS_KEY_FILE=str(certificate))
    assert f"the certificate {certificate} and the key {certificate} cannot be used" in said
    assert "both must be PEM, belong together" in said


async def test_a_second_server_on_the_same_data_folder_is_refused(
    first: ServerProcess, tmp_path: Path
) -> None:
    second = ServerProcess(
        folder=tmp_path,
        engine_url=first.engine_url,
        settings={"STORAGE_BASE_PATH": str(first.storage)},
    )
    said = await asyncio.to_thread(refusal_of, second)
    assert str(first.storage) in said
    async with first.client() as client:  # which goes on undisturbed
        assert [task async for task in client.tasks.list()] == []
