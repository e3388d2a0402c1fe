"""Taking a channel away that nobody needs any more, with its releases and the rollouts that have ended."""

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import ENDED
from tidegate.manager.releases.channels import followers
from tidegate.manager.store.schema import (
    approvals,
    assignments,
    channels,
    releases,
    reports,
    rollout_targets,
    rollouts,
    targets,
)
from tidegate.manager.telling.metric_outcomes import keep


class ChannelInUseError(Exception):
    """A channel that is needed; the message says by what, and what to do."""


async def remove_channel(conn: AsyncConnection, channel_id: int) -> dict[str, int]:
    """Take away a channel that the caller holds; how many releases and rollouts went with it.

    Its targets that are gone stay as they are, without it; what is in quarantine stays there.
    Raises `ChannelInUseError`.
    """
    await _refuse_needed(conn, channel_id)
    mine = select(rollouts.c.id).where(rollouts.c.channel_id == channel_id)
    await keep(conn, mine)
    for table in (reports, assignments, approvals, rollout_targets):
        await conn.execute(delete(table).where(table.c.rollout_id.in_(mine)))
    went = {}
    for table in (rollouts, releases):
        went[table.name] = (await conn.execute(delete(table).where(table.c.channel_id == channel_id))).rowcount
    await conn.execute(update(targets).where(targets.c.channel_id == channel_id).values(channel_id=None))
    await conn.execute(delete(channels).where(channels.c.id == channel_id))
    return went


async def _refuse_needed(conn: AsyncConnection, channel_id: int) -> None:
    following = (await followers(conn, [channel_id])).get(channel_id)
    if following:
        who = "1 target follows" if following == 1 else f"{following} targets follow"
        raise ChannelInUseError(f"{who} it: it would be there again with what their agents tell")
    # what an ended rollout has offered may still be under way
    under_way = select(assignments.c.id).where(assignments.c.rollout_id == rollouts.c.id, assignments.c.open).exists()
    open_ = or_(rollouts.c.state.not_in(ENDED), under_way)
    it = (await conn.execute(select(rollouts.c.id).where(rollouts.c.channel_id == channel_id, open_).limit(1))).scalar()
    if it is not None:
        raise ChannelInUseError(f"rollout {it} of it is not over: abort it first, and wait for what is under way")
