"""Alerts: what somebody should look at."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Row, select, update

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rows import held_row, read_row
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import alerts

router = make_router("alerts")
_READ = [needs(Permission.READ)]


class AlertOut(BaseModel):
    """Something that somebody should look at."""

    id: int = Field(description="Its number.")
    rule: str = Field(description="What kind it is, such as `update_failed`.")
    subject: str = Field(description="What it is about, such as `rollout 12`.")
    severity: str = Field(description="How soon: `info` at leisure, `warning` today, `critical` now.")
    text: str = Field(description="What is so, since when, and what to do.")
    opened_at: datetime = Field(description="When it was opened.")
    closed_at: datetime | None = Field(description="When it was over; null: it is open.")
    close_reason: str = Field(description="Why it is over.")
    acknowledged_at: datetime | None = Field(description="When somebody said that they look at it.")
    acknowledged_by: str = Field(description="Who that was.")


def _out(row: Row[Any]) -> AlertOut:
    return AlertOut(**{name: getattr(row, name) for name in AlertOut.model_fields})


@router.get("/alerts", dependencies=_READ)
async def list_alerts(
    parts: PartsHere,
    paging: PagingHere,
    *,
    open: Annotated[  # noqa: A002 - it is what it is
        bool | None, Query(description="Only those that are open, or only those that are over.")
    ] = None,
) -> Page[AlertOut]:
    """List the alerts, the newest first."""
    statement = select(alerts)
    if open is not None:
        statement = statement.where(alerts.c.closed_at.is_(None) if open else alerts.c.closed_at.is_not(None))
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, alerts.c.id, newest_first=True), _out)


@router.get("/alerts/{id}", dependencies=_READ)
async def get_alert(id: Id, parts: PartsHere) -> AlertOut:  # noqa: A002 - it is what it is
    """Show one alert."""
    async with parts.db.read() as conn:
        return _out(await read_row(conn, alerts, id, "alert"))


@router.post("/alerts/{id}/acknowledge", dependencies=[needs(Permission.OPERATE)])
async def acknowledge_alert(id: Id, change: ChangeHere) -> AlertOut:  # noqa: A002 - it is what it is
    """Say that you look at it. The first who says so stays; one that is over stays as it is."""
    return _out(await acknowledge(change, id))


async def acknowledge(change: Change, id_: int) -> Row[Any]:
    """Have an alert be acknowledged; as it is then. Raises `Problem`."""
    row = await held_row(change.conn, alerts, id_, "alert")
    if row.acknowledged_at is None and row.closed_at is None:
        values = {"acknowledged_at": change.now, "acknowledged_by": change.who.user}
        row = (
            await change.conn.execute(update(alerts).where(alerts.c.id == id_).values(values).returning(alerts))
        ).one()
        about = {"rule": row.rule, "subject": row.subject}
        before, after = about | {"acknowledged_by": ""}, about | {"acknowledged_by": row.acknowledged_by}
        await change.note("alert.acknowledge", f"alert {id_}", before=before, after=after)
    return row
