"""What is so around a rollout, read from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate
from tidegate.manager.rollouts.gates import calendar
from tidegate.manager.rollouts.rows import Loaded
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import (
    agents,
    assignments,
    channels,
    clusters,
    quarantine,
    rollout_targets,
    rollouts,
    targets,
)

NOT_BEGUN = {State.AWAITING_APPROVAL, State.SCHEDULED}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is; `agent` is the id of its agent, `service` its name within the project."""

    agent: str
    project: str
    service: str
    repository: str


@dataclass(frozen=True, slots=True)
class Around:
    """The world of a rollout, what number it had, and the targets' places by their names."""

    world: World
    number: int
    places: Mapping[str, Place]


async def look(conn: AsyncConnection, it: Loaded, now: datetime, heard_from: datetime | None) -> Around:
    """What is so around a rollout; agents are heard since `heard_from`."""
    number = await current(conn, "world")
    rows = await _targets(conn, int(it.rollout.id))
    world = World(
        now=now,
        online=frozenset(one.name for one in rows if _is_there(one)),
        gates=await _gates(conn, it, rows, now),
        taken=await _taken(conn, int(it.rollout.id)),
        generations={one.name: max(one.generation, _minutes(now)) for one in rows},
        running={one.name: one.digest for one in rows},
        quarantine=await _quarantined(conn, it),
        superseded_by=await _superseded_by(conn, it),
        heard_from=heard_from,
    )
    return Around(
        world, number, {one.name: Place(one.agent_id, one.project, one.service, one.repository) for one in rows}
    )


def _minutes(now: datetime) -> int:
    """Generations rise with the time, so that a database that was restored gives none that agents know already."""
    return int(now.timestamp() // 60)


async def _gates(
    conn: AsyncConnection, it: Loaded, rows: Sequence[Row[tuple[object, ...]]], now: datetime
) -> dict[str, Gate]:
    """Windows and freezes; who goes back waits for none."""
    if it.rollout.kind is Kind.ROLLBACK:
        return {}
    document = await conn.execute(select(channels.c.policy).where(channels.c.id == it.channel_id))
    policy = read_channel_policy(document.scalar_one())
    places = [(one.name, one.cluster, one.labels) for one in rows]
    return (await calendar(conn, now)).gates(policy, it.channel_id, places, now)


async def _targets(conn: AsyncConnection, id_: int) -> list[Row[tuple[object, ...]]]:
    statement = (
        select(
            targets.c.name,
            targets.c.service,
            targets.c.repository,
            targets.c.digest,
            targets.c.generation,
            targets.c.gone_at,
            clusters.c.name.label("cluster"),
            clusters.c.project,
            clusters.c.labels,
            clusters.c.agent_id,
            agents.c.online,
            agents.c.revoked_at,
        )
        .select_from(rollout_targets)
        .join(targets, targets.c.id == rollout_targets.c.target_id)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(rollout_targets.c.rollout_id == id_)
    )
    return list(await conn.execute(statement))


def _is_there(one: Row[tuple[object, ...]]) -> bool:
    return bool(one.online and one.revoked_at is None and one.gone_at is None)


async def _taken(conn: AsyncConnection, id_: int) -> frozenset[str]:
    statement = (
        select(targets.c.name)
        .join(assignments, assignments.c.target_id == targets.c.id)
        .where(assignments.c.open, assignments.c.rollout_id != id_)
    )
    return frozenset((await conn.execute(statement)).scalars())


async def _quarantined(conn: AsyncConnection, it: Loaded) -> frozenset[str]:
    """Of the digests that this rollout knows, those in quarantine."""
    known = {it.rollout.digest, *(one.before for one in it.rollout.targets.values() if one.before)}
    found = (await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))).scalars()
    return frozenset(found) & known


async def _superseded_by(conn: AsyncConnection, it: Loaded) -> str:
    """The first later rollout of the whole channel that has begun, or that goes out in its place."""
    began: ColumnElement[bool] = rollouts.c.begun_at.is_not(None)
    if it.rollout.state in NOT_BEGUN and it.whole:
        began = or_(began, rollouts.c.state == State.SCHEDULED)
        if it.rollout.state is State.AWAITING_APPROVAL:
            began = or_(began, rollouts.c.state == State.AWAITING_APPROVAL)
    statement = (
        select(rollouts.c.id)
        .where(rollouts.c.channel_id == it.channel_id, rollouts.c.id > int(it.rollout.id), rollouts.c.whole, began)
        .order_by(rollouts.c.id)
        .limit(1)
    )
    found = (await conn.execute(statement)).scalar()
    return "" if found is None else str(found)
