"""`appengine-server health` tells whether the server on this machine serves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from appengine_server.rpc.health_check import NotServing, own_address
from appengine_server.rpc.server import TlsFiles
from appengine_server.settings import RpcSettings


async def health(*arguments: str, **environment: str) -> tuple[int, str]:
    """Its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appengine_server", "health", *arguments,
        env={"PATH": os.environ["PATH"], **environment}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


def tls_settings(files: TlsFiles, port: int) -> Mapping[str, str]:
    return {
        "PORT": str(port),
        "TLS_CERTIFICATE_FILE": str(files.certificate),
        "TLS_KEY_FILE": str(files.key),
    }


async def test_a_server_that_serves(serve: Any) -> None:
    async with serve() as caller:
        port = str(caller.server.port)
        assert await health(PORT=port) == (0, "")
        assert await health(PORT=port, BIND_ADDRESS="0.0.0.0") == (0, "")
        assert await health("--address", f"localhost:{port}") == (0, "")


async def test_nobody_there() -> None:
    code, said = await health(PORT="1")
    assert code == 1
    assert said.startswith("127.0.0.1:1 does not answer: ")


async def test_a_server_whose_certificate_is_for_another_name(
    serve: Any, tls_files: TlsFiles
) -> None:
    async with serve(tls=tls_files) as caller:
        assert await health(**tls_settings(tls_files, caller.server.port)) == (0, "")


@pytest.mark.parametrize("name", ["*.example.org", "192.0.2.7"])
async def test_a_certificate_for_any_kind_of_name(serve: Any, tmp_path: Path, name: str) -> None:
    files = issued(tmp_path, name)
    async with serve(tls=files) as caller:
        assert await health(**tls_settings(files, caller.server.port)) == (0, "")


async def test_a_stranger_on_the_port_is_not_the_server(
    serve: Any, tls_files: TlsFiles, tmp_path: Path
) -> None:
    async with serve(tls=issued(tmp_path, "localhost")) as caller:
        code, said = await health(**tls_settings(tls_files, caller.server.port))
    assert code == 1
    assert "does not answer with the certificate of TLS_CERTIFICATE_FILE" in said
    assert "another server has the port" in said


async def test_a_server_without_tls_is_asked_with_tls(serve: Any, tls_files: TlsFiles) -> None:
    async with serve() as caller:
        code, said = await health(**tls_settings(tls_files, caller.server.port))
    assert code == 1
    assert "does not speak TLS: leave TLS_CERTIFICATE_FILE out" in said


async def test_a_server_with_tls_is_asked_without(serve: Any, tls_files: TlsFiles) -> None:
    async with serve(tls=tls_files) as caller:
        code, said = await health(PORT=str(caller.server.port))
    assert code == 1
    assert "if it speaks TLS, set TLS_CERTIFICATE_FILE and TLS_KEY_FILE here too" in said


def test_a_port_that_the_server_chose(tmp_path: Path) -> None:
    file = tmp_path / "port"
    settings = RpcSettings(port=0, port_file=file, bind_address="0.0.0.0")
    with pytest.raises(NotServing, match="has not said its port"):
        own_address(settings)
    with pytest.raises(NotServing, match="set PORT or PORT_FILE"):
        own_address(RpcSettings(port=0))
    file.write_text("4711")
    assert own_address(settings) == "127.0.0.1:4711"


def issued(folder: Path, name: str) -> TlsFiles:
    """A certificate for this name, with those that signed it."""
    files = TlsFiles(certificate=folder / "certificate.pem", key=folder / "key.pem")
    certificate = trustme.CA().issue_cert(name)
    certificate.private_key_pem.write_to_path(files.key)
    for part in certificate.cert_chain_pems:
        part.write_to_path(files.certificate, append=True)
    return files
