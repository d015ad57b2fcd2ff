"""The tests' own cluster can be broken and mended, part by part, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.container.images import busybox_archive
from tests.kubernetes.cluster.cluster import BootedCluster
from tests.kubernetes.cluster.given import given_cluster
from tests.kubernetes.pods import Pods, wait_for

MIB = 1024 * 1024
_ROOT = Path(__file__).parents[2]


def test_a_node_that_is_cut_off_is_lost_and_comes_back(
    booted_cluster: BootedCluster, pods: Pods, busybox: str
) -> None:
    lost, kept = booted_cluster.node_names
    pods.start("running", busybox, "sleep 3 && echo done", node=lost)
    pods.wait_for_phase("running", "Running")
    booted_cluster.cut_off(lost)
    try:
        wait_for(lambda: booted_cluster.ready_nodes() == {kept}, f"{lost} is not Ready", 20)
    finally:
        booted_cluster.rejoin(lost)
    wait_for(lambda: booted_cluster.ready_nodes() == {lost, kept}, f"{lost} is Ready again", 20)
    pods.wait_for_phase("running", "Succeeded")
    assert pods.log("running") == "done\n"


def test_containers_outlive_their_kubelet(
    booted_cluster: BootedCluster, pods: Pods, busybox: str
) -> None:
    node = booted_cluster.node_names[0]
    pods.start("running", busybox, "sleep 1 && echo done", node=node)
    pods.wait_for_phase("running", "Running")
    booted_cluster.kill_kubelet(node)
    try:
        assert pods.status("running")["phase"] == "Running"
    finally:
        booted_cluster.start_kubelet(node)
    pods.wait_for_phase("running", "Succeeded")
    assert pods.log("running") == "done\n"


def test_what_etcd_holds_survives_it_and_the_api_server(
    booted_cluster: BootedCluster, pods: Pods, busybox: str
) -> None:
    pods.start("before", busybox, "echo before")
    pods.wait_for_phase("before", "Succeeded")
    booted_cluster.kill_api_server()
    assert not booted_cluster.api.ready()
    booted_cluster.start_api_server()
    booted_cluster.kill_etcd()
    booted_cluster.start_etcd()
    pods.start("after", busybox, "echo after")
    pods.wait_for_phase("after", "Succeeded")
    assert pods.log("before") + pods.log("after") == "before\nafter\n"


def test_the_processes_of_a_container_can_be_killed_one_by_one(
    booted_cluster: BootedCluster, pods: Pods, busybox: str
) -> None:
    pods.start("running", busybox, "sleep 1000; echo the shell goes on; sleep 1000")
    pods.wait_for_phase("running", "Running")
    container = pods.container_status("running")["containerID"]
    shell, child = booted_cluster.container_processes(container)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: "the shell goes on" in pods.log("running"), "the shell goes on")
    os.kill(shell, signal.SIGKILL)
    pods.wait_for_phase("running", "Failed")
    assert pods.container_status("running")["state"]["terminated"]["exitCode"] == 137
    assert booted_cluster.container_processes(container) == []


def test_a_cable_counts_its_bytes_and_can_be_slowed(
    booted_cluster: BootedCluster, pods: Pods, busybox: str
) -> None:
    here, there = booted_cluster.node_names
    # An input that never ends, because nc takes the end of it for the end of the connection.
    take = "mkfifo /never; nc -l -p 8000 3<>/never <&3 | wc -c"
    pods.start("taking", busybox, take, node=there)
    address = pods.wait_for_address("taking")
    booted_cluster.throttle(here, 16_000_000)
    try:
        before, started = booted_cluster.network_bytes(here), time.monotonic()
        send = f"sleep 0.5; head -c {4 * MIB} /dev/zero | nc {address} 8000"
        pods.start("giving", busybox, send, node=here)
        pods.wait_for_phase("taking", "Succeeded")
        taken, sent = time.monotonic() - started, booted_cluster.network_bytes(here).sent
    finally:
        booted_cluster.throttle(here, None)
    assert int(pods.log("taking")) == 4 * MIB
    assert taken > 1.9  # 4 MiB at 16 Mbit/s, less what the bucket holds
    assert 4 * MIB < sent - before.sent < 5 * MIB


@pytest.mark.timeout(240)  # it boots two more clusters, and the first test of all another one
def test_the_next_boot_clears_away_what_a_killed_owner_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, booted_cluster: BootedCluster
) -> None:
    """A second cluster, whose owner is another process: the first must not be disturbed."""
    command = [sys.executable, "-m", "tests.kubernetes.cluster"]
    with (tmp_path / "said").open("w") as said:
        owner = subprocess.Popen([*command, "up"], cwd=_ROOT, stdout=said)
    wait_for(lambda: "booted" in (tmp_path / "said").read_text(), "another cluster is up", 60)
    settings = dict(
        line.removeprefix("export ").split("=", 1)
        for line in (tmp_path / "said").read_text().splitlines()
        if line.startswith("export ")
    )
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    run_pod_on_given_cluster(tmp_path)
    folder = Path(settings["KUBECONFIG"]).parents[1]
    everything = {"processes", "mounts", "address", "cgroups", "files", "lease"}
    assert traces(folder, settings["CLUSTER_SERVER_ADDRESS"]) == everything
    owner.kill()
    owner.wait()
    done = subprocess.run([*command, "run", "true"], cwd=_ROOT, check=False)
    assert done.returncode == 0
    assert traces(folder, settings["CLUSTER_SERVER_ADDRESS"]) == set()
    assert booted_cluster.ready_nodes() == set(booted_cluster.node_names)


def run_pod_on_given_cluster(tmp_path: Path) -> None:
    given = given_cluster()
    assert given is not None
    busybox_archive(tmp_path / "busybox.tar", tags=["appengine.test/busybox:1"])
    pods = Pods(cluster=given, namespace="default")
    pods.start("running", given.push(tmp_path / "busybox.tar", "busybox:1"), "sleep 1000")
    pods.wait_for_phase("running", "Running")


def traces(folder: Path, address: str) -> set[str]:
    """What there is of a cluster on this machine."""
    found = set()
    number = address.split(".")[2]
    cgroup = f"app-engine-kubernetes-{number}"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cmdline = (process / "cmdline").read_text(errors="replace")
            if str(folder) in cmdline or f"/{cgroup}/" in (process / "cgroup").read_text():
                found.add("processes")
            if str(folder) in (process / "mountinfo").read_text(errors="replace"):
                found.add("mounts")
        except OSError:
            continue  # it has just ended
    shown = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout
    if any(a.get("local") == address for link in json.loads(shown) for a in link["addr_info"]):
        found.add("address")
    hierarchies = Path("/sys/fs/cgroup")
    if any((*hierarchies.glob(f"*/{cgroup}/"), *hierarchies.glob(f"{cgroup}/"))):
        found.add("cgroups")
    if folder.exists():
        found.add("files")
    if Path("/run/app-engine/kubernetes", number).exists():
        found.add("lease")
    return found
