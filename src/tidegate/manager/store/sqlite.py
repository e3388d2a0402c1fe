"""SQLite for SQLAlchemy's asyncio: a driver that leaves the event loop only for what may wait.

With a thread for each connection, as aiosqlite has it, a statement is four errands to that thread and back, each of
which costs more than most statements take, and while the loop is busy each comes back a turn later. Here statements
are executed where they are asked for; they read memory. What may wait, for another process that writes (BEGIN
IMMEDIATE) or for the disk (the COMMIT of what was written), is done in a thread. So are many rows at once: between
any two the interpreter goes to another thread if one computes, which may keep it for a while each time.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

T = TypeVar("T")
BEGIN_WRITING = "BEGIN IMMEDIATE"
MANY = 200
"""Rows."""


async def connect(path: str, **options: Any) -> "Connection":
    """Open a database. Raises `sqlite3.Error`."""
    options |= {"check_same_thread": False, "isolation_level": None}
    return Connection(sqlite3.connect(path, **options))


class Connection:
    """What SQLAlchemy's aiosqlite dialect uses of that library's connection, `_conn` and `_connection` among it.

    One task uses it at a time. Transactions are begun by `BEGIN`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._conn = connection
        self._connection: sqlite3.Connection | None = connection
        self._writes = False

    def cursor(self) -> "Cursor":
        """A cursor on it."""
        return Cursor(self, self._conn.cursor())

    async def create_function(self, *args: Any, **options: Any) -> None:
        """Have statements know a function."""
        self._conn.create_function(*args, **options)

    async def commit(self) -> None:
        """End the transaction; what was written is on disk when this returns."""
        if self._writes:
            await self.apart(self._conn.commit)
        else:
            self._conn.commit()
        self._writes = False

    async def rollback(self) -> None:
        """End the transaction as if it had not been."""
        self._conn.rollback()
        self._writes = False

    async def close(self) -> None:
        """Close it, which may tidy up on disk."""
        self._connection = None
        await self.apart(self._conn.close)

    def stop(self) -> None:
        """Close it where nothing can be awaited any more."""
        self._connection = None
        self._conn.close()

    async def begin_writing(self, begin: Callable[[], Any]) -> None:
        """Wait until nobody else writes."""
        await self.apart(begin)
        self._writes = True

    @staticmethod
    async def apart(work: Callable[[], T]) -> T:
        """Do it in a thread. Who is cancelled waits for it all the same: two must not use one connection."""
        doing = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            while not doing.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([doing])
            raise


class Cursor:
    """The same of its cursor."""

    def __init__(self, connection: Connection, cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor
        self.arraysize = cursor.arraysize

    async def __aenter__(self) -> Self:
        """It is open."""
        return self

    @property
    def description(self) -> Any:
        """Columns of what was selected."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The number of the row that was inserted last."""
        return self._cursor.lastrowid

    async def execute(self, statement: str, values: Sequence[Any] = ()) -> Self:
        """Execute a statement."""
        if statement == BEGIN_WRITING:
            await self._connection.begin_writing(lambda: self._cursor.execute(statement))
        else:
            self._cursor.execute(statement, values)
        return self

    async def executemany(self, statement: str, values: Sequence[Sequence[Any]]) -> Self:
        """Execute it with each of these."""
        if len(values) < MANY:
            self._cursor.executemany(statement, values)
        else:
            await self._connection.apart(lambda: self._cursor.executemany(statement, values))
        return self

    async def fetchone(self) -> Any:
        """The next row."""
        return self._cursor.fetchone()

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        return self._cursor.fetchmany(size or self.arraysize)

    async def fetchall(self) -> list[Any]:
        """All rows that are left."""
        rows = self._cursor.fetchmany(MANY)
        return rows if len(rows) < MANY else rows + await self._connection.apart(self._cursor.fetchall)

    async def close(self) -> None:
        """Done with it."""
        self._cursor.close()
