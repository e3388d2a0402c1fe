"""Channels: which there are, and when their registries are asked."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.webhook import Pushed
from tidegate.manager.store.bus import publish
from tidegate.manager.store.schema import channels
from tidegate.manager.store.topics import POLLS


async def find(conn: AsyncConnection, repository: str, tag: str) -> int | None:
    """The id of a channel; None where nobody follows it."""
    wanted = (channels.c.repository == repository) & (channels.c.tag == tag)
    return (await conn.execute(select(channels.c.id).where(wanted))).scalar_one_or_none()


async def follow(conn: AsyncConnection, repository: str, tag: str, now: datetime) -> int:
    """The id of a channel; one that is new is made, and its registry asked at once."""
    found = await find(conn, repository, tag)
    if found is not None:
        return found
    await add_channels(conn, [f"{repository}:{tag}"], now)
    wanted = (channels.c.repository == repository) & (channels.c.tag == tag)
    return int((await conn.execute(select(channels.c.id).where(wanted))).scalar_one())


async def add_channels(conn: AsyncConnection, names: Sequence[str], now: datetime) -> None:
    """Make the channels of these names, `REPOSITORY:TAG`, that are not there; their registries are asked at once."""
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    await conn.execute(insert(channels).on_conflict_do_nothing(), [_row(name, now) for name in names])
    publish(conn, POLLS)


def _row(name: str, now: datetime) -> dict[str, Any]:
    repository, _, tag = name.rpartition(":")
    return {"name": name, "repository": repository, "tag": tag, "created_at": now, "poll_at": now}


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
