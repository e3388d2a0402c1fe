"""What a window or a freeze has a say in: shown before it is made or taken away."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.rollout import State
from tidegate.manager.console.words import release
from tidegate.manager.rollouts.gates import Scope
from tidegate.manager.rollouts.views import rollout_rows
from tidegate.manager.rollouts.waiting import waits_for
from tidegate.manager.store.schema import channels, clusters, rollouts, targets, windows

_MOST_ROLLOUTS = 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """A rollout that waits for a window or a freeze now."""

    id: int
    text: str
    waits_for: str


@dataclass(frozen=True, slots=True)
class Touched:
    """`targets` by names of channels; `beside`: other windows for some of them; `waiting`: what may begin."""

    targets: Mapping[str, int]
    clusters: int
    beside: Sequence[str]
    waiting: Sequence[Waiting]


async def touched(conn: AsyncConnection, scope: Scope, now: datetime, *, but: int = 0) -> Touched:
    """Of what is for `scope`; `but`: a window that is none of those beside it."""
    counts, places = await _targets(conn, scope)
    rows = await conn.execute(select(channels.c.id, channels.c.name, channels.c.policy).order_by(channels.c.name))
    each = [one for one in rows if not scope.channels or one.id in scope.channels]
    beside = await _windows(conn, scope, but)
    beside += [f"those of {one.name}" for one in each if read_channel_policy(one.policy).windows]
    named = {one.name: counts[one.id] for one in each if counts[one.id]}
    return Touched(named, places, beside, await _waiting(conn, [one for one in counts if counts[one]], now))


async def _targets(conn: AsyncConnection, scope: Scope) -> tuple[Counter[int], int]:
    """How many of each channel there are, and in how many clusters."""
    statement = (
        select(targets.c.channel_id, targets.c.cluster_id, func.count().label("many"))
        .where(targets.c.gone_at.is_(None), targets.c.channel_id.is_not(None))
        .group_by(targets.c.channel_id, targets.c.cluster_id)
    )
    rows = await conn.execute(select(clusters.c.id, clusters.c.name, clusters.c.labels))
    known = {one.id: (one.name, one.labels or {}) for one in rows}
    counts, where = Counter[int](), set[int]()
    for one in await conn.execute(statement):
        if scope.holds(one.channel_id, *known[one.cluster_id]):
            counts[one.channel_id] += one.many
            where.add(one.cluster_id)
    return counts, len(where)


async def _windows(conn: AsyncConnection, scope: Scope, but: int) -> list[str]:
    rows = await conn.execute(select(windows.c.id, windows.c.name, windows.c.scope).order_by(windows.c.name))
    return [one.name for one in rows if one.id != but and Scope.of(one.scope).meets(scope)]


async def _waiting(conn: AsyncConnection, ids: Iterable[int], now: datetime) -> list[Waiting]:
    statement = rollout_rows().where(
        rollouts.c.channel_id.in_(sorted(ids)), rollouts.c.state.in_((State.SCHEDULED, State.RUNNING))
    )
    found = []
    for one in await conn.execute(statement.order_by(rollouts.c.id).limit(_MOST_ROLLOUTS)):
        why = await waits_for(conn, one, now)
        if why:
            found.append(Waiting(one.id, f"{release(one.version, one.digest)} for {one.channel_name}", why))
    return found
