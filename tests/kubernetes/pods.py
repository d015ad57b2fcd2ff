"""Bare pods of one container, for tests of the cluster itself and for comparison with runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubernetes.cluster.cluster import Cluster

_WAIT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """Pods in one namespace, by their names. The namespace takes them along when it is deleted."""

    cluster: Cluster
    namespace: str

    def start(
        self,
        name: str,
        image: str,
        script: str,
        *,
        node: str | None = None,
        container: Mapping[str, Any] | None = None,
        spec: Mapping[str, Any] | None = None,
    ) -> None:
        """Start a shell script; on `node` without asking the scheduler. Fields may be added."""
        task = {
            "name": "task",
            "image": image,
            "command": ["/bin/sh", "-c", script],
            **(container or {}),
        }
        body: dict[str, Any] = {"restartPolicy": "Never", "containers": [task], **(spec or {})}
        if node is not None:
            body["nodeName"] = node
        self.cluster.api.create(self._path, {"metadata": {"name": name}, "spec": body})

    def status(self, name: str) -> dict[str, Any]:
        """The status of a pod."""
        found: dict[str, Any] = self.cluster.api.get(f"{self._path}/{name}")["status"]
        return found

    def container_status(self, name: str) -> dict[str, Any]:
        """The status of its container, once it has one."""
        statuses = self.status(name).get("containerStatuses")
        found: dict[str, Any] = statuses[0] if statuses else {"state": {}}
        return found

    def wait_for_phase(self, name: str, phase: str, *, seconds: float = _WAIT_SECONDS) -> None:
        """Wait until the pod is in that phase."""
        wait_for(lambda: self.status(name)["phase"] == phase, f"{name} is {phase}", seconds)

    def wait_for_address(self, name: str) -> str:
        """Wait until the pod runs; answers its address."""
        self.wait_for_phase(name, "Running")
        return str(self.status(name)["podIP"])

    def log(self, name: str) -> str:
        """What its container has printed."""
        return self.cluster.api.text(f"{self._path}/{name}/log")

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"


def wait_for(holds: Callable[[], bool], what: str, seconds: float = _WAIT_SECONDS) -> None:
    """Wait until a condition holds. An API server that does not answer counts as no."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
