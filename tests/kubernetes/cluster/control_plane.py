"""etcd, API server, controllers and scheduler: on the host's network, at its address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.cluster.credentials import CONTROLLERS, SCHEDULER, Credentials
from tests.kubernetes.cluster.network import Addresses
from tests.kubernetes.cluster.programs import Programs
from tests.kubernetes.cluster.rooms import Room, Service

# A node counts as lost after that long without a word, and its pods get their toleration on top.
NODE_GRACE_SECONDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The four services; whoever made them starts them, and ends them with their room."""

    etcd: Service
    api_server: Service
    controllers: Service
    scheduler: Service

    @property
    def services(self) -> tuple[Service, ...]:
        """All of them."""
        return (self.etcd, self.api_server, self.controllers, self.scheduler)


def plan_control_plane(
    folder: Path, room: Room, programs: Programs, addresses: Addresses, credentials: Credentials
) -> ControlPlane:
    """Say how they are started, with their files in `folder`."""

    def service(name: str, *options: str) -> Service:
        return Service(
            name=name,
            room=room,
            command=[programs.find(name), *options],
            log=folder / f"{name}.log",
            on_host_network=True,
            environment=programs.environment,
        )

    return ControlPlane(
        etcd=service("etcd", *_etcd(folder, addresses)),
        api_server=service("kube-apiserver", *_api_server(addresses, credentials)),
        controllers=service("kube-controller-manager", *_controllers(addresses, credentials)),
        scheduler=service(
            "kube-scheduler",
            f"--kubeconfig={credentials.kubeconfig(SCHEDULER)}",
            f"--bind-address={addresses.host}",
            "--leader-elect=false",
        ),
    )


def _etcd(folder: Path, addresses: Addresses) -> list[str]:
    clients, peers = f"http://{addresses.host}:2379", f"http://{addresses.host}:2380"
    return [
        "--name=only",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=only={peers}",
        "--unsafe-no-fsync",  # a kill -9 loses nothing, and the machine's own end ends the cluster
        "--log-level=warn",
    ]


def _api_server(addresses: Addresses, credentials: Credentials) -> list[str]:
    return [
        f"--etcd-servers=http://{addresses.host}:2379",
        f"--bind-address={addresses.host}",
        f"--advertise-address={addresses.host}",
        f"--tls-cert-file={credentials.certificate}",
        f"--tls-private-key-file={credentials.key}",
        f"--token-auth-file={credentials.tokens}",
        f"--service-account-key-file={credentials.key}",
        f"--service-account-signing-key-file={credentials.key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={addresses.services}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def _controllers(addresses: Addresses, credentials: Credentials) -> list[str]:
    return [
        f"--kubeconfig={credentials.kubeconfig(CONTROLLERS)}",
        f"--bind-address={addresses.host}",
        "--leader-elect=false",
        f"--service-account-private-key-file={credentials.key}",
        f"--root-ca-file={credentials.authority}",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
        "--node-eviction-rate=1",  # by default the pods of one lost node wait 10 s for another's
    ]
