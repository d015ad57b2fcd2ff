"""The checks that need a cluster: rights, clocks, and pods that pull images and call the server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
import yaml

from tests.checking import results_of, sentences_of
from tests.kubernetes.agent import agent_archive, agent_image
from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.engines import server_on

__all__ = ["agent_archive", "agent_image"]

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def given(cluster: Cluster, namespace: str, tmp_path: Path) -> dict[str, str]:
    """Variables of a server in local mode that is right in everything."""
    storage = tmp_path / "storage"
    storage.mkdir()
    return {
        "STORAGE_BASE_PATH": str(storage), "KUBECONFIG": str(cluster.kubeconfig),
        "SCHEDULER_TASKS_NAMESPACE": namespace, "REGISTRY_URL": f"http://{cluster.registry}",
        "SCHEDULER_REGISTRY_ADVERTISED_URL": cluster.registry,
    }  # fmt: skip


def as_account(cluster: Cluster, namespace: str, folder: Path) -> str:
    """A kubeconfig of the namespace's default account, which may do nothing by itself."""
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    token = cluster.api.create(account, {"spec": {}})["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return str(path)


def allow(cluster: Cluster, namespace: str, *rules: tuple[str, str, list[str]]) -> None:
    """Give that account rights: group, resource, verbs."""
    root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    cluster.api.create(
        f"{root}/roles",
        {
            "metadata": {"name": "engine"},
            "rules": [
                {"apiGroups": [group], "resources": [resource], "verbs": verbs}
                for group, resource, verbs in rules
            ],
        },
    )
    cluster.api.create(
        f"{root}/rolebindings",
        {
            "metadata": {"name": "engine"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "engine",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
        },
    )  # fmt: skip


async def test_a_cluster_that_allows_everything_is_fine(given: dict[str, str]) -> None:
    results = await results_of(given, "cluster", "cluster rights", "cluster clock")
    assert {name: result.outcome for name, result in results.items()} == {
        "cluster": "ok", "cluster rights": "ok", "cluster clock": "ok",
    }  # fmt: skip


async def test_a_namespace_that_is_not_there_is_told(given: dict[str, str]) -> None:
    [sentence] = await sentences_of(
        {**given, "SCHEDULER_TASKS_NAMESPACE": "nowhere"}, "cluster", "cluster rights"
    )
    assert sentence.startswith("SCHEDULER_TASKS_NAMESPACE: Kubernetes at ")
    assert sentence.endswith("has no namespace nowhere: create it.")


async def test_each_right_that_is_missing_is_told_by_its_verbs(
    given: dict[str, str], cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    allow(
        cluster, namespace,
        ("batch", "jobs", ["create", "get", "list", "watch"]),
        ("", "pods", ["get", "list", "watch", "patch", "delete"]),
        ("", "pods/log", ["get"]),
        ("networking.k8s.io", "networkpolicies", ["create"]),
    )  # fmt: skip
    kubeconfig = as_account(cluster, namespace, tmp_path)
    result = (await results_of({**given, "KUBECONFIG": kubeconfig}, "cluster rights"))[
        "cluster rights"
    ]
    told = {
        finding.message.partition("allow the server to ")[2].partition(" in ")[0]:
        finding.severity.value
        for finding in result.findings
    }  # fmt: skip
    assert told == {
        "delete jobs.batch": "refuses",
        "list, watch events": "refuses",
        "patch networkpolicies.networking.k8s.io": "warns",
        "list, watch nodes": "warns",
    }


async def test_with_the_rights_that_are_listed_a_server_starts(
    given: dict[str, str], cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    allow(
        cluster, namespace,
        ("batch", "jobs", ["create", "get", "list", "watch", "delete"]),
        ("", "pods", ["get", "list", "watch", "patch", "delete"]),
        ("", "pods/log", ["get"]),
        ("", "events", ["list", "watch"]),
        ("networking.k8s.io", "networkpolicies", ["create", "patch"]),
    )  # fmt: skip
    kubeconfig = as_account(cluster, namespace, tmp_path)
    server = server_on(cluster, namespace, "local", tmp_path / "server", KUBECONFIG=kubeconfig)
    server.start()
    server.stop()


async def test_a_clock_of_the_cluster_that_differs_is_told(given: dict[str, str]) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=10), tick=True):
        [sentence] = await sentences_of(given, "cluster clock")
    assert sentence.startswith("KUBERNETES_MASTER: the Kubernetes API's clock is ")
    assert "s behind this machine's" in sentence


async def test_a_node_pulls_what_the_server_pushes(
    given: dict[str, str], cluster: Cluster, namespace: str
) -> None:
    result = (await results_of(given, "images where tasks run"))["images where tasks run"]
    assert (result.outcome, result.findings, result.left_out) == ("ok", (), None)
    assert cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"] == []


async def test_a_registry_that_nodes_do_not_reach_is_told(given: dict[str, str]) -> None:
    given["SCHEDULER_REGISTRY_ADVERTISED_URL"] = "127.0.0.1:9"
    [sentence] = await sentences_of(given, "images where tasks run")
    assert sentence.startswith("SCHEDULER_REGISTRY_ADVERTISED_URL: a node cannot pull 127.0.0.1:9/")
    assert "say by which `host:port` the registry is reached from there" in sentence


async def test_without_an_image_the_folders_of_nodes_are_warned_of(given: dict[str, str]) -> None:
    [sentence] = await sentences_of(given, "folders on nodes")
    assert sentence == (
        "SCHEDULER_PROBE_IMAGE: the nodes' folders are not checked: name an image with /bin/sh."
    )


async def test_folders_that_nodes_see_are_fine(given: dict[str, str], busybox: str) -> None:
    given["SCHEDULER_PROBE_IMAGE"] = busybox
    result = (await results_of(given, "folders on nodes"))["folders on nodes"]
    assert result.outcome == "ok"


async def test_a_pod_calls_the_server_or_tells_why_it_cannot(
    given: dict[str, str], cluster: Cluster, restricted_namespace: str, agent_image: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    given |= {
        "SCHEDULER_TASKS_NAMESPACE": restricted_namespace, "SCHEDULER_RUN_MODE": "cluster",
        "TRANSFER_AGENT_IMAGE": agent_image,
    }  # fmt: skip
    server = server_on(
        cluster, restricted_namespace, "cluster", tmp_path / "server", agent_image=agent_image
    )
    server.start()
    try:
        address = server.settings["SCHEDULER_ADVERTISED_URL"]
        given["SCHEDULER_ADVERTISED_URL"] = address
        result = await results_of(given, "server from pods", is_served=True)
        assert (result["server from pods"].outcome, result["server from pods"].left_out) == (
            "ok",
            None,
        )
    finally:
        server.stop()
    [sentence] = await sentences_of(given, "server from pods", is_served=True)
    assert sentence.startswith(f"SCHEDULER_ADVERTISED_URL: a pod does not reach {address}: ")
    assert "refused" in sentence
    left_out = await results_of(given, "server from pods")
    assert "no server serves" in str(left_out["server from pods"].left_out)
