"""The NetworkPolicies of tasks that ask for no network. Pure."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from appengine_server.scheduling.kubernetes.labels import ENGINE_LABEL, NETWORK_LABEL, Json
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    KubernetesSchedulerSettings,
)

_DNS_PORT = 53


def policy_of(settings: KubernetesSchedulerSettings) -> Json:
    """Nothing comes in; nothing goes out but, in cluster mode, to the server.

    A pod's containers share one network, so the task reaches the server too, and nothing else. A
    server that is known by a name only is allowed by its port, with DNS.
    """
    egress = _to_server(settings.mode.server_url) if isinstance(settings.mode, ClusterMode) else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"appengine-{settings.engine_id}-no-network",
            "labels": {ENGINE_LABEL: settings.engine_id},
        },
        "spec": {
            "podSelector": {
                "matchLabels": {ENGINE_LABEL: settings.engine_id, NETWORK_LABEL: "none"}
            },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": egress,
        },
    }


def _to_server(url: str) -> list[Json]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = {"protocol": "TCP", "port": parts.port or (443 if parts.scheme == "https" else 80)}
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names = [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]
        return [{"ports": [port]}, {"ports": names}]
    return [{"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": [port]}]
