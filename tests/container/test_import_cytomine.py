"""`appengine-server import-cytomine` on the database, storage and registry of an old engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from appengine_client.errors import NotFound
from appengine_client.sync import Client
from appengine_client.sync import connect as connect_client
from appengine_server.database.embedded import EmbeddedPostgres
from appengine_server.database.pool import ConnectTo, connect

from tests.container.bundles import dump, make_descriptor
from tests.container.engine_server import REAL, RunState, wait_for
from tests.container.images import busybox_archive
from tests.container.test_registry_publishing import READY, registry, trusting_engine_url
from tests.fixtures_database import temporary_database
from tests.registry import ImageRegistry
from tests.server_process import ServerProcess

__all__ = ["registry", "trusting_engine_url"]

pytestmark = REAL

ALL_DONE, SOMETHING_LEFT, REFUSED = 0, 1, 2
LOGO = b"\x89PNG\r\n\x1a\n and more"
LEFT = "com.example.broken:1.0.0"

# As the old engine's documentation has it: one row a task, and the names of files and image.
_OLD_SCHEMA = """
    CREATE TABLE task (
        identifier uuid PRIMARY KEY, namespace varchar(255), version varchar(255),
        name varchar(255), name_short varchar(255), description varchar(255),
        storage_reference varchar(255), image_name varchar(255), input_folder varchar(255),
        output_folder varchar(255), cpus integer, gpus integer, ram varchar(255));
    CREATE TABLE run (identifier uuid PRIMARY KEY, state varchar(255), task_id uuid);"""

_OLD_TASK = """
    INSERT INTO task VALUES ($1, $2, $3, 'Test task', 'test', '', $4, $5, '/inputs', '/outputs',
                             1, 0, '64Mi')"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An old engine that was stopped, and the settings that the new one takes over from it."""

    storage: Path
    settings: dict[str, str]
    place: ConnectTo
    registry: ImageRegistry
    folder: Path

    async def add_task(
        self, name: str, *, script: str = "true", logo: bytes = b"", image: str | None = None,
        **about: Any,
    ) -> Path:  # fmt: skip
        """A task as the old engine left it; answers its folder. `image`: one that is not there."""
        namespace, _, version = name.partition(":")
        identifier = uuid4()
        folder = self.storage / f"task-{identifier}-def"
        folder.mkdir()
        descriptor = make_descriptor(namespace=namespace, version=version, **about)
        (folder / "descriptor.yml").write_bytes(dump(descriptor))
        if logo:
            (folder / "logo.png").write_bytes(logo)
        image_name = image or f"{namespace.replace('.', '/')}:{version}"
        if image is None:
            self._push(image_name, script)
        connection = await connect(self.place)
        await connection.execute(_OLD_TASK, identifier, namespace, version, folder.name, image_name)
        await connection.close()
        return folder

    def run_command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """The command with the environment of the server."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            [sys.executable, "-m", "appengine_server", "import-cytomine", *arguments],
            env={**kept, **self.settings, **settings}, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip

    def outcomes(self, *arguments: str, code: int) -> dict[str, str]:
        done = self.run_command("--json", *arguments)
        assert done.returncode == code, done.stderr
        report = json.loads(done.stdout)
        assert report["ok"] is (code == ALL_DONE)
        return {f"{one['namespace']}:{one['version']}": one["outcome"] for one in report["tasks"]}

    def _push(self, image_name: str, script: str) -> None:
        archive = self.folder / f"{uuid4().hex}.tar"
        busybox_archive(
            archive, entrypoint=["/bin/sh", "-c", script], files={"unique": uuid4().bytes}
        )
        copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
        there = f"docker://{self.registry.host}/{image_name}"
        subprocess.run([*copy, f"docker-archive:{archive}", there], check=True)


@pytest.fixture
async def empty_installation(
    tmp_path: Path, registry: ImageRegistry, trusting_engine_url: str, postgres: EmbeddedPostgres
) -> AsyncIterator[Installation]:
    """No tasks, and seven runs."""
    async with temporary_database(postgres, template="template1") as place:
        connection = await connect(place)
        await connection.execute(_OLD_SCHEMA)
        await connection.execute(
            "INSERT INTO run SELECT gen_random_uuid(), 'FINISHED' FROM generate_series(1, 7)"
        )
        await connection.close()
        storage = tmp_path / "storage"
        storage.mkdir()
        settings = {
            "DB_HOST": place.host,
            "DB_NAME": place.database,
            "DB_USERNAME": place.user,
            "REGISTRY_URL": f"http://{registry.host}",
            "STORAGE_BASE_PATH": str(storage),
            "DOCKER_HOST": trusting_engine_url,
        }
        yield Installation(
            storage=storage, settings=settings, place=place, registry=registry, folder=tmp_path
        )


@pytest.fixture
async def installation(empty_installation: Installation) -> Installation:
    """Three tasks with their images, and one with a descriptor that we refuse."""
    made = empty_installation
    await made.add_task(
        "com.example.count:1.2.0", logo=LOGO,
        script="expr $(cat /inputs/number) + 1 | tr -d '\\n' >/outputs/number",
        inputs={"number": "integer"}, outputs={"number": "integer"},
    )  # fmt: skip
    await made.add_task("com.example.count:1.3.0", logo=b"a JPEG")
    await made.add_task("org.example.other-thing:2.0.0-rc.1")
    await made.add_task(LEFT, ram="12GiB", outputs={"a b": "colour"})
    return made


@contextmanager
def serving(old: Installation) -> Iterator[Client]:
    """The new server in the old one's place."""
    server = ServerProcess(
        folder=old.folder / "server",
        engine_url=old.settings["DOCKER_HOST"],
        settings={**old.settings, "SCHEDULER_SHM": "16Mi"},
    )
    try:
        server.start()
        with connect_client(server.address) as client:
            yield client
    finally:
        server.stop()


def test_tasks_are_taken_over_and_run(installation: Installation) -> None:
    old = installation
    before = old.run_command()
    assert before.returncode == REFUSED
    assert "start the server first" in before.stderr

    with serving(old) as client:
        importable = old.outcomes("--dry-run", code=SOMETHING_LEFT)
        assert importable.pop(LEFT) == "left"
        assert len(importable) == 3
        assert set(importable.values()) == {"importable"}
        assert list(client.tasks.list(include_shared=True)) == []

        shown = old.run_command()
        assert shown.returncode == SOMETHING_LEFT, shown.stderr
        _check_table(shown.stdout)

        name = "com.example.count:1.2.0"
        run = client.runs.create(name, {"number": 41}, start=True)
        run = client.runs.wait(run.id)
        assert run.state == RunState.RUN_STATE_SUCCEEDED, run
        (output,) = client.runs.outputs(run.id)
        assert output.value.integer == 42
        assert client.tasks.logo(name) == LOGO
        with pytest.raises(NotFound):
            client.tasks.logo("com.example.count:1.3.0")
        for other in importable:
            task = wait_for(
                lambda other=other: _ready(client, other)  # type: ignore[misc]
            )
            assert not task.HasField("failure")


def test_an_import_that_is_repeated_takes_over_what_was_mended(installation: Installation) -> None:
    old = installation
    with serving(old) as client:
        assert old.outcomes(code=SOMETHING_LEFT)[LEFT] == "left"
        again = old.outcomes(code=SOMETHING_LEFT)
        assert again.pop(LEFT) == "left"
        assert set(again.values()) == {"present"}
        [broken] = [
            path
            for path in old.storage.glob("task-*-def/descriptor.yml")
            if b"com.example.broken" in path.read_bytes()
        ]
        broken.write_bytes(dump(make_descriptor(namespace="com.example.broken")))
        assert old.outcomes(code=ALL_DONE)[LEFT] == "imported"
        assert set(old.outcomes(code=ALL_DONE).values()) == {"present"}
        assert len(list(client.tasks.list(include_shared=True))) == 4


@pytest.fixture
async def spoiled_installation(empty_installation: Installation) -> Installation:
    """One task with a wrong descriptor, one whose files are another's and whose image is gone, and
    one without files.
    """
    old = empty_installation
    await old.add_task(LEFT, ram="12GiB", outputs={"a b": "colour"})
    folder = await old.add_task("com.example.gone:1.0.0", image="com/example/gone:1.0.0")
    (folder / "descriptor.yml").write_bytes(dump(make_descriptor(namespace="com.example.else")))
    bare = await old.add_task("com.example.bare:1.0.0")
    (bare / "descriptor.yml").unlink()
    return old


def test_all_that_is_wrong_with_a_task_is_told(spoiled_installation: Installation) -> None:
    old = spoiled_installation
    with serving(old):
        done = old.run_command("--dry-run", "--json")
        away = old.run_command(REGISTRY_URL="http://127.0.0.1:9")
    assert away.returncode == REFUSED
    assert "the registry cannot be reached" in away.stderr
    found = {
        f"{one['namespace']}:{one['version']}": {problem["reason"] for problem in one["problems"]}
        for one in json.loads(done.stdout)["tasks"]
    }
    assert found["com.example.gone:1.0.0"] == {"IDENTITY_DIFFERS", "IMAGE_PULL"}
    assert found["com.example.bare:1.0.0"] == {"DESCRIPTOR_MISSING"}
    assert len(found[LEFT]) >= 2


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["--from-database", "mysql://x"], {}, "--from-database: must be postgresql://"),
        (["--from-storage", "/no/such/folder"], {}, "--from-storage: there is no folder"),
        ([], {"REGISTRY_URL": ""}, "REGISTRY_URL: name the registry"),
        ([], {"DB_NAME": "postgres"}, "it has no table `task`"),
    ],
)
def test_what_keeps_an_import_from_beginning_is_a_sentence(
    empty_installation: Installation,
    arguments: list[str],
    settings: dict[str, str],
    sentence: str,
) -> None:
    done = empty_installation.run_command(*arguments, **settings)
    assert done.returncode == REFUSED
    assert done.stdout == ""
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def _check_table(shown: str) -> None:
    lines = shown.splitlines()
    assert lines[-2:] == [
        "4 tasks: 3 imported, 1 left",
        "left behind: 7 runs of the old engine, with their inputs and outputs",
    ]
    [broken] = [number for number, line in enumerate(lines) if line.startswith("left        com")]
    assert "12GiB" in shown
    assert lines[broken + 1].startswith(" " * 20), "a task's problems stand below each other"
    assert "warning: logo.png: the logo is ignored: the logo is not a PNG" in shown


def _ready(client: Client, name: str) -> Any:
    task = client.tasks.get(name)
    return task if task.state == READY else None
