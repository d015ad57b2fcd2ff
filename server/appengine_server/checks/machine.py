"""Looks at what is on this machine: settings, address, certificate, tokens, folders, disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from appengine_server import from_settings
from appengine_server.checks.check import (
    Finding,
    LeftOut,
    Surroundings,
    fails,
    refuses,
)
from appengine_server.identity import BadTokenFile, TokenFile
from appengine_server.rpc.server import CannotServe, check_bind_is_safe, read_tls
from appengine_server.settings import Settings
from appengine_server.storage.quota import FreeSpace


async def settings(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether every variable can be read, and they fit together."""
    return [refuses(" and ".join(wrong.names), wrong.message) for wrong in surroundings.wrong]


async def address(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the address is safe, and free."""
    rpc = surroundings.settings.rpc
    findings = []
    try:
        check_bind_is_safe(
            from_settings.address(rpc),
            tls=rpc.tls_certificate_file is not None,
            tokens=rpc.tokens_file is not None,
            allow_insecure=rpc.allow_insecure,
        )
    except CannotServe as error:
        findings.append(refuses("BIND_ADDRESS", str(error)))
    if not surroundings.is_served and not await asyncio.to_thread(
        _can_listen, rpc.bind_address, rpc.port
    ):
        findings.append(
            refuses(
                "BIND_ADDRESS and PORT",
                f"cannot listen on {from_settings.address(rpc)}: another program has the port, or "
                "the address is not of this machine; choose another PORT or BIND_ADDRESS.",
            )
        )
    return findings


def _can_listen(host: str, port: int) -> bool:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen()
    except OSError:
        return False
    return True


async def metrics(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the port of the metrics is free."""
    given = surroundings.settings.metrics
    if given.port is None:
        raise LeftOut("there are no metrics")
    if surroundings.is_served or await asyncio.to_thread(
        _can_listen, given.bind_address, given.port
    ):
        return []
    return [
        refuses(
            "METRICS_BIND_ADDRESS and METRICS_PORT",
            f"cannot listen on {given.bind_address}:{given.port}: another program has the port, or "
            "the address is not of this machine; choose another.",
        )
    ]


async def tls(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether certificate and key can be used."""
    files = from_settings.tls_files(surroundings.settings.rpc)
    if files is None:
        raise LeftOut("the server has no TLS")
    try:
        await asyncio.to_thread(read_tls, files)
    except CannotServe as error:
        return [refuses("TLS_CERTIFICATE_FILE and TLS_KEY_FILE", str(error))]
    return []


async def tokens(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the token file can be used."""
    path = surroundings.settings.rpc.tokens_file
    if path is None:
        raise LeftOut("the server wants no tokens")
    try:
        await asyncio.to_thread(TokenFile, path)
    except BadTokenFile as error:
        return [refuses("TOKENS_FILE", line) for line in str(error).splitlines()]
    return []


async def storage(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the storage can be made, written, linked in and locked."""
    base = surroundings.settings.storage.base_path
    try:
        await asyncio.to_thread(surroundings.layout.prepare)
        await asyncio.to_thread(_use, base)
    except OSError as error:
        return [
            refuses(
                "STORAGE_BASE_PATH",
                f"the data folder {base} cannot be made or written: {error.strerror}.",
            )
        ]
    except _NoLocks:
        return [
            refuses(
                "STORAGE_BASE_PATH",
                f"file locks do not work in {base}, or it knows no hard links: use a local file "
                "system, CephFS, or NFS from version 4 on.",
            )
        ]
    return []


class _NoLocks(Exception):
    """The file system lacks what uploads rest on."""


def _use(base: Path) -> None:
    """What uploads and runs do: write, sync, link, lock."""
    with TemporaryDirectory(prefix="probe-", dir=base) as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        with first.open("wb") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(first, second)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with second.open("rb") as other, contextlib.suppress(BlockingIOError):
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    raise _NoLocks
            except OSError as error:
                if error.errno in {errno.EPERM, errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS}:
                    raise _NoLocks from error
                raise


async def datasets(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether the datasets can be read, and lie apart from the storage."""
    return await asyncio.to_thread(lambda: list(_datasets(surroundings.settings)))


def _datasets(given: Settings) -> Iterator[Finding]:
    path, base = given.storage.dataset_path, given.storage.base_path
    if base.resolve().is_relative_to(path.resolve()):
        yield refuses(
            "REF_STORAGE_BASE_PATH",
            f"the datasets' folder {path} holds STORAGE_BASE_PATH ({base}), so that inputs could "
            "refer to the files of other runs: choose another folder.",
        )
        return
    if not path.is_dir():
        if "dataset_path" in given.storage.model_fields_set:
            yield refuses(
                "REF_STORAGE_BASE_PATH",
                f"there is no folder {path}: mount the datasets there, or leave the setting out "
                "where inputs refer to none.",
            )
        return
    try:
        with os.scandir(path) as entries:
            next(entries, None)
    except OSError as error:
        yield refuses(
            "REF_STORAGE_BASE_PATH",
            f"the folder {path} cannot be read: {error.strerror}; let the server's user read it.",
        )


async def disk(surroundings: Surroundings) -> Sequence[Finding]:
    """Whether there is room for uploads and starts."""
    given = surroundings.settings.storage
    if not given.base_path.is_dir():
        raise LeftOut(f"there is no folder {given.base_path}")
    space = FreeSpace(base=given.base_path, low_water_bytes=given.low_water_bytes)
    room = os.statvfs(given.base_path)
    total_bytes, free_bytes = room.f_blocks * room.f_frsize, space.free_bytes()
    if total_bytes < given.low_water_bytes:
        return [
            fails(
                "STORAGE_LOW_WATER",
                f"the disk of {given.base_path} has {total_bytes} bytes in all, so that all "
                f"uploads and starts are refused: choose less than {given.low_water_bytes} bytes.",
            )
        ]
    if free_bytes < given.low_water_bytes:
        return [
            fails(
                "STORAGE_LOW_WATER",
                f"the disk of {given.base_path} has {free_bytes} bytes free, and uploads and "
                f"starts are refused below {given.low_water_bytes}: make room, or choose less.",
            )
        ]
    if room.f_files and not room.f_favail:
        return [
            fails(
                "STORAGE_BASE_PATH",
                f"the file system of {given.base_path} has no inodes left: delete runs, or move "
                "the storage to one with more.",
            )
        ]
    return []
