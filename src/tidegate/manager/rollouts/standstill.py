"""Stopping ways back: for a database that was restored, whose rollouts know nothing of what has gone out since."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import ENDED, MISSED, Kind, State
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.rollouts.halt import leave_alone
from tidegate.manager.rollouts.rows import load, save
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import rollout_targets, rollouts
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.telling.feed import tell


async def stop_ways_back(conn: AsyncConnection, by: Actor, now: datetime, *, reason: str) -> list[int]:
    """Cancel every rollout that goes back; their numbers. No freeze holds these, and some no person can abort.

    What their agents have not begun is withdrawn once they are decided. One that was turned round is so no more: nobody
    else is to go where it would have put its targets. Those that have ended keep their state, and have nobody follow
    who comes back only now.
    """
    await current(conn, "world", hold=True, to_change=True)
    going_back = or_(
        rollouts.c.state == State.ROLLING_BACK,
        and_(rollouts.c.kind == Kind.ROLLBACK, rollouts.c.state.not_in(ENDED)),
    )
    found = await conn.execute(select(rollouts.c.id).where(going_back).order_by(rollouts.c.id))
    ids = list(found.scalars())
    for id_ in ids:
        await _stop(conn, id_, by, now, reason)
    await _have_nobody_follow(conn, by, now, reason)
    return ids


async def _have_nobody_follow(conn: AsyncConnection, by: Actor, now: datetime, reason: str) -> None:
    """Those that were away when a way back has ended stay as they are."""
    statement = (
        select(rollouts.c.id)
        .join(rollout_targets, rollout_targets.c.rollout_id == rollouts.c.id)
        .where(or_(rollouts.c.back_since.is_not(None), rollouts.c.kind == Kind.ROLLBACK), rollouts.c.state.in_(ENDED))
        .where(rollout_targets.c.progress.in_(MISSED))
        .distinct()
        .order_by(rollouts.c.id)
    )
    for id_ in (await conn.execute(statement)).scalars().all():
        loaded = await load(conn, id_, hold=True)
        if loaded is not None:
            await leave_alone(conn, loaded, list(loaded.ids), by, now, why=reason)


async def _stop(conn: AsyncConnection, id_: int, by: Actor, now: datetime, reason: str) -> None:
    loaded = await load(conn, id_, hold=True)
    if loaded is None:
        return
    before = loaded.rollout
    after = replace(before, state=State.CANCELLED, back_since=None, reason=reason)
    if not await save(conn, loaded, after, wake_at=now, now=now):
        return
    subject, states = f"rollout {id_}", [{"state": str(one.state)} for one in (before, after)]
    await record(conn, by, "rollout.abort", subject, now, before=states[0], after=states[1] | {"reason": reason})
    await tell(conn, "rollout.abort", subject, now, rollout=id_, by=by.name, reason=reason, **states[1])
    publish(conn, ROLLOUTS, after.id)
