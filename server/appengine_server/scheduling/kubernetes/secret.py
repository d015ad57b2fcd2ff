"""The Secrets that we make: of an attempt's agents, and for pulling images. Pure."""

from __future__ import annotations

from base64 import b64encode

from appengine_server.scheduling.kubernetes.labels import (
    ENGINE_LABEL,
    FETCH,
    TRANSFER,
    Json,
    attempt_labels,
)
from appengine_server.scheduling.scheduler import AgentTokens, AttemptRef

CA_KEY = "ca.crt"


def secret_of(engine_id: str, ref: AttemptRef, tokens: AgentTokens, ca_pem: bytes | None) -> Json:
    """Write the Secret. It is made before the Job, and given to it afterwards."""
    data = {FETCH: tokens.fetch.encode(), TRANSFER: tokens.transfer.encode()}
    if ca_pem is not None:
        data[CA_KEY] = ca_pem
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": ref.name, "labels": attempt_labels(engine_id, ref)},
        "data": {key: b64encode(value).decode("ascii") for key, value in data.items()},
    }


def pull_secret_name(engine_id: str) -> str:
    """Name of the Secret by which nodes pull the images that this engine has pushed."""
    return f"appengine-registry-{engine_id[:12]}"


def pull_secret_of(engine_id: str, registry_auth: str) -> Json:
    """Write that Secret; `registry_auth` is its `.dockerconfigjson`."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {
            "name": pull_secret_name(engine_id),
            "labels": {ENGINE_LABEL: engine_id},
        },
        "data": {".dockerconfigjson": b64encode(registry_auth.encode()).decode("ascii")},
    }


def owned_by(job: Json) -> Json:
    """The change that makes a Job own the Secret, so that they go away together."""
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    return {"metadata": {"ownerReferences": [owner]}}
