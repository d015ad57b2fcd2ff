"""Admission: what is let in together never exceeds the machine."""

from __future__ import annotations

from appengine_server.scheduling.container.admission import admit
from appengine_server.scheduling.scheduler import (
    Admitted,
    FailureReason,
    InUse,
    MustWait,
    NeverFits,
    PendingKind,
    Resources,
)
from appengine_server.scheduling.verdicts import format_bytes
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024**3


def _resources(most: int) -> st.SearchStrategy[Resources]:
    amount = st.integers(0, most)
    return st.builds(Resources, cpus=amount, ram_bytes=amount, gpus=amount)


def _in_use(cpus: int = 0, ram_bytes: int = 0, devices: tuple[str, ...] = ()) -> InUse:
    resources = Resources(cpus=cpus, ram_bytes=ram_bytes, gpus=len(devices))
    return InUse(resources=resources, gpu_devices=frozenset(devices))


@given(capacity=_resources(8), queue=st.lists(_resources(10), max_size=12))
def test_the_admitted_never_exceed_the_capacity(
    capacity: Resources, queue: list[Resources]
) -> None:
    devices = tuple(f"gpu{index}" for index in range(capacity.gpus))
    admitted: list[Resources] = []
    given_away: list[str] = []
    for wanted in queue:
        used = Resources(
            cpus=sum(one.cpus for one in admitted),
            ram_bytes=sum(one.ram_bytes for one in admitted),
            gpus=sum(one.gpus for one in admitted),
        )
        in_use = InUse(resources=used, gpu_devices=frozenset(given_away))
        match admit(wanted, in_use, capacity, devices):
            case Admitted(gpu_devices=chosen):
                admitted.append(wanted)
                assert len(chosen) == wanted.gpus
                given_away += chosen
                assert len(set(given_away)) == len(given_away)
                assert used.cpus + wanted.cpus <= max(capacity.cpus, used.cpus)
                assert used.ram_bytes + wanted.ram_bytes <= max(capacity.ram_bytes, used.ram_bytes)
                assert len(given_away) <= capacity.gpus
            case NeverFits(failure=failure):
                assert failure.reason is FailureReason.UNSCHEDULABLE
                assert not _fits(wanted, capacity)
            case MustWait(reason=reason):
                assert reason.kind is PendingKind.RESOURCES
                assert _fits(wanted, capacity)  # so it will be let in one day


@given(capacity=_resources(8), wanted=_resources(8))
def test_what_fits_is_let_into_an_empty_machine(capacity: Resources, wanted: Resources) -> None:
    devices = tuple(str(index) for index in range(capacity.gpus))
    answer = admit(wanted, _in_use(), capacity, devices)
    assert isinstance(answer, Admitted) == _fits(wanted, capacity)


def test_waiting_says_for_what_and_how_much_is_free() -> None:
    capacity = Resources(cpus=4, ram_bytes=8 * GIB)
    wanted = Resources(cpus=2, ram_bytes=6 * GIB)
    answer = admit(wanted, _in_use(cpus=3, ram_bytes=4 * GIB), capacity)
    assert isinstance(answer, MustWait)
    assert answer.reason.message == (
        "waits for 2 CPUs: 1 of 4 is free; and for 6 GiB of memory: 4 GiB of 8 GiB are free"
    )


def test_too_much_says_what_the_machine_has() -> None:
    capacity = Resources(cpus=2, ram_bytes=8 * GIB)
    answer = admit(Resources(cpus=64, ram_bytes=GIB, gpus=1), _in_use(), capacity)
    assert isinstance(answer, NeverFits)
    assert answer.failure.message == (
        "the task asks for 64 CPUs, the machine has 2 CPUs; and for 1 GPU, the machine has 0 GPUs"
    )


def test_devices_are_chosen_from_those_that_are_free() -> None:
    capacity = Resources(cpus=8, ram_bytes=8 * GIB, gpus=3)
    wanted = Resources(cpus=1, ram_bytes=GIB, gpus=2)
    answer = admit(wanted, _in_use(devices=("b",)), capacity, ("a", "b", "c"))
    assert answer == Admitted(gpu_devices=("a", "c"))
    assert isinstance(
        admit(wanted, _in_use(devices=("a", "b")), capacity, ("a", "b", "c")), MustWait
    )


def test_a_device_that_is_used_and_no_longer_configured_takes_no_place_of_another() -> None:
    capacity = Resources(cpus=8, ram_bytes=8 * GIB, gpus=1)
    wanted = Resources(cpus=1, ram_bytes=GIB, gpus=0)
    assert admit(wanted, _in_use(devices=("old", "older")), capacity, ("new",)) == Admitted()


def test_bytes_are_written_for_people() -> None:
    assert [format_bytes(count) for count in (0, 1023, 1536, 64 * 1024**2, 3 * 1024**5)] == [
        "0 bytes",
        "1023 bytes",
        "1.5 KiB",
        "64 MiB",
        "3072 TiB",
    ]


def _fits(wanted: Resources, capacity: Resources) -> bool:
    return (
        wanted.cpus <= capacity.cpus
        and wanted.ram_bytes <= capacity.ram_bytes
        and wanted.gpus <= capacity.gpus
    )
