"""Boots the tests' Kubernetes cluster: two nodes, an image registry, all gone in the end.

python -m tests.kubernetes.cluster up           says how to reach it, and stays until Ctrl-C
python -m tests.kubernetes.cluster run CMD…     runs CMD with the cluster in its environment
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from types import FrameType

from tests.kubernetes.cluster.cluster import BootedCluster, boot
from tests.kubernetes.cluster.programs import NoCluster, ensure_programs


def main(arguments: list[str]) -> int:
    """Do what the arguments say; answers the exit code."""
    signal.signal(signal.SIGTERM, _end)
    match arguments:
        case ["up"]:
            return _up()
        case ["run", *command] if command:
            return _run(command)
    print(__doc__, file=sys.stderr)
    return 2


def _up() -> int:
    started = time.monotonic()
    with boot(ensure_programs()) as cluster:
        for name, value in environment(cluster).items():
            print(f"export {name}={value}")
        print(f"# booted in {time.monotonic() - started:.1f} s", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


def _run(command: list[str]) -> int:
    with boot(ensure_programs()) as cluster:
        settings = {**cluster.programs.environment, **environment(cluster)}
        return subprocess.run(command, env=settings, check=False).returncode


def environment(cluster: BootedCluster) -> dict[str, str]:
    """How programs learn of the cluster."""
    return {
        "KUBECONFIG": str(cluster.kubeconfig),
        "CLUSTER_REGISTRY": cluster.registry,
        "CLUSTER_SERVER_ADDRESS": cluster.server_address,
    }


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NoCluster as why:
        print(f"error: {why}.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
