"""What is so around a rollout, read from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import ChannelPolicy, read_channel_policy
from tidegate.domain.rollout import Kind
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate
from tidegate.manager.rollouts import others
from tidegate.manager.rollouts.by_hand import forbids
from tidegate.manager.rollouts.gates import calendar
from tidegate.manager.rollouts.rows import Loaded
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import (
    agents,
    assignments,
    channels,
    clusters,
    rollout_targets,
    targets,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is; `agent` is the id of its agent, `service` its name within the project.

    `repository` and `tag` are what it follows; no tag: a digest.
    """

    agent: str
    project: str
    service: str
    repository: str
    tag: str


@dataclass(frozen=True, slots=True)
class Around:
    """The world of a rollout, what number it had, and the targets' places by their names."""

    world: World
    number: int
    places: Mapping[str, Place]


async def look(
    conn: AsyncConnection, it: Loaded, now: datetime, heard_from: datetime | None, *, ways_back: bool
) -> Around:
    """What is so around a rollout; agents are heard since `heard_from`.

    What its targets go back to takes long to find out where many have a history: that is read for `ways_back`, and of
    one that goes back.
    """
    number = await current(conn, "world")
    policy = await _policy(conn, it)
    rows = await _targets(conn, int(it.rollout.id))
    held = await others.quarantined(conn)
    world = World(
        now=now,
        online=frozenset(one.name for one in rows if _is_there(one)),
        gates=await _gates(conn, it, policy, rows, now),
        taken=await others.taken(conn, it),
        generations={one.name: max(one.generation, _minutes(now)) for one in rows},
        running={one.name: one.digest for one in rows},
        quarantine=held & _known(it),
        superseded_by=await others.superseded_by(conn, it, now),
        overtaken=await others.overtaken(conn, it),
        moved_on=await others.moved_on(conn, it),
        elsewhere={one.name: _followed(one) for one in rows if one.channel_id != it.channel_id},
        monitored=frozenset(one.name for one in rows if one.held),
        cut_off=await _cut_off(conn, it),
        earlier=await others.earlier(conn, it, held) if ways_back or it.rollout.back_since is not None else {},
        heard_from=heard_from,
        at_work=await others.at_work(conn, it, now),
        asks=policy.rollout.approvals,
        forbids=await forbids(conn, it, policy, now),
    )
    return Around(world, number, {one.name: _place(one) for one in rows})


def _place(one: Row[tuple[object, ...]]) -> Place:
    return Place(one.agent_id, one.project, one.service, one.repository, one.tag)


def _minutes(now: datetime) -> int:
    """Generations rise with the time, so that a database that was restored gives none that agents know already."""
    return int(now.timestamp() // 60)


async def _policy(conn: AsyncConnection, it: Loaded) -> ChannelPolicy:
    """The policy of its channel, as it is now."""
    document = await conn.execute(select(channels.c.policy).where(channels.c.id == it.channel_id))
    return read_channel_policy(document.scalar_one())


async def _gates(
    conn: AsyncConnection,
    it: Loaded,
    policy: ChannelPolicy,
    rows: Sequence[Row[tuple[object, ...]]],
    now: datetime,
) -> dict[str, Gate]:
    """Windows and freezes; who goes back waits for none."""
    if it.rollout.kind is Kind.ROLLBACK:
        return {}
    places = [(one.name, one.cluster, one.labels) for one in rows]
    return (await calendar(conn, now)).gates(policy, it.channel_id, places, now)


async def _targets(conn: AsyncConnection, id_: int) -> list[Row[tuple[object, ...]]]:
    statement = (
        select(
            targets.c.name,
            targets.c.service,
            targets.c.channel_id,
            targets.c.image,
            targets.c.repository,
            targets.c.tag,
            targets.c.digest,
            targets.c.generation,
            targets.c.gone_at,
            targets.c.held,
            targets.c.seen_at,
            clusters.c.name.label("cluster"),
            clusters.c.project,
            clusters.c.labels,
            clusters.c.agent_id,
            agents.c.online,
            agents.c.enrolled_at,
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
    """Its agent has to have told of it, too: what one before it has told may not be so any more."""
    return bool(one.online and one.revoked_at is None and one.gone_at is None and one.seen_at >= one.enrolled_at)


def _followed(one: Row[tuple[object, ...]]) -> str:
    return f"{one.repository}:{one.tag}" if one.tag else str(one.image)


async def _cut_off(conn: AsyncConnection, it: Loaded) -> dict[str, int]:
    """Targets with an assignment of this rollout under way whose agent was revoked, and its generation."""
    if not any(one.in_flight for one in it.rollout.targets.values()):
        return {}
    statement = (
        select(targets.c.name, assignments.c.generation)
        .join(assignments, assignments.c.target_id == targets.c.id)
        .join(agents, agents.c.id == assignments.c.agent_id)
        .where(assignments.c.open, assignments.c.rollout_id == int(it.rollout.id), agents.c.revoked_at.is_not(None))
    )
    return {one.name: one.generation for one in await conn.execute(statement)}


def _known(it: Loaded) -> frozenset[str]:
    """The digests that this rollout has to do with."""
    return frozenset({it.rollout.digest, *(one.before for one in it.rollout.targets.values() if one.before)})
