"""Writing the audit log: each entry in the transaction of what it tells of."""

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Act:
    """What is entered; `action` is such as `rollout.approve`, `subject` such as `rollout 12`. No secrets anywhere."""

    actor: Actor
    action: str
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


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
    """Add an entry, of one `Act`."""
    await record_all(conn, [Act(actor, action, subject, before, after)], now)


async def record_all(conn: AsyncConnection, acts: Sequence[Act], now: datetime) -> None:
    """Add entries, in their order."""
    if not acts:
        return
    reached = await advance(conn, "audit", len(acts))
    last, rows = await _last(conn, reached - len(acts)), []
    for it in acts:
        entry = Entry(0, now, it.actor.name, it.actor.source, it.action, it.subject, it.before, it.after, BEGINNING)
        last = follow(last, entry)
        rows.append({name: getattr(last, name) for name in audit.c.keys()})  # noqa: SIM118 - columns have no other way
    await conn.execute(insert(audit), rows)


async def _last(conn: AsyncConnection, number: int) -> Entry | None:
    row = (await conn.execute(select(audit).where(audit.c.number == number))).mappings().one_or_none()
    return None if row is None else Entry(**row)
