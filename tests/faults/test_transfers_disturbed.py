"""Transfers whose database dies, whose network falls silent, and which two clients send at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine_client import connect
from appengine_client._rpc import connection
from appengine_client._transfer import remotes
from appengine_client.transfer import following_links, pull, push

from tests.faults.bench import kill_postgres
from tests.faults.figures import MIB
from tests.faults.movers import Mover
from tests.faults.transfer_bench import SHAPES, WAYS, Shape, TransferBench, Way
from tests.faults.wire import Wire, open_wire

pytestmark = [pytest.mark.container, pytest.mark.timeout(90)]


@pytest.mark.parametrize("moment", ["anywhere", "at the end"])
async def test_an_upload_goes_on_after_its_database_was_killed(
    transfers: TransferBench, moment: str, extra_round: int, tmp_path: Path
) -> None:
    chance = transfers.figures.chance("database killed, upload", moment, extra_round)
    shape: Shape = chance.choice(SHAPES)
    last = transfers.sizes[shape] - 1
    at_byte = last - chance.randrange(2 * MIB if moment == "at the end" else last)
    run_id = await transfers.create_run()
    upload_id = await transfers.start_upload(run_id, shape)
    async with (
        open_wire(lambda: transfers.server.address) as wire,
        transfers.read_meanwhile(run_id, tmp_path),
        connect(wire.address) as client,
    ):
        wire.arm("up", at_byte, lambda: kill_postgres(transfers.server.storage))
        began = time.monotonic()
        source = following_links([(shape, transfers.content / shape)])
        await push(source, client.connection, upload_id)
    transfers.figures.add(f"upload, database killed {moment}", time.monotonic() - began)
    transfers.note(f"database killed {moment}", "upload", shape, wire)
    await transfers.check_provisioned(run_id, shape)
    await transfers.check_nothing_left(run_id)


async def test_a_second_client_of_an_upload_takes_it_over_and_the_first_one_is_told(
    transfers: TransferBench, extra_round: int, tmp_path: Path
) -> None:
    chance = transfers.figures.chance("two clients", extra_round)
    shape: Shape = chance.choice(SHAPES)
    run_id = await transfers.create_run()
    upload_id = await transfers.start_upload(run_id, shape)
    second: list[Mover] = []

    def start(wire: Wire) -> Mover:
        path = str(transfers.content / shape)
        return transfers.movers.start(
            "send", server=wire.address, upload_id=upload_id, path=path, name=shape
        )

    async with (
        open_wire(lambda: transfers.server.address) as wire,
        open_wire(lambda: transfers.server.address) as other,
        transfers.read_meanwhile(run_id, tmp_path),
    ):
        # Early, or the first might be done before the second has begun.
        at_byte = chance.randrange(transfers.sizes[shape] // 8)
        wire.arm("up", at_byte, lambda: second.append(start(other)))
        first = start(wire)
        assert "another writer took this upload over" in await first.failed()
        assert await second[0].ended()
    await transfers.check_provisioned(run_id, shape)
    await transfers.check_nothing_left(run_id)


@pytest.mark.timeout(45)  # gRPC's own patience is a minute
@pytest.mark.parametrize("way", WAYS)
async def test_a_transfer_goes_on_after_its_network_fell_silent(
    transfers: TransferBench, way: Way, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ends the connection: the client alone notices, by its own clocks."""
    monkeypatch.setattr(remotes, "STALL_SECONDS", 2.0)
    monkeypatch.setattr(connection, "_SILENCE_MS", 3_000)
    monkeypatch.setattr(connection, "_ANSWER_MS", 2_000)
    chance = transfers.figures.chance("silent", way)
    run_id = await transfers.create_run()
    async with (
        open_wire(lambda: transfers.server.address) as wire,
        connect(wire.address) as client,
    ):
        direction = "up" if way == "upload" else "down"
        wire.arm(direction, transfers.planned_byte(chance, "file"), wire.freeze)
        began = time.monotonic()
        if way == "upload":
            upload_id = await transfers.start_upload(run_id, "file")
            source = following_links([("file", transfers.content / "file")])
            await push(source, client.connection, upload_id)
            await transfers.check_provisioned(run_id, "file")
        else:
            resource = pb.Resource(run_inputs=transfers.origin, path="file")
            await pull(resource, memory, client.connection)
            transfers.check_content(memory, "file")
    transfers.figures.add(f"{way}, network silent", time.monotonic() - began)
    transfers.note("network silent", way, "file", wire)
    await transfers.check_nothing_left(run_id)
