"""The channels that targets follow."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.manager.releases.channels import POLLS
from tidegate.manager.store.bus import publish
from tidegate.manager.store.schema import channels
from tidegate.protocol.events import InventoryTarget

TOPIC = "releases"
_AT_ONCE = 500


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
    found = await _read(conn, each)
    new = [name for name in each if name not in found]
    if new:
        insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
        rows = [_row(name, now) for name in new]
        await conn.execute(insert(channels).on_conflict_do_nothing(), rows)
        made = await _read(conn, new)
        publish(conn, TOPIC, *(str(id_) for id_ in made.values()))
        publish(conn, POLLS)
        found |= made
    return found


async def look_again(conn: AsyncConnection, ids: Iterable[int], now: datetime) -> None:
    """Have it chosen anew what goes out on these channels: what runs there has changed."""
    later = or_(channels.c.plan_at.is_(None), channels.c.plan_at > now)
    each = sorted(ids)
    for start in range(0, len(each), _AT_ONCE):
        some = channels.c.id.in_(each[start : start + _AT_ONCE])
        statement = update(channels).where(some, later).values(plan_at=now).returning(channels.c.id)
        stirred = (await conn.execute(statement)).scalars().all()
        if stirred:
            publish(conn, TOPIC, *(str(id_) for id_ in stirred))


async def _read(conn: AsyncConnection, names: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = channels.c.name.in_(names[start : start + _AT_ONCE])
        found |= {row.name: row.id for row in await conn.execute(select(channels.c.name, channels.c.id).where(some))}
    return found


def _row(name: str, now: datetime) -> dict[str, object]:
    repository, _, tag = name.rpartition(":")
    return {"name": name, "repository": repository, "tag": tag, "policy": {}, "created_at": now, "poll_at": now}
