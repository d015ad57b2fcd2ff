"""The commands of docs/operations.md, run as they stand there, bring all back after a loss."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

from appengine_server.database.embedded import EmbeddedPostgres, find_programs

from tests.container.engine_server import QUICK, REAL, Engine, RunState
from tests.server_process import ServerProcess

pytestmark = REAL

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def commands_below(words: str) -> str:
    """The first block of commands below a line of the page."""
    found = re.search(r"```\n(.*?)```", PAGE.read_text().partition(words)[2], re.DOTALL)
    assert found is not None
    return found[1]


def test_backup_and_restore_by_the_docs_bring_back_runs_that_ended_and_runs_that_did_not(
    engine_url: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    place, name = postgres.connect_to, f"backup_{uuid4().hex}"
    backup = tmp_path / "backup"
    backup.mkdir()
    server = ServerProcess(
        folder=tmp_path / "server", engine_url=engine_url,
        settings={**QUICK, "DB_HOST": place.host, "DB_NAME": name, "DB_USERNAME": place.user},
    )  # fmt: skip

    def shell(commands: str) -> None:
        environment = {
            **os.environ, "PATH": f"{find_programs()}:{os.environ['PATH']}",
            "PGHOST": place.host, "PGUSER": place.user, "DB_NAME": name,
            "STORAGE_BASE_PATH": str(server.storage), "BACKUP": str(backup),
        }  # fmt: skip
        subprocess.run(["bash", "-euc", commands], env=environment, check=True, timeout=60)

    shell('createdb "$DB_NAME"')
    server.start()
    engine = Engine(server=server, folder=tmp_path)
    engine.connect()
    try:
        count = {"count": "integer"}
        ended = engine.run("echo 42 > /outputs/count", outputs=count)
        active = engine.start("sleep 5; echo 43 > /outputs/count", outputs=count)
        engine.until(active.id, RunState.RUN_STATE_RUNNING)
        [container] = engine.containers(active.id)
        shell(commands_below("**External PostgreSQL**"))

        # The loss: of the server, the database, the storage, and of what ran on the machine.
        after = engine.start("true", outputs=None)
        engine.disconnect()
        server.kill()
        engine.engine("rm", "--force", "--time", "0", container)
        shell('dropdb --force "$DB_NAME"')
        shutil.rmtree(server.storage)

        shell(commands_below("To restore"))
        server.start()
        engine.connect()
        assert engine.outputs(engine.client.runs.get(ended.id))["count"].integer == 42
        engine.client.runs.download_outputs(ended.id, tmp_path / "fetched")
        assert (tmp_path / "fetched" / "count").read_text() == "42\n"
        done = engine.client.runs.wait(active.id)
        assert done.state == RunState.RUN_STATE_SUCCEEDED, done.failure
        assert [attempt.number for attempt in done.attempts] == [1, 2]
        assert engine.outputs(done)["count"].integer == 43
        assert after.id not in {run.id for run in engine.client.runs.list()}
        assert engine.run("echo 44 > /outputs/count", outputs=count).failure.message == ""
        engine.remove_all()
    finally:
        engine.disconnect()
        server.stop()
        shell('dropdb --force --if-exists "$DB_NAME"')
