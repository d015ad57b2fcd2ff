"""The image registry of a cluster: docker-registry on the host's address, by plain HTTP."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.kubernetes.cluster.network import Addresses
from tests.kubernetes.cluster.programs import Programs
from tests.kubernetes.cluster.rooms import Room, Service


def registry_host(addresses: Addresses) -> str:
    """Its host and port, the same for the host, the nodes and the pods."""
    return f"{addresses.host}:5000"


def plan_registry(folder: Path, room: Room, programs: Programs, addresses: Addresses) -> Service:
    """Say how it is started, with its files in `folder`."""
    config = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": registry_host(addresses)},
    }
    path = folder / "registry.yml"
    path.write_text(json.dumps(config))  # JSON is YAML
    return Service(
        name="registry",
        room=room,
        command=[programs.find("docker-registry"), "serve", str(path)],
        log=folder / "registry.log",
        on_host_network=True,
        environment=programs.environment,
    )


def push_archive(archive: Path, image: str) -> None:
    """Push the image of a `docker save` archive as `image`, `HOST:PORT/name:tag`."""
    subprocess.run(
        [
            *("skopeo", "--insecure-policy", "copy", "--quiet"),
            *("--dest-tls-verify=false", "--dest-compress-level=1"),  # it is pulled next door
            *(f"docker-archive:{archive}", f"docker://{image}"),
        ],
        check=True,
    )
