"""Reading the feed, and forgetting its beginning."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import feed

PAGE = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the feed; `kind` is such as `rollout.state`, `subject` such as `rollout 12`."""

    number: int
    at: datetime
    kind: str
    subject: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of the feed: who has seen all up to `forgotten`, or more, misses nothing; `last` is the newest."""

    forgotten: int
    last: int


async def read_after(conn: AsyncConnection, number: int, *, limit: int = PAGE) -> list[Event]:
    """The entries that follow this number, in their order."""
    rows = await conn.execute(select(feed).where(feed.c.number > number).order_by(feed.c.number).limit(limit))
    return [Event(**row) for row in rows.mappings()]


async def extent(conn: AsyncConnection) -> Extent:
    """What there is. Numbers are given without a gap, so what lies before the first one was forgotten."""
    last = await current(conn, "feed")
    first = (await conn.execute(select(func.min(feed.c.number)))).scalar()
    return Extent(last if first is None else first - 1, last)


async def outdated(conn: AsyncConnection, *, before: datetime, most: int) -> int:
    """The number up to which entries are older than `before`, or more than the newest `most`; 0: none are."""
    last = await current(conn, "feed")
    old = (await conn.execute(select(func.max(feed.c.number)).where(feed.c.at < before))).scalar() or 0
    there = await extent(conn)
    upto = max(old, last - most)
    return upto if upto > there.forgotten else 0


async def forget(conn: AsyncConnection, upto: int, *, at_once: int) -> bool:
    """Delete the oldest `at_once` entries of those up to this number; whether there are more."""
    there = await extent(conn)
    end = min(upto, there.forgotten + at_once)
    await conn.execute(delete(feed).where(feed.c.number <= end))
    return end < upto
