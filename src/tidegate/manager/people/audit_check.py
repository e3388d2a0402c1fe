"""Whether the audit log is as it was written; read piece by piece, whatever its length."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.audit import Entry, fault, miscounted
from tidegate.manager.parts import Parts
from tidegate.manager.people.audit import COUNTER
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import audit

PIECE = 1000


@dataclass(frozen=True, slots=True)
class Checked:
    """How many entries hold, where the log stops being what was written (None: nowhere), and the last good hash."""

    entries: int
    fault: str | None
    last_hash: str


class AuditChecks:
    """One of a process: goes through the log for all who want to know at the same time, over one connection.

    Who came while it was looked through shares what was found then.
    """

    def __init__(self, parts: Parts) -> None:
        self._db, self._clock = parts.db, parts.clock
        self._turn = asyncio.Lock()
        self._rounds = 0
        self._found: Checked | None = None
        self._looked_at: datetime | None = None

    @property
    def latest(self) -> tuple[Checked, datetime] | None:
        """What this process has found last, and when it had begun to look; None: it has not looked yet."""
        if self._found is None or self._looked_at is None:
            return None
        return self._found, self._looked_at

    async def check(self) -> Checked:
        """What was found. Raises `StoreUnavailableError`."""
        came = self._rounds
        async with self._turn:
            if self._found is None or self._rounds == came:
                began = self._clock()
                async with self._db.read() as conn:
                    self._found = await check_audit(conn)
                self._looked_at = began
                self._rounds += 1
            return self._found


async def check_audit(conn: AsyncConnection, piece: int = PIECE) -> Checked:
    """Go through the whole log, `piece` entries at a time, and see that it has as many as were written."""
    last: Entry | None = None
    held, written = 0, await current(conn, COUNTER)
    while True:
        after = last.number if last is not None else -1
        following = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(piece)
        entries = [Entry(**row) for row in (await conn.execute(following)).mappings()]
        good, wrong = await asyncio.to_thread(_holding, entries, last)
        held, last = held + good, entries[good - 1] if good else last
        if wrong is not None or not entries:
            wrong = wrong or miscounted(held, written)
            return Checked(held, wrong, last.hash if last is not None else "")


def _holding(entries: Sequence[Entry], last: Entry | None) -> tuple[int, str | None]:
    """How many of them hold, from the first on, after `last`; and what is wrong with the one that does not."""
    for number, entry in enumerate(entries):
        wrong = fault([entry], last)
        if wrong is not None:
            return number, wrong
        last = entry
    return len(entries), None
