"""The Compose file says what the settings read, and its blocks fit together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from appengine_server.checks import machine, scheduler
from appengine_server.checks.check import Surroundings
from appengine_server.settings import review_settings

from tests.checking import environment, variables
from tests.compose import FOLDER, VARIABLE, compose_services, mounts

OF_THE_JAVA_ENGINE = {
    "API_PREFIX": "/app-engine/",
    "DB_HOST": "postgis",
    "DB_NAME": "appengine",
    "DB_PASSWORD": "password",
    "DB_PORT": "5432",
    "DB_USERNAME": "appengine",
    "REGISTRY_URL": "http://registry:5000",
    "STORAGE_BASE_PATH": "/app-engine-shared-inputs",
    "RUN_STORAGE_BASE_PATH": "/app-engine-shared-inputs",
    "REF_STORAGE_BASE_PATH": "/app-engine-shared-datasets",
    "SCHEDULER_RUN_MODE": "local",
    "SCHEDULER_ADVERTISED_URL": "http://172.16.238.10:8080",
    "SCHEDULER_REGISTRY_ADVERTISED_URL": "172.16.238.4:5000",
    "SCHEDULER_USE_HOST_NETWORK": "true",
    "SCHEDULER_TASKS_NAMESPACE": "app-engine-tasks",
    "KUBERNETES_MASTER": "https://k3s:6443/",
}
"""A block as installations have it."""
PROOF = {"ALLOW_INSECURE"}
"""What it has besides: how clients prove who they are."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return compose_services()


@pytest.fixture(scope="module")
def block(services: dict[str, Any]) -> dict[str, str]:
    """The server's variables."""
    found: dict[str, str] = services["app-engine"]["environment"]
    return found


def test_the_block_is_that_of_an_installation_and_the_proof(block: dict[str, str]) -> None:
    assert {name: block[name] for name in OF_THE_JAVA_ENGINE} == OF_THE_JAVA_ENGINE
    assert set(block) - set(OF_THE_JAVA_ENGINE) == PROOF


def test_every_variable_is_a_setting_and_every_value_text(block: dict[str, str]) -> None:
    assert set(block) <= variables()
    assert all(isinstance(value, str) for value in block.values()), "YAML makes no text of them"


def test_the_settings_take_every_value(block: dict[str, str]) -> None:
    with environment(block):
        reviewed = review_settings()
    assert reviewed.wrong == []
    settings = reviewed.settings
    assert settings.scheduling.kind == "kubernetes"
    assert settings.kubernetes.run_mode == "local"
    assert settings.database.password == "password"
    assert str(settings.storage.base_path) == "/app-engine-shared-inputs"


async def test_no_check_of_the_settings_has_anything_against_it(block: dict[str, str]) -> None:
    with environment(block):
        surroundings = Surroundings(settings=review_settings().settings)
    assert await machine.settings(surroundings) == []
    told = [finding.setting for finding in await scheduler.earlier_engine(surroundings)]
    assert told == ["SCHEDULER_USE_HOST_NETWORK"], "a warning that installations know"


def test_storage_and_datasets_lie_at_one_path_in_server_and_node(
    services: dict[str, Any], block: dict[str, str]
) -> None:
    server, node = mounts(services["app-engine"]), mounts(services["k3s"])
    storage, datasets = block["STORAGE_BASE_PATH"], block["REF_STORAGE_BASE_PATH"]
    assert server[storage] == node[storage]
    assert server[datasets] == node[datasets]
    assert server[storage][1] is False
    assert server[datasets][1] is True, "datasets are only read"


def test_the_kubeconfig_of_the_node_is_where_the_server_looks(services: dict[str, Any]) -> None:
    server, node = mounts(services["app-engine"]), mounts(services["k3s"])
    written = services["k3s"]["environment"]["K3S_KUBECONFIG_OUTPUT"]
    assert written == "/output/config"
    assert server["/root/.kube"] == (node["/output"][0], True)


def test_addresses_are_those_of_the_blocks(services: dict[str, Any], block: dict[str, str]) -> None:
    def address(name: str) -> str:
        found: str = services[name]["networks"]["default"]["ipv4_address"]
        return found

    assert block["SCHEDULER_ADVERTISED_URL"] == f"http://{address('app-engine')}:8080"
    registry = f"{address('registry')}:5000"
    assert block["SCHEDULER_REGISTRY_ADVERTISED_URL"] == registry
    trusted = yaml.safe_load((FOLDER / "k3s" / "registries.yaml").read_text())
    assert trusted == {"mirrors": {registry: {"endpoint": [f"http://{registry}"]}}}
    host = block["KUBERNETES_MASTER"].removeprefix("https://").partition(":")[0]
    assert host in services
    assert f"--tls-san={host}" in services[host]["command"]


def test_the_namespace_of_tasks_is_made_and_waited_for(
    services: dict[str, Any], block: dict[str, str]
) -> None:
    made = yaml.safe_load((FOLDER / "k3s" / "namespace.yaml").read_text())
    assert made["metadata"]["name"] == block["SCHEDULER_TASKS_NAMESPACE"]
    assert made["metadata"]["name"] in services["k3s"]["healthcheck"]["test"]
    assert services["app-engine"]["depends_on"]["k3s"] == {"condition": "service_healthy"}


def test_the_database_is_the_one_that_the_server_asks_for(
    services: dict[str, Any], block: dict[str, str]
) -> None:
    database = services[block["DB_HOST"]]["environment"]
    assert database["POSTGRES_DB"] == block["DB_NAME"]
    assert database["POSTGRES_USER"] == block["DB_USERNAME"]
    assert database["POSTGRES_PASSWORD"] == block["DB_PASSWORD"]


def test_what_asks_nobody_for_a_proof_is_open_to_this_machine_alone(
    services: dict[str, Any], block: dict[str, str]
) -> None:
    assert block["ALLOW_INSECURE"] == "true"
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert published.pop("app-engine") == ["127.0.0.1:8080:8080"]
    assert not any(published.values())


def test_every_variable_of_the_file_is_in_its_readme() -> None:
    names = {found["name"] for found in VARIABLE.finditer((FOLDER / "compose.yaml").read_text())}
    readme = (FOLDER / "README.md").read_text()
    assert {name for name in names if f"`{name}`" not in readme} == set()


def test_compose_itself_reads_the_file() -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman-compose asks podman for its version")
    done = subprocess.run(
        [Path(sys.executable).with_name("podman-compose"), "--file", FOLDER / "compose.yaml",
         "config"],
        capture_output=True, text=True, check=False, timeout=18,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) == {
        "app-engine", "postgis", "registry", "k3s",
    }  # fmt: skip
