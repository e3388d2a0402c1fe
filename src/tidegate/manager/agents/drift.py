"""Drift: a target runs something else than the manager had put there last, and nothing is under way there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import assignments, targets
from tidegate.manager.telling.feed import Said, tell_all


async def has_drifted(conn: AsyncConnection) -> bool:
    """Whether there is any change of drift to be noted."""
    return (await conn.execute(select(targets.c.id).where(_differs() != _noted()).limit(1))).first() is not None


async def note_drift(conn: AsyncConnection, now: datetime, ids: Sequence[int] | None = None) -> list[Said]:
    """Note since when targets have drifted, and that they do no more; of all, or of these. Gives what to tell of it."""
    if ids is None:
        return await _note(conn, now, true())
    feed = list[Said]()
    for some in pieces(sorted(ids)):
        feed += await _note(conn, now, targets.c.id.in_(some))
    return feed


async def _note(conn: AsyncConnection, now: datetime, which: Any) -> list[Said]:
    what = targets.c.name, targets.c.digest, targets.c.wanted
    begins = update(targets).where(which, _differs(), ~_noted()).values(drift_since=now).returning(*what)
    ends = update(targets).where(which, ~_differs(), _noted()).values(drift_since=None).returning(*what)
    events = [_event("target.drift", row) for row in await conn.execute(begins)]
    events += [_event("target.drift_over", row) for row in await conn.execute(ends)]
    return sorted(events, key=lambda one: one[:2])


def _event(kind: str, row: Any) -> Said:
    return kind, f"target {row.name}", {"target": row.name, "digest": row.digest, "wanted": row.wanted}


def _differs() -> Any:
    under_way = exists().where(assignments.c.target_id == targets.c.id, assignments.c.open)
    there = targets.c.gone_at.is_(None)
    return and_(there, targets.c.wanted != "", targets.c.digest != targets.c.wanted, ~under_way)


def _noted() -> Any:
    return targets.c.drift_since.is_not(None)


async def tell_drift(conn: AsyncConnection, now: datetime) -> None:
    """Note drift, and that it is over, wherever it is so; it is told."""
    await tell_all(conn, await note_drift(conn, now), now)
