"""How PostgreSQL is connected to: within a limit, and so that a server that has vanished is noticed."""

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


async def connect(*args: Any, **options: Any) -> psycopg.AsyncConnection[Any]:
    """Connect within 5 s. The driver's own limit does not count how long the host's name takes to be looked up."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            return await psycopg.AsyncConnection.connect(*args, **_VANISHED | options)
    except TimeoutError as error:
        raise psycopg.errors.ConnectionTimeout(f"no connection within {_CONNECT_S:g} s") from error
