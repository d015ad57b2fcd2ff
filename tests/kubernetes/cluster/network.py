"""The cluster's network: a switch in a room of its own, a cable to the host and one to each node.

Nothing of it is on the host but one interface, whose other end is in the room: it ends with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.kubernetes.cluster.rooms import Room

_SWITCH = "switch"
SWITCH_SETUP = (
    "ip link set lo up",
    f"ip link add {_SWITCH} type bridge",
    f"ip link set {_SWITCH} up",
)
"""What the room of the switch starts with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses of one cluster, which its number decides."""

    number: int
    """1 to 254."""

    @property
    def interface(self) -> str:
        """The interface on the host."""
        return f"appengine{self.number}"

    @property
    def host(self) -> str:
        """Where nodes and pods reach the host."""
        return f"10.213.{self.number}.1"

    def node(self, index: int) -> str:
        """Of a node, counted from 0."""
        return f"10.213.{self.number}.{11 + index}"

    @property
    def guest(self) -> str:
        """Of a container that is no pod, such as a server beside the cluster."""
        return f"10.213.{self.number}.21"

    @property
    def pods(self) -> str:
        """The subnet of all pods."""
        return f"10.214.{self.number}.0/24"

    def pods_of(self, index: int) -> str:
        """The subnet of a node's pods; there are two of them."""
        return f"10.214.{self.number}.{128 * index}/25"

    @property
    def services(self) -> str:
        """The subnet of services."""
        return f"10.215.{self.number}.0/24"

    @property
    def api_service(self) -> str:
        """Where pods reach the API server as a service."""
        return f"10.215.{self.number}.1"

    def service(self, index: int) -> str:
        """An address for a service that chooses its own: Kubernetes gives out others first."""
        return f"10.215.{self.number}.{2 + index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkBytes:
    """What has gone through a node's cable since it was laid, frame headers included."""

    received: int
    """By the node."""
    sent: int
    """By the node."""


def connect_host(switch: Room, addresses: Addresses) -> None:
    """Lay the cable between the host and the switch."""
    name = addresses.interface
    _ip(
        f"link add {name} type veth peer name host netns {switch.pid}",
        f"address add {addresses.host}/24 dev {name}",
        f"link set {name} up",
    )
    _ip(f"link set host master {_SWITCH}", "link set host up", room=switch)


def disconnect_host(addresses: Addresses) -> None:
    """Take the host's interface away; fine if it went with the room."""
    command = ["ip", "link", "delete", addresses.interface]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def connect_node(switch: Room, node: Room, name: str, index: int, addresses: Addresses) -> None:
    """Lay the cable between a node and the switch, with the ways to all other pods.

    There is no way out of the cluster but to the host.
    """
    _ip(
        f"link add {name} type veth peer name eth0 netns {node.pid}",
        f"link set {name} master {_SWITCH}",
        f"link set {name} up",
        room=switch,
    )
    _ip(
        "link set lo up",
        f"address add {addresses.node(index)}/24 dev eth0",
        "link set eth0 up",
        f"route add {addresses.pods_of(1 - index)} via {addresses.node(1 - index)}",
        # Never taken, because kube-proxy turns each of these aside; but the first look asks for it.
        f"route add {addresses.services} via {addresses.host}",
        room=node,
    )
    _ip(f"route add {addresses.pods_of(index)} via {addresses.node(index)}")
    if index == 0:
        _ip(f"route add {addresses.services} via {addresses.node(index)}")


def connect_guest(switch: Room, pid: int, addresses: Addresses) -> None:
    """Lay a cable between the switch and the network that a process is in, one without any."""
    name = "guest"
    _ip(
        f"link add {name} type veth peer name eth0 netns {pid}",
        f"link set {name} master {_SWITCH}",
        f"link set {name} up",
        room=switch,
    )
    subprocess.run(
        ["nsenter", f"--target={pid}", "--net", "ip", "-batch", "-"],
        input=f"address add {addresses.guest}/24 dev eth0\nlink set eth0 up\nlink set lo up\n",
        text=True,
        check=True,
    )


def set_cable(switch: Room, name: str, *, plugged: bool) -> None:
    """Cut a node off, or join it again."""
    _ip(f"link set {name} {'up' if plugged else 'down'}", room=switch)


def throttle(switch: Room, node: Room, name: str, bits_per_second: int | None) -> None:
    """Limit both ways of a node's cable; None takes the limit away."""
    for room, device in ((switch, name), (node, "eth0")):
        subprocess.run(
            room.on_its_network("tc", "qdisc", "delete", "dev", device, "root"),
            check=False,
            stderr=subprocess.DEVNULL,
        )
        if bits_per_second is not None:
            # A bucket smaller than the largest packet of the card's offload would pass nothing.
            limit = f"tbf rate {bits_per_second}bit burst 128kb latency 200ms".split()
            command = room.on_its_network("tc", "qdisc", "add", "dev", device, "root", *limit)
            subprocess.run(command, check=True)


def bytes_of(node: Room) -> NetworkBytes:
    """What a node has received and sent."""
    for line in Path(f"/proc/{node.pid}/net/dev").read_text().splitlines():
        device, _, counters = line.partition(":")
        if device.strip() == "eth0":
            fields = counters.split()
            return NetworkBytes(received=int(fields[0]), sent=int(fields[8]))
    raise LookupError("the node has no cable")


def _ip(*commands: str, room: Room | None = None) -> None:
    batch: Sequence[str] = ("ip", "-batch", "-")
    subprocess.run(
        room.on_its_network(*batch) if room else batch,
        input="\n".join(commands) + "\n",
        text=True,
        check=True,
    )
