"""The chart on a real cluster: what it installs serves, is upgraded, and goes without a trace."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
from appengine.v1 import run_pb2
from appengine_client.sync import Client, connect

from tests.container.bundles import make_bundle
from tests.container.engine_server import QUICK, RunState, wait_for
from tests.container.images import busybox_archive
from tests.container.project_images import ProjectImages
from tests.kubernetes.charts import CHART, Helm, helm
from tests.kubernetes.cluster.cluster import BootedCluster, Cluster
from tests.kubernetes.conftest import namespace_on
from tests.postgres import postgres_on

__all__ = ["helm"]

pytestmark = pytest.mark.timeout(900)  # the first use of helm and of the image builds them

TOKEN = "a-token-of-the-tests-alone"
SERVER_UID = 65532
SETTINGS = {**QUICK, "STORAGE_LOW_WATER": "0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What helm has installed, and a client of it."""

    helm: Helm
    cluster: BootedCluster
    name: str
    namespace: str
    values: dict[str, Any]
    notes: str
    """What helm said at the end of the installation."""

    @property
    def tasks_namespace(self) -> str:
        """Where its tasks run."""
        return f"{self.namespace}-tasks"

    def upgrade(self, **changes: Any) -> None:
        """Upgrade to other values, and wait until what they made serves."""
        self.helm.run(
            "upgrade", self.name, CHART, "--namespace", self.namespace, "--wait",
            "--timeout", "300s", values={**self.values, **changes},
        )  # fmt: skip

    def uninstall(self) -> None:
        """Uninstall it, if it is there still."""
        self.helm.attempt("uninstall", self.name, "--namespace", self.namespace)

    def servers(self) -> list[dict[str, Any]]:
        """The server's pods."""
        found: list[dict[str, Any]] = json.loads(
            self.cluster.kubectl("get", "pods", f"--namespace={self.namespace}", "--output=json",
                                 "--selector=app.kubernetes.io/component=server")
        )["items"]  # fmt: skip
        return found

    def things(self) -> list[str]:
        """All that is in its namespaces or of it in none, but for what Kubernetes made itself."""
        everywhere = self.cluster.kubectl(
            "get", "namespaces,clusterroles,clusterrolebindings", "--output=name",
            f"--selector=app.kubernetes.io/instance={self.name}",
        ).split()  # fmt: skip
        kinds = self.cluster.kubectl(
            "api-resources", "--namespaced", "--verbs=list,delete", "--output=name"
        ).split()
        kinds = [kind for kind in kinds if not kind.startswith("events")]
        within = [
            f"{namespace}/{found}"
            for namespace in (self.namespace, self.tasks_namespace)
            for found in self.cluster.kubectl(
                "get", ",".join(kinds), f"--namespace={namespace}", "--output=name",
                "--ignore-not-found",
            ).split()
            if found not in {"configmap/kube-root-ca.crt", "serviceaccount/default"}
        ]  # fmt: skip
        return everywhere + within


@pytest.fixture(scope="module")
def cluster_of_ours(cluster: Cluster) -> BootedCluster:
    """The cluster, where volumes are folders of this machine, which reaches its Services."""
    if not isinstance(cluster, BootedCluster):
        pytest.skip("a given cluster has no folders of this machine.")
    return cluster


@pytest.fixture(scope="module")
def server_image(cluster_of_ours: BootedCluster, project_images: ProjectImages) -> dict[str, str]:
    """The server's own image in the cluster's registry, under two versions: values of the chart."""
    archive = project_images.archive("server")
    for tag in ("1", "2"):
        cluster_of_ours.push(archive, f"tests/server:{tag}")
    return {"repository": f"{cluster_of_ours.registry}/tests/server", "tag": "1"}


@contextmanager
def volume_on(cluster: BootedCluster, folder: Path) -> Iterator[str]:
    """A volume that is a folder of this machine; the class by which a claim finds it."""
    name = f"test-{uuid4().hex[:12]}"
    folder.mkdir()
    os.chown(folder, SERVER_UID, SERVER_UID)
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": name,
        "hostPath": {"path": str(folder), "type": "Directory"},
    }
    volumes = "/api/v1/persistentvolumes"
    cluster.api.create(volumes, {"metadata": {"name": name}, "spec": spec})
    try:
        yield name
    finally:
        cluster.api.delete(f"{volumes}/{name}")


@contextmanager
def installed(
    helm: Helm, cluster: BootedCluster, name: str, namespace: str, values: dict[str, Any]
) -> Iterator[Release]:
    """A release that serves; in the end it is uninstalled."""
    own = Helm(program=helm.program, home=helm.home, kubeconfig=cluster.kubeconfig)
    notes = own.run(
        "install", name, CHART, "--namespace", namespace, "--wait", "--timeout", "300s",
        values=values,
    )  # fmt: skip
    release = Release(
        helm=own, cluster=cluster, name=name, namespace=namespace, values=values,
        notes=notes,
    )  # fmt: skip
    try:
        yield release
    finally:
        release.uninstall()


def make_secret(cluster: BootedCluster, namespace: str, name: str, **files: str) -> None:
    """Make a Secret; underscores stand for dots."""
    data = {key.replace("_", "."): text for key, text in files.items()}
    cluster.api.create(
        f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "stringData": data}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A release, and a client of its server."""

    release: Release
    client: Client


@pytest.fixture(scope="module")
def served(
    helm: Helm, cluster_of_ours: BootedCluster, server_image: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Serving]:  # fmt: skip
    """A server whose database and registry are of others, with TLS, and tokens from a Secret."""
    cluster, folder = cluster_of_ours, tmp_path_factory.mktemp("external")
    address = cluster.addresses.service(0)
    authority = trustme.CA()
    certificate = authority.issue_cert(address)
    with (
        namespace_on(cluster, "external", {}) as namespace,
        volume_on(cluster, folder / "storage") as volume,
        postgres_on(
            cluster.server_address, folder / "postgres", port=15432,
            username="engine", password="of the tests", name="engine",
        ) as database,
    ):  # fmt: skip
        make_secret(
            cluster, namespace, "certificate",
            tls_crt=b"".join(pem.bytes() for pem in certificate.cert_chain_pems).decode(),
            tls_key=certificate.private_key_pem.bytes().decode(),
            ca_crt=authority.cert_pem.bytes().decode(),
        )  # fmt: skip
        make_secret(cluster, namespace, "people", tokens=f"{TOKEN} tester default\n")
        values = {
            "image": server_image,
            "tls": {"existingSecret": "certificate"},
            "tokens": {"existingSecret": "people"},
            "service": {"clusterIP": address},
            "advertisedUrl": f"https://{address}:8080",
            "database": {
                "host": database.host, "port": database.port, "name": database.name,
                "username": database.username, "password": database.password,
            },
            "registry": {"url": f"http://{cluster.registry}", "advertisedUrl": cluster.registry},
            "storage": {
                "storageClassName": volume, "size": "1Gi", "accessMode": "ReadWriteMany",
            },
            "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
            "nodeSelector": {"kubernetes.io/hostname": cluster.node_names[0]},
            "metrics": {"enabled": True},
            "tasks": {"networkIsolated": True},
            "settings": SETTINGS,
        }  # fmt: skip
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        with (
            installed(helm, cluster, "external", namespace, values) as release,
            connect(f"{address}:8080", token=TOKEN, ca_certificate=folder / "ca.pem") as client,
        ):
            yield Serving(release=release, client=client)


def task_of(client: Client, folder: Path) -> str:
    """Upload a task that runs its input as a script, and writes a number."""
    bundle = make_bundle(
        folder / "bundle.zip", namespace=f"org.example.t{uuid4().hex[:12]}",
        inputs={"script": "string"}, outputs={"answer": "integer"}, script=". /inputs/script",
    )  # fmt: skip
    return client.tasks.upload(bundle).id


def succeeded(client: Client, run: run_pb2.Run) -> run_pb2.Run:
    ended = client.runs.wait(run.id)
    assert ended.state == RunState.RUN_STATE_SUCCEEDED, ended.failure
    [answer] = client.runs.outputs(run.id)
    assert answer.value.integer == 42
    return ended


def test_a_run_passes_through_the_server_in_a_restricted_namespace(
    served: Serving, tmp_path: Path
) -> None:
    release, client = served.release, served.client
    labels = json.loads(
        release.cluster.kubectl("get", "namespace", release.tasks_namespace, "--output=json")
    )["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    task = task_of(client, tmp_path)
    script = "id -u; echo 42 > /outputs/answer"
    run = succeeded(client, client.runs.create(task, {"script": script}, start=True))
    assert b"".join(client.runs.logs(run.id)) == b"%d\n" % SERVER_UID
    assert list(run.warnings) == [], "it is said that the cluster enforces the chart's policies"
    [pod] = release.servers()
    assert pod["spec"]["containers"][0]["image"].endswith("/tests/server:1")


def test_the_doctor_finds_nothing_wrong_as_the_notes_have_it(served: Serving) -> None:
    release = served.release
    [line] = [line for line in release.notes.splitlines() if line.endswith("server doctor")]
    program, *command = line.split()
    assert program == "kubectl"

    def asked() -> Any:
        try:
            return json.loads(release.cluster.kubectl(*command, "--json"))
        except AssertionError:  # on a busy machine a check may be out of patience
            return None

    answer = wait_for(asked, seconds=240)
    findings = [finding for check in answer["checks"] for finding in check["findings"]]
    assert (answer["ok"], findings) == (True, [])
    outcomes = {check["name"]: check["outcome"] for check in answer["checks"]}
    for name in ("cluster rights", "images where tasks run", "tokens"):
        assert outcomes[name] == "ok", outcomes


def test_an_upgrade_loses_no_run_that_is_under_way(served: Serving, tmp_path: Path) -> None:
    release, client = served.release, served.client
    task = task_of(client, tmp_path)
    script = (
        "echo begun; until [ -e /tmp/go ]; do sleep 0.1; done; echo 42 > /outputs/answer; echo done"
    )
    run = client.runs.create(task, {"script": script}, start=True)
    wait_for(lambda: client.runs.get(run.id).state == RunState.RUN_STATE_RUNNING)
    before = {pod["metadata"]["name"] for pod in release.servers()}
    release.upgrade(
        image={**release.values["image"], "tag": "2"},
        settings={**SETTINGS, "RUN_EXTRA_ATTEMPTS": "0"},
    )
    [pod] = release.cluster.kubectl(
        "get", "pods", f"--namespace={release.tasks_namespace}", "--output=name",
        f"--selector=appengine.run={run.id}",
    ).split()  # fmt: skip
    release.cluster.kubectl(
        "exec", f"--namespace={release.tasks_namespace}", pod, "--container=task", "--",
        "touch", "/tmp/go",
    )  # fmt: skip
    ended = succeeded(client, run)
    assert len(ended.attempts) == 1
    assert b"".join(client.runs.logs(run.id)) == b"begun\ndone\n"
    wait_for(lambda: len(release.servers()) == 1)
    [server] = release.servers()
    assert server["metadata"]["name"] not in before
    assert server["spec"]["containers"][0]["image"].endswith("/tests/server:2")


def registry_archive(archive: Path) -> None:
    """An image of the registry that this machine has, with the libraries that it is linked with."""
    found = subprocess.run(
        ["bash", "-c", "source scripts/lib/common.sh; ensure_unpacked docker-registry >&2; "
         "command -v docker-registry"],
        cwd=CHART.parents[2], capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    linked = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in linked.split() if word.startswith("/")]
    files = {path.lstrip("/"): Path(path).read_bytes() for path in libraries}
    files["bin/docker-registry"] = Path(found).read_bytes()
    busybox_archive(archive, entrypoint=["/bin/docker-registry"], files=files)


def test_what_is_bundled_is_enough_and_an_uninstall_leaves_nothing(
    helm: Helm, cluster_of_ours: BootedCluster, server_image: dict[str, str], tmp_path: Path
) -> None:
    cluster = cluster_of_ours
    registry_archive(tmp_path / "registry.tar")
    address, registry = cluster.addresses.service(1), cluster.addresses.service(2)
    with (
        namespace_on(cluster, "bundled", {"pod-security.kubernetes.io/enforce": "restricted"}),
        volume_on(cluster, tmp_path / "storage") as storage,
        volume_on(cluster, tmp_path / "images") as images,
    ):
        values = {
            "image": server_image,
            "tls": {"insecure": True},
            "database": {"bundled": True},
            "registry": {
                "bundled": True,
                "image": cluster.push(tmp_path / "registry.tar", "tests/registry:1"),
                "storage": {"storageClassName": images, "size": "1Gi"},
                # This cluster has no DNS.
                "clusterIP": registry, "url": f"http://{registry}:5000",
            },
            "service": {"clusterIP": address},
            "advertisedUrl": f"http://{address}:8080",
            "storage": {"storageClassName": storage, "size": "1Gi"},
            "resources": {"requests": {"cpu": "200m", "memory": "128Mi"}},
            "nodeSelector": {"kubernetes.io/hostname": cluster.node_names[0]},
            "settings": SETTINGS,
        }  # fmt: skip
        with installed(helm, cluster, "app-engine", "bundled", values) as release:
            assert "WARNING: there is no TLS" in release.notes
            secrets = "/api/v1/namespaces/bundled/secrets/app-engine-tokens"
            token = b64decode(cluster.api.get(secrets)["data"]["token"]).decode()
            with connect(f"{address}:8080", token=token) as client:
                task = task_of(client, tmp_path)
                script = "echo 42 > /outputs/answer"
                succeeded(client, client.runs.create(task, {"script": script}, start=True))
                # The same token and password serve after an upgrade.
                release.upgrade(settings={**SETTINGS, "LOG_LEVEL": "debug"})
                run = client.runs.create(task, {"script": "sleep 300"}, start=True)
                wait_for(lambda: client.runs.get(run.id).state == RunState.RUN_STATE_RUNNING)
            assert {"namespace/bundled-tasks", "clusterrole.rbac.authorization.k8s.io/"
                    "bundled-app-engine"} <= set(release.things())  # fmt: skip
            release.uninstall()
            namespaces = "--selector=app.kubernetes.io/instance=app-engine"
            cluster.kubectl("wait", "namespaces", namespaces, "--for=delete", "--timeout=120s")
            cluster.kubectl(
                "wait", "pods", "--namespace=bundled", "--all", "--for=delete", "--timeout=120s"
            )
            wait_for(lambda: release.things() == [], seconds=30)
