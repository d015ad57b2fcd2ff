"""The one list of checks, for the start of the server and for its doctor."""

from __future__ import annotations

from datetime import timedelta

from appengine_server.checks import database, machine, registry, scheduler
from appengine_server.checks.check import Check

_PODS = timedelta(seconds=90)
"""A node may have to pull an image first."""

_AWAY = timedelta(seconds=10)
"""A start waits no longer for what may be away; a few hundred bytes are sent in a second."""

_DATABASE = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USERNAME", "DB_PASSWORD")
_REGISTRY = ("REGISTRY_URL", "REGISTRY_USER", "REGISTRY_PASSWORD")
_CLUSTER = ("KUBERNETES_MASTER", "KUBECONFIG", "SCHEDULER_TASKS_NAMESPACE", "SCHEDULER")
_MODE = ("SCHEDULER_RUN_MODE", "SCHEDULER_ADVERTISED_URL")

SETTINGS = Check(
    name="settings",
    about="Every variable can be read, and they fit together.",
    settings=(),
    look=machine.settings,
)

ON_THIS_MACHINE = (
    SETTINGS,
    Check(
        name="settings without effect",
        about="No variable is set that means nothing here, or takes safety away.",
        settings=(
            "SCHEDULER_TASKS_RUNNER_IMAGE",
            "SCHEDULER_USE_HOST_NETWORK",
            "SCHEDULER_REGISTRY_ADVERTISED_URL",
        ),
        look=scheduler.earlier_engine,
    ),
    Check(
        name="address",
        about="The address to listen on is free, and strangers are kept out.",
        settings=("BIND_ADDRESS", "PORT", "ALLOW_INSECURE"),
        look=machine.address,
    ),
    Check(
        name="metrics",
        about="The address of the metrics is free.",
        settings=("METRICS_PORT", "METRICS_BIND_ADDRESS"),
        look=machine.metrics,
    ),
    Check(
        name="certificate",
        about="Certificate and key can be read and belong together.",
        settings=("TLS_CERTIFICATE_FILE", "TLS_KEY_FILE"),
        look=machine.tls,
    ),
    Check(
        name="tokens",
        about="The token file can be read by the server alone, and makes sense.",
        settings=("TOKENS_FILE",),
        look=machine.tokens,
    ),
    Check(
        name="storage",
        about="The data folder can be made, written, linked in and locked.",
        settings=("STORAGE_BASE_PATH", "STORAGE_IMPL", "RUN_STORAGE_BASE_PATH"),
        look=machine.storage,
    ),
    Check(
        name="datasets",
        about="The folder of datasets is there, can be read, and lies apart from the storage.",
        settings=("REF_STORAGE_BASE_PATH", "STORAGE_BASE_PATH"),
        look=machine.datasets,
    ),
    Check(
        name="disk",
        about="There is room for uploads and starts.",
        settings=("STORAGE_LOW_WATER", "STORAGE_BASE_PATH"),
        look=machine.disk,
    ),
    Check(
        name="transfer agent",
        about="There is an image of the transfer agent for the pods of cluster mode.",
        settings=("TRANSFER_AGENT_IMAGE", "TRANSFER_AGENT_ARCHIVE", *_REGISTRY, *_MODE),
        look=registry.agent,
    ),
    Check(
        name="advertised address",
        about="The address that pods are told can be the server's.",
        settings=(*_MODE, "SCHEDULER_USE_HOST_NETWORK"),
        look=scheduler.advertised,
    ),
    Check(
        name="agents' certificates",
        about="The certificates that transfer agents trust can be read.",
        settings=("SCHEDULER_CA_FILE", *_MODE),
        look=scheduler.agents_trust,
    ),
)

ELSEWHERE = (
    Check(
        name="database",
        about="PostgreSQL answers, lets the server in, and is new enough.",
        settings=_DATABASE,
        look=database.reach,
    ),
    Check(
        name="database rights",
        about="The server may make tables and write, and knows the tables that are there.",
        settings=_DATABASE,
        look=database.rights,
    ),
    Check(
        name="database connections",
        about="PostgreSQL has as many connections as the server may take.",
        settings=("DB_POOL_SIZE", *_DATABASE),
        look=database.connections,
    ),
    Check(
        name="database clock",
        about="PostgreSQL's clock and this machine's agree.",
        settings=_DATABASE,
        look=database.clock,
    ),
    Check(
        name="registry",
        about="An image can be pushed to the registry, and is there then.",
        settings=_REGISTRY,
        look=registry.push,
        patience=_AWAY,
    ),
    Check(
        name="container engine",
        about="A container engine answers, and has what tasks may use.",
        settings=("DOCKER_HOST", "SCHEDULER", "SCHEDULER_CPUS", "SCHEDULER_RAM"),
        look=scheduler.engine,
    ),
    Check(
        name="cluster",
        about="Kubernetes answers, knows the server, and has the namespace of tasks.",
        settings=_CLUSTER,
        look=scheduler.cluster,
    ),
    Check(
        name="cluster rights",
        about="Kubernetes allows what the server does there.",
        settings=_CLUSTER,
        look=scheduler.rights,
    ),
    Check(
        name="cluster clock",
        about="The clock of Kubernetes and this machine's agree.",
        settings=_CLUSTER,
        look=scheduler.clock,
    ),
    Check(
        name="folders on nodes",
        about="Pods see storage and datasets as the server does; local mode only.",
        settings=(
            "STORAGE_BASE_PATH",
            "REF_STORAGE_BASE_PATH",
            "SCHEDULER_PROBE_IMAGE",
            *_MODE,
            *_CLUSTER,
        ),
        look=scheduler.folders,
        patience=_PODS,
    ),
    Check(
        name="images where tasks run",
        about="What the server pushes to the registry can be pulled where tasks run.",
        settings=("SCHEDULER_REGISTRY_ADVERTISED_URL", *_REGISTRY, *_CLUSTER),
        look=scheduler.pull,
        at_start=False,
        patience=_PODS,
    ),
    Check(
        name="server from pods",
        about="A pod reaches the server; cluster mode only.",
        settings=(*_MODE, *_CLUSTER),
        look=scheduler.server_reached,
        at_start=False,
        patience=_PODS,
    ),
)

CHECKS = (*ON_THIS_MACHINE, *ELSEWHERE)
