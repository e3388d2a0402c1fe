"""Channels: which there are, and when their registries are asked."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.webhook import Pushed
from tidegate.manager.store.bus import publish
from tidegate.manager.store.schema import channels

POLLS = "polls"
"""The topic of channels whose registries are to be asked now."""


async def find(conn: AsyncConnection, repository: str, tag: str) -> int | None:
    """The id of a channel; None where nobody follows it."""
    wanted = (channels.c.repository == repository) & (channels.c.tag == tag)
    return (await conn.execute(select(channels.c.id).where(wanted))).scalar_one_or_none()


async def follow(conn: AsyncConnection, repository: str, tag: str, now: datetime) -> int:
    """The id of a channel; one that is new is made, and its registry asked at once."""
    found = await find(conn, repository, tag)
    if found is not None:
        return found
    row = {"name": f"{repository}:{tag}", "repository": repository, "tag": tag, "created_at": now, "poll_at": now}
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    await conn.execute(insert(channels).values(row).on_conflict_do_nothing())
    publish(conn, POLLS)
    wanted = (channels.c.repository == repository) & (channels.c.tag == tag)
    return int((await conn.execute(select(channels.c.id).where(wanted))).scalar_one())


async def poll_soon(conn: AsyncConnection, ids: Collection[int], now: datetime) -> tuple[str, ...]:
    """Have the registries of these channels asked now; their names."""
    soon = update(channels).where(channels.c.id.in_(sorted(ids))).values(poll_at=now)
    names = (await conn.execute(soon.returning(channels.c.name))).scalars().all()
    if names:
        publish(conn, POLLS)
    return tuple(sorted(names))


async def hinted(conn: AsyncConnection, pushes: Iterable[Pushed], now: datetime) -> tuple[str, ...]:
    """Take pushes as hints: the names of those channels that are asked now. What nobody follows is passed over."""
    pairs = {(one.repository, one.tag) for one in pushes}
    if not pairs:
        return ()
    wanted = select(channels.c.id).where(tuple_(channels.c.repository, channels.c.tag).in_(sorted(pairs)))
    return await poll_soon(conn, (await conn.execute(wanted)).scalars().all(), now)
