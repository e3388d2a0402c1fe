"""Writing the audit log: each entry in the transaction of what it tells of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.audit import BEGINNING, Entry, follow, miscounted
from tidegate.manager.store.counters import advance
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import audit

COUNTER = "audit"
"""Counts the entries that were written."""
_RETRY_S = 30
_WHERE = 'docs/manager-operations.md, "An audit log that does not hold"'
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


class AuditBrokenError(StoreUnavailableError):
    """The log's end is not what was written: no entry can follow it, and nothing is done that would need one."""

    def __init__(self, wrong: str) -> None:
        told = f"the audit log does not hold: {wrong}. What needs an entry is not done until a backup is restored"
        super().__init__(f"{told} ({_WHERE})", retry_after_s=_RETRY_S, for_all=False)


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
    """Add an entry, of one `Act`. Raises `AuditBrokenError`."""
    await record_all(conn, [Act(actor, action, subject, before, after)], now)


async def record_all(conn: AsyncConnection, acts: Sequence[Act], now: datetime) -> None:
    """Add entries, in their order. Raises `AuditBrokenError`."""
    if not acts:
        return
    reached = await advance(conn, COUNTER, len(acts))
    last, rows = await _last(conn, reached - len(acts)), []
    for it in acts:
        entry = Entry(0, now, it.actor.name, it.actor.source, it.action, it.subject, it.before, it.after, BEGINNING)
        last = follow(last, entry)
        rows.append({name: getattr(last, name) for name in audit.c.keys()})  # noqa: SIM118 - columns have no other way
    await conn.execute(insert(audit), rows)


async def _last(conn: AsyncConnection, written: int) -> Entry | None:
    """The last entry, which has to be the one that was written last. Raises `AuditBrokenError`."""
    newest = select(audit).order_by(audit.c.number.desc()).limit(1)
    row = (await conn.execute(newest)).mappings().one_or_none()
    wrong = miscounted(0 if row is None else row["number"], written)
    if wrong is not None:
        raise AuditBrokenError(wrong)
    return None if row is None else Entry(**row)
