"""The agent does what the server orders, whatever happens to either, and says how it ended."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import deque
from pathlib import Path

import grpc
import pytest
from appengine.v1 import agent_service_pb2 as pb
from appengine_transfer_agent.exits import Exit

from tests.unit.client.conftest import Fault
from tests.unit.transfer_agent.conftest import (
    FETCH,
    RUN_ID,
    STOP,
    TOKEN,
    UPLOAD,
    WAIT,
    Bench,
    ended,
    order,
    refusal,
    until,
    worker_of,
)

IDLE, FETCHED, UPLOADING, UPLOADED, FAILED = 1, 3, 4, 5, 6

FILES = {
    "count": b"17",
    "overlay": random.Random(1).randbytes(5 * 1024 * 1024),
    "nuclei/0": b"{}",
    "nuclei/array.yml": b"size: 1\n",
    "notes.txt": b"not declared",
}
DECLARED = ("overlay", "mean", "nuclei", "count")


def fill(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def files_in(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


async def hold(bench: Bench, tmp_path: Path) -> None:
    """Let the server hold FILES as the inputs."""
    (tmp_path / "sent").mkdir()
    fill(tmp_path / "sent")
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD), order(STOP))])
    assert (await bench.run("transfer", APPENGINE_FOLDER=str(tmp_path / "sent")))[0] == Exit.DONE
    bench.storage.content = list(bench.storage.persisted)
    bench.orders.said.clear()
    bench.orders.orders = deque([until(FETCHED, order(FETCH), order(STOP))])


async def test_inputs_are_fetched_byte_for_byte(bench: Bench, tmp_path: Path) -> None:
    await hold(bench, tmp_path)
    code, log = await bench.run("fetch")
    assert code == Exit.DONE, log
    assert files_in(bench.files) == FILES
    assert (bench.orders.said[0].state, bench.orders.said[-1].state) == (IDLE, FETCHED)
    last = bench.orders.said[-1]
    assert (last.run_id, last.attempt, last.terminating) == (RUN_ID, 2, False)
    assert last.version
    assert last.progress.bytes == sum(map(len, FILES.values()))
    assert bench.orders.tokens == {f"Bearer {TOKEN}"}


async def test_outputs_are_sent_byte_for_byte_once_the_server_says_so(bench: Bench) -> None:
    fill(bench.files)
    bench.orders.orders = deque(
        [*[order(WAIT)] * 3, until(UPLOADED, order(UPLOAD, outputs=DECLARED), order(STOP))]
    )
    code, log = await bench.run("transfer")
    assert code == Exit.DONE, log
    assert bench.storage.files() == FILES
    assert (bench.orders.said[0].state, bench.orders.said[-1].state) == (IDLE, UPLOADED)
    assert list(bench.orders.said[-1].missing_outputs) == ["mean"]


async def test_declared_outputs_go_first_and_small_ones_before_large_ones(bench: Bench) -> None:
    fill(bench.files)
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD, outputs=DECLARED), order(STOP))])
    assert (await bench.run("transfer"))[0] == Exit.DONE
    files = [entry.path for entry in bench.storage.entries() if entry.kind == 1]
    assert files == ["count", "nuclei/0", "nuclei/array.yml", "overlay", "notes.txt"]


async def test_what_nobody_declared_does_not_keep_outputs_from_being_sent(bench: Bench) -> None:
    (bench.files / "count").write_bytes(b"17")
    (bench.files / "away").symlink_to(b"/\xff")
    os.mkfifo(bench.files / "pipe")
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD, outputs=("count",)), order(STOP))])
    code, log = await bench.run("transfer")
    assert code == Exit.DONE
    assert bench.storage.files() == {"count": b"17"}
    assert "'away'" in log
    assert "'pipe'" in log


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_cut_upload_goes_on(bench: Bench, after: int) -> None:
    fill(bench.files)
    bench.storage.faults = [
        Fault(after, grpc.StatusCode.UNAVAILABLE, forget_chunks=after // 2),
        Fault(1, grpc.StatusCode.INTERNAL),
    ]
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD), order(STOP))])
    code, log = await bench.run("transfer")
    assert code == Exit.DONE, log
    assert bench.storage.files() == FILES
    assert len(bench.storage.received) <= 3 + 1


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_cut_download_goes_on(bench: Bench, tmp_path: Path, after: int) -> None:
    await hold(bench, tmp_path)
    bench.storage.faults = [
        Fault(after, grpc.StatusCode.UNAVAILABLE),
        Fault(0, grpc.StatusCode.UNKNOWN, "CORRUPT"),
    ]
    assert (await bench.run("fetch"))[0] == Exit.DONE
    assert files_in(bench.files) == FILES
    assert bench.storage.downloads[0] == (0, 0)
    assert len(bench.storage.downloads) == 3


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        ("ABORTED", "ATTEMPT_STALE", Exit.STALE),
        ("NOT_FOUND", "", Exit.RUN_GONE),
        ("UNAUTHENTICATED", "", Exit.NOT_ALLOWED),
        ("PERMISSION_DENIED", "", Exit.NOT_ALLOWED),
        ("UNIMPLEMENTED", "", Exit.NOT_OFFERED),
        ("INVALID_ARGUMENT", "", Exit.NOT_UNDERSTOOD),
    ],
)
@pytest.mark.parametrize("command", ["fetch", "transfer"])
async def test_a_refusal_ends_it_with_a_code_of_its_own(
    bench: Bench, command: str, code: str, reason: str, expected: Exit
) -> None:
    bench.orders.orders = deque([order(WAIT), refusal(code, reason)])
    found, log = await bench.run(command)
    assert found == expected
    assert log.splitlines()[-1].partition("ended: ")[2]
    assert len(bench.orders.said) == 2


@pytest.mark.parametrize(("command", "done"), [("fetch", FETCHED), ("transfer", UPLOADED)])
async def test_a_stale_attempt_stops_while_it_moves(
    bench: Bench, tmp_path: Path, command: str, done: int
) -> None:
    if command == "fetch":
        await hold(bench, tmp_path)
    else:
        fill(bench.files)
    bench.storage.faults = [Fault(0, grpc.StatusCode.UNAVAILABLE)] * 1000
    what = order(FETCH if command == "fetch" else UPLOAD)
    bench.orders.orders = deque([*[what] * 5, refusal("ABORTED", "ATTEMPT_STALE")])
    assert (await bench.run(command))[0] == Exit.STALE
    assert done not in {request.state for request in bench.orders.said}


async def test_stop_before_everything_was_moved_is_no_success(bench: Bench) -> None:
    bench.orders.orders = deque([order(WAIT), order(STOP)])
    assert (await bench.run("fetch"))[0] == Exit.STOPPED
    assert (await bench.run("transfer"))[0] == Exit.STOPPED


async def test_an_order_for_the_other_half_is_not_understood(bench: Bench) -> None:
    bench.orders.orders = deque([order(UPLOAD)])
    assert (await bench.run("fetch"))[0] == Exit.NOT_UNDERSTOOD
    bench.orders.orders = deque([order(99)])
    assert (await bench.run("transfer"))[0] == Exit.NOT_UNDERSTOOD


async def test_links_are_sent_as_they_are_for_the_server_to_judge(bench: Bench) -> None:
    (bench.files / "count").symlink_to("/etc/passwd")
    (bench.files / "nuclei").symlink_to("../inputs/nuclei")
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD, outputs=DECLARED), order(STOP))])
    code, log = await bench.run("transfer")
    assert code == Exit.DONE, log
    assert {entry.path: entry.link_target for entry in bench.storage.entries()} == {
        "count": "/etc/passwd",
        "nuclei": "../inputs/nuclei",
    }


async def test_the_server_knows_what_cannot_be_sent_before_all_has_arrived(bench: Bench) -> None:
    (bench.files / "count").symlink_to(b"\xff")
    (bench.files / "nuclei").mkdir()
    os.mkfifo(bench.files / "nuclei" / "0")
    (bench.files / b"\xff".decode(errors="surrogateescape")).touch()
    known_first = []

    def knows(request: pb.SynchronizeRequest) -> pb.SynchronizeResponse:
        if request.unsent and not bench.storage.received:
            known_first.append(request)
        return until(UPLOADED, order(UPLOAD, outputs=DECLARED), order(STOP))(request)

    bench.orders.orders = deque([knows])
    assert (await bench.run("transfer"))[0] == Exit.DONE
    assert {(one.path, one.reason) for one in known_first[0].unsent} == {
        ("count", "OUTPUT_UNSAFE_LINK"),
        ("nuclei/0", "OUTPUT_SPECIAL_FILE"),
        (r"\xff", "OUTPUT_UNREADABLE"),
    }
    assert list(known_first[0].missing_outputs) == ["mean", "overlay"]
    assert [entry.path for entry in bench.storage.entries()] == ["nuclei"]


async def test_outputs_that_nobody_may_read_are_told(bench: Bench) -> None:
    bench.files.rmdir()
    bench.orders.orders = deque([order(UPLOAD, outputs=("count",))])
    assert (await bench.run("transfer"))[0] == Exit.TRANSFER_FAILED
    assert bench.orders.said[-1].state == FAILED
    assert "cannot be read" in bench.orders.said[-1].message


async def test_the_server_is_told_that_it_refused_the_transfer(bench: Bench) -> None:
    fill(bench.files)
    bench.storage.faults = [Fault(0, grpc.StatusCode.INVALID_ARGUMENT, "PATH")]
    bench.orders.orders = deque([order(UPLOAD)])
    assert (await bench.run("transfer"))[0] == Exit.TRANSFER_FAILED
    assert bench.orders.said[-1].message == "refused with PATH"


async def test_a_server_that_comes_back_finds_it_waiting(bench: Bench) -> None:
    fill(bench.files)
    bench.orders.orders = deque([order(WAIT)])
    agent = await bench.start("transfer")
    await bench.until_said(state=IDLE)
    await bench.away()
    bench.orders.said.clear()
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD), order(STOP))])
    await asyncio.sleep(1)
    assert agent.returncode is None
    await bench.serve()
    code, log = await ended(agent)
    assert code == Exit.DONE, log
    assert bench.storage.files() == FILES


async def test_a_server_that_stays_away_is_given_up(bench: Bench) -> None:
    await bench.away()
    code, log = await bench.run("transfer", APPENGINE_OUTAGE_LIMIT="1")
    assert code == Exit.SERVER_AWAY
    assert "cannot be reached" in log


async def test_sigterm_while_waiting_is_told_at_once_and_the_rescue_is_finished(
    bench: Bench,
) -> None:
    fill(bench.files)
    bench.orders.hold_seconds = 60  # the agent must not wait for this answer
    rescue = until(UPLOADED, order(UPLOAD, outputs=DECLARED), order(STOP))
    bench.orders.orders = deque(
        [lambda request: (rescue if request.terminating else order(WAIT))(request)]
    )
    agent = await bench.start("transfer")
    await bench.until_said(state=IDLE)
    agent.send_signal(signal.SIGTERM)
    code, log = await ended(agent)
    assert code == Exit.DONE, log
    assert bench.storage.files() == FILES
    assert all(request.terminating for request in bench.orders.said[1:])


async def test_sigterm_while_sending_does_not_stop_it(bench: Bench) -> None:
    fill(bench.files)
    bench.storage.faults = [Fault(1, grpc.StatusCode.UNAVAILABLE)] * 2
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD), order(STOP))])
    agent = await bench.start("transfer")
    await bench.until_said(state=UPLOADING)
    agent.send_signal(signal.SIGTERM)
    assert (await ended(agent))[0] == Exit.DONE
    assert bench.storage.files() == FILES


async def test_a_killed_worker_is_started_again(bench: Bench) -> None:
    fill(bench.files)
    bench.orders.orders = deque([order(WAIT)])
    agent = await bench.start("transfer")
    await bench.until_said(state=IDLE)
    os.kill(worker_of(agent), signal.SIGKILL)
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD), order(STOP))])
    code, log = await ended(agent)
    assert code == Exit.DONE
    assert "restart 1" in log
    assert bench.storage.files() == FILES


async def test_a_worker_that_follows_a_killed_one_goes_on_with_its_upload(bench: Bench) -> None:
    fill(bench.files)
    cut = grpc.StatusCode.UNAVAILABLE
    bench.storage.faults = [Fault(2, cut), *[Fault(0, cut)] * 1000]
    bench.orders.orders = deque([order(UPLOAD), order(WAIT)])
    agent = await bench.start("transfer")
    await bench.until_said(state=UPLOADING)
    async with asyncio.timeout(10):
        while len(bench.storage.persisted) < 2:
            await asyncio.sleep(0.005)
    os.kill(worker_of(agent), signal.SIGKILL)
    bench.storage.faults.clear()
    bench.orders.orders = deque([until(UPLOADED, order(UPLOAD), order(STOP))])
    assert (await ended(agent))[0] == Exit.DONE
    assert bench.storage.files() == FILES
    assert len(bench.storage.received) == 3  # each chunk once
    assert len(set(bench.storage.writers)) == 2


async def test_what_a_killed_worker_left_is_no_input(bench: Bench, tmp_path: Path) -> None:
    await hold(bench, tmp_path)
    left = bench.files / ".appengine-inputs.part" / "new"
    left.mkdir(parents=True)
    (left / "count").write_bytes(b"half of it")  # and no note of it
    assert (await bench.run("fetch"))[0] == Exit.DONE
    assert files_in(bench.files) == FILES
    assert not list(bench.files.glob(".appengine-*"))


async def test_a_worker_that_follows_a_killed_one_goes_on_with_its_download(
    bench: Bench, tmp_path: Path
) -> None:
    await hold(bench, tmp_path)
    cut = grpc.StatusCode.UNAVAILABLE
    bench.storage.faults = [Fault(2, cut), *[Fault(0, cut)] * 1000]
    bench.orders.orders = deque([order(FETCH)])
    agent = await bench.start("fetch")
    notes = bench.files / ".appengine-inputs.part" / "notes"
    async with asyncio.timeout(10):
        while not notes.exists() or notes.read_bytes().count(b"\n") < 3:
            await asyncio.sleep(0.005)
    os.kill(worker_of(agent), signal.SIGKILL)
    with notes.open("ab") as torn:
        torn.write(b'{"place": [')
    (notes.parent / "new" / "of-a-chunk-that-was-not-noted").touch()
    bench.storage.faults.clear()
    bench.orders.orders = deque([until(FETCHED, order(FETCH), order(STOP))])
    code, log = await ended(agent)
    assert code == Exit.DONE, log
    assert files_in(bench.files) == FILES
    assert bench.storage.downloads[-1] > (0, 0)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("APPENGINE_SERVER", "", "APPENGINE_SERVER is not set"),
        ("APPENGINE_SERVER", "ftp://x", "unknown scheme"),
        ("APPENGINE_TOKEN_FILE", "/nowhere/token", "cannot be read"),
        ("APPENGINE_RUN_ID", "", "APPENGINE_RUN_ID is not set"),
        ("APPENGINE_ATTEMPT", "first", "APPENGINE_ATTEMPT must be a whole number"),
        ("APPENGINE_FOLDER", "", "APPENGINE_FOLDER is not set"),
    ],
)
async def test_wrong_settings_are_named(bench: Bench, name: str, value: str, sentence: str) -> None:
    code, log = await bench.run("fetch", **{name: value})
    assert code == Exit.WRONG_SETTINGS
    assert sentence in log


async def test_a_token_in_the_environment_is_not_taken(bench: Bench) -> None:
    bench.orders.orders = deque([order(STOP)])
    await bench.run("fetch", APPENGINE_TOKEN="another")
    assert bench.orders.tokens == {f"Bearer {TOKEN}"}


def test_every_failure_has_a_code_of_its_own() -> None:
    assert [code for code in Exit if code == 0] == [Exit.DONE]
    assert len({code.value for code in Exit}) == len(Exit.__members__)
    assert all(code.meaning for code in Exit)
