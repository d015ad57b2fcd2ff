"""The pod of cluster mode: the agent fetches, the task works, the agent sends. Pure.

Shaped so that PodSecurity *restricted* admits it.
"""

from __future__ import annotations

from pathlib import Path

from appengine_server.scheduling.kubernetes.job import job_of, task_container, task_volumes
from appengine_server.scheduling.kubernetes.job_local import host_folder
from appengine_server.scheduling.kubernetes.labels import FETCH, TRANSFER, Json
from appengine_server.scheduling.kubernetes.secret import CA_KEY
from appengine_server.scheduling.kubernetes.settings import (
    ClusterMode,
    DatasetVolume,
    KubernetesSchedulerSettings,
)
from appengine_server.scheduling.scheduler import AttemptSpec

_PRIVATE = "/run/appengine"
_DATASETS = "datasets"


def cluster_job(
    spec: AttemptSpec, settings: KubernetesSchedulerSettings, mode: ClusterMode
) -> Json:
    """Write the Job of an attempt whose files travel."""
    datasets = () if mode.datasets is None else spec.dataset_paths
    task_mounts: list[Json] = [
        {"name": "inputs", "mountPath": spec.input_folder, "readOnly": True},
        {"name": "outputs", "mountPath": spec.output_folder},
        *_dataset_mounts(mode.datasets, datasets),
    ]
    pod: Json = {
        "securityContext": _security(spec, mode),
        "initContainers": [_agent(FETCH, spec, mode, "inputs", spec.input_folder)],
        "containers": [
            task_container(spec, settings.pods, task_mounts),
            _agent(TRANSFER, spec, mode, "outputs", spec.output_folder),
        ],
        "volumes": [
            {"name": "inputs", "emptyDir": {}},
            {"name": "outputs", "emptyDir": {}},
            *(_private_volume(spec, mode, command) for command in (FETCH, TRANSFER)),
            *_dataset_volumes(mode.datasets, datasets),
            *task_volumes(settings.pods),
        ],
    }
    return job_of(spec, settings, pod, host_network=settings.pods.host_network)


def _security(spec: AttemptSpec, mode: ClusterMode) -> Json:
    """One user for all containers: the agent could not read an output of mode 0600 otherwise."""
    uid, gid = _user(spec.user, mode.task_uid)
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "fsGroup": gid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _user(user: str, default_uid: int) -> tuple[int, int]:
    """The image's user and group where they are numbers and not root's."""
    name, _, group = user.partition(":")
    uid = int(name) if name.isascii() and name.isdecimal() and int(name) else default_uid
    gid = int(group) if group.isascii() and group.isdecimal() and int(group) else uid
    return uid, gid


def _agent(command: str, spec: AttemptSpec, mode: ClusterMode, volume: str, folder: str) -> Json:
    environment = {
        "APPENGINE_SERVER": mode.server_url,
        "APPENGINE_TOKEN_FILE": f"{_PRIVATE}/token",
        "APPENGINE_RUN_ID": str(spec.ref.run_id),
        "APPENGINE_ATTEMPT": str(spec.ref.number),
        "APPENGINE_FOLDER": folder,
    }
    if mode.ca_pem is not None:
        environment["APPENGINE_CA_FILE"] = f"{_PRIVATE}/{CA_KEY}"
    amounts = {"cpu": f"{mode.agent_millicpus}m", "memory": str(mode.agent_ram_bytes)}
    return {
        "name": command,
        "image": mode.agent_image,
        "args": [command],  # to the image's own program
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        # No limits: the agent may move data as fast as the node lets it.
        "resources": {"requests": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": volume, "mountPath": folder},
            {"name": f"token-{command}", "mountPath": _PRIVATE, "readOnly": True},
        ],
    }


def _private_volume(spec: AttemptSpec, mode: ClusterMode, command: str) -> Json:
    """Of the Secret only what this container may know."""
    items = [{"key": command, "path": "token"}]
    if mode.ca_pem is not None:
        items.append({"key": CA_KEY, "path": CA_KEY})
    secret = {"secretName": spec.ref.name, "defaultMode": 0o440, "items": items}
    return {"name": f"token-{command}", "secret": secret}


def _dataset_mounts(datasets: DatasetVolume | None, paths: tuple[Path, ...]) -> list[Json]:
    if datasets is None:
        return []
    return [
        {
            "name": _DATASETS,
            "mountPath": str(path),
            "readOnly": True,
            **_sub_path(path.relative_to(datasets.root)),
        }
        for path in paths
    ]


def _sub_path(relative: Path) -> Json:
    return {} if relative == Path() else {"subPath": str(relative)}


def _dataset_volumes(datasets: DatasetVolume | None, paths: tuple[Path, ...]) -> list[Json]:
    if datasets is None or not paths:
        return []
    if datasets.claim is not None:
        claim = {"claimName": datasets.claim, "readOnly": True}
        return [{"name": _DATASETS, "persistentVolumeClaim": claim}]
    assert datasets.host_path is not None
    return [host_folder(_DATASETS, datasets.host_path)]
