"""The pod of local mode: one container that sees our folders at their own paths. Pure."""

from __future__ import annotations

from pathlib import Path

from appengine_server.scheduling.kubernetes.job import job_of, task_container, task_volumes
from appengine_server.scheduling.kubernetes.labels import Json
from appengine_server.scheduling.kubernetes.settings import KubernetesSchedulerSettings
from appengine_server.scheduling.scheduler import AttemptSpec


def local_job(spec: AttemptSpec, settings: KubernetesSchedulerSettings) -> Json:
    """Write the Job of an attempt whose node shares our folders.

    The user stays the image's own, as on a container engine: the outputs folder is open to any
    user, and the server reads what root or anybody else wrote there.
    """
    places = [
        ("inputs", spec.inputs_path, spec.input_folder, True),
        ("outputs", spec.outputs_path, spec.output_folder, False),
        *(
            (f"dataset-{number}", path, str(path), True)
            for number, path in enumerate(spec.dataset_paths)
        ),
    ]
    mounts = [_mount(name, target, read_only) for name, _, target, read_only in places]
    volumes = [host_folder(name, source) for name, source, _, _ in places]
    pod: Json = {
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [task_container(spec, settings.pods, mounts)],
        "volumes": [*volumes, *task_volumes(settings.pods)],
    }
    # No helper needs the network here, so the node's is for tasks that ask for one.
    host_network = settings.pods.host_network and spec.network
    return job_of(spec, settings, pod, host_network=host_network)


def host_folder(name: str, path: Path) -> Json:
    """A volume of a node's folder. Kubelets refuse one that is missing, instead of making it."""
    return {"name": name, "hostPath": {"path": str(path), "type": "Directory"}}


def _mount(name: str, target: str, read_only: bool) -> Json:
    return {"name": name, "mountPath": target, "readOnly": read_only}
