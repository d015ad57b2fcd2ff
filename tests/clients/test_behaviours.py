"""What every client does, whatever its language: one list, against a real server."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import grpc
import pytest
from appengine.v1 import run_pb2, run_service_pb2
from appengine.v1 import transfer_pb2 as pb
from google.protobuf import json_format
from PIL import Image

from tests.clients.drivers import LANGUAGES, Driver, Refused, open_driver
from tests.clients.odd_servers import (
    CONTENT,
    FILE,
    FOLDER,
    LINK,
    refusing_server,
    sending_server,
)
from tests.clients.world import MAX_UPLOAD_BYTES, MIB, World, open_world
from tests.faults.wire import Wire, open_wire

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]  # a client may have to be built

SUCCEEDED = run_pb2.RUN_STATE_SUCCEEDED
SIZES = [
    pytest.param(48 * MIB, id="48 MiB"),
    pytest.param(1 << 30, id="1 GiB", marks=[pytest.mark.soak]),
]
POLYGON = '{"type": "Polygon",  "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]}'


@pytest.fixture(scope="module")
def world(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("clients"), engine_url) as made:
        yield made


@pytest.fixture(scope="module", params=LANGUAGES, ids="{}-client".format)
async def process(request: pytest.FixtureRequest) -> AsyncIterator[Driver]:
    async with open_driver(request.param) as made:
        yield made


@pytest.fixture
async def client(process: Driver, world: World) -> Driver:
    """A client that is connected as Anna."""
    await world.connect(process)
    return process


def run_of(answer: Any) -> run_pb2.Run:
    return json_format.ParseDict(answer, run_pb2.Run())


def values_of(answer: Any) -> dict[str, dict[str, Any]]:
    """The values of parameters by their names, as JSON has them."""
    parameters = [json_format.ParseDict(one, run_service_pb2.ParameterValue()) for one in answer]
    return {
        one.parameter: json_format.MessageToDict(one.value) if one.HasField("value") else {}
        for one in parameters
    }


def picture(path: Path, colour: int = 0) -> Path:
    Image.new("L", (5, 4), colour).save(path, format="png")
    return path


# Values


async def test_every_type_of_value_goes_both_ways(
    client: Driver, world: World, tmp_path: Path
) -> None:
    crop, region = picture(tmp_path / "crop.png"), tmp_path / "region.geojson"
    region.write_text(POLYGON)
    (tmp_path / "notes").write_bytes(b"some\r\nnotes\x00")
    (tmp_path / "empty").touch()
    slide = picture(world.datasets / f"{uuid4().hex}.png", colour=9)
    inputs = {
        "boolean": {"boolean": True},
        "integer": {"integer": str(-(2**63))},
        "number": {"number": "0.1"},
        "string": {"string": "line one\r\n🔬 line two"},
        "enumeration": {"enumeration": "stroma"},
        "datetime": {"datetime": "2024-02-29T00:00:59.123456789-11:30"},
        "geometry": {"geometry": POLYGON},
        "file": {"file": str(tmp_path / "notes")},
        "image": {"file": str(crop), "companion": str(region)},
        "numbers": {"array": [{"number": text} for text in ("1e+300", "1e-07", "NaN", "Infinity")]},
        "files": {"array": [{"file": str(tmp_path / name)} for name in ("empty", "notes")]},
        "nested": {"array": [{"array": [{"integer": "1"}, {"integer": "2"}]}, {"array": []}]},
        "referenced": {"array": [{"reference": str(slide)}, {"file": str(crop)}]},
        "cleared": {"null": True},
    }
    run = run_of(await client.do("create", task=world.every_kind.id, inputs=inputs, start=True))
    run = run_of(await client.do("wait", run=run.id))
    assert run.state == SUCCEEDED, run
    given = values_of(await client.do("inputs", run=run.id))
    found = values_of(await client.do("outputs", run=run.id))
    assert found["boolean"] == {"boolean": True}
    assert found["integer"] == {"integer": str(-(2**63))}
    assert found["number"] == {"number": 0.1}
    assert found["string"] == inputs["string"]
    assert found["enumeration"] == inputs["enumeration"]
    assert found["datetime"]["datetime"]["text"] == inputs["datetime"]["datetime"]
    assert found["geometry"] == inputs["geometry"]
    assert [str(one["number"]) for one in found["numbers"]["array"]["items"]] == [
        "1e+300", "1e-07", "NaN", "Infinity",
    ]  # fmt: skip
    first, second = found["nested"]["array"]["items"]
    assert first == {"array": {"items": [{"integer": "1"}, {"integer": "2"}]}}
    assert second == {"array": {}}
    assert found["cleared"] == given["cleared"] == {}
    for name in set(inputs) - {"file", "image", "files", "referenced"}:
        assert given[name] == found[name]
    assert "dataset" in given["referenced"]["array"]["items"][0]
    folder = tmp_path / "outputs"
    fetched = await client.do("download", run=run.id, of="outputs", folder=str(folder))
    assert fetched["names"] == sorted(path.name for path in folder.iterdir())
    assert fetched["files"] == sum(path.is_file() for path in folder.rglob("*"))
    assert (folder / "file").read_bytes() == b"some\r\nnotes\x00"
    assert (folder / "files" / "0").read_bytes() == b""
    assert (folder / "files" / "1").read_bytes() == b"some\r\nnotes\x00"
    assert (folder / "image").read_bytes() == crop.read_bytes()
    assert (folder / "referenced" / "0").read_bytes() == slide.read_bytes()
    assert (folder / "referenced" / "1").read_bytes() == crop.read_bytes()
    assert await client.do("logs", run=run.id) == "all of it: ✓\n"
    assert await client.do("logs", run=run.id, cursor=5) == "f it: ✓\n"
    await client.do("download", run=run.id, of="inputs", folder=str(tmp_path / "inputs"))
    assert (tmp_path / "inputs" / "image.geojson").read_text() == POLYGON


async def test_what_is_too_large_for_a_request_is_uploaded(client: Driver, world: World) -> None:
    text, texts = "ä" * 200_000, ["x" * 120_000, "", "y" * 200_000]
    inputs = {
        "string": {"string": text},
        "texts": {"array": [{"string": text} for text in texts]},
    }
    run = run_of(await client.do("create", task=world.every_kind.id, inputs={}))
    await client.do("provision", run=run.id, inputs=inputs)
    found = values_of(await client.do("inputs", run=run.id))
    assert found["string"]["file"]["sizeBytes"] == str(len(text.encode()))
    assert [one["string"] for one in found["texts"]["array"]["items"]] == texts


# Transfers


@pytest.mark.parametrize("size", SIZES)
async def test_transfers_go_on_after_a_cut(
    client: Driver, world: World, size: int, tmp_path: Path
) -> None:
    block = random.Random(size).randbytes(16 * MIB - 1)  # chunks never have the same bytes
    sent = tmp_path / "file"
    with sent.open("wb") as file:
        while (left := size - file.tell()) > 0:
            file.write(block[:left])
    run = run_of(await client.do("create", task=world.every_kind.id))
    async with open_wire(lambda: world.address) as wire:
        await world.connect(client, wire.address)
        wire.arm("up", size * 9 // 10, lambda: wire.cut(reset=True))
        await client.do("provision", run=run.id, inputs={"file": {"file": str(sent)}})
        check_resumed(wire, "up", size)
        await world.connect(client, wire.address)
        wire.carried["down"], wire.connections = 0, 0
        wire.arm("down", size * 9 // 10, lambda: wire.cut(reset=True))
        await client.do(
            "download", run=run.id, of="inputs", path="file", folder=str(tmp_path / "got")
        )
        check_resumed(wire, "down", size)
    assert same_content(sent, tmp_path / "got" / "file")
    await asyncio.to_thread(world.engine.client.runs.delete, run.id)


def check_resumed(wire: Wire, direction: Literal["up", "down"], size: int) -> None:
    assert wire.connections == 2
    assert size < wire.carried[direction] < size * 13 // 10, "it did not go on where it was"


def same_content(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(MIB):
            if piece != right.read(MIB):
                return False
        return not right.read(1)


async def test_a_tree_of_small_files_goes_on_after_a_cut(
    client: Driver, world: World, tmp_path: Path
) -> None:
    chance = random.Random(5)
    contents = [chance.randbytes(chance.choice((0, 3000, 60_000))) for _ in range(500)]
    files = [tmp_path / str(number) for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    size = sum(map(len, contents))
    run = run_of(await client.do("create", task=world.every_kind.id))
    async with open_wire(lambda: world.address) as wire:
        await world.connect(client, wire.address)
        wire.arm("up", size // 2, lambda: wire.cut(reset=True))
        array = {"array": [{"file": str(file)} for file in files]}
        await client.do("provision", run=run.id, inputs={"files": array})
        wire.carried["down"] = 0
        wire.arm("down", size // 2, lambda: wire.cut(reset=False))
        folder = tmp_path / "got"
        await client.do("download", run=run.id, of="inputs", path="files", folder=str(folder))
        assert wire.connections == 3
    assert [(folder / "files" / str(n)).read_bytes() for n in range(len(contents))] == contents
    assert (folder / "files" / "array.yml").read_text() == "size: 500\n"


@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_download_goes_on_in_the_next_process_with_what_is_whole(
    language: str, is_damaged: bool, world: World, tmp_path: Path
) -> None:
    contents = {number: random.Random(number).randbytes(12 * MIB - number) for number in range(4)}
    for number, content in contents.items():
        (tmp_path / str(number)).write_bytes(content)
    size = sum(map(len, contents.values()))
    files = [tmp_path / str(number) for number in contents]
    run = await asyncio.to_thread(
        world.engine.client.runs.create, world.every_kind.id, {"files": files}
    )
    folder = tmp_path / "got"
    order = {"run": run.id, "of": "inputs", "path": "files", "folder": str(folder)}
    async with open_wire(lambda: world.address) as wire:
        async with open_driver(language) as killed:
            await world.connect(killed, wire.address)
            wire.arm("down", size * 8 // 10, killed.kill)
            with pytest.raises(AssertionError, match="has ended"):
                await killed.do("download", **order)
        assert not (folder / "files").exists()
        had = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert had > 8 * MIB, "more was on its way than a client may keep in memory"
        if is_damaged:
            damage(next(folder.rglob("0")))
        wire.carried["down"] = 0
        async with open_driver(language) as next_one:
            await world.connect(next_one, wire.address)
            fetched = await next_one.do("download", **order)
        left = size - had + 4 * MIB  # the last chunks may not have been noted yet
        assert is_damaged or wire.carried["down"] < left, "it did not go on where it was"
    assert fetched["bytes"] >= size
    for number, content in contents.items():
        assert (folder / "files" / str(number)).read_bytes() == content
    assert {path.name for path in folder.iterdir()} == {"files"}, "nothing else is left"
    await asyncio.to_thread(world.engine.client.runs.delete, run.id)


def damage(file: Path) -> None:
    """Change one byte."""
    with file.open("r+b") as content:
        first = content.read(1)[0]
        content.seek(0)
        content.write(bytes([first ^ 1]))


async def test_a_file_that_cannot_be_read_is_told_and_its_upload_is_dropped(
    client: Driver, world: World, tmp_path: Path
) -> None:
    run = run_of(await client.do("create", task=world.every_kind.id))
    missing = tmp_path / "missing"
    with pytest.raises(Refused, match="missing") as told:
        await client.do("provision", run=run.id, inputs={"file": {"file": str(missing)}})
    assert told.value.status == ""


# Following


async def test_a_watch_goes_on_while_the_server_is_started_again(
    client: Driver, world: World
) -> None:
    inputs = {"seconds": {"number": "600"}}
    run = run_of(await client.do("create", task=world.sleeper.id, inputs=inputs, start=True))
    await client.tell("watch", run=run.id)
    events = []
    while not events or events[-1]["state"] != "RUN_STATE_RUNNING":
        events.append((await client.hear())[1])
    await asyncio.to_thread(world.engine.server.kill)
    await asyncio.to_thread(world.engine.server.start)
    await asyncio.to_thread(world.engine.client.runs.cancel, run.id)
    while (heard := await client.hear())[0] == "event":
        events.append(heard[1])
    revisions = [int(event["revision"]) for event in events]
    assert revisions == list(range(1, len(events) + 1)), "none is left out or comes twice"
    assert events[-1]["state"] == "RUN_STATE_CANCELLED"


async def test_a_run_is_cancelled(client: Driver, world: World) -> None:
    inputs = {"seconds": {"number": "600"}}
    run = run_of(await client.do("create", task=world.sleeper.id, inputs=inputs, start=True))
    await asyncio.to_thread(world.engine.until, run.id, run_pb2.RUN_STATE_RUNNING)
    run = run_of(await client.do("cancel", run=run.id))
    assert run.state in {run_pb2.RUN_STATE_CANCELLING, run_pb2.RUN_STATE_CANCELLED}
    run = run_of(await client.do("wait", run=run.id))
    assert run.state == run_pb2.RUN_STATE_CANCELLED


async def test_the_same_request_id_makes_the_same_run(client: Driver, world: World) -> None:
    order = {"task": world.sleeper.id, "inputs": {"seconds": {"integer": "1"}}}
    request_id = str(uuid4())
    first = run_of(await client.do("create", **order, request_id=request_id))
    second = run_of(await client.do("create", **order, request_id=request_id))
    assert first.id == second.id
    order["inputs"] = {"seconds": {"integer": "2"}}
    with pytest.raises(Refused) as told:
        await client.do("create", **order, request_id=request_id)
    assert (told.value.status, told.value.reason) == ("ABORTED", "REQUEST_ID_REUSED")


# Errors


async def test_problems_with_values_are_all_told(client: Driver, world: World) -> None:
    inputs = {
        "counts": {"array": [{"integer": str(-number - 1)} for number in range(150)]},
        "enumeration": {"enumeration": "bone"},
    }
    with pytest.raises(Refused) as told:
        await client.do("create", task=world.every_kind.id, inputs=inputs)
    assert told.value.status == "INVALID_ARGUMENT"
    problems = told.value.problems
    assert {"NOT_IN_VALUES", "NOT_GEQ"} <= {problem["reason"] for problem in problems}
    assert len(problems) > 100, "more than one answer holds"
    assert all(problem["message"] and problem["path"] for problem in problems)


async def test_what_the_server_refuses_is_told_with_its_reason(
    client: Driver, world: World, tmp_path: Path
) -> None:
    with pytest.raises(Refused) as told:
        await client.do(
            "create", task=world.every_kind.id, inputs={"enumeration": {"enumeration": "x"}}
        )
    assert (told.value.status, told.value.problems[0]["reason"]) == (
        "INVALID_ARGUMENT", "NOT_IN_VALUES",
    )  # fmt: skip
    run = run_of(await client.do("create", task=world.sleeper.id))
    huge = tmp_path / "huge"
    huge.touch()
    os.truncate(huge, MAX_UPLOAD_BYTES + 1)
    every_kind = run_of(await client.do("create", task=world.every_kind.id))
    refused: list[tuple[str, str, dict[str, Any]]] = [
        ("NOT_FOUND", "NOT_FOUND", {"do": "run", "run": str(uuid4())}),
        ("FAILED_PRECONDITION", "INPUTS_INCOMPLETE", {"do": "start", "run": run.id}),
        ("FAILED_PRECONDITION", "RUN_STATE", {"do": "outputs", "run": run.id}),
        ("ALREADY_EXISTS", "TASK_EXISTS", {"do": "upload_task", "bundle": str(world.bundle)}),
        ("PERMISSION_DENIED", "PERMISSION_DENIED", {"do": "start", "run": world.shared_run}),
        (
            "RESOURCE_EXHAUSTED",
            "UPLOAD_TOO_LARGE",
            {"do": "provision", "run": every_kind.id, "inputs": {"file": {"file": str(huge)}}},
        ),
    ]
    for status, reason, order in refused:
        with pytest.raises(Refused) as told:
            await client.do(order.pop("do"), **order)
        assert (told.value.status, told.value.reason) == (status, reason), told.value
        assert told.value.message
    assert told.value.fields


async def test_a_cursor_behind_the_end_of_a_log_is_told(client: Driver, world: World) -> None:
    inputs = {"seconds": {"number": "0"}}
    run = run_of(await client.do("create", task=world.sleeper.id, inputs=inputs, start=True))
    await client.do("wait", run=run.id)
    with pytest.raises(Refused) as told:
        await client.do("logs", run=run.id, cursor=1000)
    assert (told.value.status, told.value.reason) == ("OUT_OF_RANGE", "OUT_OF_RANGE")


async def test_who_has_no_valid_token_is_told(process: Driver, world: World) -> None:
    await world.connect(process, token="nobody's")
    with pytest.raises(Refused) as told:
        await process.do("run", run=str(uuid4()))
    assert (told.value.status, told.value.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


async def test_a_server_that_is_away_is_told(process: Driver, world: World) -> None:
    async with open_wire(lambda: world.address) as wire:
        address = wire.address
    await world.connect(process, address)
    with pytest.raises(Refused) as told:
        await process.do("run", run=str(uuid4()))
    assert (told.value.status, told.value.reason) == ("UNAVAILABLE", "")
    assert address in told.value.message


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_a_mistake_with_tls_is_told_at_once(
    process: Driver, world: World, scheme: str
) -> None:
    """Either its certificate is not trusted, or TLS is on one side only."""
    await process.do("connect", server=f"{scheme}://{world.address}", token="a-token")
    with pytest.raises(Refused) as told:
        await process.do("run", run=str(uuid4()))
    assert told.value.status == "UNAVAILABLE"
    if scheme == "https":
        assert told.value.reason == "TLS"


@pytest.mark.parametrize("status", ["DATA_LOSS", "INTERNAL", "UNIMPLEMENTED"])
async def test_rare_refusals_are_told_too(process: Driver, status: str) -> None:
    """No real server can be made to give these, so one in this process does."""
    async with refusing_server(grpc.StatusCode[status]) as address:
        await process.do("connect", server=address, token="a-token")
        with pytest.raises(Refused) as told:
            await process.do("run", run="r")
    assert told.value.status == status
    assert told.value.reason == "SOMETHING"
    assert told.value.message == "a sentence"
    assert told.value.fields == {"free_bytes": "5"}


# What a server may not do


HOSTILE = {
    "out of the folder": [pb.Entry(path="../out", kind=FILE)],
    "absolute": [pb.Entry(path="/tmp/out", kind=FILE)],
    "not plain": [pb.Entry(path="a/./b", kind=FILE)],
    "a link out": [pb.Entry(path="a", kind=LINK, link_target="../../out")],
    "an absolute link": [pb.Entry(path="a", kind=LINK, link_target="/etc")],
    "through a link": [
        pb.Entry(path="b", kind=FOLDER),
        pb.Entry(path="a", kind=LINK, link_target="b"),
        pb.Entry(path="a/c", kind=FILE),
    ],
    "twice": [pb.Entry(path="a", kind=FILE), pb.Entry(path="a", kind=FILE)],
    "through a file": [pb.Entry(path="a", kind=FILE), pb.Entry(path="a/b", kind=FILE)],
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_paths_that_are_not_safe_are_never_written(
    process: Driver, what: str, tmp_path: Path
) -> None:
    folder = tmp_path / "inside" / "folder"
    async with sending_server(HOSTILE[what]) as address:
        await process.do("connect", server=address, token="a-token")
        with pytest.raises(Refused) as told:
            await process.do("download", run="r", of="inputs", folder=str(folder))
    assert told.value.status == ""
    assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "inside"]


async def test_a_file_with_another_checksum_is_refused(process: Driver, tmp_path: Path) -> None:
    async with sending_server([pb.Entry(path="a", kind=FILE)], crc=7) as address:
        await process.do("connect", server=address, token="a-token")
        with pytest.raises(Refused, match="checksum"):
            await process.do("download", run="r", of="inputs", folder=str(tmp_path / "folder"))
    assert list((tmp_path / "folder").iterdir()) == []


async def test_what_is_safe_is_written(process: Driver, tmp_path: Path) -> None:
    entries = [
        pb.Entry(path="a", kind=FOLDER),
        pb.Entry(path="a/b", kind=FILE, mode=0o755),
        pb.Entry(path="a/c", kind=LINK, link_target="b"),
    ]
    (tmp_path / "a").write_text("is replaced")
    async with sending_server(entries) as address:
        await process.do("connect", server=address, token="a-token")
        await process.do("download", run="r", of="inputs", folder=str(tmp_path))
    assert (tmp_path / "a" / "c").read_bytes() == CONTENT
    assert os.access(tmp_path / "a" / "b", os.X_OK)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
