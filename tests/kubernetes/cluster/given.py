"""A cluster that somebody else runs, by the KUBECONFIG that was given."""

from __future__ import annotations

import os
import ssl
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster.api import Api
from tests.kubernetes.cluster.cluster import Cluster
from tests.kubernetes.cluster.programs import NoCluster


def given_cluster() -> Cluster | None:
    """The cluster that the environment names, or None. Raises NoCluster if it says too little."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        return None
    api = _api(yaml.safe_load(Path(kubeconfig).read_text()))
    nodes = api.get("/api/v1/nodes")["items"]
    return Cluster(
        kubeconfig=Path(kubeconfig),
        api=api,
        node_names=tuple(node["metadata"]["name"] for node in nodes),
        registry=_named("CLUSTER_REGISTRY"),
        server_address=_named("CLUSTER_SERVER_ADDRESS"),
    )


def _named(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise NoCluster(f"KUBECONFIG is given, but {variable} is not")
    return value


def _api(config: dict[str, Any]) -> Api:
    context = _entry(config, "context", config["current-context"])
    cluster = _entry(config, "cluster", context["cluster"])
    user = _entry(config, "user", context["user"])
    trust = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
    if "client-certificate" in user or "client-certificate-data" in user:
        # Python loads a client's certificate from a file only.
        with tempfile.NamedTemporaryFile("w") as both:
            both.write(_pem(user, "client-certificate") + "\n" + _pem(user, "client-key"))
            both.flush()
            trust.load_cert_chain(both.name)
    return Api(url=cluster["server"], trust=trust, token=user.get("token", ""))


def _entry(config: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(
        entry[kind] for entry in config[f"{kind}s"] if entry["name"] == name
    )
    return entry


def _pem(holder: dict[str, Any], key: str) -> str:
    data = holder.get(f"{key}-data")
    return b64decode(data).decode() if data else Path(holder[key]).read_text()
