"""Who may talk to the cluster: one certificate authority, a token for each, kubeconfig files."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.kubernetes.cluster.network import Addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Files in one folder; whoever made the folder removes it."""

    folder: Path
    api_url: str
    authority: Path
    """The certificate of the authority that signed the API server's."""
    certificate: Path
    key: Path
    """The API server's, with which service accounts' tokens are signed too."""
    tokens: Path
    """The API server's static tokens."""

    def kubeconfig(self, user: str) -> Path:
        """The file with which that user of the static tokens reaches the API server."""
        return self.folder / f"{user.replace(':', '-')}.kubeconfig"

    def token(self, user: str) -> str:
        """The user's token."""
        parsed = json.loads(self.kubeconfig(user).read_text())
        token: str = parsed["users"][0]["user"]["token"]
        return token


ADMIN = "admin"
CONTROLLERS = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"
PROXY = "system:kube-proxy"


def node_user(name: str) -> str:
    """The name under which a node's kubelet comes."""
    return f"system:node:{name}"


def make_credentials(folder: Path, addresses: Addresses, nodes: Sequence[str]) -> Credentials:
    """Write a new authority, certificate, tokens and kubeconfig files."""
    folder.mkdir(mode=0o700)
    made = Credentials(
        folder=folder,
        api_url=f"https://{addresses.host}:6443",
        authority=folder / "ca.pem",
        certificate=folder / "server.pem",
        key=folder / "server.key",
        tokens=folder / "tokens.csv",
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(made.authority)
    names = (
        *("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
        "k3s",  # as Compose calls it
    )
    issued = authority.issue_cert(addresses.host, addresses.api_service, "127.0.0.1", *names)
    made.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(made.key)
    groups = {ADMIN: "system:masters", CONTROLLERS: "system:masters", SCHEDULER: "", PROXY: ""}
    groups |= {node_user(name): "system:nodes" for name in nodes}
    with made.tokens.open("w") as tokens:
        for user, group in groups.items():
            token = secrets.token_hex(16)
            tokens.write(f'{token},{user},{user},"{group}"\n')
            made.kubeconfig(user).write_text(json.dumps(_kubeconfig(made, user, token)))
    return made


def _kubeconfig(credentials: Credentials, user: str, token: str) -> dict[str, object]:
    cluster = {
        "server": credentials.api_url,
        "certificate-authority-data": b64encode(credentials.authority.read_bytes()).decode(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
        "current-context": "tests",
    }
