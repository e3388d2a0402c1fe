"""Going back by hand: to what ran before, or to any earlier release; of a target, a cluster or a whole channel."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import IN_FLIGHT, Kind, Progress, Rollout, State, TargetProgress
from tidegate.domain.rollout_apply import Verb
from tidegate.manager.people.audit import Actor
from tidegate.manager.rollouts.create import CreateRefusedError, Wish, create
from tidegate.manager.rollouts.rows import load, save
from tidegate.manager.rollouts.runs import earlier
from tidegate.manager.rollouts.verbs import Order, carry_out
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import agents, clusters, quarantine, rollout_targets, rollouts, runs, targets

_LIVE = (State.AWAITING_APPROVAL, State.SCHEDULED, State.RUNNING, State.PAUSED, State.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class Going:
    """A target that goes back: what runs there, and what it goes back to; empty where that is not known."""

    id: int
    name: str
    channel_id: int
    running: str
    to: str


Which = Callable[[AsyncConnection, int, str | None], Awaitable[list[Going]]]
"""Finds what goes back: of a channel, a cluster or a target, to this digest or to what ran before."""


async def of_channel(conn: AsyncConnection, channel_id: int, to: str | None) -> list[Going]:
    """Every target of a channel. Raises `CreateRefusedError`."""
    return await _going(conn, _there().where(targets.c.channel_id == channel_id), to)


async def of_cluster(conn: AsyncConnection, cluster_id: int, to: str | None) -> list[Going]:
    """Every target of a cluster that follows a channel. Raises `CreateRefusedError`."""
    return await _going(conn, _there().where(targets.c.cluster_id == cluster_id), to)


async def of_target(conn: AsyncConnection, target_id: int, to: str | None) -> list[Going]:
    """One target. Raises `CreateRefusedError`."""
    return await _going(conn, _there().where(targets.c.id == target_id), to)


def _there() -> Select[Any]:
    return (
        select(targets.c.id, targets.c.name, targets.c.channel_id, targets.c.digest, targets.c.digest_since)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id.is_not(None), targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
        .order_by(targets.c.name)
    )


async def _going(conn: AsyncConnection, some: Select[Any], to: str | None) -> list[Going]:
    rows = (await conn.execute(some)).all()
    if not rows:
        raise CreateRefusedError("there is no target that follows a channel here: nothing can go back")
    ran = await earlier(conn, [one.id for one in rows])
    held = set((await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))).scalars())
    if to is not None:
        return await _all_to(conn, rows, ran, to, held)
    return [
        Going(one.id, one.name, one.channel_id, one.digest, _before(ran.get(one.id, []), one.digest, held))
        for one in rows
    ]


def _before(ran: Sequence[str], running: str, held: set[str]) -> str:
    """The latest that ran there and is neither what runs now nor in quarantine."""
    return next((digest for digest in ran if digest != running and digest not in held), "")


async def _all_to(
    conn: AsyncConnection, rows: Sequence[Row[Any]], ran: Mapping[int, Sequence[str]], to: str, held: set[str]
) -> list[Going]:
    """One release for all of them: each that it ran on, or whose channel it ran on before what runs there now.

    Not any that was seen: to bring one forward takes an update, with the approvals, windows and waves of its policy.
    """
    if to in held:
        raise CreateRefusedError(f"{to[:19]} is in quarantine; release it first, if it is to run again")
    first = await _first_ran(conn, to)
    going = [
        Going(row.id, row.name, row.channel_id, row.digest, to)
        for row in rows
        if to == row.digest or to in ran.get(row.id, ()) or _is_before(first.get(row.channel_id), row.digest_since)
    ]
    if not going:
        raise CreateRefusedError(
            f"{to[:19]} never ran on any of these targets, nor on their channels before what runs there now: "
            f"`tidegate rollout start` sends it out, by the channel's policy"
        )
    return going


def _is_before(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


async def _first_ran(conn: AsyncConnection, digest: str) -> dict[int, datetime]:
    """By channels' ids, since when a release has run on one of their targets."""
    statement = (
        select(targets.c.channel_id, func.min(runs.c.since))
        .join(targets, targets.c.id == runs.c.target_id)
        .where(runs.c.digest == digest, targets.c.channel_id.is_not(None))
        .group_by(targets.c.channel_id)
    )
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def go_back(
    conn: AsyncConnection, going: Sequence[Going], by: Actor, now: datetime, *, reason: str = ""
) -> list[Rollout]:
    """Make the rollbacks that this takes: one for each channel and release to go back to.

    None for what runs already. Targets are taken out of rollouts under way that would bring them forward again.
    Raises `CreateRefusedError`.
    """
    await current(conn, "world", hold=True)  # first, as everywhere: who changes it changes rollouts next
    lost = [one.name for one in going if not one.to]
    moving = [one for one in going if one.to and one.to != one.running]
    if not moving and lost:
        raise CreateRefusedError(
            f"nothing is known to have run before on {lost[0]}"
            + (f" and {len(lost) - 1} more" if lost[1:] else "")
            + " that is not in quarantine: name the release to go back to"
        )
    await _take_out(conn, [one.id for one in moving], by, now)
    groups: dict[tuple[int, str], list[int]] = {}
    for one in moving:
        groups.setdefault((one.channel_id, one.to), []).append(one.id)
    return [
        await create(conn, Wish(channel_id, digest, Kind.ROLLBACK, ids, reason=reason), by, now)
        for (channel_id, digest), ids in groups.items()
    ]


async def roll_back_what_is_under_way(
    conn: AsyncConnection, channel_id: int, by: Actor, now: datetime, *, reason: str = ""
) -> Rollout | None:
    """Turn the update of a channel round that is under way; None where there is none."""
    statement = (
        select(rollouts.c.id)
        .where(rollouts.c.channel_id == channel_id, rollouts.c.state.in_((State.RUNNING, State.PAUSED)))
        .where(rollouts.c.kind == Kind.UPDATE, rollouts.c.whole)
        .order_by(rollouts.c.id.desc())
    )
    for id_ in (await conn.execute(statement)).scalars().all():
        return await carry_out(conn, id_, Order(Verb.ROLL_BACK, by, reason), now)
    return None


async def _take_out(conn: AsyncConnection, target_ids: Sequence[int], by: Actor, now: datetime) -> None:
    """Have rollouts under way leave these targets alone from now on. Raises `CreateRefusedError`."""
    statement = (
        select(rollouts.c.id)
        .join(rollout_targets, rollout_targets.c.rollout_id == rollouts.c.id)
        .where(rollouts.c.state.in_(_LIVE), rollout_targets.c.target_id.in_(target_ids))
        .distinct()
        .order_by(rollouts.c.id)
    )
    for id_ in (await conn.execute(statement)).scalars().all():
        loaded = await load(conn, id_, hold=True)
        if loaded is None:
            continue
        names = {name for name, target in loaded.ids.items() if target in set(target_ids)}
        after = _without(loaded.rollout, names, by)
        await save(conn, loaded, after, wake_at=now, now=now)


def _without(it: Rollout, names: set[str], by: Actor) -> Rollout:
    moving = [name for name in sorted(names) if it.targets[name].progress in IN_FLIGHT]
    if moving:
        raise CreateRefusedError(
            f"{moving[0]} is being moved by rollout {it.id} right now: abort that one, or roll it back; or wait for it"
        )
    why = f"left alone: {by.name} rolls it back"
    settled = {Progress.SKIPPED, Progress.FAILED}
    out = {name: _left(it.targets[name], why) for name in names if it.targets[name].progress not in settled}
    return replace(it, targets={**it.targets, **out}) if out else it


def _left(one: TargetProgress, why: str) -> TargetProgress:
    return replace(one, progress=Progress.SKIPPED, reason=why, deadline=None, excused=True, touched=False)
