"""Making a rollout: which targets it is for, and what of it is written down."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import ChannelPolicy, read_channel_policy
from tidegate.domain.rollout import ENDED, Kind, Planned, Rollout, plan_rollout
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.rollouts.effects import wake_channel
from tidegate.manager.rollouts.rows import add, counts
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import agents, channels, clusters, quarantine, rollouts, targets
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.telling.feed import tell


class CreateRefusedError(Exception):
    """A rollout that is not made; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to go out: `targets` are ids; None: every target of the channel."""

    channel_id: int
    digest: str
    kind: Kind = Kind.UPDATE
    targets: Collection[int] | None = None
    not_before: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A target that a rollout may be for."""

    id: int
    planned: Planned


async def members(conn: AsyncConnection, channel_id: int) -> list[Member]:
    """The targets of a channel that are there, or may come back, in the order of their names."""
    rows = await conn.execute(select_members(channel_id))
    return [Member(one.id, Planned(one.name, one.labels, one.digest)) for one in rows]


def select_members(channel_id: int) -> Select[Any]:
    """Finds them: the targets whose agents were not revoked."""
    return (
        select(targets.c.id, targets.c.name, targets.c.digest, clusters.c.labels)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id == channel_id, targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
        .order_by(targets.c.name)
    )


async def create(conn: AsyncConnection, wish: Wish, by: Actor, now: datetime) -> Rollout:
    """Plan a rollout and write it down. Raises `CreateRefusedError`."""
    await current(conn, "world", hold=True)
    policy = await _policy(conn, wish.channel_id)
    await _refuse_quarantined(conn, wish.digest)
    found = await members(conn, wish.channel_id)
    chosen = found if wish.targets is None else [one for one in found if one.id in wish.targets]
    if not chosen:
        raise CreateRefusedError("no target follows this channel: there is nothing to roll out to")
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
    await _tell(conn, made, by, now)
    return made


async def _policy(conn: AsyncConnection, channel_id: int) -> ChannelPolicy:
    found = await conn.execute(select(channels.c.policy).where(channels.c.id == channel_id))
    document = found.scalar_one_or_none()
    if document is None:
        raise CreateRefusedError(f"there is no channel {channel_id}")
    return read_channel_policy(document)


async def _refuse_quarantined(conn: AsyncConnection, digest: str) -> None:
    held = select(quarantine.c.id, quarantine.c.reason).where(
        quarantine.c.digest == digest, quarantine.c.released_at.is_(None)
    )
    row = (await conn.execute(held)).first()
    if row is not None:
        raise CreateRefusedError(
            f"{digest[:19]} is in quarantine ({row.reason or 'no reason was given'}): release entry {row.id} first, if "
            f"it is to go out all the same"
        )


async def _refuse_under_way(conn: AsyncConnection, wish: Wish) -> None:
    """A second one would take the place of the first, with what people have approved of it."""
    same = rollouts.c.channel_id == wish.channel_id, rollouts.c.digest == wish.digest, rollouts.c.kind == wish.kind
    statement = select(rollouts.c.id, rollouts.c.state).where(*same, rollouts.c.whole, rollouts.c.state.not_in(ENDED))
    row = (await conn.execute(statement)).first()
    if row is not None:
        state = row.state.replace("_", " ")
        raise CreateRefusedError(f"rollout {row.id} of this release is {state}: go on with that one, or abort it first")


async def _tell(conn: AsyncConnection, made: Rollout, by: Actor, now: datetime) -> None:
    await wake_channel(conn, int(made.channel), now)
    subject = f"rollout {made.id}"
    what = {"channel": int(made.channel), "digest": made.digest, "kind": str(made.kind), "targets": len(made.targets)}
    await record(conn, by, "rollout.create", subject, now, after={**what, "state": str(made.state)})
    data = what | {"rollout": int(made.id), "state": str(made.state), "by": by.name, "counts": counts(made)}
    await tell(conn, "rollout.created", subject, now, **data)
    publish(conn, ROLLOUTS, made.id)


async def running(conn: AsyncConnection, channel_id: int) -> set[str]:
    """What runs on the targets of a channel, as far as it is known."""
    digests = select_members(channel_id).with_only_columns(targets.c.digest).order_by(None).distinct()
    return set((await conn.execute(digests)).scalars()) - {""}
