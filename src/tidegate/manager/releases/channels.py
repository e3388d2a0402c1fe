"""Channels: which there are, and when their registries are asked."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.webhook import Pushed
from tidegate.manager.store.bus import publish
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import agents, channels, clusters, targets
from tidegate.manager.store.topics import POLLS

_LATE = timedelta(hours=1)


async def find(conn: AsyncConnection, repository: str, tag: str) -> int | None:
    """The id of a channel; None where nobody follows it."""
    wanted = (channels.c.repository == repository) & (channels.c.tag == tag)
    return (await conn.execute(select(channels.c.id).where(wanted))).scalar_one_or_none()


async def followers(conn: AsyncConnection, ids: Collection[int]) -> dict[int, int]:
    """How many targets, of agents that were not cut off, follow each of these channels; none: it is left out."""
    statement = (
        select(targets.c.channel_id, func.count())
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id.in_(ids), targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
        .group_by(targets.c.channel_id)
    )
    return {id_: count for id_, count in (await conn.execute(statement)).all()}  # noqa: C416 - typed


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


async def followed_again(conn: AsyncConnection, ids: Collection[int], now: datetime) -> None:
    """Have those of these channels asked now that were asked before, and would be again only much later."""
    late = or_(channels.c.polled_at.is_not(None), channels.c.trouble != ""), channels.c.poll_at > now + _LATE
    for some in pieces(sorted(ids)):
        statement = update(channels).where(channels.c.id.in_(some), *late).values(poll_at=now)
        if (await conn.execute(statement.returning(channels.c.id))).scalars().all():
            publish(conn, POLLS)


async def hinted(conn: AsyncConnection, pushes: Iterable[Pushed], now: datetime) -> tuple[str, ...]:
    """Take pushes as hints: the names of those channels that are asked now. What nobody follows is passed over."""
    pairs = {(one.repository, one.tag) for one in pushes}
    if not pairs:
        return ()
    wanted = select(channels.c.id).where(tuple_(channels.c.repository, channels.c.tag).in_(sorted(pairs)))
    return await poll_soon(conn, (await conn.execute(wanted)).scalars().all(), now)
