"""The connection is cut at any byte of a transfer: it goes on, and sends next to nothing twice."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine_client import connect
from appengine_client.transfer import following_links, pull, push

from tests.faults.bench import names
from tests.faults.transfer_bench import DIRECTION, SHAPES, Shape, TransferBench
from tests.faults.wire import open_wire

pytestmark = [pytest.mark.container, pytest.mark.timeout(60)]


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_upload_goes_on_after_a_cut(
    transfers: TransferBench, shape: Shape, cut_round: int, tmp_path: Path
) -> None:
    chance = transfers.figures.chance("cut upload", shape, cut_round)
    run_id = await transfers.create_run()
    upload_id = await transfers.start_upload(run_id, shape)
    reset, at_byte = chance.random() < 0.5, transfers.planned_byte(chance, shape)
    async with (
        open_wire(lambda: transfers.server.address) as wire,
        transfers.read_meanwhile(run_id, tmp_path),
        connect(wire.address) as client,
    ):
        wire.arm(DIRECTION["upload"], at_byte, lambda: wire.cut(reset=reset))
        began = time.monotonic()
        source = following_links([(shape, transfers.content / shape)])
        await push(source, client.connection, upload_id)
    assert wire.connections == 2
    transfers.figures.add(f"upload of a {shape}, cut", time.monotonic() - began)
    transfers.note("cut", "upload", shape, wire)
    await transfers.check_provisioned(run_id, shape)
    await transfers.check_nothing_left(run_id)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_download_goes_on_after_a_cut(
    transfers: TransferBench, shape: Shape, cut_round: int, memory: Path
) -> None:
    chance = transfers.figures.chance("cut download", shape, cut_round)
    reset, at_byte = chance.random() < 0.5, transfers.planned_byte(chance, shape)
    resource = pb.Resource(run_inputs=transfers.origin, path=shape)
    async with (
        open_wire(lambda: transfers.server.address) as wire,
        transfers.read_meanwhile(transfers.origin, memory),
        connect(wire.address) as client,
    ):
        wire.arm(DIRECTION["download"], at_byte, lambda: wire.cut(reset=reset))
        began = time.monotonic()
        await pull(resource, memory, client.connection)
    assert wire.connections == 2
    transfers.figures.add(f"download of a {shape}, cut", time.monotonic() - began)
    transfers.note("cut", "download", shape, wire)
    transfers.check_content(memory, shape)
    assert names(memory) == {shape}


async def test_a_download_from_a_run_that_was_not_started_goes_on_while_others_look(
    transfers: TransferBench, extra_round: int, memory: Path
) -> None:
    chance = transfers.figures.chance("cut download, not started", extra_round)
    run_id = await transfers.create_run()
    upload_id = await transfers.start_upload(run_id, "tree")
    source = following_links([("tree", transfers.content / "tree")])
    resource = pb.Resource(run_inputs=run_id, path="tree")
    async with (
        open_wire(lambda: transfers.server.address) as wire,
        connect(wire.address) as client,
    ):
        await push(source, client.connection, upload_id)
        at_byte = transfers.planned_byte(chance, "tree")
        wire.carried["down"] = 0
        wire.arm("down", at_byte, lambda: wire.cut(reset=True))
        async with transfers.read_meanwhile(run_id, memory):
            began = time.monotonic()
            await pull(resource, memory, client.connection)
    transfers.figures.add("download before the start, cut", time.monotonic() - began)
    transfers.note("cut before the start", "download", "tree", wire)
    transfers.check_content(memory, "tree")
    await transfers.check_nothing_left(run_id)
