"""When what rollouts go by has changed: they are decided anew, and channels choose anew."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import change_world
from tidegate.manager.store.schema import channels, rollouts
from tidegate.manager.store.topics import RELEASES, ROLLOUTS


async def rules_changed(conn: AsyncConnection, now: datetime, *, channel: int | None = None) -> None:
    """Windows, freezes, quarantine, labels or a policy have changed; `channel`: of that one alone.

    What is being decided without that does not count, and everything that waits is looked at again at once.
    """
    await change_world(conn)
    waiting = update(rollouts).where(rollouts.c.wake_at > now).values(wake_at=now)
    choosing = update(channels).values(plan_at=now)
    if channel is not None:
        waiting, choosing = waiting.where(rollouts.c.channel_id == channel), choosing.where(channels.c.id == channel)
    await conn.execute(waiting)
    await conn.execute(choosing)
    publish(conn, ROLLOUTS)
    publish(conn, RELEASES, *([] if channel is None else [str(channel)]))
