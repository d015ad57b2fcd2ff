"""A node: a room with containerd, kubelet and kube-proxy, and folders of its own where theirs lie.

It shares all other files with the host, so a hostPath is what the host has there. Mounts that the
host makes later are seen only where its root is a shared mount, as systemd makes it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.kubernetes.cluster.credentials import PROXY, Credentials, node_user
from tests.kubernetes.cluster.network import Addresses
from tests.kubernetes.cluster.programs import Programs
from tests.kubernetes.cluster.rooms import Room, Service, open_room

PAUSE_IMAGE = "appengine.test/pause:1"
_SOCKET = "/run/containerd/containerd.sock"
_CNI_CONFIG = "/run/containerd/cni"
_START_SECONDS = 20

# The programs have these paths built in: without folders of their own two nodes would share them.
_OWN_FOLDERS = {
    "containerd": "/var/lib/containerd",
    "run": "/run/containerd",
    "kubelet": "/var/lib/kubelet",
    "cni": "/var/lib/cni",
    "logs": "/var/log/pods",
    "log-links": "/var/log/containers",
}

_CONTAINERD = """
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{cni_config}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registries}"
"""


@dataclass(slots=True, kw_only=True)
class Node:
    """One node; the cluster that made it closes its room."""

    name: str
    index: int
    address: str
    folder: Path
    room: Room
    containerd: Service
    kubelet: Service
    proxy: Service
    services: tuple[Service, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.services = (self.containerd, self.kubelet, self.proxy)

    @property
    def containerd_socket(self) -> Path:
        """Its containerd, as the host sees it."""
        return self.folder / "run" / "containerd.sock"

    def start_containerd(self, pause: Path, programs: Programs) -> None:
        """Start containerd with the image that holds each pod together."""
        self.containerd.start()
        self.wait_for_containerd()
        ctr = [programs.find("ctr"), f"--address={self.containerd_socket}", "--namespace=k8s.io"]
        subprocess.run([*ctr, "images", "import", pause], check=True, stdout=subprocess.DEVNULL)

    def trust_registry(self, name: str, address: str) -> None:
        """Have images whose names begin with `name` pulled from the registry there, by http."""
        _write_registry(self.folder / "registries", name, address)

    def mount(self, folder: Path, place: Path, *, read_only: bool) -> None:
        """Show a folder of this machine at another path, where an empty one must be."""
        script = f"mount --bind {folder} {place}"
        if read_only:
            script += f" && mount -o remount,bind,ro {place}"
        subprocess.run(self.room.inside("sh", "-c", script), check=True)

    def wait_for_containerd(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(self.containerd_socket):
            assert self.containerd.running, self.containerd.last_words()
            assert time.monotonic() < deadline, self.containerd.last_words()
            time.sleep(0.01)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def open_node(
    *,
    name: str,
    index: int,
    folder: Path,
    within: Room,
    programs: Programs,
    addresses: Addresses,
    credentials: Credentials,
    registry: str,
    cgroup: str,
) -> Node:
    """Make a node's room and say how its services are started."""
    folder.mkdir()
    setup = ["echo 1 >/proc/sys/net/ipv4/ip_forward"]
    for own, place in _OWN_FOLDERS.items():
        (folder / own).mkdir()
        setup.append(f"mkdir -p {place} && mount --bind {folder / own} {place}")
    _write_containerd_config(folder, programs, registry)
    _write_network_config(folder, addresses.pods_of(index))
    (folder / "resolv.conf").touch()
    kubelet = _kubelet_config(addresses.node(index), cgroup, folder)
    (folder / "kubelet.json").write_text(json.dumps(kubelet))
    proxy = _proxy_config(name, addresses, credentials)
    (folder / "proxy.json").write_text(json.dumps(proxy))
    room = open_room(setup, log=folder / "room.log", within=within)

    def service(program: str, *options: str, more: Mapping[str, str] | None = None) -> Service:
        return Service(
            name=program,
            room=room,
            command=[programs.find(program), *options],
            log=folder / f"{program}.log",
            environment={**programs.environment, **(more or {})},
        )

    return Node(
        name=name,
        index=index,
        address=addresses.node(index),
        folder=folder,
        room=room,
        containerd=service("containerd", f"--config={folder / 'containerd.toml'}"),
        kubelet=service(
            "kubelet",
            f"--config={folder / 'kubelet.json'}",
            f"--kubeconfig={credentials.kubeconfig(node_user(name))}",
            f"--hostname-override={name}",
            f"--node-ip={addresses.node(index)}",
            # So that a node that was cut off notices soon that its connection is dead.
            more={"HTTP2_READ_IDLE_TIMEOUT_SECONDS": "4", "HTTP2_PING_TIMEOUT_SECONDS": "2"},
        ),
        proxy=service("kube-proxy", f"--config={folder / 'proxy.json'}"),
    )


def _write_containerd_config(folder: Path, programs: Programs, registry: str) -> None:
    registries = folder / "registries"
    _write_registry(registries, registry, registry)
    (folder / "containerd.toml").write_text(
        _CONTAINERD.format(
            socket=_SOCKET,
            pause=PAUSE_IMAGE,
            cni=programs.cni,
            cni_config=_CNI_CONFIG,
            registries=registries,
        )
    )


def _write_registry(registries: Path, name: str, address: str) -> None:
    (registries / name).mkdir(parents=True)
    url = f"http://{address}"
    (registries / name / "hosts.toml").write_text(
        f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'
    )


def _write_network_config(folder: Path, pods: str) -> None:
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    config = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}
    (folder / "run" / "cni").mkdir()
    (folder / "run" / "cni" / "10-pods.conflist").write_text(json.dumps(config))


def _kubelet_config(address: str, cgroup: str, folder: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "resolvConf": str(folder / "resolv.conf"),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # What a machine without CAP_SYS_RESOURCE, with cgroups of both versions, can do.
        "featureGates": {"KubeletInUserNamespace": True},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        # A lost node shows soon, and an emptyDir over its limit too.
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 4,
        "volumeStatsAggPeriod": "10s",
        # The disk is the machine's, and how full it is says nothing about the tests.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "imagefs.available": "0%",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
        },
    }


def _proxy_config(name: str, addresses: Addresses, credentials: Credentials) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": name,
        "clusterCIDR": addresses.pods,
        "clientConnection": {"kubeconfig": str(credentials.kubeconfig(PROXY))},
        # Zero leaves the kernel's own limits, which nobody here may set.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
    }
