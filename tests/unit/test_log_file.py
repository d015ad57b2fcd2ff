"""The file of a task's log: cut at its limit, and where the disk has no more room."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from appengine_server.bell import Bells
from appengine_server.runs.logs import LogFile, Logs
from appengine_server.scheduling.scheduler import AttemptRef, LogIncomplete
from appengine_server.storage.layout import StorageLayout

_LINE = b"0123456789abcdef" * 64


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", 100_000)
    for number in range(1000):
        file.write(b"%08d " % number + _LINE)
    size = file.close()
    kept = (tmp_path / "log").read_bytes()
    assert len(kept) == size
    assert kept.startswith(b"00000000 ")
    assert b" bytes left out ...]" in kept
    assert kept.endswith(_LINE)


@pytest.mark.parametrize("room_bytes", [0, 1, 5000])
def test_a_full_disk_cuts_the_log_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    _give_room(monkeypatch, room_bytes)
    file = LogFile(tmp_path / "log", 100_000)
    for _ in range(20):
        file.write(_LINE)
    assert file.close() == room_bytes
    assert (tmp_path / "log").read_bytes() == (_LINE * 20)[:room_bytes]


def test_other_failures_of_the_disk_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int, data: bytes, position: int) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", broken)
    file = LogFile(tmp_path / "log", 100_000)
    with pytest.raises(OSError, match="Input/output"):
        file.write(_LINE)
    file.close()


class _LeavesOut:
    """An engine that leaves out bytes of the log that it is asked for first, as podman may."""

    asked = 0

    async def logs(self, ref: AttemptRef) -> AsyncGenerator[bytes, None]:
        self.asked += 1
        if self.asked > 1:
            yield b"one two three"
            return
        yield b"one three"
        raise LogIncomplete("bytes were left out")


async def test_a_log_that_came_with_gaps_is_written_anew(tmp_path: Path) -> None:
    layout = StorageLayout(tmp_path)
    layout.prepare()
    ref = AttemptRef(uuid4(), 1)
    layout.log(ref.run_id, ref.number).parent.mkdir(parents=True)
    scheduler: Any = _LeavesOut()
    logs = Logs(layout=layout, scheduler=scheduler, bells=Bells(), limit_bytes=1000)
    assert await logs.finish(ref) == 13
    assert await logs.read(ref, 0) == b"one two three"


def _give_room(monkeypatch: pytest.MonkeyPatch, room_bytes: int) -> None:
    """Let files grow to this size only, as a disk that fills up does: first a part, then none."""
    really = os.pwrite

    def pwrite(descriptor: int, data: bytes, position: int) -> int:
        if position >= room_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(descriptor, data[: room_bytes - position], position)

    monkeypatch.setattr(os, "pwrite", pwrite)
