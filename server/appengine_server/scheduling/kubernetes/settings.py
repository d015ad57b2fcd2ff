"""What the Kubernetes scheduler must be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the cluster's API is, and who we are there."""

    master_url: str | None = None
    """URL of the API. None: as the kubeconfig says."""
    kubeconfig: str | None = None
    """A file, or several divided by colons. None: `~/.kube/config` where there is one, else the
    service account of the pod that we run in."""
    verify_tls: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """What all pods of tasks have in common."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: tuple[Mapping[str, str], ...] = ()
    """As in the pod's spec, besides those for lost nodes."""
    priority_class: str | None = None
    queue_name: str | None = None
    """Kueue's local queue. None: pods are made at once."""
    labels: Mapping[str, str] = field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()
    """Names of Secrets of the namespace that hold registries' credentials."""
    gpu_resource: str = "nvidia.com/gpu"
    """Name of the resource that the cluster gives GPUs out by."""
    lost_node_toleration: timedelta = timedelta(seconds=15)
    """How long a node may be out of reach before its pods are given up."""
    shm_bytes: int = 1024 * MIB
    """Size of `/dev/shm`. It counts towards the task's memory as it is filled, not before."""
    read_only_root: bool = False
    """Make the root file system of tasks read-only. Off, because real images write to it."""
    host_network: bool = False
    """Use the node's network. Where tasks need none, those of local mode do not get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMode:
    """Nodes see our folders at the same absolute paths; nothing is copied."""

    storage_path: Path
    dataset_path: Path
    probe_image: str | None = None
    """Image with `/bin/sh` for the check at the start. None: the check is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVolume:
    """How pods mount the datasets in cluster mode: exactly one of the two is set."""

    root: Path
    """The folder that the volume holds, as the server sees it."""
    claim: str | None = None
    """A PersistentVolumeClaim of the namespace."""
    host_path: Path | None = None
    """The same folder on every node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMode:
    """Inputs and outputs travel by the transfer agent."""

    agent_image: str
    server_url: str
    """`http://host:port`, or `https://` for TLS: the server as pods reach it."""
    ca_pem: bytes | None = None
    """Certificates that agents trust. None: the public ones."""
    agent_millicpus: int = 50
    agent_ram_bytes: int = 64 * MIB
    task_uid: int = 65532
    """The user of task and agent where the image names none but root."""
    datasets: DatasetVolume | None = None
    """None: agents fetch what runs refer to."""


Mode = LocalMode | ClusterMode


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSchedulerSettings:
    """How to reach the cluster, and what the pods of tasks are like."""

    engine_id: str
    """Tells several App Engines in one namespace apart: Jobs of another id are not ours."""
    namespace: str
    mode: Mode
    connection: Connection = field(default_factory=Connection)
    pods: PodSettings = field(default_factory=PodSettings)
    registry_auth: str | None = field(default=None, repr=False)
    """A `.dockerconfigjson`, kept in a Secret by which nodes pull. None: nodes need none of us."""
    network_policy: bool = True
    """Keep NetworkPolicies that give tasks no network but what they need."""
    network_isolated: bool = False
    """The cluster enforces NetworkPolicies. Nobody but its administrator can know."""
    autoscaled: bool = False
    """Nodes may come that are larger than those there are: nothing is known to fit never."""
