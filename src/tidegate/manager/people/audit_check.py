"""Whether the audit log is as it was written; read piece by piece, whatever its length."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
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
        rows = (
            await conn.execute(select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(piece))
        ).all()
        entries = [entry(row) for row in rows]
        wrong = await asyncio.to_thread(fault, entries, last)
        if wrong is not None or not entries:
            return Checked(held, wrong, last.hash if last is not None else "")
        last, held = entries[-1], held + len(entries)


def entry(row: Row[Any]) -> Entry:
    """An entry from its row."""
    return Entry(**row._mapping)  # noqa: SLF001 - the public name of it in SQLAlchemy
