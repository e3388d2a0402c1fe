"""Making a rollout: which targets it is for, and what of it is written down."""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import ChannelPolicy, read_channel_policy
from tidegate.domain.rollout import ENDED, Kind, Planned, Rollout, State, plan_rollout
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.rollouts.effects import wake_channel
from tidegate.manager.rollouts.rows import add, counts
from tidegate.manager.rollouts.runs import want_there
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import agents, channels, clusters, quarantine, rollouts, targets
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.telling.feed import tell

_NAMED = 3
"""Of more targets than that, a message names only so many."""


class CreateRefusedError(Exception):
    """A rollout that is not made; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to go out: `targets` are ids; None: every target of the channel.

    `named` are those of them that were named one by one: it goes to none, if it cannot go to each.
    """

    channel_id: int
    digest: str
    kind: Kind = Kind.UPDATE
    targets: Collection[int] | None = None
    named: AbstractSet[int] = frozenset()
    not_before: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A target that a rollout may be for; `monitored`: no update moves it, by its host's word."""

    id: int
    planned: Planned
    monitored: bool = False


async def members(conn: AsyncConnection, channel_id: int) -> list[Member]:
    """The targets of a channel that are there, or may come back, in the order of their names."""
    rows = await conn.execute(select_members(channel_id))
    return [Member(one.id, Planned(one.name, one.labels, one.digest), one.held) for one in rows]


def select_members(channel_id: int) -> Select[Any]:
    """Finds them: the targets whose agents were not revoked."""
    return (
        select(targets.c.id, targets.c.name, targets.c.digest, targets.c.held, clusters.c.labels)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id == channel_id, targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
        .order_by(targets.c.name)
    )


async def create(conn: AsyncConnection, wish: Wish, by: Actor, now: datetime) -> Rollout:
    """Plan a rollout and write it down. Raises `CreateRefusedError`."""
    await current(conn, "world", hold=True)
    policy = await _policy(conn, wish.channel_id)
    _refuse_too_late(wish, policy, now)
    await _refuse_quarantined(conn, wish.digest)
    there = await members(conn, wish.channel_id)
    asked = there if wish.targets is None else [one for one in there if one.id in wish.targets]
    found, chosen = _free(there, wish), _free(asked, wish)
    if asked and not chosen:
        raise CreateRefusedError(f"{_names(asked)}: monitored only, as it is set where it runs")
    if not chosen or wish.named - {one.id for one in there}:
        raise CreateRefusedError(await _why_not(conn, wish, there))
    if not wish.named <= {one.id for one in found}:
        held = [one for one in there if one.id in wish.named and one.monitored]
        raise CreateRefusedError(f"{_names(held)}: monitored only, as it is set where it runs; leave it out")
    planned = plan_rollout(
        "0",
        str(wish.channel_id),
        wish.digest,
        [one.planned for one in chosen],
        policy.rollout if wish.kind is Kind.UPDATE else policy.rollout.for_rollback(),
        requested_by=by.name,
        now=now,
        kind=wish.kind,
        not_before=wish.not_before,
    )
    if wish.reason and not planned.reason:
        planned = replace(planned, reason=wish.reason)
    whole = len(chosen) == len(found) and not planned.ended
    if whole and wish.kind is Kind.UPDATE:
        await _refuse_under_way(conn, wish)
    made = await add(conn, planned, policy, {one.planned.id: one.id for one in chosen}, whole=whole, now=now)
    if made.state is not State.AWAITING_APPROVAL:
        await want_there(conn, [one.id for one in asked if one.planned.running == wish.digest], wish.digest)
    await _tell(conn, made, by, now, wish.reason)
    return made


def _free(found: list[Member], wish: Wish) -> list[Member]:
    """Those that it can be for: a wave of targets that nobody may update would never be healthy."""
    return [one for one in found if wish.kind is not Kind.UPDATE or not one.monitored]


def _names(some: list[Member]) -> str:
    return ", ".join(one.planned.id for one in some[:_NAMED]) + (" and others" if some[_NAMED:] else "")


async def _why_not(conn: AsyncConnection, wish: Wish, there: list[Member]) -> str:
    """Why there is nothing to roll out to: nothing follows the channel, or what is named follows something else."""
    if wish.targets is None:
        return "no target follows this channel: there is nothing to roll out to"
    strange = sorted(set(wish.named or wish.targets) - {one.id for one in there})
    named = (
        select(targets.c.name, targets.c.channel_id, channels.c.name.label("channel"))
        .outerjoin(channels, channels.c.id == targets.c.channel_id)
        .where(targets.c.id.in_(strange[:_NAMED]))
        .order_by(targets.c.name)
    )
    why = [f"{one.name} {_follows(one, wish.channel_id)}" for one in await conn.execute(named)]
    if not why:
        return "no target of what is named follows this channel: there is nothing to roll out to"
    more = f", and {len(strange) - _NAMED} more" if len(strange) > _NAMED else ""
    which = "none" if len(strange) == len(wish.named or wish.targets) else "not each"
    return f"{which} of the named targets follows this channel: {', '.join(why)}{more}"


def _follows(one: Any, channel_id: int) -> str:
    if one.channel_id == channel_id:
        return "is gone, or its agent was revoked"
    return f"follows {one.channel}" if one.channel else "follows no channel"


async def _policy(conn: AsyncConnection, channel_id: int) -> ChannelPolicy:
    found = await conn.execute(select(channels.c.policy).where(channels.c.id == channel_id))
    document = found.scalar_one_or_none()
    if document is None:
        raise CreateRefusedError(f"there is no channel {channel_id}")
    return read_channel_policy(document)


def _refuse_too_late(wish: Wish, policy: ChannelPolicy, now: datetime) -> None:
    ends_at = now + policy.rollout.expires
    if wish.not_before is not None and wish.not_before >= ends_at:
        raise CreateRefusedError(
            f"it is not to begin before {wish.not_before:%Y-%m-%d %H:%M} UTC, and it would expire at "
            f"{ends_at:%Y-%m-%d %H:%M} UTC, by the channel's policy: name an earlier time, or ask for it later"
        )


async def _refuse_quarantined(conn: AsyncConnection, digest: str) -> None:
    held = select(quarantine.c.id, quarantine.c.reason).where(
        quarantine.c.digest == digest, quarantine.c.released_at.is_(None)
    )
    row = (await conn.execute(held)).first()
    if row is not None:
        raise CreateRefusedError(
            f"{digest[:19]} is in quarantine ({row.reason or 'no reason was given'}): if it is to go out all the same, "
            f"first `tidegate quarantine release {row.id}` (an admin)"
        )


async def _refuse_under_way(conn: AsyncConnection, wish: Wish) -> None:
    """A second one would take the place of the first, with what people have approved of it."""
    same = rollouts.c.channel_id == wish.channel_id, rollouts.c.digest == wish.digest, rollouts.c.kind == wish.kind
    statement = select(rollouts.c.id, rollouts.c.state).where(*same, rollouts.c.whole, rollouts.c.state.not_in(ENDED))
    row = (await conn.execute(statement)).first()
    if row is not None:
        state = row.state.replace("_", " ")
        raise CreateRefusedError(f"rollout {row.id} of this release is {state}: go on with that one, or abort it first")


async def _tell(conn: AsyncConnection, made: Rollout, by: Actor, now: datetime, reason: str) -> None:
    """With the reason, which the rollout itself has only until it begins."""
    await wake_channel(conn, int(made.channel), now)
    subject = f"rollout {made.id}"
    what = {"channel": int(made.channel), "digest": made.digest, "kind": str(made.kind), "targets": len(made.targets)}
    said = {"reason": reason} if reason else {}
    await record(conn, by, "rollout.create", subject, now, after={**what, "state": str(made.state), **said})
    data = what | {"rollout": int(made.id), "state": str(made.state), "by": by.name, "counts": counts(made)}
    await tell(conn, "rollout.created", subject, now, **data)
    publish(conn, ROLLOUTS, made.id)


async def running(conn: AsyncConnection, channel_id: int) -> set[str]:
    """What runs on the targets of a channel, as far as it is known."""
    digests = select_members(channel_id).with_only_columns(targets.c.digest).order_by(None).distinct()
    return set((await conn.execute(digests)).scalars()) - {""}
