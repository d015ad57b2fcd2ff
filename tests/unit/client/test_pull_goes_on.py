"""A download that a killed process left is gone on with, if its bytes are still those that came."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from appengine.v1 import storage_service_pb2 as pb
from appengine_client import errors
from appengine_client.transfer import Patience, following_links, pull, push

RESOURCE = pb.Resource(run_inputs="r")
FILES = {
    "a": random.Random(1).randbytes(700),
    "d/empty": b"",
    "d/small": b"x",
    "z": random.Random(2).randbytes(3000),
}


@pytest.fixture
async def parts(storage, connection, tmp_path, make_fault) -> Path:
    """The folder of a download that ended after 2,000 bytes, in the middle of `z`."""
    await push(following_links(list(FILES.items())), connection, "u", chunk_bytes=500)
    storage.content = list(storage.persisted)
    storage.faults = [make_fault(4, "UNAVAILABLE")]
    with pytest.raises(errors.Unavailable):
        await pull(
            RESOURCE, tmp_path / "out", connection, name="n", patience=Patience(stall_seconds=0)
        )
    return tmp_path / "out" / ".appengine-n.part"


async def finish(storage, connection, parts: Path) -> tuple[int, int]:
    """Go on, check the result, and answer where the second process began."""
    storage.downloads.clear()
    await pull(RESOURCE, parts.parent, connection, name="n")
    for name, content in FILES.items():
        assert (parts.parent / name).read_bytes() == content
    assert sorted(os.listdir(parts.parent)) == ["a", "d", "z"]
    (began,) = storage.downloads
    return began


async def test_it_goes_on_where_the_bytes_on_the_disk_end(storage, connection, parts):
    assert await finish(storage, connection, parts) == (2000, 4)


async def test_bytes_that_were_written_and_not_noted_come_again(storage, connection, parts):
    with (parts / "new" / "z").open("ab") as file:
        file.write(b"torn")
    (parts / "new" / "d" / "unknown").write_bytes(b"?")
    assert await finish(storage, connection, parts) == (2000, 4)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def to_a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


SPOILS: dict[str, Callable[[Path], None]] = {
    "a whole file has other bytes": lambda new: flip(new / "a"),
    "a whole file is empty": lambda new: os.truncate(new / "a", 0),
    "a whole file is gone": lambda new: (new / "d" / "small").unlink(),
    "a whole file is a link": lambda new: to_a_link(new / "a"),
    "the open file has other bytes": lambda new: flip(new / "z"),
    "the open file is shorter": lambda new: os.truncate(new / "z", 50),
    "the open file is gone": lambda new: (new / "z").unlink(),
}


@pytest.mark.parametrize("spoil", SPOILS)
async def test_it_begins_anew_where_the_bytes_are_others(storage, connection, parts, spoil):
    SPOILS[spoil](parts / "new")
    assert await finish(storage, connection, parts) == (0, 0)


async def test_a_refusal_leaves_nothing(storage, connection, parts, make_fault):
    storage.faults = [make_fault(1, "NOT_FOUND")]
    with pytest.raises(errors.NotFound):
        await pull(RESOURCE, parts.parent, connection, name="n")
    assert os.listdir(parts.parent) == []


async def test_two_at_once_do_not_meet(storage, connection, parts):
    """The second one begins anew beside the first one, which goes on."""
    storage.downloads.clear()
    both = (pull(RESOURCE, parts.parent, connection, name="n") for _ in range(2))
    await asyncio.gather(*both)
    assert sorted(storage.downloads) == [(0, 0), (2000, 4)]
    assert sorted(os.listdir(parts.parent)) == ["a", "d", "z"]


async def test_what_a_killed_nameless_one_left_is_removed(storage, connection, parts):
    left = parts.with_name(".appengine-0123456789ab.part")
    (left / "new").mkdir(parents=True)
    await finish(storage, connection, parts)
    assert not left.exists()
