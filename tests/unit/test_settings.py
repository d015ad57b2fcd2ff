"""Settings: read from the environment, and refused with a sentence for each that is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from appengine_server.settings import (
    GIB,
    MIB,
    SettingsRefused,
    read_settings,
    tolerations_of,
)


def test_sizes_and_durations_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUN_LOG_LIMIT", "64Mi")
    monkeypatch.setenv("STORAGE_LOW_WATER", "1.5Gi")
    monkeypatch.setenv("STORAGE_MAX_UPLOAD", "2G")
    monkeypatch.setenv("SCHEDULER_RAM", "1000")
    monkeypatch.setenv("RUN_LEASE", "2.5")
    settings = read_settings()
    assert settings.runs.log_bytes == 64 * MIB
    assert settings.storage.low_water_bytes == 3 * GIB // 2
    assert settings.storage.max_upload_bytes == 2 * 10**9
    assert settings.scheduling.ram == 1000
    assert settings.runs.lease == timedelta(seconds=2.5)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUN_LOG_LIMIT", "16 megs", "RUN_LOG_LIMIT: must be a size such as 512Mi or 2G"),
        ("STORAGE_LOW_WATER", "-1", "STORAGE_LOW_WATER: must be a size such as 512Mi or 2G"),
        ("RUN_LEASE", "30s", "RUN_LEASE: must be a number of seconds"),
        ("RUN_LEASE", "inf", "RUN_LEASE: must be a number of seconds"),
        ("RUN_LEASE", "nan", "RUN_LEASE: must be a number of seconds"),
        ("RUN_CANCEL_GRACE", "-5", "RUN_CANCEL_GRACE: must not be negative"),
        ("REGISTRY_URL", "registry:5000", "REGISTRY_URL: must begin with http:// or https://"),
        ("TLS_KEY_FILE", "/key.pem", "TLS_CERTIFICATE_FILE and TLS_KEY_FILE: give both or none"),
    ],
)
def test_a_wrong_setting_is_named_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused) as refusal:
        read_settings()
    assert sentence in str(refusal.value)


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsRefused) as refusal:
        read_settings()
    assert [line.partition(":")[0] for line in str(refusal.value).splitlines()] == [
        "PORT",
        "LOG_LEVEL",
    ]


def test_a_password_is_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    assert "hunter2" not in repr(read_settings())


def refused(monkeypatch: pytest.MonkeyPatch, **settings: str) -> list[str]:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused) as refusal:
        read_settings()
    return str(refusal.value).splitlines()


def test_an_installation_of_the_java_engine_is_read_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = "/app-engine-shared-inputs"
    for name, value in {
        "API_PREFIX": "/app-engine/", "DB_HOST": "postgis", "DB_NAME": "appengine",
        "REGISTRY_URL": "http://registry:5000", "STORAGE_BASE_PATH": shared,
        "RUN_STORAGE_BASE_PATH": shared, "REF_STORAGE_BASE_PATH": "/app-engine-shared-datasets",
        "SCHEDULER_RUN_MODE": "LOCAL", "SCHEDULER_ADVERTISED_URL": "http://172.16.238.10:8080",
        "SCHEDULER_REGISTRY_ADVERTISED_URL": "172.16.238.4:5000",
        "SCHEDULER_USE_HOST_NETWORK": "true", "SCHEDULER_TASKS_NAMESPACE": "app-engine-tasks",
        "KUBERNETES_MASTER": "https://k3s:6443/",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.scheduling.kind == "kubernetes"
    assert settings.kubernetes.run_mode == "local"
    assert settings.kubernetes.use_host_network is True
    assert settings.kubernetes.master_url == "https://k3s:6443/"


def test_kubernetes_is_asked_for_by_its_namespace_or_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert read_settings().scheduling.kind == "container"
    monkeypatch.setenv("SCHEDULER_TASKS_NAMESPACE", "tasks")
    assert read_settings().scheduling.kind == "kubernetes"
    monkeypatch.setenv("SCHEDULER", "container")
    assert read_settings().scheduling.kind == "container"


def test_what_does_not_fit_together_on_kubernetes_is_named_all_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentences = refused(
        monkeypatch, SCHEDULER="kubernetes", STORAGE_BASE_PATH="/a", RUN_STORAGE_BASE_PATH="/b",
        SCHEDULER_DATASET_CLAIM="x", SCHEDULER_DATASET_HOST_PATH="/x", SCHEDULER_CA_FILE="/none",
    )  # fmt: skip
    assert [sentence.partition(":")[0] for sentence in sentences] == [
        "SCHEDULER_TASKS_NAMESPACE",
        "RUN_STORAGE_BASE_PATH",
        "SCHEDULER_DATASET_CLAIM and SCHEDULER_DATASET_HOST_PATH",
        "SCHEDULER_CA_FILE",
    ]
    assert "/b is not STORAGE_BASE_PATH (/a)" in sentences[1]


def test_cluster_mode_needs_an_address_and_not_one_storage_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCHEDULER_TASKS_NAMESPACE", "tasks")
    monkeypatch.setenv("RUN_STORAGE_BASE_PATH", "/elsewhere")
    [sentence] = refused(monkeypatch, SCHEDULER_RUN_MODE="Cluster")
    assert sentence.startswith("SCHEDULER_ADVERTISED_URL: ")
    monkeypatch.setenv("SCHEDULER_ADVERTISED_URL", "https://engine/app-engine/")
    assert read_settings().kubernetes.run_mode == "cluster"


def test_what_kubernetes_needs_is_no_matter_for_a_container_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SCHEDULER_RUN_MODE", "cluster")
    assert read_settings().scheduling.kind == "container"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SCHEDULER_RUN_MODE", "both", "SCHEDULER_RUN_MODE: should be 'local' or 'cluster'"),
        ("SCHEDULER_ADVERTISED_URL", "engine:8080", "must begin with http:// or https://"),
        ("SCHEDULER_NODE_SELECTOR", "disk", "must be `name=value`"),
        ("SCHEDULER_TOLERATIONS", "gpu:Sometimes", "must be `key=value:Effect`"),
    ],
)
def test_a_wrong_setting_of_kubernetes_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    [told] = refused(monkeypatch, **{name: value})
    assert sentence in told


def test_taints_are_read_as_kubectl_writes_them() -> None:
    assert tolerations_of("gpu=yes:NoSchedule, spot:NoExecute, any") == (
        {"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute"},
        {"key": "any", "operator": "Exists"},
    )
