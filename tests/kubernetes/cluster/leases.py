"""Numbers for clusters, one each, and what a cluster would leave behind if its owner is killed.

The owner keeps a lock on its lease's file, which ends with the owner. Whoever takes a lease next
clears away what belongs to leases that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.kubernetes.cluster.network import Addresses, disconnect_host
from tests.kubernetes.cluster.rooms import kill_first_process

_LEASES = Path("/run/app-engine/kubernetes")
_CGROUPS = Path("/sys/fs/cgroup")
_NUMBERS = range(1, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A number that is ours until `end`."""

    addresses: Addresses
    folder: Path
    """Of the cluster's files, fresh."""
    file: IO[str]

    @property
    def cgroup(self) -> str:
        """Under which all of the cluster's containers are."""
        return f"/{_cgroup_name(self.addresses)}"

    def note_room(self, pid: int) -> None:
        """Note the first process of the cluster's room, for whoever clears it away."""
        _write(self.file, {"folder": str(self.folder), "room": pid, "born": _born(pid)})

    def end(self) -> None:
        """Remove what the cluster had on the host. Its room is closed before."""
        _clear(self.addresses, self.folder)
        _path(self.addresses).unlink(missing_ok=True)
        self.file.close()


def take_lease() -> Lease:
    """Take a free number and a fresh folder, after clearing away what killed owners left."""
    _LEASES.mkdir(parents=True, exist_ok=True)
    clear_leftovers()
    for number in random.sample(_NUMBERS, len(_NUMBERS)):
        addresses = Addresses(number=number)
        if Path("/sys/class/net", addresses.interface).exists():
            continue
        file = _lock(_path(addresses))
        if file is None:
            continue
        try:
            _remove_cgroups(addresses)  # a node that was killed may have made one again
        except OSError:
            file.close()
            continue
        folder = Path(tempfile.mkdtemp(prefix=f"app-engine-kubernetes-{number}-"))
        _write(file, {"folder": str(folder)})
        return Lease(addresses=addresses, folder=folder, file=file)
    raise OSError("every number for a cluster is taken")


def clear_leftovers() -> None:
    """Remove the processes, interfaces, cgroups and files of clusters whose owners are gone."""
    for path in _LEASES.glob("*"):
        file = _lock(path)
        if file is None:
            continue
        with file:
            # An owner that was killed before it wrote anything had made nothing.
            with contextlib.suppress(json.JSONDecodeError):
                _clear_away(Addresses(number=int(path.name)), json.load(file))
            path.unlink(missing_ok=True)


def _clear_away(addresses: Addresses, left: dict[str, object]) -> None:
    room = left.get("room")
    if isinstance(room, int) and _born(room) == left["born"]:
        kill_first_process(room)
    _clear(addresses, Path(str(left["folder"])))


def _clear(addresses: Addresses, folder: Path) -> None:
    disconnect_host(addresses)
    _remove_cgroups(addresses)
    shutil.rmtree(folder, ignore_errors=True)


def make_cgroup(name: str) -> None:
    """Make a cgroup in every hierarchy; with version 1 its CPUs have to be said."""
    for hierarchy in _hierarchies():
        cgroup = hierarchy / name.strip("/")
        cgroup.mkdir(parents=True)
        for above in (cgroup.parent, cgroup):
            for file in ("cpuset.cpus", "cpuset.mems"):
                if hierarchy.name == "cpuset" and not (above / file).read_text().strip():
                    (above / file).write_text((above.parent / file).read_text())


def _hierarchies() -> list[Path]:
    """Where cgroups are made: one of version 2, or one for each controller of version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [found for found in _CGROUPS.iterdir() if found.is_dir() and not found.is_symlink()]


def _remove_cgroups(addresses: Addresses) -> None:
    for hierarchy in _hierarchies():
        _remove_cgroup(hierarchy / _cgroup_name(addresses))


def _remove_cgroup(cgroup: Path) -> None:
    """Remove a cgroup with those in it, which the kernel lets go a moment after their processes."""
    deadline = time.monotonic() + 10
    while cgroup.exists():
        for below, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                Path(below).rmdir()
        if time.monotonic() > deadline:
            raise OSError(f"the cgroup {cgroup} cannot be removed")
        time.sleep(0.01)


def _cgroup_name(addresses: Addresses) -> str:
    return f"app-engine-kubernetes-{addresses.number}"


def _path(addresses: Addresses) -> Path:
    return _LEASES / str(addresses.number)


def _lock(path: Path) -> IO[str] | None:
    """Open and lock a lease's file, unless somebody holds it or has just removed it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            file.seek(0)
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None


def _write(file: IO[str], content: dict[str, object]) -> None:
    file.truncate(0)
    json.dump(content, file)
    file.flush()


def _born(pid: int) -> str:
    """When a process began, to tell it from a later one of the same number; "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
