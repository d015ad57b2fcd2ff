"""The Job that an attempt becomes, in both modes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from appengine_server.scheduling.kubernetes.job_cluster import cluster_job
from appengine_server.scheduling.kubernetes.job_local import local_job
from appengine_server.scheduling.kubernetes.network import policy_of
from appengine_server.scheduling.kubernetes.secret import owned_by, secret_of
from appengine_server.scheduling.kubernetes.settings import (
    MIB,
    ClusterMode,
    DatasetVolume,
    KubernetesSchedulerSettings,
    LocalMode,
    PodSettings,
)
from appengine_server.scheduling.scheduler import AgentTokens, AttemptRef, AttemptSpec, Resources

REF = AttemptRef(UUID(int=7), 2)
SPEC = AttemptSpec(
    ref=REF,
    project="lab",
    image="registry:5000/lab/task@sha256:abc",
    resources=Resources(cpus=2, ram_bytes=512 * MIB),
    inputs_path=Path("/storage/in"),
    outputs_path=Path("/storage/out"),
    input_folder="/inputs",
    output_folder="/outputs",
    run_limit=timedelta(hours=1),
    cancel_grace=timedelta(seconds=7.5),
    tokens=AgentTokens(fetch="fetch-token", transfer="transfer-token"),
)
LOCAL = KubernetesSchedulerSettings(
    engine_id="e1",
    namespace="tasks",
    mode=LocalMode(storage_path=Path("/storage"), dataset_path=Path("/datasets")),
)
MODE = ClusterMode(agent_image="registry:5000/agent@sha256:def", server_url="http://10.0.0.1:8080")
MOVING = replace(LOCAL, mode=MODE)


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


def moving_pod(spec: AttemptSpec = SPEC, mode: ClusterMode = MODE) -> dict[str, Any]:
    return pod_of(cluster_job(spec, MOVING, mode))


def containers_of(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in (*pod.get("initContainers", ()), *pod["containers"])}


def test_a_job_is_named_after_its_attempt_and_found_by_its_engine() -> None:
    job = local_job(SPEC, LOCAL)
    assert job["metadata"]["name"] == REF.name
    for labels in (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"]):
        assert labels["appengine.engine"] == "e1"
        assert (labels["appengine.run"], labels["appengine.attempt"]) == (str(REF.run_id), "2")


def test_kubernetes_never_tries_again_by_itself() -> None:
    job = local_job(SPEC, LOCAL)
    assert job["spec"]["backoffLimit"] == 0
    assert pod_of(job)["restartPolicy"] == "Never"
    assert "activeDeadlineSeconds" not in job["spec"], "it would delete the pod with its log"
    assert pod_of(job)["activeDeadlineSeconds"] > timedelta(hours=1).total_seconds()


@pytest.mark.rule("layout.image-runs-as-it-is", "layout.inputs-read-only", "reference.same-path")
def test_local_mode_mounts_our_folders_and_adds_no_helper() -> None:
    spec = replace(SPEC, dataset_paths=(Path("/datasets/slides"),))
    pod = pod_of(local_job(spec, LOCAL))
    assert list(containers_of(pod)) == ["task"]
    folders = {one["name"]: one.get("hostPath") for one in pod["volumes"]}
    assert folders["inputs"] == {"path": "/storage/in", "type": "Directory"}
    mounts = {one["mountPath"]: one for one in pod["containers"][0]["volumeMounts"]}
    assert mounts["/inputs"]["readOnly"] is True
    assert mounts["/outputs"]["readOnly"] is False
    assert mounts["/datasets/slides"]["readOnly"] is True
    assert "runAsUser" not in pod["securityContext"], "the image's own user, as on an engine"


@pytest.mark.rule("configuration.ram")
@pytest.mark.parametrize("job", [local_job(SPEC, LOCAL), cluster_job(SPEC, MOVING, MODE)])
def test_the_task_gets_what_it_asked_for_and_no_credentials(job: dict[str, Any]) -> None:
    pod = pod_of(job)
    task = containers_of(pod)["task"]
    assert task["resources"]["requests"] == {"cpu": "2", "memory": str(512 * MIB)}
    assert task["resources"]["requests"] == task["resources"]["limits"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert "env" not in task
    assert not [one for one in task["volumeMounts"] if one["name"].startswith("token")]
    assert pod["terminationGracePeriodSeconds"] == 8


@pytest.mark.rule("layout.root-writable")
@pytest.mark.parametrize("job", [local_job(SPEC, LOCAL), cluster_job(SPEC, MOVING, MODE)])
def test_the_root_can_be_written_unless_forbidden(job: dict[str, Any]) -> None:
    task = containers_of(pod_of(job))["task"]
    assert not task["securityContext"]["readOnlyRootFilesystem"]


def test_gpus_are_asked_for_by_the_name_of_the_resource() -> None:
    settings = replace(LOCAL, pods=PodSettings(gpu_resource="amd.com/gpu"))
    spec = replace(SPEC, resources=Resources(cpus=1, ram_bytes=MIB, gpus=3))
    amounts = pod_of(local_job(spec, settings))["containers"][0]["resources"]["limits"]
    assert amounts == {"cpu": "1", "memory": str(16 * MIB), "amd.com/gpu": "3"}


def test_settings_of_pods_reach_them() -> None:
    pods = PodSettings(
        node_selector={"disk": "fast"},
        tolerations=({"key": "gpu", "operator": "Exists"},),
        priority_class="low",
        queue_name="team",
        labels={"cost": "lab"},
        pull_secrets=("registry",),
        read_only_root=True,
        lost_node_toleration=timedelta(seconds=20),
    )
    job = local_job(SPEC, replace(LOCAL, pods=pods))
    pod = pod_of(job)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert job["spec"]["template"]["metadata"]["labels"]["cost"] == "lab"
    assert pod["nodeSelector"] == {"disk": "fast"}
    assert pod["priorityClassName"] == "low"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert {one["key"]: one.get("tolerationSeconds") for one in pod["tolerations"]} == {
        "node.kubernetes.io/not-ready": 20,
        "node.kubernetes.io/unreachable": 20,
        "gpu": None,
    }
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "/tmp" in {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}


def test_the_nodes_network_is_only_for_those_who_need_one() -> None:
    pods = PodSettings(host_network=True)
    assert "hostNetwork" not in pod_of(local_job(SPEC, replace(LOCAL, pods=pods)))
    asking = replace(SPEC, network=True)
    assert pod_of(local_job(asking, replace(LOCAL, pods=pods)))["hostNetwork"] is True
    assert pod_of(cluster_job(SPEC, replace(MOVING, pods=pods), MODE))["hostNetwork"] is True


def test_cluster_mode_fetches_first_and_sends_beside_the_task() -> None:
    pod = moving_pod()
    assert [one["name"] for one in pod["initContainers"]] == ["fetch"]
    assert [one["name"] for one in pod["containers"]] == ["task", "transfer"]
    environments = {
        name: {one["name"]: one["value"] for one in container.get("env", ())}
        for name, container in containers_of(pod).items()
    }
    assert environments["fetch"]["APPENGINE_FOLDER"] == "/inputs"
    assert environments["transfer"]["APPENGINE_FOLDER"] == "/outputs"
    assert environments["transfer"]["APPENGINE_SERVER"] == "http://10.0.0.1:8080"
    assert environments["transfer"]["APPENGINE_RUN_ID"] == str(REF.run_id)
    assert not [one for one in pod["volumes"] if "hostPath" in one]


def test_each_agent_sees_its_own_token_alone_and_never_as_a_text_of_the_pod() -> None:
    pod = moving_pod()
    items = {
        one["name"]: [item["key"] for item in one["secret"]["items"]]
        for one in pod["volumes"]
        if "secret" in one
    }
    assert items == {"token-fetch": ["fetch"], "token-transfer": ["transfer"]}
    containers = containers_of(pod)
    assert "token-fetch" in {one["name"] for one in containers["fetch"]["volumeMounts"]}
    assert "token-transfer" in {one["name"] for one in containers["transfer"]["volumeMounts"]}
    assert "fetch-token" not in repr(pod)


def test_certificates_travel_with_the_tokens() -> None:
    mode = replace(MODE, ca_pem=b"PEM")
    pod = moving_pod(mode=mode)
    agent = containers_of(pod)["transfer"]
    assert {"name": "APPENGINE_CA_FILE", "value": "/run/appengine/ca.crt"} in agent["env"]
    assert SPEC.tokens is not None
    assert "ca.crt" in secret_of("e1", REF, SPEC.tokens, b"PEM")["data"]


@pytest.mark.parametrize(
    ("user", "uid", "gid"),
    [("", 65532, 65532), ("0", 65532, 65532), ("0:0", 65532, 65532), ("1000", 1000, 1000),
     ("1000:50", 1000, 50), ("nobody", 65532, 65532), ("1000:0", 1000, 1000)],
)  # fmt: skip
def test_task_and_agents_share_a_user_who_is_not_root(user: str, uid: int, gid: int) -> None:
    context = moving_pod(replace(SPEC, user=user))["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (uid, gid, gid)
    assert context["runAsNonRoot"] is True


@pytest.mark.rule("reference.cluster")
def test_datasets_come_by_a_claim_or_by_the_nodes_folder_and_only_what_is_referenced() -> None:
    spec = replace(SPEC, dataset_paths=(Path("/datasets/a"), Path("/datasets/b/c")))
    root = Path("/datasets")
    assert not [one for one in moving_pod(spec)["volumes"] if one["name"] == "datasets"]
    claimed = moving_pod(spec, replace(MODE, datasets=DatasetVolume(root=root, claim="slides")))
    assert {"claimName": "slides", "readOnly": True} in [
        one.get("persistentVolumeClaim") for one in claimed["volumes"]
    ]
    mounts = {one["mountPath"]: one for one in containers_of(claimed)["task"]["volumeMounts"]}
    assert mounts["/datasets/b/c"]["subPath"] == "b/c"
    assert mounts["/datasets/a"]["readOnly"] is True
    volume = DatasetVolume(root=root, host_path=Path("/mnt/slides"))
    shared = moving_pod(spec, replace(MODE, datasets=volume))
    assert {"path": "/mnt/slides", "type": "Directory"} in [
        one.get("hostPath") for one in shared["volumes"]
    ]


def test_the_secret_is_owned_by_the_job_that_came_after_it() -> None:
    change = owned_by({"metadata": {"name": REF.name, "uid": "u1"}})
    [owner] = change["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", REF.name, "u1")


@pytest.mark.rule("configuration.internet")
def test_without_a_network_nothing_goes_out_but_to_the_server() -> None:
    local, moving = policy_of(LOCAL)["spec"], policy_of(MOVING)["spec"]
    assert local["egress"] == []
    assert moving["egress"] == [
        {
            "to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
            "ports": [{"protocol": "TCP", "port": 8080}],
        }
    ]
    assert local["ingress"] == moving["ingress"] == []
    assert local["podSelector"]["matchLabels"]["appengine.network"] == "none"
    labels = local_job(SPEC, LOCAL)["spec"]["template"]["metadata"]["labels"]
    assert local["podSelector"]["matchLabels"].items() <= labels.items()
    open_labels = local_job(replace(SPEC, network=True), LOCAL)["metadata"]["labels"]
    assert open_labels["appengine.network"] == "open"


def test_a_server_known_by_its_name_is_allowed_by_its_port_and_can_be_looked_up() -> None:
    mode = replace(MODE, server_url="https://engine.example.org")
    [to_server, to_dns] = policy_of(replace(LOCAL, mode=mode))["spec"]["egress"]
    assert to_server == {"ports": [{"protocol": "TCP", "port": 443}]}
    assert {one["port"] for one in to_dns["ports"]} == {53}
