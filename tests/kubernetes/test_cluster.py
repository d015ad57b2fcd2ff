"""The tests' own cluster does what tests of the engine build on."""

from __future__ import annotations

import json
import threading
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.pods import Pods

RESTRICTED_POD = {
    "securityContext": {
        "runAsUser": 20000,
        "runAsNonRoot": True,
        "fsGroup": 20000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "automountServiceAccountToken": False,
    "volumes": [{"name": "work", "emptyDir": {}}],
}
RESTRICTED_CONTAINER = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
    "volumeMounts": [{"name": "work", "mountPath": "/work"}],
}


def test_an_image_of_the_registry_runs_on_each_node(
    cluster: Cluster, pods: Pods, busybox: str
) -> None:
    assert len(cluster.node_names) == 2
    for node in cluster.node_names:
        pods.start(node, busybox, "echo this is $(hostname)", node=node)
    for node in cluster.node_names:
        pods.wait_for_phase(node, "Succeeded")
        assert pods.log(node) == f"this is {node}\n"


def test_pods_reach_each_other_over_nodes(cluster: Cluster, pods: Pods, busybox: str) -> None:
    here, there = cluster.node_names
    pods.start("serving", busybox, "echo found you | nc -l -p 8000", node=here)
    address = pods.wait_for_address("serving")
    pods.start("asking", busybox, f"{RETRY} nc {address} 8000 </dev/null", node=there)
    pods.wait_for_phase("asking", "Succeeded")
    assert pods.log("asking") == "found you\n"


# The server in the other pod listens a moment after its container runs.
RETRY = 'retry() { for i in 1 2 3 4 5 6 7 8 9; do "$@" && return; sleep 0.2; done; false; }; retry'


def test_pods_of_each_node_reach_a_server_on_this_machine(
    cluster: Cluster, pods: Pods, busybox: str
) -> None:
    with serving(cluster.server_address) as port:
        for node in cluster.node_names:
            ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc {cluster.server_address} {port}"
            pods.start(node, busybox, f"{ask} | tail -n 1", node=node)
        for node in cluster.node_names:
            pods.wait_for_phase(node, "Succeeded")
            assert pods.log(node) == "found the server\n"


@contextmanager
def serving(address: str) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"found the server\n")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_pod_sees_the_files_of_this_machine(
    cluster: Cluster, pods: Pods, busybox: str, tmp_path: Path
) -> None:
    (tmp_path / "given").write_text("from the host\n")
    mount = {"volumeMounts": [{"name": "files", "mountPath": str(tmp_path)}]}
    volume = {"volumes": [{"name": "files", "hostPath": {"path": str(tmp_path)}}]}
    for node in cluster.node_names:
        script = f"cat {tmp_path}/given; echo from the pod >{tmp_path}/{node}"
        pods.start(node, busybox, script, node=node, container=mount, spec=volume)
    for node in cluster.node_names:
        pods.wait_for_phase(node, "Succeeded")
        assert pods.log(node) == "from the host\n"
        assert (tmp_path / node).read_text() == "from the pod\n"


def test_the_strictest_pod_security_is_enforced(
    cluster: Cluster, restricted_namespace: str, busybox: str
) -> None:
    pods = Pods(cluster=cluster, namespace=restricted_namespace)
    with pytest.raises(urllib.error.HTTPError) as refused:
        pods.start("ordinary", busybox, "true")
    with refused.value as answer:
        assert answer.code == 403
        assert 'violates PodSecurity "restricted' in json.load(answer)["message"]
    script = "id -u; echo kept >/work/file; touch /file 2>/dev/null || cat /work/file"
    pods.start("careful", busybox, script, container=RESTRICTED_CONTAINER, spec=RESTRICTED_POD)
    pods.wait_for_phase("careful", "Succeeded")
    assert pods.log("careful") == "20000\nkept\n"


def test_a_service_account_may_do_what_its_role_says(
    cluster: Cluster, pods: Pods, busybox: str
) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    pods.start("asking", busybox, f"cat {folder}/token")
    pods.wait_for_phase("asking", "Succeeded")
    account = replace(cluster.api, token=pods.log("asking"))
    own_pods = f"/api/v1/namespaces/{pods.namespace}/pods"
    with pytest.raises(urllib.error.HTTPError) as refused:
        account.get(own_pods)
    with refused.value as answer:
        assert answer.code == 403
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces"
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": pods.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    cluster.api.create(
        f"{roles}/{pods.namespace}/rolebindings",
        {"metadata": {"name": "view"}, "subjects": [subject], "roleRef": role},
    )
    Pods(cluster=replace(cluster, api=account), namespace=pods.namespace).wait_for_phase(
        "asking", "Succeeded"
    )


def test_a_pod_reaches_the_api_by_its_service(pods: Pods, busybox: str) -> None:
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc $KUBERNETES_SERVICE_HOST 443 | head -n 1"
    pods.start("asking", busybox, ask)
    pods.wait_for_phase("asking", "Succeeded")
    assert pods.log("asking").startswith("HTTP/1.0 400")


def test_too_much_memory_ends_a_container(pods: Pods, busybox: str) -> None:
    limits = {"resources": {"limits": {"memory": "16Mi"}}}
    pods.start("greedy", busybox, "tail /dev/zero", container=limits)
    pods.wait_for_phase("greedy", "Failed")
    ended = pods.container_status("greedy")["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
