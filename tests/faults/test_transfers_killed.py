"""kill -9 of the client or the server at any byte of a transfer: whoever starts again goes on."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine_client import connect
from appengine_client.transfer import following_links, pull, push

from tests.faults.bench import names
from tests.faults.movers import Mover
from tests.faults.transfer_bench import DIRECTION, SHAPES, WAYS, Shape, TransferBench, Way
from tests.faults.wire import Wire, open_wire

pytestmark = [pytest.mark.container, pytest.mark.timeout(90)]


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_upload_goes_on_in_another_process_after_its_client_was_killed(
    transfers: TransferBench, shape: Shape, kill_round: int, tmp_path: Path
) -> None:
    chance = transfers.figures.chance("client killed, upload", shape, kill_round)
    at_byte = transfers.planned_byte(chance, shape)
    run_id = await transfers.create_run()
    upload_id = await transfers.start_upload(run_id, shape)

    def start(wire: Wire) -> Mover:
        path = str(transfers.content / shape)
        return transfers.movers.start(
            "send", server=wire.address, upload_id=upload_id, path=path, name=shape
        )

    async with (
        open_wire(lambda: transfers.server.address) as wire,
        transfers.read_meanwhile(run_id, tmp_path),
    ):
        first = start(wire)
        wire.arm("up", at_byte, first.kill)
        assert not await first.ended()
        began = time.monotonic()
        assert await start(wire).ended()
    transfers.figures.add(f"upload of a {shape}, client killed", time.monotonic() - began)
    transfers.note("client killed", "upload", shape, wire)
    await transfers.check_provisioned(run_id, shape)
    await transfers.check_nothing_left(run_id)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_download_goes_on_in_another_process_after_its_client_was_killed(
    transfers: TransferBench, shape: Shape, kill_round: int, memory: Path
) -> None:
    chance = transfers.figures.chance("client killed, download", shape, kill_round)
    at_byte = transfers.planned_byte(chance, shape)

    def start(wire: Wire) -> Mover:
        return transfers.movers.start(
            "fetch", server=wire.address, run_id=transfers.origin, name=shape, target=str(memory)
        )

    async with (
        open_wire(lambda: transfers.server.address) as wire,
        transfers.read_meanwhile(transfers.origin, memory),
    ):
        first = start(wire)
        wire.arm("down", at_byte, first.kill)
        assert not await first.ended()
        began = time.monotonic()
        assert await start(wire).ended()
    transfers.figures.add(f"download of a {shape}, client killed", time.monotonic() - began)
    transfers.note("client killed", "download", shape, wire)
    transfers.check_content(memory, shape)
    assert names(memory) == {shape}


async def test_all_transfers_go_on_after_their_server_was_killed(
    transfers: TransferBench, kill_round: int, memory: Path
) -> None:
    """It comes back on another port. Four transfers are under way; one decides the moment."""
    chance = transfers.figures.chance("server killed", kill_round)
    run_id = await transfers.create_run()
    uploads = {shape: await transfers.start_upload(run_id, shape) for shape in SHAPES}
    killed = asyncio.Event()

    def kill() -> None:
        transfers.server.signal_kill()
        killed.set()

    async def restart() -> None:
        await killed.wait()
        await asyncio.sleep(chance.uniform(0, 0.3))
        await transfers.restart()

    async with AsyncExitStack() as stack:
        wires: dict[tuple[Way, Shape], Wire] = {}
        for way in WAYS:
            for shape in SHAPES:
                wire = await stack.enter_async_context(open_wire(lambda: transfers.server.address))
                wires[way, shape] = wire
        way, shape = chance.choice(WAYS), chance.choice(SHAPES)
        wires[way, shape].arm(DIRECTION[way], transfers.planned_byte(chance, shape), kill)
        async with asyncio.TaskGroup() as group, transfers.read_meanwhile(run_id, memory):
            group.create_task(restart())
            await asyncio.gather(
                *(
                    _move(transfers, wire, way, shape, uploads[shape], memory)
                    for (way, shape), wire in wires.items()
                )
            )
    for (way, shape), wire in wires.items():
        transfers.note("server killed", way, shape, wire)
    await transfers.check_provisioned(run_id, *SHAPES)
    for shape in SHAPES:
        transfers.check_content(memory, shape)
    assert names(memory) == set(SHAPES)
    await transfers.check_nothing_left(run_id)


async def _move(
    transfers: TransferBench, wire: Wire, way: Way, shape: Shape, upload_id: str, memory: Path
) -> None:
    began = time.monotonic()
    async with connect(wire.address) as client:
        if way == "upload":
            source = following_links([(shape, transfers.content / shape)])
            await push(source, client.connection, upload_id)
        else:
            resource = pb.Resource(run_inputs=transfers.origin, path=shape)
            await pull(resource, memory, client.connection)
    transfers.figures.add(f"{way} of a {shape}, server killed", time.monotonic() - began)
