"""How PostgreSQL is connected to: within a limit, and so that each side notices when the other one has vanished."""

import asyncio
from typing import Any

import psycopg

_CONNECT_S = 5.0
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


async def connect(*args: Any, **options: Any) -> psycopg.AsyncConnection[Any]:
    """Connect within 5 s. The driver's own limit does not count how long the host's name takes to be looked up."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            conn = await psycopg.AsyncConnection.connect(*args, **_VANISHED | options)
            return await _set_up(conn)
    except TimeoutError as error:
        raise psycopg.errors.ConnectionTimeout(f"no connection within {_CONNECT_S:g} s") from error


async def _set_up(conn: psycopg.AsyncConnection[Any]) -> psycopg.AsyncConnection[Any]:
    try:
        await conn.execute(_GONE)
        if not conn.autocommit:
            await conn.commit()
    except BaseException:
        await conn.close()
        raise
    return conn
