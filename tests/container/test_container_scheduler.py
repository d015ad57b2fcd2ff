"""What only the container scheduler promises: it shares the machine with others and with its past.

These tests look behind the Protocol: at the engine itself, and at broken connections to it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from appengine_server.scheduling.container import scheduler as container_scheduler_module
from appengine_server.scheduling.container.config import container_config
from appengine_server.scheduling.container.engine import Engine, open_engine
from appengine_server.scheduling.container.process import ContainerProcess
from appengine_server.scheduling.container.scheduler import (
    ContainerScheduler,
    open_container_scheduler,
)
from appengine_server.scheduling.container.settings import ContainerSettings
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    FailureReason,
    InUse,
    MustWait,
    NeverFits,
    Resources,
    SchedulerUnavailable,
    SubmissionRefused,
)

from tests.schedulers.bench import MIB, PATIENCE_SECONDS, Bench, Images

pytestmark = pytest.mark.container

WAIT = "while [ ! -e /outputs/go ]; do sleep 0.02; done"


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    async with open_engine(engine_url) as engine:
        yield engine


@pytest.fixture
def bench(container_scheduler: ContainerScheduler, bench: Bench, container_images: Images) -> Bench:
    """The bench of the container scheduler alone."""
    assert bench.scheduler is container_scheduler
    return bench


async def test_a_container_that_was_made_and_never_started_is_started(
    bench: Bench, engine: Engine, container_settings: ContainerSettings
) -> None:
    spec = bench.spec("echo once >> /outputs/starts")
    await _create_only(engine, spec, container_settings)
    observed = await bench.scheduler.observe(spec.ref)
    assert observed.phase is AttemptPhase.PENDING
    await bench.scheduler.submit(spec)
    assert (await bench.ended(spec.ref)).exit_code == 0
    assert (spec.outputs_path / "starts").read_text() == "once\n"


async def test_a_late_server_does_not_start_what_another_one_has_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had made the container, asked, and was paused before the start."""
    monkeypatch.setattr(container_scheduler_module, "_STARTED_WITHIN", timedelta(0))
    spec = bench.spec("echo once >> /outputs/starts")

    async def still_wanted() -> bool:
        await bench.scheduler.submit(spec)
        assert (await bench.ended(spec.ref)).exit_code == 0
        return True

    with pytest.raises(SchedulerUnavailable, match="was removed while it was started"):
        await bench.scheduler.submit(spec, still_wanted=still_wanted)
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ENDED
    assert (spec.outputs_path / "starts").read_text() == "once\n"


async def test_a_late_server_leaves_the_container_of_another_one_alone(
    bench: Bench,
    engine: Engine,
    container_settings: ContainerSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(container_scheduler_module, "_STARTED_WITHIN", timedelta(hours=1))
    spec = bench.spec(WAIT)
    await _create_only(engine, spec, container_settings)

    async def still_wanted() -> bool:
        await engine.start(spec.ref.name)
        return False

    await bench.scheduler.submit(spec, still_wanted=still_wanted)
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.RUNNING


async def test_a_cancelled_container_that_never_started_never_starts(
    bench: Bench, engine: Engine, container_settings: ContainerSettings
) -> None:
    spec = bench.spec("touch /outputs/started")
    await _create_only(engine, spec, container_settings)
    await bench.scheduler.cancel(spec.ref, timedelta(minutes=1))
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT
    assert not (spec.outputs_path / "started").exists()


async def test_what_others_removed_is_absent(bench: Bench, engine: Engine) -> None:
    spec = await bench.start(WAIT)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    await engine.delete(spec.ref.name)
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT
    assert await bench.log(spec.ref) == b""


async def test_a_kill_by_others_is_not_taken_for_memory(bench: Bench, engine: Engine) -> None:
    spec = await bench.start(WAIT)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    await engine.kill(spec.ref.name, "SIGKILL")
    failure = (await bench.ended(spec.ref)).failure
    assert failure is not None
    assert (failure.reason, failure.exit_code) == (FailureReason.TASK_EXIT_CODE, 137)
    assert "SIGKILL" in failure.message


async def test_what_others_started_again_is_killed_after_the_grace_all_the_same(
    bench: Bench, engine: Engine
) -> None:
    spec = await bench.start(f"trap '' TERM; cd /outputs; mkdir once || mkdir again; {WAIT}")
    await bench.until_exists(spec.outputs_path / "once")
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    await engine.kill(spec.ref.name, "SIGKILL")
    await bench.ended(spec.ref)
    await engine.start(spec.ref.name)
    await bench.until_exists(spec.outputs_path / "again")
    await bench.scheduler.cancel(spec.ref, timedelta(seconds=0.1))
    assert (await bench.ended(spec.ref)).exit_code == 137


async def test_memory_and_cpu_that_were_used_are_told(bench: Bench) -> None:
    script = f"x=$(head -c {20 * MIB} /dev/zero | tr '\\0' x); sleep 0.3"
    spec = bench.spec(script, ram_bytes=256 * MIB)
    await bench.scheduler.submit(spec)
    usage = (await bench.ended(spec.ref)).usage
    assert usage.peak_memory_bytes is not None
    assert usage.cpu_seconds is not None
    assert 20 * MIB < usage.peak_memory_bytes < 256 * MIB
    assert 0 < usage.cpu_seconds < 15


async def test_deleting_finds_a_container_that_has_another_name_now(
    bench: Bench, engine: Engine
) -> None:
    spec = await bench.start(WAIT)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    await engine.call("POST", f"containers/{spec.ref.name}/rename", name=f"mine-{spec.ref.name}")
    assert spec.ref in await bench.scheduler.list_attempts()
    await bench.scheduler.delete(spec.ref)
    assert spec.ref not in await bench.scheduler.list_attempts()


async def test_a_new_server_finds_what_the_old_one_left(
    bench: Bench, container_settings: ContainerSettings
) -> None:
    async with open_container_scheduler(container_settings) as old:
        spec = bench.spec(f"echo first; {WAIT}; echo last; exec tail /dev/zero", ram_bytes=32 * MIB)
        await old.submit(spec)
        await bench.until(spec.ref, AttemptPhase.RUNNING)
    async with open_container_scheduler(container_settings) as new:
        assert spec.ref in await new.list_attempts()
        assert (await new.observe(spec.ref)).phase is AttemptPhase.RUNNING
        log = asyncio.create_task(_whole_log(new, spec.ref))
        (spec.outputs_path / "go").touch()
        assert await log == b"first\nlast\n"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (ended := await new.observe(spec.ref)).phase is not AttemptPhase.ENDED:
                await asyncio.sleep(0.02)
        assert ended.failure is not None
        assert ended.failure.reason is FailureReason.OUT_OF_MEMORY
        await new.delete(spec.ref)
        assert spec.ref not in await new.list_attempts()


async def test_a_new_server_cancels_what_the_old_one_left(
    bench: Bench, container_settings: ContainerSettings
) -> None:
    spec = await bench.start(f"trap '' TERM; {WAIT}")
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    async with open_container_scheduler(container_settings) as new:
        await new.cancel(spec.ref, timedelta(seconds=0.2))
        assert (await bench.ended(spec.ref)).exit_code == 137


async def test_another_engine_id_sees_and_touches_nothing(
    bench: Bench, container_settings: ContainerSettings
) -> None:
    spec = await bench.start(WAIT)
    await bench.until(spec.ref, AttemptPhase.RUNNING)
    stranger_settings = replace(container_settings, engine_id=f"stranger-{uuid4().hex}")
    async with open_container_scheduler(stranger_settings) as stranger:
        assert await stranger.list_attempts() == []
        assert (await stranger.observe(spec.ref)).phase is AttemptPhase.ABSENT
        await stranger.cancel(spec.ref, timedelta(0))
        await stranger.delete(spec.ref)
        with pytest.raises(SubmissionRefused) as refused:
            await stranger.submit(spec)
        assert refused.value.failure.reason is FailureReason.ENGINE
        await stranger.delete(spec.ref)
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.RUNNING


async def test_without_a_view_of_the_process_the_engine_alone_is_enough(
    bench: Bench, container_scheduler: ContainerScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a server in a container of its own, or an engine on another machine."""
    monkeypatch.setattr(ContainerProcess, "open", lambda _pid, _id: None)
    async with asyncio.timeout(20), aclosing(container_scheduler.changes()) as changes:
        spec = bench.spec(f"printf a; {WAIT}; printf b; exec tail /dev/zero", ram_bytes=32 * MIB)
        await bench.scheduler.submit(spec)
        log = asyncio.create_task(bench.log(spec.ref))
        (spec.outputs_path / "go").touch()
        assert await log == b"ab"
        async for ref in changes:
            observed = await bench.scheduler.observe(ref)
            if ref == spec.ref and observed.phase is AttemptPhase.ENDED:
                break
    assert observed.failure is not None
    assert observed.failure.reason is FailureReason.OUT_OF_MEMORY
    assert observed.usage.cpu_seconds is None


@pytest.mark.parametrize(
    ("missing_of", "reason"),
    [
        (lambda path: {"inputs_path": path}, FailureReason.ENGINE),
        (lambda path: {"outputs_path": path}, FailureReason.ENGINE),
        (lambda path: {"dataset_paths": (path,)}, FailureReason.INPUT_UNAVAILABLE),
    ],
    ids=["inputs", "outputs", "dataset"],
)
async def test_a_missing_folder_is_refused_and_not_made(
    bench: Bench, missing_of: Callable[[Path], dict[str, Any]], reason: FailureReason
) -> None:
    missing = bench.folder / "missing"
    spec = replace(bench.spec(), **missing_of(missing))
    with pytest.raises(SubmissionRefused) as refused:
        await bench.scheduler.submit(spec)
    assert refused.value.failure.reason is reason
    assert not missing.exists()
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT


@pytest.mark.rule("layout.root-writable")
async def test_a_user_and_a_read_only_root_may_be_forced(
    bench: Bench, container_settings: ContainerSettings
) -> None:
    settings = replace(container_settings, user="20000:30000", read_only_root=True)
    async with open_container_scheduler(settings) as strict:
        spec = bench.spec(
            "id -u; id -g; touch /x 2>/dev/null && echo root; touch /tmp/x /outputs/x"
        )
        await strict.submit(spec)
        assert await _whole_log(strict, spec.ref) == b"20000\n30000\n"
        assert (await bench.ended(spec.ref)).exit_code == 0
        assert (spec.outputs_path / "x").stat().st_uid == 20000


async def test_the_limits_reach_the_kernel(
    bench: Bench, container_settings: ContainerSettings
) -> None:
    settings = replace(container_settings, pids_limit=40, shm_bytes=5 * MIB)
    script = """
        df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2
        i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i + 1)); done
    """
    async with open_container_scheduler(settings) as fenced:
        spec = bench.spec(script)
        await fenced.submit(spec)
        log = await _whole_log(fenced, spec.ref)
    assert log.startswith(f"{5 * 1024}\n".encode())
    assert b"fork" in log


async def test_a_noisy_task_does_not_fill_the_disk(
    bench: Bench, engine: Engine, container_settings: ContainerSettings
) -> None:
    settings = replace(container_settings, log_bytes=MIB)
    async with open_container_scheduler(settings) as careful:
        spec = bench.spec("head -c 20000000 /dev/zero | tr '\\0' z | fold -w 99; sleep 20")
        await careful.submit(spec)
        async with asyncio.timeout(PATIENCE_SECONDS), aclosing(careful.logs(spec.ref)) as chunks:
            received = 0
            async for chunk in chunks:
                received += len(chunk)
                if received >= MIB // 2:
                    break
        details = await engine.inspect(spec.ref.name)
        assert details is not None
        path = Path(details["LogPath"])
        if path.exists():
            assert sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) < 3 * MIB
        await careful.delete(spec.ref)


async def test_gpus_that_the_engine_ignores_are_refused(bench: Bench, engine: Engine) -> None:
    if not engine.facts.is_podman:
        pytest.skip("Docker honours or refuses requests for GPUs by itself")
    spec = replace(bench.spec(), gpu_devices=("0",))
    with pytest.raises(SubmissionRefused) as refused:
        await bench.scheduler.submit(spec)
    assert refused.value.failure.reason is FailureReason.UNSCHEDULABLE
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT


async def test_the_capacity_is_the_machines_unless_settings_say_less(
    container_scheduler: ContainerScheduler, engine: Engine, container_settings: ContainerSettings
) -> None:
    none = InUse(resources=Resources(cpus=0, ram_bytes=0))
    facts = engine.facts
    machine = Resources(cpus=facts.cpus, ram_bytes=facts.ram_bytes)
    assert container_scheduler.capacity == machine
    assert isinstance(
        container_scheduler.admit(replace(machine, cpus=facts.cpus + 1), none), NeverFits
    )
    settings = replace(container_settings, cpus=1, ram_bytes=MIB)
    async with open_container_scheduler(settings) as small:
        one = Resources(cpus=1, ram_bytes=MIB)
        assert isinstance(small.admit(one, InUse(resources=one)), MustWait)


async def test_no_engine_is_said_in_one_sentence(tmp_path: Path) -> None:
    settings = ContainerSettings(engine_id="nobody", url=f"unix://{tmp_path}/no.sock")
    with pytest.raises(SchedulerUnavailable, match="no container engine answers"):
        async with open_container_scheduler(settings):
            pass


async def test_a_lost_engine_is_unavailable_in_every_call_and_comes_back(
    bench: Bench, container_settings: ContainerSettings, tmp_path: Path
) -> None:
    async with (
        _line(container_settings.url or "", tmp_path / "line.sock") as line,
        open_container_scheduler(replace(container_settings, url=line.url)) as scheduler,
    ):
        running = await bench.start(f"echo up; {WAIT}")
        changes, logs = scheduler.changes(), scheduler.logs(running.ref)
        assert await anext(changes) in await bench.scheduler.list_attempts()
        assert await anext(logs) == b"up\n"
        line.cut()
        with pytest.raises(SchedulerUnavailable):
            async for _ in logs:
                pass
        with pytest.raises(SchedulerUnavailable):
            async for _ in changes:
                pass
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: scheduler.submit(bench.spec()),
            lambda: scheduler.observe(running.ref),
            scheduler.list_attempts,
            lambda: scheduler.cancel(running.ref, timedelta(0)),
            lambda: scheduler.delete(running.ref),
            lambda: _whole_log(scheduler, running.ref),
            lambda: anext(scheduler.changes()),
        ]
        for call in calls:
            with pytest.raises(SchedulerUnavailable):
                await call()
        line.mend()
        assert (await scheduler.observe(running.ref)).phase is AttemptPhase.RUNNING
        assert await anext(scheduler.logs(running.ref)) == b"up\n"


@dataclass(slots=True)
class _Line:
    """A connection to the engine that can be cut."""

    url: str
    up: bool
    writers: set[asyncio.StreamWriter]

    def cut(self) -> None:
        self.up = False
        for writer in self.writers:
            writer.transport.abort()

    def mend(self) -> None:
        self.up = True


@asynccontextmanager
async def _line(engine_url: str, path: Path) -> AsyncIterator[_Line]:
    line = _Line(url=f"unix://{path}", up=True, writers=set())

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line.writers.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        line.writers.discard(writer)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not line.up:
            writer.transport.abort()
            return
        there = await asyncio.open_unix_connection(engine_url.removeprefix("unix://"))
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield line
        line.cut()
        await asyncio.sleep(0.05)  # the copies notice that they were cut


async def _create_only(engine: Engine, spec: AttemptSpec, settings: ContainerSettings) -> None:
    """What a server leaves that is killed between the two calls."""
    config = container_config(spec, settings, engine.facts)
    await engine.create(spec.ref.name, config)


async def _whole_log(scheduler: ContainerScheduler, ref: AttemptRef) -> bytes:
    return b"".join([chunk async for chunk in scheduler.logs(ref)])
