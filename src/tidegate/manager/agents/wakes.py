"""Having rollouts decided anew: because an agent came or went, or told of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import IN_FLIGHT, Progress
from tidegate.manager.store.bus import publish
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import clusters, reports, rollout_targets, rollouts, targets
from tidegate.manager.store.topics import ROLLOUTS

_OPEN = [str(one) for one in (*IN_FLIGHT, Progress.WAITING, Progress.OFFLINE)]


async def wake(conn: AsyncConnection, ids: Iterable[int], now: datetime) -> None:
    """Have these rollouts decided now. Locks their rows, in the order of their ids."""
    for some in pieces(sorted(ids)):
        held = select(rollouts.c.id).where(rollouts.c.id.in_(some)).order_by(rollouts.c.id)
        there = (await conn.execute(held.with_for_update(key_share=True))).scalars().all()
        # also where it is due already: who decides it at the moment sees by this that there is news
        await conn.execute(update(rollouts).where(rollouts.c.id.in_(there)).values(wake_at=now))
        publish(conn, ROLLOUTS, *(str(id_) for id_ in there))


async def wake_rollouts_of(conn: AsyncConnection, agent_ids: Sequence[str], now: datetime) -> None:
    """Have those rollouts decided now that are not done with a target of these agents, ended or not."""
    statement = (
        select(rollout_targets.c.rollout_id)
        .join(targets, targets.c.id == rollout_targets.c.target_id)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .where(clusters.c.agent_id.in_(agent_ids), rollout_targets.c.progress.in_(_OPEN))
        .distinct()
    )
    await wake(conn, (await conn.execute(statement)).scalars().all(), now)


async def rollouts_at(conn: AsyncConnection, target_ids: Iterable[int]) -> set[int]:
    """The rollouts that are not done with one of these targets, ended or not."""
    found = set[int]()
    for some in pieces(sorted(target_ids)):
        at = rollout_targets.c.target_id.in_(some), rollout_targets.c.progress.in_(_OPEN)
        statement = select(rollout_targets.c.rollout_id).where(*at).distinct()
        found |= set((await conn.execute(statement)).scalars())
    return found


async def unheard(conn: AsyncConnection, now: datetime) -> Sequence[int]:
    """Rollouts that agents have told of, and that would be decided only later: their wake-up was lost."""
    later = or_(rollouts.c.wake_at.is_(None), rollouts.c.wake_at > now)
    told = select(reports.c.rollout_id).distinct()
    found: Sequence[Any] = (
        (await conn.execute(select(rollouts.c.id).where(rollouts.c.id.in_(told), later))).scalars().all()
    )
    return found
