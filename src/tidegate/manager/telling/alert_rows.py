"""Alerts in the database: reading those that are open, and writing what changes, once whoever else looks as well."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.schema import alerts, counters, deliveries
from tidegate.manager.telling.alert import ABOUT_EVENTS, DoneWith, Finding, OpenAlert, Rule, Severity
from tidegate.manager.telling.alert_decide import MANY, Changes, Close
from tidegate.manager.telling.delivery_rows import CLOSED, OPENED, announce
from tidegate.manager.telling.feed import tell

_EDITION, _FEED = "alerts", "alerts_feed"
_A_DAY = timedelta(days=1)


async def positions(conn: AsyncConnection) -> tuple[int, int]:
    """The edition of the alerts, which counts their changes, and how far the feed was looked at for them."""
    rows = await conn.execute(select(counters).where(counters.c.name.in_((_EDITION, _FEED))))
    found = {row.name: int(row.value) for row in rows}
    return found.get(_EDITION, 0), found.get(_FEED, -1)


async def begin(conn: AsyncConnection, feed_last: int) -> None:
    """Make the counters where they are not there yet: what the feed told before is not looked at."""
    dialect = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    rows = [{"name": _EDITION, "value": 0}, {"name": _FEED, "value": feed_last}]
    await conn.execute(dialect(counters).on_conflict_do_nothing(), rows)


async def advance_from(conn: AsyncConnection, edition: int, feed_to: int) -> bool:
    """Take the turn to change alerts as they were in this edition; False: somebody else has changed them since."""
    mine = update(counters).where(counters.c.name == _EDITION, counters.c.value == edition)
    if (await conn.execute(mine.values(value=edition + 1))).rowcount != 1:
        return False
    await conn.execute(update(counters).where(counters.c.name == _FEED).values(value=feed_to))
    return True


async def open_alerts(conn: AsyncConnection, now: datetime) -> list[OpenAlert]:
    """Those that are open."""
    like = alerts.alias("like_it")
    openings = (
        select(func.count())
        .where(like.c.opened_at > now - _A_DAY, like.c.rule == alerts.c.rule, like.c.subject == alerts.c.subject)
        .scalar_subquery()
    )
    rows = await conn.execute(
        select(alerts, openings.label("openings")).where(alerts.c.closed_at.is_(None)).order_by(alerts.c.id)
    )
    return [_read(row) for row in rows if row.rule in set(Rule)]


def _read(row: Any) -> OpenAlert:
    calm = row.data.get("calm_since")
    return OpenAlert(
        id=row.id,
        rule=Rule(row.rule),
        subject=row.subject,
        severity=Severity(row.severity),
        text=row.text,
        cause=row.data.get("cause", ""),
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=row.acknowledged_at,
        calm_since=datetime.fromisoformat(calm) if calm else None,
        openings=row.openings,
        covers=_covers(row.data),
    )


def _covers(data: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((subject, cause) for subject, cause in data.get("covers", ()))


async def done_with(conn: AsyncConnection, findings: Collection[Finding]) -> DoneWith:
    """What of these findings persons have acknowledged, in alerts that are closed."""
    rules = {one.rule for one in findings} & ABOUT_EVENTS
    if not rules:
        return DoneWith()
    rows = await conn.execute(
        select(alerts.c.rule, alerts.c.subject, alerts.c.data, alerts.c.acknowledged_at).where(
            alerts.c.rule.in_(rules), alerts.c.acknowledged_at.is_not(None), alerts.c.closed_at.is_not(None)
        )
    )
    causes, upto = set(), dict[Rule, datetime]()
    for row in rows:
        rule, covers = Rule(row.rule), _covers(row.data)
        causes.add((rule, row.subject, row.data.get("cause", "")))
        causes.update((rule, *one) for one in covers)
        if row.subject == MANY and not covers:
            upto[rule] = max(row.acknowledged_at, upto.get(rule, row.acknowledged_at))
    return DoneWith(frozenset(causes), upto)


async def write(conn: AsyncConnection, changes: Changes, sinks: Sequence[str], now: datetime) -> None:
    """Write what changes, and have it told to these sinks."""
    for closing in changes.close:
        await _close(conn, closing, now)
    for finding in changes.open:
        await _open(conn, finding, sinks, now, replaces=changes.replaces.get((finding.rule, finding.subject)))
    for id_, since in changes.calm.items():
        await _set_data(conn, id_, calm_since=since.isoformat() if since else None)
    for id_, finding in changes.retell.items():
        values = {"text": finding.text, "severity": finding.severity}
        await conn.execute(update(alerts).where(alerts.c.id == id_).values(values))
        if finding.covers:
            await _set_data(conn, id_, covers=sorted(finding.covers))


async def _open(
    conn: AsyncConnection, finding: Finding, sinks: Sequence[str], now: datetime, *, replaces: int | None
) -> None:
    row = {
        "rule": finding.rule,
        "subject": finding.subject,
        "severity": finding.severity,
        "text": finding.text,
        "data": _data(finding) | ({"replaces": replaces} if replaces is not None else {}),
        "opened_at": now,
    }
    id_ = (await conn.execute(insert(alerts).values(row).returning(alerts.c.id))).scalar_one()
    await announce(conn, id_, OPENED, sinks, now)
    said = {"rule": finding.rule, "severity": finding.severity, "about": finding.subject, "text": finding.text}
    await tell(conn, "alert.opened", f"alert {id_}", now, **said)


def _data(finding: Finding) -> dict[str, Any]:
    cause = {"cause": finding.cause} if finding.cause else {}
    return cause | ({"covers": sorted(finding.covers)} if finding.covers else {})


async def _close(conn: AsyncConnection, closing: Close, now: datetime) -> None:
    statement = update(alerts).where(alerts.c.id == closing.id, alerts.c.closed_at.is_(None))
    values = {"closed_at": now, "close_reason": closing.reason}
    row = (await conn.execute(statement.values(values).returning(alerts.c.rule, alerts.c.subject))).one_or_none()
    if row is None:
        return
    if closing.told:
        opening = (deliveries.c.alert_id == closing.id) & (deliveries.c.what == OPENED)
        told = await conn.execute(select(deliveries.c.sink).where(opening).order_by(deliveries.c.id))
        await announce(conn, closing.id, CLOSED, list(told.scalars()), now)
    said = {"rule": row.rule, "about": row.subject, "reason": closing.reason}
    await tell(conn, "alert.closed", f"alert {closing.id}", now, **said)


async def _set_data(conn: AsyncConnection, id_: int, **new: Any) -> None:
    data = (await conn.execute(select(alerts.c.data).where(alerts.c.id == id_))).scalar_one()
    kept = {key: value for key, value in (data | new).items() if value is not None}
    await conn.execute(update(alerts).where(alerts.c.id == id_).values(data=kept))
