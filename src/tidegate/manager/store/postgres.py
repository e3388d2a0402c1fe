"""How PostgreSQL is connected to: within a limit, and so that each side notices when the other one has vanished."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

_CONNECT_S = 5.0
_SILENT_S = 15.0
"""After so long without an answer it is looked whether there is still somebody to give one."""
_VANISHED: dict[str, Any] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
"""Without these, who waits for the answer of a host that was cut off waits for a quarter of an hour, or for ever."""
_GONE = """
    SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 15000; SET idle_in_transaction_session_timeout = '60s'
"""
"""Without these, what a manager was about to write when its host was cut off stays locked for hours, to all others."""


class Connection(psycopg.AsyncConnection[Any]):
    """One that is broken off where the server has been silent for 15 s and lets nobody in either.

    The host of a server that hangs goes on to acknowledge what it is sent, so TCP's own limits do not notice it. What
    is only slow, as a migration or what waits for a lock, is waited for.
    """

    how: tuple[tuple[Any, ...], dict[str, Any]]
    """What it was made with."""

    async def wait(self, *args: Any, **options: Any) -> Any:
        """Wait for an answer; the driver waits nowhere else. Raises `psycopg.OperationalError` where none will come."""
        with self._doubting():
            return await super().wait(*args, **options)

    @contextlib.contextmanager
    def _doubting(self) -> Iterator[None]:
        loop, doubts = asyncio.get_running_loop(), list[asyncio.Task[None]]()
        due = loop.call_later(_SILENT_S, lambda: doubts.append(loop.create_task(self._break_off_if_silent())))
        try:
            yield
        finally:
            due.cancel()
            for one in doubts:
                one.cancel()

    async def _break_off_if_silent(self) -> None:
        while self.pgconn.transaction_status == TransactionStatus.ACTIVE:  # who only listens has nothing to be told
            if not await self._lets_in():
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)  # who waits at it is told that it has ended
                return
            await asyncio.sleep(_SILENT_S)

    async def _lets_in(self) -> bool:
        """Whether the server has anything to say to who comes anew, be it that it is full."""
        args, options = self.how
        try:
            async with asyncio.timeout(_CONNECT_S):
                await (await psycopg.AsyncConnection.connect(*args, **options)).close()
        except TimeoutError:
            return False
        except psycopg.Error:
            return True
        return True


async def connect(*args: Any, **options: Any) -> Connection:
    """Connect within 5 s. The driver's own limit does not count how long the host's name takes to be looked up."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            conn = await Connection.connect(*args, **_VANISHED | options)
            conn.how = (args, options)
            return await _set_up(conn)
    except TimeoutError as error:
        raise psycopg.errors.ConnectionTimeout(f"no connection within {_CONNECT_S:g} s") from error


async def _set_up(conn: Connection) -> Connection:
    try:
        await conn.execute(_GONE)
        if not conn.autocommit:
            await conn.commit()
    except BaseException:
        await conn.close()
        raise
    return conn
