"""What the container scheduler must be told."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSettings:
    """How to reach the engine, what it may give away, and how containers are fenced in."""

    engine_id: str
    """Tells several App Engines on one machine apart: containers of another id are not ours."""
    url: str | None = None
    """`unix://…`, `tcp://…`, `http(s)://…` or `ssh://…`. None: DOCKER_HOST, else the first of the
    usual sockets that answers."""
    cpus: int | None = None
    """CPUs that tasks may use together. None: all that the machine has."""
    ram_bytes: int | None = None
    """Memory that tasks may use together. None: all that the machine has."""
    gpu_devices: tuple[str, ...] = ()
    """Devices that tasks may use, each by one task at a time: an index or UUID as `nvidia-smi -L`
    shows it, or a CDI name such as `nvidia.com/gpu=0`."""
    gpus: int | None = None
    """GPUs that tasks may use together. None: as many as `gpu_devices`. Without `gpu_devices` the
    devices 0, 1, … are taken."""
    shm_bytes: int = 1024 * MIB
    """Size of `/dev/shm`: what engines give by themselves (64 MiB) is too small for workers that
    share arrays. It counts towards the task's memory as it is filled, not before."""
    user: str | None = None
    """`uid` or `uid:gid` that every task runs as. None: the image's own user."""
    log_bytes: int = 256 * MIB
    """How much the engine keeps of what one task printed, in its own encoding; beyond it the
    oldest is dropped, so that a log never fills the disk. Several times what we keep ourselves."""
    read_only_root: bool = False
    """Mount the image's file system read-only. Off, because real images write to it."""
    pids_limit: int | None = 4096
    """Most processes and threads of one task; None: the engine's own limit. Numerical libraries
    start a thread per CPU and worker; fork bombs need many more."""
    security_options: tuple[str, ...] = ()
    """More security options of the engine, such as `label=disable` where SELinux would keep tasks
    from their folders."""

    def devices(self) -> tuple[str, ...]:
        """The GPU devices to give away, in order."""
        count = len(self.gpu_devices) if self.gpus is None else self.gpus
        return (self.gpu_devices or tuple(str(index) for index in range(count)))[:count]
