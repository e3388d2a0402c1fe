"""SQLite for SQLAlchemy's asyncio: a driver that leaves the event loop only for what may wait.

With a thread for each connection, as aiosqlite has it, a statement is four errands to that thread and back, each of
which costs more than most statements take, and while the loop is busy each comes back a turn later. Here statements
are executed where they are asked for; they read memory. What may wait, for another process that writes (BEGIN
IMMEDIATE) or for the disk (the COMMIT of what was written), is done in a thread. So are many rows at once: between
any two the interpreter goes to another thread if one computes, which may keep it for a while each time.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")
BEGIN_WRITING = "BEGIN IMMEDIATE"
MANY = 200
"""Rows."""
_ROOM = 1024 * 1024
"""Bytes."""


def has_room(database: Path) -> bool:
    """Whether its disk has room for more than most writes take; True where that cannot be seen."""
    try:
        with tempfile.TemporaryFile(dir=database.absolute().parent) as file:
            os.posix_fallocate(file.fileno(), 0, _ROOM)
    except OSError as error:
        return error.errno not in {errno.ENOSPC, errno.EDQUOT}
    return True


class Opener:
    """Opens one database, as often as is asked; its file is made at the first time, and at none after that.

    One in place of a file that was taken away would be empty, and in the way of the one that is put back.
    """

    def __init__(self, path: str, **options: Any) -> None:
        self._path = Path(path).absolute()
        self._options = options | {"check_same_thread": False, "isolation_level": None, "uri": True}
        self._mode = "rwc"

    async def __call__(self) -> "Connection":
        """A connection. Raises `sqlite3.Error`."""
        made = sqlite3.connect(f"{self._path.as_uri()}?mode={self._mode}", **self._options)
        self._mode = "rw"
        return Connection(made, self._path)


class Connection:
    """What SQLAlchemy's aiosqlite dialect uses of that library's connection, `_conn` and `_connection` among it.

    One task uses it at a time. Transactions are begun by `BEGIN`.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._path, self._file = path, _identity(path)
        self._conn = connection
        self._connection: sqlite3.Connection | None = connection
        self._writes = False

    @property
    def is_astray(self) -> bool:
        """Whether its file is not there any more, or another one is: what it wrote would be nowhere."""
        return self._file is None or _identity(self._path) != self._file

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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
