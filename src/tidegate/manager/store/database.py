"""The database: where it is, its transactions, and what becomes of its faults."""

import asyncio
import contextlib
import copy
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tidegate.manager.store import sqlite
from tidegate.manager.store.bus import Bus, told
from tidegate.manager.store.errors import StoreError, StoreUnavailableError
from tidegate.manager.store.postgres import connect
from tidegate.os_words import os_words

_BUSY_MS = 5000
_POOL = 10
_POOL_WAIT_S = 5.0
_TURN_S = 20.0
"""For who writes to SQLite, behind those that came before; the largest rollout is written within a few seconds."""
_WRITES = "tidegate_writes"
_ONE_MOMENT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""Else each statement would see what was committed before it."""
_FULL_RETRY_S = 30
_FULL = "is full: make room on its disk"
_SQLITE_SIGNS = {
    "full": _FULL,
    "No space": _FULL,
    "unable to open": "cannot be opened: its file or the folder of it is gone, or is not the manager's",
    "readonly": "cannot be written: make its file, and the disk that it is on, writable for the manager",
}
_FAULTS = (OperationalError, InterfaceError, InternalError)
_AWAY = ("locked", "full", "No space", "unable to open", "disk I/O", "readonly")
"""What SQLite says where it is the file, and not the statement, that is the matter."""
_AWAY_STATES = ("08", "53", "57", "58")
"""PostgreSQL's classes of such errors."""


Turn = contextlib.AbstractAsyncContextManager[None, None]


class Database:
    """One database, and the transactions on it.

    `cannot_write`: why the last one that was to be written was not, until one is, and until there is room for one
    where a file had none. `bus` tells what was committed,
    `turn` is taken by who writes to SQLite; both are others' where another process of this manager has it, too.
    `fault_listeners` are called each time that the database cannot do what is asked.
    """

    def __init__(self, engine: AsyncEngine, *, turn: Turn | None = None, bus: Bus | None = None) -> None:
        self.engine = engine
        self.bus = bus or Bus()
        self.turn = turn or asyncio.Lock()
        self.is_postgres = engine.dialect.name == "postgresql"
        self._writing = engine.execution_options(**{_WRITES: True})
        self.cannot_write: StoreUnavailableError | None = None
        self.fault_listeners: list[Callable[[], None]] = []
        self._locked = 0
        event.listen(engine.sync_engine, "handle_error", self._hear_of_error)

    @classmethod
    def at(cls, url: str, *, turn: Turn | None = None, bus: Bus | None = None) -> "Database":
        """The database with this address; nothing is connected yet. Raises `StoreError` where it is none of ours."""
        return cls(_engine(_address(url)), turn=turn, bus=bus)

    @property
    def dsn(self) -> str:
        """Its address, for a connection of one's own; PostgreSQL's only."""
        return self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    async def close(self) -> None:
        """Close every connection."""
        await self.bus.close()
        await self.engine.dispose()

    def follow(self) -> None:
        """Listen to the other replicas, where there may be any."""
        if self.is_postgres:
            self.bus.follow(self.dsn)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A view of one moment. Raises `StoreUnavailableError`."""
        with _faults():
            async with self.engine.connect() as conn:
                if self.is_postgres:  # as options of an engine they are set where nobody would close it, if cut off
                    await conn.execution_options(**_ONE_MOMENT)
                async with conn.begin():
                    yield conn

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it or nothing; what it published is told afterwards.

        Raises `StoreUnavailableError`. With SQLite one is at work at a time.
        """
        async with self._noting_faults():
            with _faults():
                async with contextlib.AsyncExitStack() as stack:
                    if not self.is_postgres:
                        await self._take_turn(stack)
                    conn = await self._begin(stack)
                    told(conn)  # of a transaction before, which was rolled back
                    yield conn
                    messages = told(conn)
                    if self.is_postgres:
                        await self.bus.notify(conn, messages)
        self.bus.deliver(messages)

    async def try_to_write(self) -> None:
        """See whether what people and agents do can be written. Raises `StoreUnavailableError`."""
        async with self.write() as conn:
            await conn.execute(text("UPDATE counters SET value = value WHERE name = 'world'"))
        if self.cannot_write is not None:
            raise copy.copy(self.cannot_write)

    def tell_fault(self) -> None:
        """Have everybody know of a fault: of another process of this manager, where nobody here has seen it."""
        for listener in self.fault_listeners:
            listener()

    def _hear_of_error(self, context: Any) -> None:
        if context.is_disconnect or isinstance(context.sqlalchemy_exception, _FAULTS):
            self.tell_fault()

    @contextlib.asynccontextmanager
    async def _noting_faults(self) -> AsyncIterator[None]:
        try:
            yield
        except StoreUnavailableError as error:
            self.cannot_write = error if error.for_all else self.cannot_write
            raise
        known = self.cannot_write
        if known is not None and (not known.is_full or await self._has_room()) and self.cannot_write is known:
            self.cannot_write = None

    async def _has_room(self) -> bool:
        """Whether more than a small write has room: where a disk is full, one still may within what the log has."""
        return self.is_postgres or await asyncio.to_thread(sqlite.has_room, Path(self.engine.url.database or ""))

    async def _take_turn(self, stack: contextlib.AsyncExitStack) -> None:
        """Wait for the others. If one of them finds the database locked meanwhile, we have waited for that, too."""
        before = self._locked
        try:
            async with asyncio.timeout(_TURN_S):
                await stack.enter_async_context(self.turn)
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"others wrote to the database for {_TURN_S:g} s; nothing was changed"
            ) from error
        if self._locked != before:
            raise StoreUnavailableError("the database does not answer (it is locked); nothing was changed")

    async def _begin(self, stack: contextlib.AsyncExitStack) -> AsyncConnection:
        try:
            return await stack.enter_async_context(self._writing.begin())
        except OperationalError:
            self._locked += 1
            raise


def _address(url: str) -> URL:
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise StoreError("it is no address of a database; it takes sqlite:///PATH or postgresql://...") from error
    match found.get_backend_name():
        case "sqlite" if found.database and found.database != ":memory:":
            return found.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            return found.set(drivername="postgresql+psycopg")
        case _:
            raise StoreError("it is no address of a database; it takes sqlite:///PATH or postgresql://...")


def _engine(url: URL) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opener = sqlite.Opener(url.database or "", timeout=_BUSY_MS / 1000)
        engine = create_async_engine(url, pool_size=_POOL, pool_timeout=_POOL_WAIT_S, async_creator=opener)
        event.listen(engine.sync_engine, "checkout", _check_file)
        event.listen(engine.sync_engine, "connect", _set_up_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
        url,
        pool_size=2 * _POOL,
        max_overflow=0,  # who overflows connects anew each time
        pool_timeout=_POOL_WAIT_S,
        pool_pre_ping=True,
        connect_args={"async_creator_fn": connect, "client_encoding": "utf8"},
    )


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    """What is committed is on disk; what is read is not held up by what is written."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _check_file(connection: Any, _record: Any, _proxy: Any) -> None:
    """A connection to a file that is not there any more is not used; the pool makes another one in its place."""
    if connection.driver_connection.is_astray:
        raise DisconnectionError


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that will write asks for that first, so that it need not give up in its middle."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql(sqlite.BEGIN_WRITING if writes else "BEGIN")


@contextlib.contextmanager
def _faults() -> Any:
    """Make of a driver's errors what they mean to who asked."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailableError(
            f"every connection to the database was in use for {_POOL_WAIT_S:g} s; nothing was changed"
        ) from error
    except _FAULTS as error:
        raise _unavailable(error) from error
    except OSError as error:
        raise StoreUnavailableError(f"the database cannot be reached: {os_words(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _unavailable(error) from error
        if type(error.orig) is sqlite3.DatabaseError:  # its subclasses are of other faults
            raise StoreUnavailableError(
                f"the database is damaged, or is none ({error.orig}); nothing was changed: restore the backup of it"
            ) from error
        raise


def _unavailable(error: DBAPIError) -> StoreUnavailableError:
    """In words, and without the statement: it may hold what is nobody's business."""
    said = " ".join(str(error.orig).split())
    full = "full" in said or "No space" in said
    what = next((words for sign, words in _SQLITE_SIGNS.items() if sign in said), "does not answer")
    return StoreUnavailableError(
        f"the database {what} ({said}); nothing was changed",
        retry_after_s=_FULL_RETRY_S if full else 5,
        for_all=_is_away(error, said),
        is_full=full,
    )


def _is_away(error: DBAPIError, said: str) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return error.connection_invalidated or str(state).startswith(_AWAY_STATES)
    return isinstance(error.orig, psycopg.Error) or any(word in said for word in _AWAY)
