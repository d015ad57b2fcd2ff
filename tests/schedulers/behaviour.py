"""What every scheduler does, through the Protocol alone.

Each folder with a scheduler runs these tests: it imports them all, and has the fixture `bench`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from uuid import uuid4

import pytest
from appengine_server.scheduling.scheduler import (
    AttemptPhase,
    AttemptRef,
    AttemptSpec,
    FailureReason,
    SubmissionRefused,
)

from tests.schedulers.bench import MIB, PATIENCE_SECONDS, Bench

SLEEP = "trap 'exit 0' TERM; touch /outputs/up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; touch /outputs/up; while :; do sleep 0.05; done"
READ_OUT = "\nsleep 0.3"
"""For tasks whose last words are looked at: some runtimes lose what a task prints in the moment in
which it ends (containerd 1.6 does on a busy machine), and nobody can bring that back."""


async def test_a_task_that_ends_well_has_exit_code_0_and_no_failure(bench: Bench) -> None:
    spec = await bench.start("exit 0")
    ended = await bench.ended(spec.ref)
    assert (ended.exit_code, ended.failure) == (0, None)
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert ended.started_at <= ended.ended_at


@pytest.mark.rule("layout.outputs-fresh")
async def test_inputs_are_there_and_outputs_are_written_into_our_folder(bench: Bench) -> None:
    spec = bench.spec("cat /inputs/value > /outputs/copy; mkdir /outputs/folder")
    (spec.inputs_path / "value").write_bytes(b"\x00\xff\r\n")
    await bench.scheduler.submit(spec)
    assert (await bench.ended(spec.ref)).exit_code == 0
    assert (spec.outputs_path / "copy").read_bytes() == b"\x00\xff\r\n"
    assert (spec.outputs_path / "folder").is_dir()


@pytest.mark.rule("output.exit-code")
async def test_an_exit_code_is_reported_with_the_failure(bench: Bench) -> None:
    spec = await bench.start("exit 3")
    failure = (await bench.ended(spec.ref)).failure
    assert failure is not None
    assert (failure.reason, failure.exit_code) == (FailureReason.TASK_EXIT_CODE, 3)
    assert "exit code 3" in failure.message


async def test_a_signal_is_named(bench: Bench) -> None:
    spec = await bench.start("(kill -SEGV $BASHPID); exit 139")
    failure = (await bench.ended(spec.ref)).failure
    assert failure is not None
    assert failure.reason is FailureReason.TASK_EXIT_CODE
    assert "SIGSEGV" in failure.message


@pytest.mark.rule("output.killed")
@pytest.mark.parametrize(
    "script",
    ["sleep 0.3; exec tail /dev/zero", "sleep 0.3; tail /dev/zero; exit 5"],
    ids=["the task itself", "a child of the task"],
)
async def test_too_much_memory_is_out_of_memory(bench: Bench, script: str) -> None:
    spec = bench.spec(script, ram_bytes=32 * MIB)
    await bench.scheduler.submit(spec)
    failure = (await bench.ended(spec.ref)).failure
    assert failure is not None
    assert failure.reason is FailureReason.OUT_OF_MEMORY
    assert "32 MiB" in failure.message


async def test_the_log_comes_live_and_whole(bench: Bench) -> None:
    spec = await bench.start(
        "echo early; while [ ! -e /outputs/go ]; do sleep 0.02; done; printf late" + READ_OUT
    )
    received = b""
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(_logs(bench, spec.ref)) as chunks:
        async for chunk in chunks:
            received += chunk
            if received == b"early\n":
                (spec.outputs_path / "go").touch()
    assert received == b"early\nlate"
    await bench.ended(spec.ref)
    assert await bench.log(spec.ref) == b"early\nlate"


async def test_the_log_of_a_task_that_ended_is_the_same_bytes_each_time(bench: Bench) -> None:
    spec = bench.spec("cat /inputs/bytes; cat /inputs/bytes >&2" + READ_OUT)
    content = bytes(range(256)) * 3 + b"a\r\n\n\r\n" + b"x" * 70_000 + b"no end of line"
    (spec.inputs_path / "bytes").write_bytes(content)
    await bench.scheduler.submit(spec)
    live = await bench.log(spec.ref)
    await bench.ended(spec.ref)
    first, second = await bench.log(spec.ref), await bench.log(spec.ref)
    assert live == first == second
    assert sorted(first) == sorted(
        bench.kept(content) * 2
    )  # two pipes: their order is not ours to promise


async def test_binary_output_is_kept_exactly(bench: Bench) -> None:
    spec = bench.spec("cat /inputs/bytes" + READ_OUT)
    content = b"\x00\x01\x02\xff\xfe\r\n" * 5_000 + b"\n\n\xc3" + b"y" * 20_000 + b"\r-"
    (spec.inputs_path / "bytes").write_bytes(content)
    await bench.scheduler.submit(spec)
    assert await bench.log(spec.ref) == bench.kept(content)


async def test_a_long_log_is_complete_and_in_order(bench: Bench) -> None:
    script = "awk 'BEGIN { for (i = 1; i <= 30000; i++) printf \"%064d\\n\", i }'" + READ_OUT
    spec = await bench.start(script)
    lines = (await bench.log(spec.ref)).splitlines()
    assert lines == [b"%064d" % number for number in range(1, 30_001)]


async def test_a_task_that_obeys_sigterm_ends_within_the_grace(bench: Bench) -> None:
    spec = await bench.start(SLEEP)
    await bench.until_exists(spec.outputs_path / "up")
    before = time.monotonic()
    await bench.scheduler.cancel(spec.ref, timedelta(seconds=30))
    assert time.monotonic() - before < 1
    assert (await bench.ended(spec.ref)).exit_code == 0


async def test_a_task_that_ignores_sigterm_is_killed_after_the_grace(bench: Bench) -> None:
    spec = await bench.start(STUBBORN)
    await bench.until_exists(spec.outputs_path / "up")
    before = time.monotonic()
    await bench.scheduler.cancel(spec.ref, timedelta(seconds=1))
    ended = await bench.ended(spec.ref)
    assert time.monotonic() - before >= 1
    assert ended.exit_code == 137
    assert ended.failure is not None
    assert ended.failure.reason is not FailureReason.OUT_OF_MEMORY


async def test_a_second_cancel_may_shorten_the_grace(bench: Bench) -> None:
    spec = await bench.start(STUBBORN)
    await bench.until_exists(spec.outputs_path / "up")
    await bench.scheduler.cancel(spec.ref, timedelta(minutes=10))
    await bench.scheduler.cancel(spec.ref, timedelta(0))
    assert (await bench.ended(spec.ref)).exit_code == 137


async def test_cancelling_what_ended_or_never_was_is_ok(bench: Bench) -> None:
    spec = await bench.start("exit 0")
    await bench.ended(spec.ref)
    await bench.scheduler.cancel(spec.ref, timedelta(0))
    assert (await bench.ended(spec.ref)).failure is None
    await bench.scheduler.cancel(AttemptRef(uuid4(), 1), timedelta(0))


async def test_submitting_twice_starts_once(bench: Bench) -> None:
    spec = bench.spec("echo once >> /outputs/starts")
    await asyncio.gather(bench.scheduler.submit(spec), bench.scheduler.submit(spec))
    await bench.ended(spec.ref)
    await bench.scheduler.submit(spec)
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ENDED
    assert (spec.outputs_path / "starts").read_text() == "once\n"


async def test_what_is_wanted_no_more_is_not_started(bench: Bench) -> None:
    spec, asked = bench.spec("touch /outputs/started"), 0

    async def still_wanted() -> bool:
        nonlocal asked
        asked += 1
        return False

    await bench.scheduler.submit(spec, still_wanted=still_wanted)
    assert asked == 1
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT
    assert spec.ref not in await bench.scheduler.list_attempts()
    assert not (spec.outputs_path / "started").exists()


async def test_deleting_kills_and_may_be_repeated(bench: Bench) -> None:
    spec = await bench.start(STUBBORN)
    await bench.until_exists(spec.outputs_path / "up")
    before = time.monotonic()
    await bench.scheduler.delete(spec.ref)
    assert time.monotonic() - before < 5
    await bench.scheduler.delete(spec.ref)
    assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT
    assert await bench.log(spec.ref) == b""


async def test_what_was_never_submitted_is_absent(bench: Bench) -> None:
    ref = AttemptRef(uuid4(), 7)
    assert (await bench.scheduler.observe(ref)).phase is AttemptPhase.ABSENT
    await bench.scheduler.delete(ref)


@pytest.mark.rule("layout.inputs-read-only", "reference.same-path")
async def test_inputs_and_datasets_are_read_only(bench: Bench) -> None:
    dataset = bench.folder / "dataset: with a colon"
    dataset.mkdir()
    (dataset / "slide").write_text("pixels")
    script = f"""
        cat "{dataset}/slide"
        touch /inputs/x 2>/dev/null && echo " inputs"
        touch "{dataset}/x" 2>/dev/null && echo " dataset"
    """
    spec = bench.spec(script + READ_OUT, dataset_paths=(dataset,))
    await bench.scheduler.submit(spec)
    await bench.ended(spec.ref)
    assert await bench.log(spec.ref) == b"pixels"
    assert not (dataset / "x").exists()


@pytest.mark.rule("configuration.internet")
async def test_the_task_has_no_network_where_the_scheduler_says_so(bench: Bench) -> None:
    spec = await bench.start("ls /sys/class/net" + READ_OUT)
    await bench.ended(spec.ref)
    has_one = (await bench.log(spec.ref)).decode().split() != ["lo"]
    assert has_one is not bench.scheduler.isolates_network


async def test_the_task_has_no_privileges(bench: Bench) -> None:
    spec = await bench.start("grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status" + READ_OUT)
    await bench.ended(spec.ref)
    lines = (await bench.log(spec.ref)).decode().splitlines()
    facts = dict(line.split(":\t") for line in lines)
    assert (int(facts["CapEff"], 16), int(facts["CapBnd"], 16)) == (0, 0)
    assert facts["NoNewPrivs"] == "1"


async def test_changes_tell_the_start_and_the_end(bench: Bench) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(_changes(bench)) as changes:
        first = await bench.start("exit 0")
        await bench.ended(first.ref)
        async for ref in changes:  # opened after the fact: what is there comes first
            if ref == first.ref:
                break
        second = await bench.start("while [ ! -e /outputs/go ]; do sleep 0.02; done")
        async for ref in changes:
            if ref == second.ref:
                break
        await bench.until(second.ref, AttemptPhase.RUNNING)
        (second.outputs_path / "go").touch()
        async for ref in changes:
            observed = await bench.scheduler.observe(ref)
            if ref == second.ref and observed.phase is AttemptPhase.ENDED:
                break


async def test_attempts_are_listed_until_they_are_deleted(bench: Bench) -> None:
    running, ended = await bench.start(SLEEP), await bench.start("exit 1")
    await bench.ended(ended.ref)
    listed = set(await bench.scheduler.list_attempts())
    assert {running.ref, ended.ref} <= listed
    await bench.scheduler.delete(running.ref)
    assert running.ref not in await bench.scheduler.list_attempts()


async def test_an_image_that_is_gone_is_refused(bench: Bench) -> None:
    spec = bench.spec(image=bench.images.gone)
    assert await _refusal(bench, spec) is FailureReason.IMAGE_PULL


async def test_an_image_without_a_command_is_refused(bench: Bench) -> None:
    spec = bench.spec(image=bench.images.no_command)
    assert await _refusal(bench, spec) is FailureReason.IMAGE_CANNOT_START


async def test_a_program_that_is_not_there_is_refused(bench: Bench) -> None:
    spec = bench.spec(image=bench.images.wrong_program)
    assert await _refusal(bench, spec) is FailureReason.IMAGE_CANNOT_START


async def test_a_program_for_another_machine_is_refused(bench: Bench) -> None:
    spec = bench.spec(image=bench.images.foreign_program)
    assert await _refusal(bench, spec) is FailureReason.IMAGE_CANNOT_START


async def _refusal(bench: Bench, spec: AttemptSpec) -> FailureReason:
    """Why it was refused: at once, or, where the scheduler only finds out later, in the end."""
    try:
        await bench.scheduler.submit(spec)
    except SubmissionRefused as error:
        assert (await bench.scheduler.observe(spec.ref)).phase is AttemptPhase.ABSENT
        return error.failure.reason
    return (await bench.failed(spec.ref)).reason


async def _logs(bench: Bench, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
    async for chunk in bench.scheduler.logs(ref):
        yield chunk


async def _changes(bench: Bench) -> AsyncGenerator[AttemptRef, None]:
    async for ref in bench.scheduler.changes():
        yield ref
