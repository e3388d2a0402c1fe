"""What is to be told to whom, in the database: each alert's opening and its end, once for each sink."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.bus import publish
from tidegate.manager.store.schema import alerts, deliveries
from tidegate.manager.store.topics import DELIVERIES

OPENED, CLOSED = "opened", "closed"
_NAMESPACE = uuid.UUID("6f1b4a53-7c0e-4d0e-9b43-5d2a6f0c9d11")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that is to be sent, and the alert that it tells of. `attempts` counts this one.

    `key` is the same each time it is sent, so that who has it already can drop it. `replaces` is the alert in whose
    place this one is told: that one's end is not told by itself.
    """

    id: int
    alert_id: int
    sink: str
    what: str
    attempts: int
    rule: str
    subject: str
    severity: str
    text: str
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str
    replaces: int | None = None

    @property
    def key(self) -> str:
        """The same for every attempt, and for no other delivery of this or another manager."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.opened_at.timestamp()}/{self.alert_id}/{self.sink}/{self.what}"))

    @property
    def thread(self) -> str:
        """The same for the opening of an alert and for its end, at one sink."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.opened_at.timestamp()}/{self.alert_id}/{self.sink}/{OPENED}"))


async def announce(conn: AsyncConnection, alert_id: int, what: str, sinks: Sequence[str], now: datetime) -> None:
    """Have these sinks told."""
    if sinks:
        rows = [{"alert_id": alert_id, "sink": sink, "what": what, "next_at": now} for sink in sinks]
        await conn.execute(insert(deliveries), rows)
        publish(conn, DELIVERIES)


async def any_due(conn: AsyncConnection, sinks: Sequence[str], now: datetime) -> bool:
    """Whether there is something to claim."""
    due = select(deliveries.c.id).where(_is_due(now), deliveries.c.sink.in_(sinks)).limit(1)
    return (await conn.execute(due)).first() is not None


async def claim(
    conn: AsyncConnection, sinks: Sequence[str], now: datetime, *, lease: timedelta, most: int
) -> list[Delivery]:
    """Take what is due, so that nobody else does before `lease` has passed; an alert's end follows its opening."""
    due = select(deliveries.c.id, deliveries.c.next_at).where(_is_due(now), deliveries.c.sink.in_(sinks))
    taken = []
    for row in (await conn.execute(due.order_by(deliveries.c.next_at, deliveries.c.id).limit(most))).all():
        mine = update(deliveries).where(deliveries.c.id == row.id, deliveries.c.next_at == row.next_at)
        values = {"next_at": now + lease, "attempts": deliveries.c.attempts + 1}
        if (await conn.execute(mine.values(values))).rowcount == 1:
            taken.append(row.id)
    return await _read(conn, taken)


async def _read(conn: AsyncConnection, ids: Sequence[int]) -> list[Delivery]:
    told = (deliveries.c.id, deliveries.c.alert_id, deliveries.c.sink, deliveries.c.what, deliveries.c.attempts)
    of = (alerts.c.rule, alerts.c.subject, alerts.c.severity, alerts.c.text, alerts.c.opened_at, alerts.c.closed_at)
    rows = await conn.execute(
        select(*told, *of, alerts.c.close_reason, alerts.c.data)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.id.in_(ids))
        .order_by(deliveries.c.id)
    )
    return [_delivery(**row) for row in rows.mappings()]


def _delivery(*, data: Mapping[str, Any], **row: Any) -> Delivery:
    return Delivery(**row, replaces=data.get("replaces"))


def _is_due(now: datetime) -> Any:
    opening = deliveries.alias("opening")
    not_opened = exists().where(
        opening.c.alert_id == deliveries.c.alert_id,
        opening.c.sink == deliveries.c.sink,
        opening.c.what == OPENED,
        opening.c.done_at.is_(None),
    )
    return and_(
        deliveries.c.done_at.is_(None), deliveries.c.next_at <= now, or_(deliveries.c.what == OPENED, ~not_opened)
    )


async def done(conn: AsyncConnection, id_: int, now: datetime, trouble: str = "") -> None:
    """Nothing more is to be done: it was sent, or, where there was `trouble`, given up."""
    values = {"done_at": now, "next_at": None, "trouble": trouble}
    await conn.execute(update(deliveries).where(deliveries.c.id == id_).values(values))


async def put_off(conn: AsyncConnection, id_: int, until: datetime, trouble: str) -> None:
    """It is to be sent again."""
    await conn.execute(update(deliveries).where(deliveries.c.id == id_).values(next_at=until, trouble=trouble))


async def forsaken(conn: AsyncConnection, sinks: Sequence[str], before: datetime) -> list[tuple[int, str]]:
    """Ids and sinks of what was due before that, for sinks that there are no more."""
    rows = await conn.execute(
        select(deliveries.c.id, deliveries.c.sink).where(
            deliveries.c.done_at.is_(None), deliveries.c.next_at < before, deliveries.c.sink.not_in(sinks)
        )
    )
    return [(row.id, row.sink) for row in rows]
