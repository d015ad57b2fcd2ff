"""Whether there is room for one more attempt on this machine. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from appengine_server.scheduling.scheduler import (
    Admission,
    Admitted,
    Failure,
    FailureReason,
    InUse,
    MustWait,
    NeverFits,
    PendingKind,
    PendingReason,
    Resources,
)
from appengine_server.scheduling.verdicts import format_bytes


def admit(
    wanted: Resources, in_use: InUse, capacity: Resources, devices: Sequence[str] = ()
) -> Admission:
    """Say whether `wanted` fits beside what is in use, and on which GPU devices.

    `devices` names the GPUs of `capacity`. What is admitted together never exceeds the capacity,
    and no device is given twice.
    """
    too_much = [
        f"{_amount(kind, asked)}, the machine has {_amount(kind, there)}"
        for kind, asked, there, _ in _compare(wanted, in_use, capacity)
        if asked > there
    ]
    if too_much:
        message = f"the task asks for {'; and for '.join(too_much)}"
        return NeverFits(failure=Failure(reason=FailureReason.UNSCHEDULABLE, message=message))
    short = [
        f"{_amount(kind, asked)}: {_number(kind, max(0, there - used))} of "
        f"{_number(kind, there)} {'are' if kind == 'ram' or there - used != 1 else 'is'} free"
        for kind, asked, there, used in _compare(wanted, in_use, capacity)
        if asked > there - used
    ]
    free_devices = [device for device in devices if device not in in_use.gpu_devices]
    if not short and wanted.gpus > len(free_devices):
        short = [f"{_amount('gpus', wanted.gpus)}: {len(free_devices)} of its devices are free"]
    if short:
        message = f"waits for {'; and for '.join(short)}"
        return MustWait(reason=PendingReason(kind=PendingKind.RESOURCES, message=message))
    return Admitted(gpu_devices=tuple(free_devices[: wanted.gpus]))


def _compare(
    wanted: Resources, in_use: InUse, capacity: Resources
) -> list[tuple[str, int, int, int]]:
    """Kind, wanted, there, used. What is not wanted never stands in the way."""
    used = in_use.resources
    return [
        (kind, asked, there, taken)
        for kind, asked, there, taken in (
            ("cpus", wanted.cpus, capacity.cpus, used.cpus),
            ("ram", wanted.ram_bytes, capacity.ram_bytes, used.ram_bytes),
            ("gpus", wanted.gpus, capacity.gpus, used.gpus),
        )
        if asked > 0
    ]


def _amount(kind: str, count: int) -> str:
    if kind == "ram":
        return f"{_number(kind, count)} of memory"
    noun = {"cpus": "CPU", "gpus": "GPU"}[kind]
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _number(kind: str, count: int) -> str:
    return format_bytes(count) if kind == "ram" else str(count)
