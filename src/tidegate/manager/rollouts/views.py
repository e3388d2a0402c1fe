"""Rollouts as people ask for them: rows with the names of what they are about."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import Progress
from tidegate.manager.store.schema import approvals, channels, clusters, releases, rollout_targets, rollouts, targets


def rollout_rows() -> Select[Any]:
    """Rollouts with `channel_name` and `version`; without their policies, but for how many have to approve."""
    release = and_(releases.c.channel_id == rollouts.c.channel_id, releases.c.digest == rollouts.c.digest)
    return (
        select(rollouts, channels.c.name.label("channel_name"), func.coalesce(releases.c.version, "").label("version"))
        .join(channels, channels.c.id == rollouts.c.channel_id)
        .outerjoin(releases, release)
    )


async def approvals_of(conn: AsyncConnection, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """By rollouts, who has approved them and when."""
    found: dict[int, list[dict[str, Any]]] = {}
    statement = select(approvals).where(approvals.c.rollout_id.in_(ids)).order_by(approvals.c.at, approvals.c.by)
    for one in await conn.execute(statement):
        found.setdefault(one.rollout_id, []).append({"by": one.by, "at": one.at})
    return found


async def waves_of(conn: AsyncConnection, id_: int) -> list[dict[str, Any]]:
    """How many targets of each wave are where; waves count from 1."""
    statement = (
        select(rollout_targets.c.wave, rollout_targets.c.progress, func.count().label("many"))
        .where(rollout_targets.c.rollout_id == id_)
        .group_by(rollout_targets.c.wave, rollout_targets.c.progress)
        .order_by(rollout_targets.c.wave)
    )
    waves: dict[int, dict[str, int]] = {}
    for one in await conn.execute(statement):
        waves.setdefault(one.wave + 1, dict.fromkeys(map(str, Progress), 0))[one.progress] = one.many
    return [{"wave": wave, "counts": counts} for wave, counts in waves.items()]


def target_rows(id_: int) -> Select[Any]:
    """The targets of a rollout, with what runs on each."""
    return (
        select(rollout_targets, targets.c.digest.label("running"), clusters.c.name.label("cluster"))
        .join(targets, targets.c.id == rollout_targets.c.target_id)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .where(rollout_targets.c.rollout_id == id_)
    )


async def ids_of_targets(conn: AsyncConnection, names: Sequence[str]) -> Mapping[str, int]:
    """By names of targets, their ids; without those that are not known."""
    rows = await conn.execute(select(targets.c.name, targets.c.id).where(targets.c.name.in_(names)))
    return {one.name: one.id for one in rows}


async def targets_of_clusters(conn: AsyncConnection, names: Sequence[str], channel_id: int) -> Mapping[str, list[int]]:
    """By names of clusters, their targets of a channel; without clusters that are not known."""
    statement = (
        select(clusters.c.name, targets.c.id)
        .outerjoin(targets, and_(targets.c.cluster_id == clusters.c.id, targets.c.channel_id == channel_id))
        .where(clusters.c.name.in_(names))
    )
    found: dict[str, list[int]] = {}
    for one in await conn.execute(statement):
        found.setdefault(one.name, []).extend([one.id] if one.id is not None else [])
    return found
