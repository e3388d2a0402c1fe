"""The feed: what happened, numbered, for whoever follows it live."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import advance
from tidegate.manager.store.schema import feed
from tidegate.manager.store.topics import FEED

Said = tuple[str, str, Mapping[str, Any]]
"""An event that is to be told: its kind, its subject, its data."""


async def tell(conn: AsyncConnection, kind: str, subject: str, now: datetime, /, **data: Any) -> None:
    """Add an event; `kind` is such as `rollout.state`, `subject` such as `rollout 12`; `data` are JSON values."""
    await tell_all(conn, [(kind, subject, data)], now)


async def tell_all(conn: AsyncConnection, events: Sequence[Said], now: datetime) -> None:
    """Add several events, in their order."""
    if not events:
        return
    last = await advance(conn, "feed", len(events))
    first = last - len(events) + 1
    rows = [
        {"number": first + each, "at": now, "kind": kind, "subject": subject, "data": dict(data)}
        for each, (kind, subject, data) in enumerate(events)
    ]
    await conn.execute(insert(feed), rows)
    publish(conn, FEED)
