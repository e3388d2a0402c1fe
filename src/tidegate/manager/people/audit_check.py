"""Whether the audit log is as it was written; read piece by piece, whatever its length."""

import asyncio
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.audit import Entry, fault
from tidegate.manager.store.schema import audit

PIECE = 1000


@dataclass(frozen=True, slots=True)
class Checked:
    """How many entries hold, where the log stops being what was written (None: nowhere), and the last good hash."""

    entries: int
    fault: str | None
    last_hash: str


async def check_audit(conn: AsyncConnection, piece: int = PIECE) -> Checked:
    """Go through the whole log, `piece` entries at a time."""
    last: Entry | None = None
    held = 0
    while True:
        after = last.number if last is not None else -1
        following = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(piece)
        entries = [Entry(**row) for row in (await conn.execute(following)).mappings()]
        wrong = await asyncio.to_thread(fault, entries, last)
        if wrong is not None or not entries:
            return Checked(held, wrong, last.hash if last is not None else "")
        last, held = entries[-1], held + len(entries)
