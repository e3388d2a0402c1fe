"""The channels that targets follow."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.manager.releases.channels import add_channels
from tidegate.manager.store.bus import publish
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import channels
from tidegate.manager.store.topics import RELEASES
from tidegate.protocol.events import InventoryTarget


def channel_name(target: InventoryTarget) -> str | None:
    """The channel that a target follows, `REPOSITORY:TAG`; None if it follows none that a registry can be asked of."""
    if target.tag is None:
        return None
    name = f"{target.repository}:{target.tag}"
    try:
        found = parse_reference(name)
    except InvalidReferenceError:
        return None
    return name if (found.name, found.tag, found.digest) == (target.repository, target.tag, None) else None


async def channel_ids(conn: AsyncConnection, names: Iterable[str], now: datetime) -> dict[str, int]:
    """The ids of channels by their names; those that are new are made, to be asked of at once."""
    each = sorted(names)
    found = await known_channels(conn, each)
    new = [name for name in each if name not in found]
    if new:
        await add_channels(conn, new, now)
        made = await known_channels(conn, new)
        publish(conn, RELEASES, *(str(id_) for id_ in made.values()))
        found |= made
    return found


async def known_channels(conn: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    """The ids of those channels that there are, by their names."""
    found: dict[str, int] = {}
    for some in pieces(sorted(names)):
        statement = select(channels.c.name, channels.c.id).where(channels.c.name.in_(some))
        found |= {row.name: row.id for row in await conn.execute(statement)}
    return found


async def look_again(conn: AsyncConnection, ids: Iterable[int], now: datetime) -> None:
    """Have it chosen anew what goes out on these channels: what runs there has changed."""
    later = or_(channels.c.plan_at.is_(None), channels.c.plan_at > now)
    for some in pieces(sorted(ids)):
        statement = update(channels).where(channels.c.id.in_(some), later).values(plan_at=now).returning(channels.c.id)
        stirred = (await conn.execute(statement)).scalars().all()
        if stirred:
            publish(conn, RELEASES, *(str(id_) for id_ in stirred))
