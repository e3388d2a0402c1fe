"""Writing the audit log: each entry in the transaction of what it tells of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.audit import BEGINNING, Entry, follow
from tidegate.manager.store.counters import advance
from tidegate.manager.store.schema import audit

MANAGER = "tidegate"
"""The actor of what the manager does by itself."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person's name, or `agent NAME`, or `MANAGER`; `source` is the address that it came from."""

    name: str
    source: str = ""


async def record(
    conn: AsyncConnection,
    actor: Actor,
    action: str,
    subject: str,
    now: datetime,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry; `action` is such as `rollout.approve`, `subject` such as `rollout 12`. No secrets in either."""
    number = await advance(conn, "audit")
    last = await _last(conn, number - 1)
    entry = Entry(number, now, actor.name, actor.source, action, subject, before, after, BEGINNING)
    sealed = follow(last, entry)
    values = {name: getattr(sealed, name) for name in audit.c.keys()}  # noqa: SIM118 - columns have no other way
    await conn.execute(insert(audit).values(values))


async def _last(conn: AsyncConnection, number: int) -> Entry | None:
    row = (await conn.execute(select(audit).where(audit.c.number == number))).one_or_none()
    return Entry(**row._mapping) if row is not None else None  # noqa: SLF001 - the public name of it in SQLAlchemy
