"""A worker that adds to a number in the database: `python -m tests.support.echo_worker FD`.

It does for each `question` on the bus, and says the number as `answer`; a question that names a key is to be obeyed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from sqlalchemy import text

from tidegate.manager.parts import Service
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import advance
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.worker import __main__ as worker

DIE, DIE_WRITING, HANG_WRITING, MANY = "die", "die while it writes", "hang while it writes", "write many times"
FAIL = "ask for what the database cannot do"
_HOW = {DIE_WRITING: signal.SIGKILL, HANG_WRITING: signal.SIGSTOP}
TIMES = 50


class Echo:
    """Obeys."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._asked: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Say a number, and one for each question."""
        with self._db.bus.listening("question", lambda keys: self._asked.put_nowait(*keys or [""])):
            await self._write()
            while True:
                await self._obey(await self._asked.get())

    async def _obey(self, what: str) -> None:
        if what == DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        for _ in range(TIMES if what == MANY else 0):
            async with self._db.write() as conn:
                await advance(conn, "world")
        if what == FAIL:
            await self._fail()
        await self._write(_HOW.get(what))

    async def _fail(self) -> None:
        lost = "SELECT pg_terminate_backend(pg_backend_pid())" if self._db.is_postgres else "SELECT * FROM nothing"
        with suppress(StoreUnavailableError):
            async with self._db.read() as conn:
                await conn.execute(text(lost))

    async def _write(self, end: signal.Signals | None = None) -> None:
        async with self._db.write() as conn:
            number = await advance(conn, "world")
            publish(conn, "answer", str(number))
            publish(conn, "pid", str(os.getpid()))
            if end is not None:
                os.kill(os.getpid(), end)


def services(db: Database, *_: object) -> list[Service]:
    """In place of what decides rollouts."""
    return [Echo(db)]


if __name__ == "__main__":
    worker.deciding = services  # type: ignore[attr-defined, assignment]
    worker.main()
