from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from appengine_server.database import embedded as embedded_module
from appengine_server.database import unprivileged
from appengine_server.database.embedded import (
    DataFolderInUse,
    EmbeddedPostgres,
    EmbeddedPostgresFailed,
    embedded_postgres,
)
from appengine_server.database.pool import ConnectTo, Database, connect, open_database
from appengine_server.errors import Unavailable

OWNER = """
import asyncio, sys
from pathlib import Path
from appengine_server.database.embedded import embedded_postgres
from appengine_server.database.pool import connect

async def main():
    async with embedded_postgres(Path(sys.argv[1])) as postgres:
        connection = await connect(postgres.connect_to)
        await connection.execute("CREATE TABLE kept (id int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        print(postgres.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@contextmanager
def killed_owner(data_folder: Path) -> Iterator[int]:
    """A server that made a table and was killed: the number of the PostgreSQL that it left."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_folder)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    try:
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def supervised(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    task = asyncio.create_task(postgres.supervise_forever())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def count(connect_to: ConnectTo) -> int:
    connection = await connect(connect_to)
    try:
        number: int = await connection.fetchval("SELECT count(*) FROM kept")
        return number
    finally:
        await connection.close()


async def insert_until_it_fails(database: Database) -> int:
    committed = 0
    with suppress(Unavailable):
        while True:
            async with database.transaction() as connection:
                await connection.execute("INSERT INTO kept VALUES ($1)", committed)
            committed += 1
    return committed


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def processes_using(folder: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
        and process.info["cmdline"][0].endswith("postgres")
    ]


async def test_killed_with_sessions_open_it_is_started_again_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    async with (
        embedded_postgres(tmp_path) as postgres,
        open_database(
            postgres.connect_to, min_size=2, max_size=4, command_timeout=timedelta(seconds=5)
        ) as database,
        supervised(postgres),
    ):
        async with database.connection() as connection:
            await connection.execute("CREATE TABLE kept (id int)")
        committed = 0
        for _ in range(3):
            work = asyncio.create_task(insert_until_it_fails(database))
            await asyncio.sleep(0.1)
            before = postgres.pid
            os.kill(before, signal.SIGKILL)
            committed += await work
            while True:
                with suppress(Unavailable):
                    async with database.connection() as connection:
                        found = await connection.fetchval("SELECT count(*) FROM kept")
                        break
                await asyncio.sleep(0.01)
            assert postgres.pid != before
            assert found >= committed > 0


async def test_what_a_killed_server_left_is_taken_over_and_stopped(tmp_path: Path) -> None:
    with killed_owner(tmp_path) as left:
        assert is_running(left)
        async with embedded_postgres(tmp_path) as postgres:
            assert not is_running(left)
            assert postgres.pid != left
            assert await count(postgres.connect_to) == 1
        assert processes_using(tmp_path) == []


async def test_a_killed_server_and_a_killed_postgresql(tmp_path: Path) -> None:
    with killed_owner(tmp_path) as left:
        os.kill(left, signal.SIGKILL)
        async with embedded_postgres(tmp_path) as postgres:
            assert await count(postgres.connect_to) == 1


async def test_a_recorded_number_that_is_another_process_now(tmp_path: Path) -> None:
    with killed_owner(tmp_path) as left:
        os.kill(left, signal.SIGKILL)
        while is_running(left):
            await asyncio.sleep(0.01)
    with subprocess.Popen(
        ["sleep", "60"], user=(tmp_path / "postgres" / "cluster").stat().st_uid
    ) as stranger:
        try:
            record = tmp_path / "postgres" / "cluster" / "postmaster.pid"
            lines = record.read_text().splitlines()
            record.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            async with embedded_postgres(tmp_path) as postgres:
                assert await count(postgres.connect_to) == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


async def test_an_unfinished_first_start_is_done_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres" / "cluster.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    async with embedded_postgres(tmp_path) as postgres:
        assert (await connect_and_ask(postgres.connect_to, "SHOW fsync")) == "on"


async def test_a_second_server_on_the_folder_is_refused(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as postgres:
        with pytest.raises(DataFolderInUse, match="another server runs on the data folder"):
            async with embedded_postgres(tmp_path):
                pass
        assert (await connect_and_ask(postgres.connect_to, "SHOW synchronous_commit")) == "on"


async def test_a_long_path_and_a_folder_that_only_its_owner_enters(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data_folder = closed / ("long" * 20)
    async with embedded_postgres(data_folder) as postgres:
        sockets = Path(postgres.connect_to.host)
        assert sockets.parent == Path("/tmp")
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert (await connect_and_ask(postgres.connect_to, "SHOW listen_addresses")) == ""
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not sockets.exists()


async def test_files_of_another_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_module, "_START_AGAIN_SECONDS", ())
    cluster = tmp_path / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresFailed, match="made by PostgreSQL 17"):
        async with embedded_postgres(tmp_path):
            pass


async def test_a_start_that_fails_names_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_module, "_START_AGAIN_SECONDS", ())
    async with embedded_postgres(tmp_path):
        pass
    (tmp_path / "postgres" / "cluster" / "postgresql.conf").write_text("nonsense = 1\n")
    with pytest.raises(EmbeddedPostgresFailed, match=r"the end of .*postgres\.log says why"):
        async with embedded_postgres(tmp_path):
            pass
    assert "nonsense" in (tmp_path / "postgres" / "postgres.log").read_text()
    assert processes_using(tmp_path) == []


async def test_a_long_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_module, "LARGEST_LOG_BYTES", 10)
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "postgres.log").write_text("a line of last year\n")
    async with embedded_postgres(tmp_path):
        pass
    assert "last year" not in (tmp_path / "postgres" / "postgres.log").read_text()
    assert "last year" in (tmp_path / "postgres" / "postgres.log.1").read_text()


async def connect_and_ask(connect_to: ConnectTo, question: str) -> str:
    connection = await connect(connect_to)
    try:
        answer: str = await connection.fetchval(question)
        return answer
    finally:
        await connection.close()


async def test_a_user_without_a_name_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999_999)
    with pytest.raises(EmbeddedPostgresFailed, match="add it to /etc/passwd, or set DB_HOST"):
        async with embedded_postgres(tmp_path):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
async def test_root_gives_up_its_rights_but_the_one_to_reach_the_files() -> None:
    for mode, kept in ((0o755, 0), (0o700, 1 << 1)):  # CAP_DAC_OVERRIDE
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            Path(folder).chmod(mode)
            async with embedded_postgres(Path(folder)) as postgres:
                status = Path(f"/proc/{postgres.pid}/status").read_text()
                fields = dict(line.split(":\t", 1) for line in status.splitlines())
                assert fields["Uid"].split()[0] != "0"
                assert fields["NoNewPrivs"] == "1"
                open_programs = unprivileged._open_to_all(embedded_module.find_programs())
                assert int(fields["CapEff"], 16) == kept or not open_programs
