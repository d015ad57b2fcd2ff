"""Connections to PostgreSQL, and what the rooms above see of one that is out of reach.

The query modules of this folder take a `Connection`; the use cases own it, by `Database`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from ssl import SSLContext
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import asyncpg
import orjson
from asyncpg import Record
from asyncpg.pool import PoolConnectionProxy

from appengine_server.errors import Unavailable

Connection: TypeAlias = "PoolConnectionProxy[Record]"
"""What the query modules take. It belongs to whoever opened it by `Database`."""

__all__ = [
    "ConnectTo",
    "Connection",
    "Database",
    "DatabaseUnusable",
    "Record",
    "connect",
    "open_database",
]

SslMode: TypeAlias = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

CONNECT_TIMEOUT = timedelta(seconds=10)
"""For one new connection. A database that needs longer is out of reach for a client who waits."""

ACQUIRE_TIMEOUT = timedelta(seconds=10)
"""For a connection of the pool to come free. Below the 15 s that our clients give a call."""

_OUT_OF_REACH = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    TimeoutError,
)

_CLOSED_UNDER_US = (
    "connection is closed",
    "released back to the pool",
    "pool is clos",
    "not connected",
    "cannot switch to state",
)
"""asyncpg has one class for all misuse; only its text tells a connection that was lost.

The last comes when the loss is noticed between the database's last word and the next statement.
"""

_REFUSED_FOR_GOOD = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ClientConfigurationError,
)

_LIMIT_SILENCE = "SELECT set_config('idle_in_transaction_session_timeout', $1, false)"

_CHECK_WHERE_IT_IS = "; see whether it runs, and whether DB_HOST and DB_PORT are right"


class DatabaseUnusable(Exception):
    """The server cannot start with this database; the text tells its administrator what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectTo:
    """Where a database is and who we are there."""

    host: str
    """A name, an address, or the folder of a Unix socket."""
    port: int = 5432
    database: str
    user: str
    password: str | None = field(default=None, repr=False)
    """None: trust, a certificate, or the user's ~/.pgpass."""
    ssl: SSLContext | SslMode | None = None
    """None: TLS over TCP where the database offers it."""

    @property
    def address(self) -> str:
        """For logs and sentences: no secret is in it."""
        return f"{self.host}:{self.port}/{self.database}"

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of asyncpg, password included."""
        return {
            "host": self.host,
            "port": self.port,
            "database": self.database,
            "user": self.user,
            "password": self.password,
            "ssl": self.ssl,
            "timeout": CONNECT_TIMEOUT.total_seconds(),
            "server_settings": {"application_name": "appengine-server"},
        }


class Database:
    """A pool of connections that heals by itself after the database was away.

    Whatever it yields raises `Unavailable` while PostgreSQL is out of reach, restarting or without
    room on its disk, and where a transaction deadlocked with another; every other error of the
    database comes through as it is. `open_database` closes it.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[Record],
        *,
        on_acquired: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`on_acquired` is told each time how many seconds a connection was waited for."""
        self._pool = pool
        self._on_acquired = on_acquired
        self.waiters = 0
        """Who waits for a connection."""

    def used(self) -> int:
        """Connections that are lent now."""
        return self._pool.get_size() - self._pool.get_idle_size()

    def idle(self) -> int:
        """Connections that nobody uses now."""
        return self._pool.get_idle_size()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection on which each statement commits by itself: for reads and single writes."""
        with _database_in_reach():
            connection = await self._acquire()
            try:
                yield connection
            except asyncpg.InternalClientError:
                connection.terminate()  # who knows what its next answer would belong to
                raise
            finally:
                await self._pool.release(connection)

    async def _acquire(self) -> Connection:
        began = monotonic()
        self.waiters += 1
        try:
            connection = await _acquire(self._pool)
        finally:
            self.waiters -= 1
        self._on_acquired(monotonic() - began)
        return connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside one READ COMMITTED transaction, committed at the end of the block."""
        async with self.connection() as connection, connection.transaction():
            yield connection


@asynccontextmanager
async def open_database(
    connect_to: ConnectTo,
    *,
    min_size: int,
    max_size: int,
    command_timeout: timedelta,
    silence_limit: timedelta | None = None,
    on_acquired: Callable[[float], None] = lambda _: None,
) -> AsyncIterator[Database]:
    """Open the pool, with `min_size` connections made at once, and close it at the end.

    A statement that takes longer than `command_timeout` ends as `Unavailable`. PostgreSQL ends a
    transaction in which we are silent for longer than `silence_limit`, as a server that was paused
    must not hold its locks for ever; that is `Unavailable` too. Raises
    `Unavailable` when the database is out of reach, `DatabaseUnusable` when it refuses us.
    """
    with refusals_explained(connect_to):
        pool = await asyncpg.create_pool(
            **connect_to.arguments(),
            min_size=min_size,
            max_size=max_size,
            command_timeout=command_timeout.total_seconds(),
            connection_class=_Session,
            init=partial(_prepare, silence_limit=silence_limit),
        )
    try:
        yield Database(pool, on_acquired=on_acquired)
    finally:
        await _close(pool)


async def connect(connect_to: ConnectTo) -> asyncpg.Connection[Record]:
    """One connection outside of any pool; the caller closes it. Fails as `open_database` does."""
    with refusals_explained(connect_to):
        return await asyncpg.connect(**connect_to.arguments())


@contextmanager
def refusals_explained(connect_to: ConnectTo) -> Iterator[None]:
    """Turn the errors of connecting into `Unavailable` or `DatabaseUnusable`."""
    try:
        yield
    except _REFUSED_FOR_GOOD as error:
        raise DatabaseUnusable(
            f"PostgreSQL at {connect_to.address} refuses the user {connect_to.user}: {error}"
        ) from error
    except (*_OUT_OF_REACH, OSError) as error:
        why = str(error) or "it does not answer"
        next_step = "" if connect_to.host.startswith("/") else _CHECK_WHERE_IT_IS
        raise Unavailable(
            f"PostgreSQL at {connect_to.address} is out of reach: {why}{next_step}"
        ) from error


if TYPE_CHECKING:
    _Base = asyncpg.Connection[Record]  # generic in its stubs only
else:
    _Base = asyncpg.Connection


class _Session(_Base):
    """A pooled connection that leaves no state behind, so its return costs no round trip.

    NB: an open transaction is still rolled back on return, but SET, LISTEN and session advisory
    locks would go on to the next borrower. Use SET LOCAL and transaction locks.
    """

    def get_reset_query(self) -> str:
        return ""


async def _prepare(
    connection: asyncpg.Connection[Record], *, silence_limit: timedelta | None
) -> None:
    if silence_limit is not None:
        limit = f"{silence_limit.total_seconds() * 1000:.0f}ms"
        await connection.execute(_LIMIT_SILENCE, limit)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_to_text, decoder=orjson.loads
        )


def _to_text(document: Any) -> str:
    return orjson.dumps(document).decode()


async def _acquire(pool: asyncpg.Pool[Record]) -> Connection:
    try:
        return await pool.acquire(timeout=ACQUIRE_TIMEOUT.total_seconds())
    except TimeoutError as error:
        raise Unavailable("no connection to the database came free in time; try again") from error
    except OSError as error:
        # only here: in the caller's block an OSError may be about a file of its own
        raise Unavailable("the database is out of reach; try again") from error


@contextmanager
def _database_in_reach() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise Unavailable("the database did not answer in time; try again") from error
    except _OUT_OF_REACH as error:
        raise Unavailable("the database is out of reach; try again") from error
    except asyncpg.TransactionRollbackError as error:  # a deadlock, of which one has to give way
        raise Unavailable("others change the same things at once; try again") from error
    except asyncpg.DiskFullError as error:  # it passes, so what is under way waits for it
        raise Unavailable(
            "the disk of the database is full; ask the administrator for more room, then try again"
        ) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        if not any(sign in str(error) for sign in _CLOSED_UNDER_US):
            raise
        raise Unavailable("the connection to the database was lost; try again") from error


async def _close(pool: asyncpg.Pool[Record]) -> None:
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pool.terminate()  # a dead database, or a borrower who hangs: nothing is left to say
