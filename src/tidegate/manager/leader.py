"""Of several replicas on one PostgreSQL, the one that does what need not be done by each.

It saves work, no more: what is done has to be right where two do it, as for a moment when the leader has lost its lock
and does not know it yet.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from tidegate.manager.parts import Service
from tidegate.manager.store.postgres import connect
from tidegate.manager.supervision import at_work

_LOCK = int.from_bytes(b"tidegate")
"""Of PostgreSQL's advisory locks; each database has its own."""
_LOOK_S = 2.0
_GIVE_UP = "SELECT set_config(name, '15s', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
"""A leader that is suspended is not heard, and leads no more. PostgreSQL before 14 does not know the setting."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Leader:
    """Runs services while this replica leads. `dsn`: PostgreSQL's address."""

    dsn: str
    services: Sequence[Service]

    async def run(self) -> None:
        """Wait to lead, and lead, until cancelled."""
        while True:
            try:
                async with await connect(self.dsn, autocommit=True) as conn:
                    await self._lead(conn)
            except psycopg.Error as error:
                _log.warning("it is not known who decides rollouts; asking again", reason=" ".join(str(error).split()))
            await asyncio.sleep(_LOOK_S)

    async def _lead(self, conn: psycopg.AsyncConnection[Any]) -> None:
        await conn.execute(_GIVE_UP)
        await _take_lock(conn)
        _log.info("this replica decides rollouts")
        async with at_work(self.services):
            while True:
                await asyncio.sleep(_LOOK_S)
                await conn.execute("SELECT")


async def _take_lock(conn: psycopg.AsyncConnection[Any]) -> None:
    while True:
        row = await (await conn.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])).fetchone()
        if row is not None and row[0]:
            return
        await asyncio.sleep(_LOOK_S)
