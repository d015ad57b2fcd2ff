"""A real PostgreSQL that is reached over the network by a password, as that of an installation."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appengine_server.database.embedded import find_programs
from appengine_server.database.unprivileged import account_for, command_as

_START_SECONDS = 30
_SUPERUSER = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPostgres:
    """Where it is, and the role that owns the one database."""

    host: str
    port: int
    name: str
    username: str
    password: str


@contextmanager
def postgres_on(
    host: str, folder: Path, *, port: int = 5432, username: str, password: str, name: str
) -> Iterator[NetworkPostgres]:
    """Run one at that address for as long as the context lasts, its files in `folder`."""
    data = folder / "cluster"
    account = account_for(data)
    folder.mkdir()
    data.mkdir(mode=0o700)
    if account is not None:
        os.chown(data, account.uid, account.gid)
    programs = find_programs()

    def command(program: str, *arguments: str) -> list[str]:
        path = programs / program
        return command_as(account, [str(path), *arguments], reaching=[path, data])

    def run(program: str, *arguments: str, statements: str = "") -> None:
        done = subprocess.run(
            command(program, *arguments), input=statements, cwd="/",
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    run("initdb", "--username", _SUPERUSER, "--encoding", "UTF8", "--no-locale", "--no-sync",
        "--auth", "trust", "-D", str(data))  # fmt: skip
    (data / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
    run("postgres", "--single", "-D", str(data), "template1", statements=(
        f"CREATE ROLE {username} LOGIN PASSWORD '{password}'\n"
        f"CREATE DATABASE {name} OWNER {username}\n"
    ))  # fmt: skip
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command("postgres", "-D", str(data), "-k", "", "-c", f"listen_addresses={host}",
                    "-p", str(port), "-c", "fsync=off", "-c", "shared_buffers=32MB"),
            cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _START_SECONDS
        asking = [programs / "pg_isready", "--quiet", f"--host={host}", f"--port={port}"]
        while subprocess.run(asking, check=False).returncode:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield NetworkPostgres(host=host, port=port, name=name, username=username, password=password)
    finally:
        process.send_signal(signal.SIGINT)  # without waiting for those who are connected
        process.wait(20)
