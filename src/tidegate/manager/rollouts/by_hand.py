"""Rollouts that nobody has asked for, whose channel's releases have come to go out by hand only."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import ChannelPolicy
from tidegate.domain.rollout import FORBIDDEN
from tidegate.domain.rollout_policy import Mode
from tidegate.manager.people.audit import MANAGER
from tidegate.manager.rollouts.rows import Loaded
from tidegate.manager.store.schema import audit, channels

BY_HAND = frozenset({Mode.PINNED, Mode.MONITOR_ONLY})


async def forbids(conn: AsyncConnection, it: Loaded, policy: ChannelPolicy, now: datetime) -> str:
    """Why a rollout that has not begun does not begin by the policy of now; empty: it may."""
    if it.rollout.begun or it.rollout.ended or it.rollout.requested_by != MANAGER or policy.mode not in BY_HAND:
        return ""
    since = await _since(conn, it.channel_id, policy.mode) or now
    return f"{FORBIDDEN}{policy.mode} since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: releases go out by hand only"


async def _since(conn: AsyncConnection, channel_id: int, mode: Mode) -> datetime | None:
    """When the mode of a channel came to be this one, if that was changed."""
    name = select(channels.c.name).where(channels.c.id == channel_id)
    subject = f"channel {(await conn.execute(name)).scalar_one()}"
    statement = (
        select(audit.c.at)
        .where(audit.c.subject == subject, audit.c.action == "policy.update")
        .where(audit.c.before["mode"].as_string() != str(mode), audit.c.after["mode"].as_string() == str(mode))
        .order_by(audit.c.number.desc())
        .limit(1)
    )
    found: datetime | None = (await conn.execute(statement)).scalar()
    return found
