"""A server whose tasks run on any node: the bytes travel, by agents, over TLS."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from appengine.v1 import run_pb2

from tests.container.engine_server import Engine, RunState, wait_for
from tests.kubernetes.agent import agent_archive
from tests.kubernetes.cluster.cluster import BootedCluster, Cluster
from tests.kubernetes.conftest import RESTRICTED, namespace_on
from tests.kubernetes.engines import left_over, started_on

__all__ = ["agent_archive"]

pytestmark = pytest.mark.timeout(300)

MIB = 1 << 20
TOKEN = "a-token-of-the-tests-alone"
NAMESPACE = "cluster-mode"


@pytest.fixture(scope="module")
def engine(
    cluster: Cluster, agent_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """It brings the agent to the registry by itself, and everybody needs a token and trusts it."""
    folder = tmp_path_factory.mktemp("cluster")
    authority = trustme.CA()
    certificate = authority.issue_cert(cluster.server_address)
    files = {name: folder / name for name in ("authority", "certificate", "key", "tokens")}
    authority.cert_pem.write_to_path(str(files["authority"]))
    certificate.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    certificate.private_key_pem.write_to_path(str(files["key"]))
    files["tokens"].write_text(f"{TOKEN} tester default\n")
    files["tokens"].chmod(0o600)
    with (
        namespace_on(cluster, NAMESPACE, RESTRICTED),
        started_on(
            cluster,
            NAMESPACE,
            "cluster",
            folder,
            credentials={"token": TOKEN, "ca_certificate": files["authority"]},
            ALLOW_INSECURE="false",
            TRANSFER_AGENT_ARCHIVE=str(agent_archive),
            TLS_CERTIFICATE_FILE=str(files["certificate"]),
            TLS_KEY_FILE=str(files["key"]),
            TOKENS_FILE=str(files["tokens"]),
            SCHEDULER_CA_FILE=str(files["authority"]),
        ) as started,
    ):
        yield started


def succeeded(engine: Engine, run: run_pb2.Run) -> run_pb2.Run:
    ended: run_pb2.Run = engine.client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
    return ended


@pytest.mark.rule("configuration.not-isolated")
def test_a_run_ends_well_over_tls_and_leaves_nothing_behind(
    engine: Engine, cluster: Cluster
) -> None:
    run = engine.run("id -u > /outputs/user; echo done", outputs={"user": "integer"})
    assert run.state == RunState.RUN_STATE_SUCCEEDED, run.failure
    assert engine.outputs(run)["user"].integer != 0
    assert [warning.reason for warning in run.warnings] == ["NETWORK_NOT_ISOLATED"]
    assert engine.log(run) == b"done\n"
    wait_for(lambda: not left_over(cluster, NAMESPACE, run.id))


def test_a_second_server_finds_the_agent_in_the_registry(engine: Engine) -> None:
    said = "agent.image_published"
    assert engine.server.log.read_text().count(said) == 1
    engine.server.stop()
    engine.server.start()
    engine.connect()
    assert engine.server.log.read_text().count(said) == 1


def test_runs_land_on_both_nodes(engine: Engine, cluster: Cluster) -> None:
    runs = [engine.start("sleep 3") for _ in range(4)]
    nodes = set()
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"

    def all_are_placed() -> bool:
        found = {
            pod["metadata"]["name"]: pod["spec"].get("nodeName")
            for pod in cluster.api.get(pods)["items"]
        }
        nodes.update(node for node in found.values() if node)
        return len(nodes) == len(cluster.node_names)

    wait_for(all_are_placed, seconds=30)
    for run in runs:
        succeeded(engine, run)


def test_every_byte_travels_once(
    engine: Engine, booted_cluster: BootedCluster, tmp_path: Path
) -> None:
    task = engine.task(
        "cp /inputs/data /outputs/data", inputs={"data": "file"}, outputs={"data": "file"}
    )
    data = tmp_path / "data"
    data.write_bytes(os.urandom(256 * MIB))
    for _ in booted_cluster.node_names:  # so that no image is counted
        succeeded(engine, engine.client.runs.create(task.id, {"data": Path(__file__)}, start=True))
    before = [booted_cluster.network_bytes(node) for node in booted_cluster.node_names]
    run = succeeded(engine, engine.client.runs.create(task.id, {"data": data}, start=True))
    after = [booted_cluster.network_bytes(node) for node in booted_cluster.node_names]
    both = list(zip(before, after, strict=True))
    size = data.stat().st_size
    assert size <= sum(now.received - then.received for then, now in both) < 1.03 * size
    assert size <= sum(now.sent - then.sent for then, now in both) < 1.03 * size
    assert (engine.attempt_outputs(run.id) / "data").read_bytes() == data.read_bytes()


def test_no_credential_is_seen_in_pods_events_or_logs(engine: Engine, cluster: Cluster) -> None:
    run = engine.start("env; cat /proc/*/cmdline; cat /run/appengine/token; ls /var/run/secrets; :")
    seen: list[str] = []

    def secret() -> dict[str, str] | None:
        seen.extend(
            json.dumps(cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/{kind}"))
            for kind in ("pods", "events")
        )
        for item in cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/secrets")["items"]:
            if run.id.replace("-", "") in item["metadata"]["name"]:
                found: dict[str, str] = item["data"]
                return found
        return None

    tokens = _tokens(wait_for(secret))
    assert len(tokens) == 2
    ended = succeeded(engine, run)
    secret()
    log = engine.log(ended).decode(errors="replace")
    seen += [log, engine.server.log.read_text()]
    assert [token for token in tokens for text in seen if token in text] == []
    assert log.count("No such file") + log.count("no such file") == 2, log


def _tokens(data: dict[str, str]) -> list[str]:
    """What the Secret holds, without the certificates."""
    values = [base64.b64decode(value).decode() for value in data.values()]
    return [value for value in values if "BEGIN" not in value]


def test_nodes_get_the_registrys_credentials_by_a_secret(
    cluster: Cluster, agent_archive: Path, tmp_path: Path
) -> None:
    namespace = "credentials"
    credentials = {"REGISTRY_USER": "puller", "REGISTRY_PASSWORD": "a secret of the tests"}
    with (
        namespace_on(cluster, namespace, RESTRICTED),
        started_on(
            cluster, namespace, "cluster", tmp_path,
            TRANSFER_AGENT_ARCHIVE=str(agent_archive), **credentials,
        ) as engine,
    ):  # fmt: skip
        run = engine.start("sleep 1")
        pods = f"/api/v1/namespaces/{namespace}/pods"
        pod = wait_for(lambda: cluster.api.get(pods)["items"])[0]
        [named] = pod["spec"]["imagePullSecrets"]
        secret = cluster.api.get(f"/api/v1/namespaces/{namespace}/secrets/{named['name']}")
        assert secret["type"] == "kubernetes.io/dockerconfigjson"
        auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
        assert auths[cluster.registry]["username"] == "puller"
        succeeded(engine, run)
        assert credentials["REGISTRY_PASSWORD"] not in engine.server.log.read_text()
