"""Each variable and each path, set wrong: the checks say in a sentence what is wrong, and where.

What needs a cluster is in tests/kubernetes, what needs a container engine in tests/container.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from appengine_server.checks import catalogue
from appengine_server.checks.check import Check, Severity, Surroundings
from appengine_server.checks.running import CannotStart, check_start, run_check
from appengine_server.database.embedded import EmbeddedPostgres, embedded_postgres
from appengine_server.database.migrate import migrate
from appengine_server.database.pool import ConnectTo, connect
from appengine_server.settings import review_settings

from tests.checking import environment, results_of, sentences_of, variables
from tests.registry import ImageRegistry, free_port, running_registry

pytestmark = pytest.mark.timeout(60)

OF_THE_JAVA_ENGINE = {
    "PORT", "API_PREFIX", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USERNAME", "DB_PASSWORD",
    "REGISTRY_URL", "REGISTRY_USER", "REGISTRY_PASSWORD", "SCHEDULER_REGISTRY_ADVERTISED_URL",
    "STORAGE_IMPL", "STORAGE_BASE_PATH", "RUN_STORAGE_BASE_PATH", "REF_STORAGE_BASE_PATH",
    "SCHEDULER_RUN_MODE", "SCHEDULER_ADVERTISED_URL", "SCHEDULER_USE_HOST_NETWORK",
    "SCHEDULER_TASKS_NAMESPACE", "SCHEDULER_TASKS_RUNNER_IMAGE", "KUBERNETES_MASTER",
}  # fmt: skip
CLUSTER = {"SCHEDULER_TASKS_NAMESPACE": "tasks", "SCHEDULER_RUN_MODE": "cluster"}
ADDRESS = "http://engine.example.org:8080"
SHORT = {"STORAGE_LOW_WATER": "0"}


def test_every_variable_of_the_java_engine_is_read():
    assert variables() >= OF_THE_JAVA_ENGINE


WRONG = {
    "PORT": ("http", {}, "should be a valid integer"),
    "API_PREFIX": ("app-engine", {}, "must begin and end with /"),
    "DB_PORT": ("none", {}, "should be a valid integer"),
    "REGISTRY_URL": ("registry:5000", {}, "must begin with http:// or https://"),
    "SCHEDULER_REGISTRY_ADVERTISED_URL": ("my registry", {}, "must be `host:port`"),
    "STORAGE_IMPL": ("s3", {}, "should be 'filesystem'"),
    "RUN_STORAGE_BASE_PATH": (
        "/elsewhere", {"SCHEDULER_TASKS_NAMESPACE": "tasks", "STORAGE_BASE_PATH": "/data"},
        "/elsewhere is not STORAGE_BASE_PATH (/data): mount the storage at one path",
    ),
    "SCHEDULER_RUN_MODE": ("both", {}, "should be 'local' or 'cluster'"),
    "SCHEDULER_ADVERTISED_URL": ("engine:8080", CLUSTER, "must begin with http:// or https://"),
    "SCHEDULER_USE_HOST_NETWORK": ("perhaps", {}, "should be a valid boolean"),
    "KUBERNETES_MASTER": ("k3s:6443", {}, "must begin with http:// or https://"),
    "SCHEDULER_TASKS_NAMESPACE": ("", {"SCHEDULER": "kubernetes"}, "name the namespace"),
    "SCHEDULER_CA_FILE": (
        "/no/such.pem", {**CLUSTER, "SCHEDULER_ADVERTISED_URL": ADDRESS}, "there is no file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_a_variable_that_cannot_be_used_is_named_alone(name: str) -> None:
    value, others, words = WRONG[name]
    [sentence] = await sentences_of({**others, name: value}, "settings")
    assert sentence.startswith(f"{name}: ")
    assert words in sentence
    assert sentence.endswith(".")


async def test_an_address_without_a_host_is_refused():
    [sentence] = await sentences_of({**CLUSTER, "SCHEDULER_ADVERTISED_URL": "http:///app"})
    assert "must be http://host:port" in sentence


async def test_variables_without_effect_are_warned_of():
    given = {
        **CLUSTER, "SCHEDULER_ADVERTISED_URL": ADDRESS, "SCHEDULER_USE_HOST_NETWORK": "true",
        "SCHEDULER_TASKS_RUNNER_IMAGE": "cytomine/app-engine-tasks-runner",
        "SCHEDULER_REGISTRY_ADVERTISED_URL": "registry:5000",
    }  # fmt: skip
    result = (await results_of(given, "settings without effect"))["settings without effect"]
    assert result.outcome == "warning"
    assert [(finding.setting, finding.severity) for finding in result.findings] == [
        ("SCHEDULER_TASKS_RUNNER_IMAGE", Severity.WARNS),
        ("SCHEDULER_USE_HOST_NETWORK", Severity.WARNS),
        ("SCHEDULER_REGISTRY_ADVERTISED_URL", Severity.WARNS),
    ]


# Paths and the disk


async def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    given = {"STORAGE_BASE_PATH": str(tmp_path / "file" / "data")}
    [sentence] = await sentences_of(given, "storage")
    assert sentence.startswith("STORAGE_BASE_PATH: the data folder")
    assert "Not a directory" in sentence


async def test_the_check_of_the_data_folder_leaves_nothing_in_it(tmp_path: Path) -> None:
    assert await sentences_of({"STORAGE_BASE_PATH": str(tmp_path)}, "storage") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "tasks", "uploads"]


async def test_datasets_that_are_not_there_are_told_where_they_were_asked_for(
    tmp_path: Path,
) -> None:
    given = {"STORAGE_BASE_PATH": str(tmp_path)}
    assert await sentences_of(given, "datasets") == []
    [sentence] = await sentences_of({**given, "REF_STORAGE_BASE_PATH": "/nope"}, "datasets")
    assert sentence.startswith("REF_STORAGE_BASE_PATH: there is no folder /nope: mount")


async def test_datasets_that_hold_the_storage_are_told(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    given = {
        "STORAGE_BASE_PATH": str(tmp_path / "storage"), "REF_STORAGE_BASE_PATH": str(tmp_path),
    }  # fmt: skip
    [sentence] = await sentences_of(given, "datasets")
    assert sentence.startswith("REF_STORAGE_BASE_PATH: ")
    assert "holds STORAGE_BASE_PATH" in sentence


async def test_a_disk_without_room_is_told_and_stops_no_start(tmp_path: Path) -> None:
    given = {"STORAGE_BASE_PATH": str(tmp_path)}
    assert await sentences_of({**given, **SHORT}, "disk") == []
    room = os.statvfs(tmp_path)
    free, total = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    more_than_free = {**given, "STORAGE_LOW_WATER": str((free + total) // 2)}
    result = (await results_of(more_than_free, "disk"))["disk"]
    [finding] = result.findings
    assert result.outcome == "failed"
    assert finding.severity is Severity.FAILS
    assert "make room, or choose less" in finding.message
    [sentence] = await sentences_of({**given, "STORAGE_LOW_WATER": "1000Ti"}, "disk")
    assert "bytes in all" in sentence


# Address, certificate, tokens


async def test_a_port_that_is_taken_is_told_unless_our_own_server_has_it():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        given = {"PORT": str(other.getsockname()[1])}
        [sentence] = await sentences_of(given, "address")
        assert sentence.startswith("BIND_ADDRESS and PORT: cannot listen on 127.0.0.1:")
        assert await sentences_of(given, "address", is_served=True) == []


async def test_a_port_of_the_metrics_that_is_taken_is_told():
    assert (await results_of({}, "metrics"))["metrics"].left_out == "there are no metrics"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        given = {"METRICS_PORT": str(other.getsockname()[1])}
        [sentence] = await sentences_of(given, "metrics")
        assert sentence.startswith("METRICS_BIND_ADDRESS and METRICS_PORT: cannot listen on ")
        assert await sentences_of(given, "metrics", is_served=True) == []


async def test_an_address_that_is_not_ours_is_told():
    sentences = await sentences_of({"BIND_ADDRESS": "192.0.2.1", "PORT": "0"}, "address")
    assert [text.partition(":")[0] for text in sentences] == [
        "BIND_ADDRESS",
        "BIND_ADDRESS and PORT",
    ]


async def test_files_of_tls_and_tokens_that_are_not_there_are_told(tmp_path: Path) -> None:
    given = {
        "TLS_CERTIFICATE_FILE": "/no/cert", "TLS_KEY_FILE": "/no/key", "TOKENS_FILE": "/no/tokens",
    }  # fmt: skip
    sentences = await sentences_of(given, "certificate", "tokens")
    assert sentences[0].startswith(
        "TLS_CERTIFICATE_FILE and TLS_KEY_FILE: the certificate /no/cert"
    )
    assert sentences[1].startswith("TOKENS_FILE: token file /no/tokens: it cannot be read")


async def test_certificates_for_agents_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    given = {
        **CLUSTER, "SCHEDULER_ADVERTISED_URL": ADDRESS,
        "SCHEDULER_CA_FILE": str(tmp_path / "ca.pem"),
    }  # fmt: skip
    [sentence] = await sentences_of(given, "agents' certificates")
    assert sentence.startswith("SCHEDULER_CA_FILE: ")
    assert "give them as PEM" in sentence


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
async def test_pods_are_not_sent_to_themselves(host: str) -> None:
    given = {**CLUSTER, "SCHEDULER_ADVERTISED_URL": f"http://{host}:8080"}
    [sentence] = await sentences_of(given, "advertised address")
    assert sentence.startswith("SCHEDULER_ADVERTISED_URL: ")
    assert "is the pod itself to a pod" in sentence


async def test_cluster_mode_without_an_image_of_the_agent_is_told():
    given = {**CLUSTER, "SCHEDULER_ADVERTISED_URL": ADDRESS}
    [sentence] = await sentences_of(given, "transfer agent")
    assert sentence.startswith("TRANSFER_AGENT_IMAGE: name the transfer agent's image")


# The database


@pytest.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL in which the role `engine` needs its password, and may make nothing."""
    async with embedded_postgres(tmp_path_factory.mktemp("guarded")) as running:
        connection = await connect(running.connect_to)
        try:
            hba = Path(await connection.fetchval("SHOW hba_file"))
            hba.write_text("local all engine scram-sha-256\n" + hba.read_text())
            await connection.execute("CREATE ROLE engine LOGIN PASSWORD 'right'")
            await connection.execute("CREATE DATABASE engine")
            await connection.execute(
                "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
            )
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()
        yield running


def variables_of(place: ConnectTo, **more: str) -> dict[str, str]:
    return {
        "DB_HOST": place.host, "DB_PORT": str(place.port), "DB_NAME": place.database,
        "DB_USERNAME": place.user, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "setting", "words"),
    [
        ({"DB_HOST": "/no/such/folder"}, "DB_HOST and DB_PORT", "is out of reach"),
        ({"DB_HOST": "no-such-host.invalid"}, "DB_HOST and DB_PORT", "is out of reach"),
        ({"DB_PORT": "1"}, "DB_HOST and DB_PORT", "is out of reach"),
        ({"DB_NAME": "nope"}, "DB_NAME", 'database "nope" does not exist'),
        ({"DB_USERNAME": "nobody_here"}, "DB_USERNAME and DB_PASSWORD", "does not exist"),
        ({"DB_PASSWORD": "wrong"}, "DB_USERNAME and DB_PASSWORD", "password authentication failed"),
    ],
)
async def test_a_database_that_cannot_be_entered_is_told(
    guarded: EmbeddedPostgres, wrong: dict[str, str], setting: str, words: str
) -> None:
    place = replace(guarded.connect_to, user="engine", database="engine")
    given = variables_of(place, DB_PASSWORD="right")
    assert await sentences_of(given, "database") == []
    [sentence] = await sentences_of({**given, **wrong}, "database")
    assert sentence.startswith(f"{setting}: ")
    assert words in sentence
    assert "right" not in sentence.replace("are right", "")


async def test_a_role_that_may_make_no_tables_is_told(guarded: EmbeddedPostgres) -> None:
    place = replace(guarded.connect_to, user="engine", database="engine")
    [sentence] = await sentences_of(variables_of(place, DB_PASSWORD="right"), "database rights")
    assert sentence == (
        "DB_USERNAME: the user engine may not create tables in the database engine: make it the "
        "database's owner."
    )


async def test_a_database_of_another_encoding_is_told(guarded: EmbeddedPostgres) -> None:
    place = replace(guarded.connect_to, database="latin")
    [sentence] = await sentences_of(variables_of(place), "database rights")
    assert sentence == "DB_NAME: the database latin has the encoding LATIN1: it must be UTF8."


async def test_a_database_that_only_lets_us_read_is_told(connect_to: ConnectTo) -> None:
    await execute(
        connect_to, f'ALTER DATABASE "{connect_to.database}" SET default_transaction_read_only = on'
    )
    [sentence] = await sentences_of(variables_of(connect_to), "database rights")
    assert sentence.startswith("DB_HOST: ")
    assert "name the primary" in sentence


async def test_a_database_of_a_newer_server_is_told(connect_to: ConnectTo) -> None:
    assert await sentences_of(variables_of(connect_to), "database rights") == []
    await execute(
        connect_to,
        "INSERT INTO schema_migrations (number, name, sha256) VALUES (9000, '9000_new', 'x')",
    )
    [sentence] = await sentences_of(variables_of(connect_to), "database rights")
    assert sentence.startswith("DB_NAME: the database is newer than this server")


async def test_tables_of_others_are_told(guarded: EmbeddedPostgres) -> None:
    owner = replace(guarded.connect_to, database="engine")
    await execute(owner, "CREATE TABLE slides (id integer)")
    try:
        place = replace(owner, user="engine")
        sentences = await sentences_of(variables_of(place, DB_PASSWORD="right"), "database rights")
        assert any("do not belong to engine: slides" in sentence for sentence in sentences)
    finally:
        await execute(owner, "DROP TABLE slides")


async def test_a_pool_that_is_larger_than_postgresql_allows_is_told(connect_to: ConnectTo) -> None:
    assert await sentences_of(variables_of(connect_to), "database connections") == []
    given = variables_of(connect_to, DB_POOL_SIZE="199")
    [sentence] = await sentences_of(given, "database connections")
    assert sentence.startswith("DB_POOL_SIZE: PostgreSQL allows")


@pytest.mark.parametrize(
    ("shift", "words"), [(timedelta(hours=1), "behind"), (timedelta(hours=-1), "ahead of")]
)
async def test_a_clock_that_differs_is_told(
    connect_to: ConnectTo, shift: timedelta, words: str
) -> None:
    given = variables_of(connect_to)
    assert await sentences_of(given, "database clock") == []
    with time_machine.travel(datetime.now(UTC) + shift, tick=True):
        result = (await results_of(given, "database clock"))["database clock"]
    assert result.outcome == "warning"
    [finding] = result.findings
    assert f"s {words} this machine's" in str(finding)


async def test_the_rights_are_not_looked_at_where_there_is_no_database():
    given = {"DB_HOST": "127.0.0.1", "DB_PORT": "1"}
    results = await results_of(given, "database", "database rights")
    assert results["database"].outcome == "failed"
    assert results["database rights"].left_out == "there is no database to ask"


async def test_checks_look_at_an_empty_database_without_making_anything(
    empty_database: ConnectTo,
) -> None:
    assert await sentences_of(variables_of(empty_database), "database", "database rights") == []
    connection = await connect(empty_database)
    try:
        assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None
    finally:
        await connection.close()
    await migrate(empty_database)


async def execute(place: ConnectTo, statement: str) -> None:
    connection = await connect(place)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


# The registry


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    users = "engine:$2b$04$85XdvwpFM8KTy2N0tjAYpO87NTrv0TD4kqsUcUHDjNxkyULTzRQJO\n"
    with running_registry(tmp_path_factory.mktemp("registry"), users=users) as running:
        yield running


@pytest.fixture
def open_registry(tmp_path: Path) -> Iterator[ImageRegistry]:
    with running_registry(tmp_path) as running:
        yield running


async def test_an_image_is_pushed_and_read_back_and_sent_once(
    open_registry: ImageRegistry, tmp_path: Path
) -> None:
    given = {
        "REGISTRY_URL": f"http://{open_registry.host}", "STORAGE_BASE_PATH": str(tmp_path / "data"),
    }  # fmt: skip
    (tmp_path / "data").mkdir()
    assert (await results_of(given, "registry"))["registry"].outcome == "ok"
    sent = open_registry.sent_blobs()
    assert len(sent) == 2
    assert (await results_of(given, "registry"))["registry"].outcome == "ok"
    assert open_registry.sent_blobs() == sent
    assert list((tmp_path / "data").iterdir()) == []


async def test_a_registry_that_is_away_is_told_and_stops_no_start(tmp_path: Path) -> None:
    given = {
        "REGISTRY_URL": f"http://127.0.0.1:{free_port()}", "STORAGE_BASE_PATH": str(tmp_path),
    }  # fmt: skip
    result = (await results_of(given, "registry"))["registry"]
    [finding] = result.findings
    assert finding.setting == "REGISTRY_URL"
    assert finding.severity is Severity.FAILS
    assert "cannot be reached" in finding.message


@pytest.mark.parametrize(
    "wrong", [{"REGISTRY_USER": "nobody"}, {"REGISTRY_PASSWORD": "guessed"}, {"REGISTRY_USER": ""}]
)
async def test_credentials_that_the_registry_refuses_are_told(
    registry: ImageRegistry, tmp_path: Path, wrong: dict[str, str]
) -> None:
    given = {
        "REGISTRY_URL": f"http://{registry.host}", "STORAGE_BASE_PATH": str(tmp_path),
        "REGISTRY_USER": "engine", "REGISTRY_PASSWORD": "s3cret-Pass", **wrong,
    }  # fmt: skip
    [sentence] = await sentences_of(given, "registry")
    assert sentence.startswith("REGISTRY_USER and REGISTRY_PASSWORD: the registry")
    assert "refuses the server's credentials" in sentence
    assert "guessed" not in sentence
    assert "s3cret-Pass" not in sentence


# Kubernetes without a cluster


async def test_a_cluster_that_is_away_is_told(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(json.dumps(kubeconfig("https://127.0.0.1:1")))
    given = {
        "SCHEDULER_TASKS_NAMESPACE": "tasks", "KUBECONFIG": str(tmp_path / "config"),
        "STORAGE_BASE_PATH": str(tmp_path),
    }  # fmt: skip
    [sentence] = await sentences_of(given, "cluster")
    assert sentence.startswith("KUBECONFIG: Kubernetes at https://127.0.0.1:1 cannot be reached")
    given |= {"KUBERNETES_MASTER": "https://127.0.0.1:2"}
    [sentence] = await sentences_of(given, "cluster", "cluster rights", "cluster clock")
    assert sentence.startswith("KUBERNETES_MASTER and KUBECONFIG: ")
    assert "https://127.0.0.1:2" in sentence


@pytest.mark.parametrize("content", [None, "", "[", "clusters: 5", "kind: Config"])
async def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config").write_text(content)
    given = {
        "SCHEDULER_TASKS_NAMESPACE": "tasks", "KUBECONFIG": str(tmp_path / "config"),
        "STORAGE_BASE_PATH": str(tmp_path),
    }  # fmt: skip
    [sentence] = await sentences_of(given, "cluster")
    assert sentence.startswith("KUBECONFIG: there is no way to Kubernetes by KUBECONFIG ")


def kubeconfig(url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
        "users": [{"name": "me", "user": {"token": "none"}}],
    }  # fmt: skip


def test_who_runs_no_kubernetes_does_not_pay_for_its_client(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from appengine_server.checks.running import CannotStart, check_start
from appengine_server.settings import review_settings
try:
    asyncio.run(check_start(review_settings()))
except CannotStart as refusal:
    print(refusal)
print("kubernetes" in sys.modules)
"""
    given = {"STORAGE_BASE_PATH": str(tmp_path), "DOCKER_HOST": "unix:///no.sock", "PORT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PATH": os.environ["PATH"], **given},
        capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False", done.stdout


# All together


async def test_a_start_is_refused_with_all_that_is_wrong(tmp_path: Path) -> None:
    given = {
        "STORAGE_IMPL": "s3", "REF_STORAGE_BASE_PATH": "/nope", "DB_HOST": "127.0.0.1",
        "DB_PORT": "1", "DOCKER_HOST": "unix:///no/such.sock", "TOKENS_FILE": "/no/tokens",
        "STORAGE_BASE_PATH": str(tmp_path), "PORT": "0",
    }  # fmt: skip
    with environment(given), pytest.raises(CannotStart) as refused:
        await check_start(review_settings())
    assert [line.partition(":")[0] for line in str(refused.value).splitlines()] == [
        "STORAGE_IMPL",
        "TOKENS_FILE",
        "REF_STORAGE_BASE_PATH",
        "DB_HOST and DB_PORT",
        "DOCKER_HOST",
    ]


async def test_what_rests_on_a_wrong_variable_is_left_out(tmp_path: Path) -> None:
    results = await results_of({"DB_PORT": "none", "DB_HOST": "127.0.0.1"}, "settings", "database")
    assert results["settings"].outcome == "failed"
    assert results["database"].left_out == "DB_PORT must be right first"


async def test_a_check_that_breaks_or_hangs_is_told_and_breaks_nothing():
    async def breaks(_: Surroundings) -> list[object]:
        raise KeyError("bug")

    async def hangs(_: Surroundings) -> list[object]:
        import asyncio

        await asyncio.Event().wait()
        return []

    with environment({}):
        surroundings = Surroundings(settings=review_settings().settings)
    for look, words in ((breaks, "the check itself failed by KeyError"), (hangs, "no answer came")):
        check = Check(
            name="x", about="x", settings=("PORT",), look=look,  # type: ignore[arg-type]
            patience=timedelta(seconds=0.2),
        )  # fmt: skip
        [finding] = (await run_check(check, surroundings)).findings
        assert words in finding.message


def test_checks_have_names_of_their_own_and_say_what_they_look_at():
    names = [check.name for check in catalogue.CHECKS]
    assert len(names) == len(set(names))
    for check in catalogue.CHECKS:
        assert check.about.endswith(".")
        assert set(check.settings) <= variables(), check.name
    looked_at = {name for check in catalogue.CHECKS for name in check.settings}
    assert OF_THE_JAVA_ENGINE - looked_at == {"API_PREFIX"}, "it is read and used by nothing"


# The command


def doctor(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "appengine_server", "doctor", *arguments],
        env={**kept, **given}, capture_output=True, text=True, check=False, timeout=50,
    )  # fmt: skip


def test_the_doctor_shows_every_check_and_its_exit_code_tells(tmp_path: Path) -> None:
    given = {"STORAGE_BASE_PATH": str(tmp_path), "DOCKER_HOST": "unix:///no.sock", "PORT": "0"}
    plain = doctor(**given, **SHORT)
    assert plain.returncode == 1, plain.stderr
    for check in catalogue.CHECKS:
        assert re.search(rf"^(ok|warning|failed|left out) +{check.name}( |$)", plain.stdout, re.M)
    assert "failed    container engine" in plain.stdout
    answer = json.loads(doctor("--json", **given, **SHORT).stdout)
    assert answer["ok"] is False
    assert [check["name"] for check in answer["checks"]] == [c.name for c in catalogue.CHECKS]
    [engine] = [check for check in answer["checks"] if check["outcome"] == "failed"]
    [finding] = engine["findings"]
    assert finding["setting"] == "DOCKER_HOST"
    assert finding["severity"] == "refuses"
