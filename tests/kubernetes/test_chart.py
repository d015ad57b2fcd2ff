"""What the chart makes of values, without a cluster: lint, refusals, and the objects it renders."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from appengine_server.scheduling.kubernetes.rights import needed_rights
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    KubernetesSchedulerSettings,
)
from appengine_server.settings import review_settings

from tests.checking import environment
from tests.kubernetes.charts import CHART, KUBERNETES, Helm, helm, named, of_kind

__all__ = ["helm"]

pytestmark = pytest.mark.timeout(900)  # the first use of helm builds it

BUNDLED: dict[str, Any] = {
    "tls": {"insecure": True},
    "database": {"bundled": True},
    "registry": {"bundled": True},
}
EXTERNAL: dict[str, Any] = {
    "tls": {"existingSecret": "certificate"},
    "tokens": {"existingSecret": "people"},
    "database": {"host": "postgres.example.org", "existingSecret": "database"},
    "registry": {"url": "https://registry.example.org", "existingSecret": "registry"},
}
EVERYTHING: dict[str, Any] = {
    "image": {"repository": "registry.example.org/app-engine", "tag": "9.9.9"},
    "imagePullSecrets": ["pull"],
    "replicas": 3,
    "tls": {"certManager": {"issuer": "own", "dnsNames": ["engine.example.org"]}},
    "service": {"type": "LoadBalancer", "port": 443, "annotations": {"a": "b"}},
    "advertisedUrl": "https://192.0.2.7:8443",
    "database": {"host": "postgres.example.org", "port": 6432, "password": "a secret"},
    "registry": {
        "url": "https://registry.example.org", "username": "engine", "password": "another",
    },
    "storage": {"accessMode": "ReadWriteMany", "storageClassName": "nfs", "keep": True},
    "datasets": {"path": "/slides", "claim": "slides", "tasksClaim": "slides"},
    "tasks": {
        "namespace": "analyses", "nodeSelector": {"pool": "tasks", "gpu": "yes"},
        "tolerations": "gpu=yes:NoSchedule", "priorityClass": "low", "queueName": "queue",
        "podLabels": {"team": "pathology"}, "imagePullSecrets": ["one", "two"],
        "networkIsolated": True, "autoscaled": True,
    },
    "agent": {"image": "registry.example.org/agent:1", "millicpus": 100, "memory": "128Mi"},
    "metrics": {"enabled": True, "serviceMonitor": True},
    "settings": {"RETENTION_FINISHED_RUNS": 7776000, "STORAGE_QUOTA": "10Ti"},
    "podAnnotations": {"c": "d"}, "podLabels": {"e": "f"}, "nodeSelector": {"g": "h"},
    "tolerations": [{"key": "k", "operator": "Exists"}], "priorityClassName": "high",
}  # fmt: skip
VARIANTS = {"bundled": BUNDLED, "external": EXTERNAL, "everything": EVERYTHING}


@pytest.fixture(params=VARIANTS)
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = VARIANTS[request.param]
    return found


def variables_of(objects: list[dict[str, Any]]) -> dict[str, str]:
    """The plain variables of the server's container."""
    return {one["name"]: one["value"] for one in server_of(objects)["env"] if "value" in one}


def server_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The server's container."""
    spec = named(objects, "Deployment", "app-engine")["spec"]["template"]["spec"]
    container: dict[str, Any] = spec["containers"][0]
    return container


def test_the_chart_lints(helm: Helm, values: dict[str, Any]) -> None:
    said = helm.run("lint", "--strict", "--kube-version", KUBERNETES, CHART, values=values)
    assert "1 chart(s) linted, 0 chart(s) failed" in said


@pytest.mark.parametrize(
    ("wrong", "place", "why"),
    [
        ({"replicas": "two"}, "/replicas", "got string, want integer"),
        ({"databse": {"host": "db"}}, "", "'databse' not allowed"),
        ({"database": {"port": 0}}, "/database/port", "minimum: got 0, want 1"),
        ({"tasks": {"podSecurity": "strict"}}, "/tasks/podSecurity", "'restricted', 'baseline'"),
        ({"registry": {"url": "registry:5000"}}, "/registry/url", "does not match pattern"),
        ({"registry": {"advertisedUrl": "http://r"}}, "/registry/advertisedUrl", "pattern"),
        ({"storage": {"size": "much"}}, "/storage/size", "does not match pattern"),
        ({"tasks": {"userId": 0}}, "/tasks/userId", "minimum: got 0, want 1"),
        ({"settings": {"RUN_LEESE": "1"}}, "/settings", "'RUN_LEESE' not allowed"),
        ({"settings": {"RUN_LEASE": 1.5}}, "/settings/RUN_LEASE", "got number, want"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place_and_what_would_be_right(
    helm: Helm, wrong: dict[str, Any], place: str, why: str
) -> None:
    done = helm.attempt("template", "app-engine", CHART, values={**BUNDLED, **wrong})
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if f"at '{place}'" in line]
    assert why in line


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"tls": {}}, "tls: choose one of existingSecret"),
        ({"tls": {"insecure": True, "existingSecret": "c"}}, "tls: choose one of existingSecret"),
        ({"database": {}}, "database: name the host of your PostgreSQL, or take the bundled one"),
        ({"database": {"bundled": True, "host": "db"}}, "database: choose either"),
        ({"registry": {}}, "registry: give the url of your image registry, or take the bundled"),
        ({"replicas": 2}, "replicas: the bundled database is for one"),
        ({"replicas": 2}, "replicas: several share one storage"),
        ({"datasets": {"tasksClaim": "a"}}, "datasets: the server must see them too"),
        ({"tasks": {"namespace": "engine"}}, "tasks: the release's own namespace is there already"),
        ({"metrics": {"serviceMonitor": True}}, "metrics: a serviceMonitor needs enabled=true"),
        ({"settings": {"PORT": "1"}}, "settings: PORT is set by another value of this chart"),
    ],
)
def test_values_that_do_not_fit_together_are_told_by_a_sentence(
    helm: Helm, wrong: dict[str, Any], sentence: str
) -> None:
    done = helm.attempt(
        "template", "app-engine", CHART, "--namespace", "engine", "--kube-version", KUBERNETES,
        values={**BUNDLED, **wrong},
    )  # fmt: skip
    assert done.returncode != 0
    assert any(line.startswith(sentence) for line in done.stderr.splitlines()), done.stderr


def test_the_server_takes_all_variables_as_they_are_set(
    helm: Helm, values: dict[str, Any], tmp_path: Path
) -> None:
    variables = variables_of(helm.objects(values))
    if "SCHEDULER_CA_FILE" in variables:  # only the pod has it
        (tmp_path / "ca.crt").touch()
        variables["SCHEDULER_CA_FILE"] = str(tmp_path / "ca.crt")
    del variables["HOME"]
    with environment(variables):
        reviewed = review_settings()
    assert reviewed.wrong == []
    assert reviewed.settings.kubernetes.run_mode == "cluster"


def test_values_become_the_settings_that_they_mean(helm: Helm) -> None:
    variables = variables_of(helm.objects(EVERYTHING))
    assert variables.items() >= {
        "DB_HOST": "postgres.example.org", "DB_PORT": "6432",
        "ENDPOINT_REMOVAL_WAIT": "5",
        "METRICS_PORT": "9090",
        "REF_STORAGE_BASE_PATH": "/slides", "SCHEDULER_DATASET_CLAIM": "slides",
        "RETENTION_FINISHED_RUNS": "7776000", "STORAGE_QUOTA": "10Ti",
        "SCHEDULER_ADVERTISED_URL": "https://192.0.2.7:8443",
        "SCHEDULER_HELPER_MILLICPUS": "100", "SCHEDULER_HELPER_RAM": "128Mi",
        "SCHEDULER_IMAGE_PULL_SECRETS": "one,two",
        "SCHEDULER_NETWORK_ISOLATED": "true",
        "SCHEDULER_NODE_SELECTOR": "gpu=yes,pool=tasks",
        "SCHEDULER_POD_LABELS": "team=pathology",
        "SCHEDULER_TASKS_NAMESPACE": "analyses",
        "SCHEDULER_TOLERATIONS": "gpu=yes:NoSchedule",
        "TRANSFER_AGENT_IMAGE": "registry.example.org/agent:1",
    }.items()  # fmt: skip
    assert "ALLOW_INSECURE" not in variables


def test_without_more_the_server_is_known_by_its_service(helm: Helm) -> None:
    variables = variables_of(helm.objects(BUNDLED))
    assert variables["SCHEDULER_ADVERTISED_URL"] == "http://app-engine.engine.svc:8080"
    assert variables["REGISTRY_URL"] == "http://app-engine-registry.engine.svc:5000"
    assert variables["SCHEDULER_REGISTRY_ADVERTISED_URL"] == "127.0.0.1:30500"
    assert variables["SCHEDULER_TASKS_NAMESPACE"] == "engine-tasks"
    secured = variables_of(helm.objects(EXTERNAL))
    assert secured["SCHEDULER_ADVERTISED_URL"] == "https://app-engine.engine.svc:8080"


def test_the_command_of_the_docs_renders(helm: Helm) -> None:
    page = (CHART.parents[2] / "docs" / "operations.md").read_text()
    found = re.search(r"```\nhelm install (app-engine .*?)```", page, re.DOTALL)
    assert found is not None
    name, chart, *options = shlex.split(found[1].replace("\\\n", " "))
    options.remove("--create-namespace")
    assert CHART.samefile(CHART.parents[2] / chart)
    rendered = helm.run("template", name, CHART, "--kube-version", KUBERNETES, *options)
    objects = [one for one in yaml.safe_load_all(rendered) if one]
    assert server_of(objects)["image"].startswith("registry.example.org/appengine-server:")
    assert named(objects, "Deployment", "app-engine-registry")


def test_no_secret_stands_in_a_pod(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    secrets = of_kind(objects, "Secret")
    assert {secret["metadata"]["name"] for secret in secrets} == {
        "app-engine-tokens", "app-engine-database", "app-engine-registry",
    }  # fmt: skip
    others = str([one for one in objects if one["kind"] != "Secret"])
    assert "a secret" not in others
    assert "another" not in others


def test_the_account_may_do_what_the_server_does_and_the_doctor_no_more(helm: Helm) -> None:
    objects = helm.objects(EXTERNAL)
    mode = ClusterMode(agent_image="a", server_url="http://s:1")
    settings = KubernetesSchedulerSettings(
        engine_id="e", namespace="n", mode=mode, network_policy=False
    )
    needed: dict[tuple[bool, str, str], set[str]] = {}
    for right in needed_rights(settings):
        place = (right.in_cluster, right.group, right.resource)
        needed.setdefault(place, set()).update(right.verbs)
    needed[False, "", "pods"].add("create")  # the doctor's probes
    given: dict[tuple[bool, str, str], set[str]] = {}
    for role in of_kind(objects, "Role") + of_kind(objects, "ClusterRole"):
        for rule in role["rules"]:
            [group], [resource] = rule["apiGroups"], rule["resources"]
            given[role["kind"] == "ClusterRole", group, resource] = set(rule["verbs"])
    assert given == needed
    assert named(objects, "Role", "app-engine")["metadata"]["namespace"] == "engine-tasks"


def test_every_pod_is_one_that_the_restricted_standard_admits(
    helm: Helm, values: dict[str, Any]
) -> None:
    for deployment in of_kind(helm.objects(values), "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"]


def test_tasks_without_network_reach_the_servers_pods_and_dns_alone(helm: Helm) -> None:
    objects = helm.objects(BUNDLED)
    policies = of_kind(objects, "NetworkPolicy")
    assert {one["metadata"]["namespace"] for one in policies} == {"engine-tasks"}
    policy = named(objects, "NetworkPolicy", "app-engine-tasks-without-network")["spec"]
    assert policy["podSelector"] == {"matchLabels": {"appengine.network": "none"}}
    to_server, to_dns = policy["egress"]
    pod = named(objects, "Deployment", "app-engine")["spec"]["template"]["metadata"]["labels"]
    assert to_server["to"][0]["podSelector"]["matchLabels"].items() <= pod.items()
    assert to_server["ports"] == [{"protocol": "TCP", "port": 8080}]
    assert {port["port"] for port in to_dns["ports"]} == {53}


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://192.0.2.7", {"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}],
                               "ports": [{"protocol": "TCP", "port": 443}]}),
        ("http://engine.example.org:81", {"ports": [{"protocol": "TCP", "port": 81}]}),
    ],
)  # fmt: skip
def test_tasks_reach_the_server_by_an_address_of_its_own_too(
    helm: Helm, url: str, rule: dict[str, Any]
) -> None:
    objects = helm.objects({**BUNDLED, "advertisedUrl": url})
    policy = named(objects, "NetworkPolicy", "app-engine-tasks-without-network")["spec"]
    assert policy["egress"][2:] == [rule]


def test_the_namespace_of_tasks_enforces_the_restricted_standard(helm: Helm) -> None:
    labels = named(helm.objects(BUNDLED), "Namespace", "engine-tasks")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    given = helm.objects({**BUNDLED, "tasks": {"createNamespace": False, "namespace": "there"}})
    assert of_kind(given, "Namespace") == []


def test_the_notes_say_what_an_uninstall_leaves(helm: Helm) -> None:
    def notes(values: dict[str, Any]) -> str:
        return helm.run("install", "app-engine", CHART, "--dry-run=client", "--namespace", "engine",
                        values=values)  # fmt: skip

    given = notes({**BUNDLED, "tasks": {"createNamespace": False, "namespace": "there"}})
    remove = "kubectl --namespace there delete jobs,secrets --selector appengine.engine="
    assert remove in given
    assert "uninstall` leaves" not in notes(BUNDLED)


def test_cert_manager_makes_the_certificate_for_every_name_of_the_service(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    spec = named(objects, "Certificate", "app-engine")["spec"]
    assert {"app-engine.engine.svc", "engine.example.org"} <= set(spec["dnsNames"])
    assert spec["issuerRef"]["name"] == "own"
    pod = named(objects, "Deployment", "app-engine")["spec"]["template"]["spec"]
    mounted = {one["name"]: one.get("secret", {}).get("secretName") for one in pod["volumes"]}
    assert mounted["tls"] == spec["secretName"]


def test_probes_ask_by_grpc_or_where_there_is_tls_by_the_servers_command(helm: Helm) -> None:
    plain, secured = (server_of(helm.objects(values)) for values in (BUNDLED, EXTERNAL))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert plain[probe]["grpc"] == {"port": 8080}
    assert secured["livenessProbe"]["exec"]["command"] == ["appengine-server", "health"]
    assert secured["readinessProbe"]["tcpSocket"] == {"port": "grpc"}


def test_old_and_new_run_side_by_side_only_where_both_can(helm: Helm) -> None:
    def strategy(values: dict[str, Any]) -> str:
        deployment = named(helm.objects(values), "Deployment", "app-engine")
        found: str = deployment["spec"]["strategy"]["type"]
        return found

    assert strategy(BUNDLED) == strategy(EXTERNAL) == "Recreate"
    assert strategy(EVERYTHING) == "RollingUpdate"
    assert [one["spec"]["maxUnavailable"] for one in
            of_kind(helm.objects(EVERYTHING), "PodDisruptionBudget")] == [1]  # fmt: skip


def test_the_claim_is_made_as_asked_kept_as_asked_or_another_is_taken(helm: Helm) -> None:
    claim = named(helm.objects(EVERYTHING), "PersistentVolumeClaim", "app-engine")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["spec"]["storageClassName"] == "nfs"
    plain = named(helm.objects(BUNDLED), "PersistentVolumeClaim", "app-engine")
    assert "storageClassName" not in plain["spec"]
    assert "annotations" not in plain["metadata"]
    objects = helm.objects({**EXTERNAL, "storage": {"existingClaim": "mine"}})
    assert of_kind(objects, "PersistentVolumeClaim") == []
    pod = named(objects, "Deployment", "app-engine")["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "mine"}


def test_prometheus_finds_the_metrics_by_a_service_of_their_own(helm: Helm) -> None:
    objects = helm.objects(EVERYTHING)
    [monitor] = of_kind(objects, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    found = [one["metadata"]["name"] for one in of_kind(objects, "Service")
             if wanted.items() <= one["metadata"]["labels"].items()]  # fmt: skip
    assert found == ["app-engine-metrics"]
    ports = named(objects, "Service", "app-engine")["spec"]["ports"]
    assert [port["name"] for port in ports] == ["grpc"]
