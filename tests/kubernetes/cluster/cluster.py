"""A whole cluster: control plane, registry, two nodes. Booted in seconds, gone with its owner."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.container.images import busybox_archive
from tests.kubernetes.cluster import network
from tests.kubernetes.cluster.api import Api
from tests.kubernetes.cluster.control_plane import ControlPlane, plan_control_plane
from tests.kubernetes.cluster.credentials import ADMIN, Credentials, make_credentials
from tests.kubernetes.cluster.leases import Lease, make_cgroup, take_lease
from tests.kubernetes.cluster.network import Addresses, NetworkBytes
from tests.kubernetes.cluster.node import PAUSE_IMAGE, Node, open_node
from tests.kubernetes.cluster.programs import Programs
from tests.kubernetes.cluster.registry import plan_registry, push_archive, registry_host
from tests.kubernetes.cluster.rooms import Room, Service, open_room

NODES = ("node-1", "node-2")
_START_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class Cluster:
    """What tests need of any cluster, be it booted here or given."""

    kubeconfig: Path
    """Of an administrator."""
    api: Api
    node_names: tuple[str, ...]
    registry: str
    """Host and port of an image registry, the same for the host and the nodes, by plain HTTP."""
    server_address: str
    """Where a server listens on this machine so that pods reach it: an address without a port."""

    @property
    def api_url(self) -> str:
        """The URL of the API server."""
        return self.api.url

    def push(self, archive: Path, name: str) -> str:
        """Push the image of a `docker save` archive; answers its name in the registry."""
        image = f"{self.registry}/{name}"
        push_archive(archive, image)
        return image

    def ready_nodes(self) -> set[str]:
        """The nodes that are Ready."""
        ready = set()
        for node in self.api.get("/api/v1/nodes")["items"]:
            for condition in node.get("status", {}).get("conditions", ()):
                if condition["type"] == "Ready" and condition["status"] == "True":
                    ready.add(node["metadata"]["name"])
        return ready


@dataclass(slots=True, kw_only=True)
class BootedCluster(Cluster):
    """A cluster of our own, whose parts may be broken and mended. `boot` makes and stops it."""

    folder: Path
    """Its files; each part's log is here or in the folder of its node."""
    addresses: Addresses
    programs: Programs
    control_plane: ControlPlane
    registry_service: Service
    nodes: dict[str, Node]
    cgroup: str
    _switch: Room

    def cut_off(self, node: str) -> None:
        """Pull the node's cable: it runs on, but reaches nobody."""
        network.set_cable(self._switch, node, plugged=False)

    def rejoin(self, node: str) -> None:
        """Plug the cable in again."""
        network.set_cable(self._switch, node, plugged=True)

    def throttle(self, node: str, bits_per_second: int | None) -> None:
        """Limit both ways of the node's cable; None takes the limit away."""
        network.throttle(self._switch, self.nodes[node].room, node, bits_per_second)

    def network_bytes(self, node: str) -> NetworkBytes:
        """What has gone through the node's cable: its pods' traffic and its own."""
        return network.bytes_of(self.nodes[node].room)

    def kill_kubelet(self, node: str) -> None:
        """End a node's kubelet by kill -9; its containers go on."""
        self.nodes[node].kubelet.kill()

    def start_kubelet(self, node: str) -> None:
        """Start it again, without waiting until the node is Ready."""
        self.nodes[node].kubelet.start()

    def kill_api_server(self) -> None:
        """End the API server by kill -9."""
        self.control_plane.api_server.kill()

    def start_api_server(self) -> None:
        """Start it again and wait until it is ready."""
        self.control_plane.api_server.start()
        self.wait_until(self.api.ready, "the API server is ready")

    def kill_etcd(self) -> None:
        """End etcd by kill -9; what it holds stays on the disk."""
        self.control_plane.etcd.kill()

    def start_etcd(self) -> None:
        """Start it again and wait until the API server is ready."""
        self.control_plane.etcd.start()
        self.wait_until(self.api.ready, "the API server is ready")

    def kill_registry(self) -> None:
        """End the image registry by kill -9; its images stay on the disk."""
        self.registry_service.kill()

    def start_registry(self) -> None:
        """Start it again."""
        self.registry_service.start()

    def connect_container(self, pid: int) -> str:
        """Lay a cable to a container that is no pod and has no network; its address there."""
        network.connect_guest(self._switch, pid, self.addresses)
        return self.addresses.guest

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints, as an administrator."""
        command = [self.programs.find("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def container_processes(self, container_id: str) -> list[int]:
        """The processes of a running container, as this machine counts; its own number 1 is first.

        `container_id` is what a container's status has, with or without `containerd://`.
        """
        name = container_id.removeprefix("containerd://")
        for hierarchy in ("pids", "memory", "."):
            root = Path("/sys/fs/cgroup", hierarchy, self.cgroup.strip("/"))
            for found in root.glob(f"**/{name}/cgroup.procs"):
                return sorted(map(int, found.read_text().split()), key=_number_inside)
        return []

    def wait_until(
        self, holds: Callable[[], bool], what: str, *, seconds: float = _START_SECONDS
    ) -> None:
        """Wait until a condition holds. An API server that does not answer counts as no."""
        deadline = time.monotonic() + seconds
        while not _holds(holds):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what}\n{self._complaints()}")
            time.sleep(0.05)

    def _services(self) -> list[Service]:
        services = [*self.control_plane.services, self.registry_service]
        for node in self.nodes.values():
            services += node.services
        return services

    def _complaints(self) -> str:
        ended = [service for service in self._services() if not service.running]
        return "\n".join(f"{service.log} has ended:\n{service.last_words()}" for service in ended)

    def _boot(self) -> None:
        self.control_plane.etcd.start()
        self.control_plane.api_server.start()
        self.registry_service.start()
        pause = self.folder / "pause.tar"
        busybox_archive(pause, tags=[PAUSE_IMAGE], command=["sleep", "2147483647"])
        with ThreadPoolExecutor() as pool:
            nodes = self.nodes.values()
            for started in [pool.submit(n.start_containerd, pause, self.programs) for n in nodes]:
                started.result()
        self.wait_until(self.api.ready, "the API server is ready")
        self.control_plane.controllers.start()
        self.control_plane.scheduler.start()
        for node in self.nodes.values():
            node.kubelet.start()
            node.proxy.start()
        self.wait_until(lambda: self.ready_nodes() == set(self.nodes), "both nodes are Ready")
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.wait_until(lambda: bool(self.api.get(account)), "there is a default service account")


@contextmanager
def boot(programs: Programs) -> Iterator[BootedCluster]:
    """Boot a cluster for as long as the context lasts. All of it is gone afterwards."""
    with ExitStack() as stack:
        lease = take_lease()
        stack.callback(lease.end)
        switch = open_room(network.SWITCH_SETUP, log=lease.folder / "room.log")
        stack.callback(switch.close)
        lease.note_room(switch.pid)
        cluster = _put_together(lease, switch, programs, stack)
        cluster._boot()
        yield cluster


def _put_together(
    lease: Lease, switch: Room, programs: Programs, stack: ExitStack
) -> BootedCluster:
    network.connect_host(switch, lease.addresses)
    credentials = make_credentials(lease.folder / "credentials", lease.addresses, NODES)
    registry = registry_host(lease.addresses)
    nodes = {}
    for index, name in enumerate(NODES):
        make_cgroup(f"{lease.cgroup}/{name}")
        nodes[name] = open_node(
            name=name,
            index=index,
            folder=lease.folder / name,
            within=switch,
            programs=programs,
            addresses=lease.addresses,
            credentials=credentials,
            registry=registry,
            cgroup=f"{lease.cgroup}/{name}",
        )
        stack.callback(nodes[name].room.close)
        network.connect_node(switch, nodes[name].room, name, index, lease.addresses)
    return BootedCluster(
        kubeconfig=credentials.kubeconfig(ADMIN),
        api=_api(credentials),
        node_names=NODES,
        registry=registry,
        server_address=lease.addresses.host,
        folder=lease.folder,
        addresses=lease.addresses,
        programs=programs,
        control_plane=plan_control_plane(
            lease.folder, switch, programs, lease.addresses, credentials
        ),
        registry_service=plan_registry(lease.folder, switch, programs, lease.addresses),
        nodes=nodes,
        cgroup=lease.cgroup,
        _switch=switch,
    )


def _api(credentials: Credentials) -> Api:
    return Api(
        url=credentials.api_url,
        trust=ssl.create_default_context(cafile=credentials.authority),
        token=credentials.token(ADMIN),
    )


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except OSError:
        return False


def _number_inside(pid: int) -> int:
    """What a process of a container is called there; a large number if it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return sys.maxsize
    return int(status.partition("NSpid:")[2].splitlines()[0].split()[-1])
