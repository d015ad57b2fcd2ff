"""The container that an attempt becomes, in the engine's words."""

from __future__ import annotations

from typing import Any

from appengine_server.scheduling.container.engine import EngineFacts
from appengine_server.scheduling.container.settings import MIB, ContainerSettings
from appengine_server.scheduling.scheduler import AttemptRef, AttemptSpec

ENGINE_LABEL = "appengine.engine"
RUN_LABEL = "appengine.run"
ATTEMPT_LABEL = "appengine.attempt"
PROJECT_LABEL = "appengine.project"

_LEAST_RAM_BYTES = 16 * MIB
"""Runtimes cannot even begin a container with less than about 6 MiB."""


def container_config(
    spec: AttemptSpec, settings: ContainerSettings, facts: EngineFacts
) -> dict[str, Any]:
    """Write the body of the create request.

    Entrypoint, command, environment, working folder and user stay the image's own. All capabilities
    are dropped, DAC_OVERRIDE among them: even root in the container writes only where the file
    modes allow it, so the outputs folder must be open to any user (mode 0777) and the inputs
    readable by all.
    """
    config: dict[str, Any] = {
        "Image": spec.image,
        "Labels": {**labels(settings.engine_id, spec.ref), PROJECT_LABEL: spec.project},
        "Tty": False,
        "OpenStdin": False,
        "HostConfig": _host_config(spec, settings, facts.cpus),
    }
    if not facts.is_podman:
        # An image's own health check would run beside the task and count against its limits.
        # podman takes NONE for a check and looks for systemd's timers on every start.
        config["Healthcheck"] = {"Test": ["NONE"]}
    if settings.user is not None:
        config["User"] = settings.user
    return config


def labels(engine_id: str, ref: AttemptRef) -> dict[str, str]:
    """What a container of ours is found by."""
    return {
        ENGINE_LABEL: engine_id,
        RUN_LABEL: str(ref.run_id),
        ATTEMPT_LABEL: str(ref.number),
    }


def _host_config(
    spec: AttemptSpec, settings: ContainerSettings, machine_cpus: int
) -> dict[str, Any]:
    ram_bytes = max(spec.resources.ram_bytes, _LEAST_RAM_BYTES)
    host: dict[str, Any] = {
        "Mounts": _mounts(spec),
        "NetworkMode": "default" if spec.network else "none",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges", *settings.security_options],
        "Privileged": False,
        # Engines refuse more CPUs than there are, while settings may give away more.
        "NanoCpus": max(1, min(spec.resources.cpus, machine_cpus)) * 1_000_000_000,
        "Memory": ram_bytes,
        "MemorySwap": ram_bytes,  # memory and swap together: no swap
        "ShmSize": settings.shm_bytes,
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(settings.log_bytes), "max-file": "1"},
        },
        "RestartPolicy": {"Name": "no"},
        "ReadonlyRootfs": settings.read_only_root,
    }
    if settings.pids_limit is not None:
        host["PidsLimit"] = settings.pids_limit
    if settings.read_only_root:
        host["Tmpfs"] = {"/tmp": "rw,mode=1777"}  # noqa: S108 - a path inside the container
    if spec.gpu_devices:
        host["DeviceRequests"] = _device_requests(spec.gpu_devices)
    return host


def _mounts(spec: AttemptSpec) -> list[dict[str, Any]]:
    # NB: mounts, not binds: the engine would make a missing folder of a bind, as root, and run.
    places = [
        (str(spec.inputs_path), spec.input_folder, True),
        (str(spec.outputs_path), spec.output_folder, False),
        *((str(path), str(path), True) for path in spec.dataset_paths),
    ]
    return [
        {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
        for source, target, read_only in places
    ]


def _device_requests(devices: tuple[str, ...]) -> list[dict[str, Any]]:
    named = [device for device in devices if "=" in device]  # CDI: vendor/class=name
    plain = [device for device in devices if "=" not in device]
    requests: list[dict[str, Any]] = []
    if named:
        requests.append({"Driver": "cdi", "DeviceIDs": named})
    if plain:
        requests.append({"DeviceIDs": plain, "Capabilities": [["gpu"]]})
    return requests
