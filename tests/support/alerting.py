"""A clock that a test moves, and what an alerter has written."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from tests.support.fleet_rows import NOON, change

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


async def alerts(db: Database, *, open_: bool = True) -> list[Any]:
    where = schema.alerts.c.closed_at.is_(None) if open_ else schema.alerts.c.closed_at.is_not(None)
    async with db.read() as conn:
        return list((await conn.execute(select(schema.alerts).where(where).order_by(schema.alerts.c.id))).all())


async def told(db: Database) -> list[tuple[int, str, str]]:
    async with db.read() as conn:
        rows = await conn.execute(select(schema.deliveries).order_by(schema.deliveries.c.id))
        return [(row.alert_id, row.sink, row.what) for row in rows]


async def acknowledge(db: Database, alert: int, at: datetime = NOON) -> None:
    await change(db, schema.alerts, alert, acknowledged_at=at, acknowledged_by="ann")
