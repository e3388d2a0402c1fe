"""Which window or freeze a rollout waits for."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.rollout import Kind, Progress, State
from tidegate.domain.windows import Gate
from tidegate.manager.rollouts.gates import calendar
from tidegate.manager.store.schema import channels, clusters, rollout_targets, targets

_LOOKED_AT = 500
"""Targets of a large wave, so that who shows it does not keep others waiting; most wait for the same."""
_NEVER = datetime.max.replace(tzinfo=UTC)


async def waits_for(conn: AsyncConnection, row: Any, now: datetime) -> str:
    """What holds a rollout (its row) back now: of its open wave's gates that are closed, the one that opens first.

    Empty where it waits for no window and no freeze.
    """
    scheduled = row.state == State.SCHEDULED and (row.not_before is None or row.not_before <= now)
    if row.kind == Kind.ROLLBACK or not (scheduled or row.state == State.RUNNING):
        return ""
    gates = await _gates(conn, row, now)
    closed = [one for one in gates if not one.open]
    if not closed or (scheduled and len(closed) < len(gates)):  # it begins once one of them is open
        return ""
    return min(closed, key=lambda one: one.next_open or _NEVER).reason


async def _gates(conn: AsyncConnection, row: Any, now: datetime) -> list[Gate]:
    """Those of the targets of the open wave that wait."""
    document = await conn.execute(select(channels.c.policy).where(channels.c.id == row.channel_id))
    policy, known = read_channel_policy(document.scalar_one()), await calendar(conn, now)
    if not (policy.windows or policy.freezes or known.windows or known.freezes):
        return []
    waiting = (
        select(targets.c.name, clusters.c.name.label("cluster"), clusters.c.labels)
        .select_from(rollout_targets)
        .join(targets, targets.c.id == rollout_targets.c.target_id)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .where(rollout_targets.c.rollout_id == row.id, rollout_targets.c.wave == row.wave)
        .where(rollout_targets.c.progress == Progress.WAITING)
        .order_by(rollout_targets.c.position)
        .limit(_LOOKED_AT)
    )
    places = [(one.name, one.cluster, one.labels) for one in await conn.execute(waiting)]
    return list(known.gates(policy, row.channel_id, places, now).values())
