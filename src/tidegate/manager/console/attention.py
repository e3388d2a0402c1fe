"""What needs a person: shown first on the fleet's page, and counted on every page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import State
from tidegate.manager.console.links import address
from tidegate.manager.console.words import release
from tidegate.manager.rollouts.asked import asked_since
from tidegate.manager.rollouts.views import rollout_rows
from tidegate.manager.store.schema import agents, alerts, quarantine, rollouts
from tidegate.manager.telling.alert import Rule

_MOST = 5
"""So many of a kind are named; the others are counted."""

_SAID_ALREADY = (Rule.APPROVAL_WAITING, Rule.ROLLOUT_PAUSED, Rule.TARGET_OFFLINE, Rule.DIGEST_QUARANTINED)
"""Alerts of what is listed by itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: what it is, where it is seen to, and since when it is so."""

    kind: str
    text: str
    link: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Kind:
    """Things of one kind; `count` is of all, `items` are the first."""

    name: str
    count: int
    items: Sequence[Item]
    link: str


async def look(conn: AsyncConnection, heard_since: datetime) -> list[Kind]:
    """Everything that waits for somebody; kinds that have nothing are left out."""
    found = [
        await _rollouts(conn, State.AWAITING_APPROVAL, "waits for approval"),
        await _rollouts(conn, State.PAUSED, "is paused"),
        await _offline(conn, heard_since),
        await _quarantined(conn),
        await _alerts(conn),
    ]
    return [one for one in found if one.count]


async def _rollouts(conn: AsyncConnection, state: State, what: str) -> Kind:
    since = asked_since() if state is State.AWAITING_APPROVAL else rollouts.c.begun_at
    statement = rollout_rows().add_columns(since.label("since")).where(rollouts.c.state == state)
    rows = (await conn.execute(statement.order_by(rollouts.c.id))).all()
    items = [
        Item(
            str(state),
            f"{release(one.version, one.digest)} for {one.channel_name} {what}",
            f"/rollouts/{one.id}",
            one.since,
        )
        for one in rows[:_MOST]
    ]
    return Kind(str(state), len(rows), items, f"/rollouts?state={state}")


async def _offline(conn: AsyncConnection, heard_since: datetime) -> Kind:
    silent = func.coalesce(agents.c.last_seen_at, agents.c.enrolled_at) < heard_since
    statement = select(agents.c.name, agents.c.last_seen_at).where(agents.c.revoked_at.is_(None), silent)
    rows = (await conn.execute(statement.order_by(agents.c.last_seen_at.desc(), agents.c.name))).all()
    items = [
        Item("offline", f"agent {one.name} is not heard", address("/", {"q": one.name}), one.last_seen_at)
        for one in rows[:_MOST]
    ]
    return Kind("offline", len(rows), items, "/?standing=offline")


async def _quarantined(conn: AsyncConnection) -> Kind:
    statement = select(quarantine).where(quarantine.c.released_at.is_(None)).order_by(quarantine.c.id.desc())
    rows = (await conn.execute(statement)).all()
    items = [
        Item("quarantined", f"{release('', one.digest)} is in quarantine: {one.reason}", "/quarantine", one.at)
        for one in rows[:_MOST]
    ]
    return Kind("quarantined", len(rows), items, "/quarantine")


async def _alerts(conn: AsyncConnection) -> Kind:
    open_ = (alerts.c.closed_at.is_(None), alerts.c.acknowledged_at.is_(None), alerts.c.rule.not_in(_SAID_ALREADY))
    statement = select(alerts).where(*open_)
    rows = (await conn.execute(statement.order_by(alerts.c.severity, alerts.c.id.desc()))).all()
    items = [Item("alert", _first(one.text), "/alerts", one.opened_at) for one in rows[:_MOST]]
    return Kind("alert", len(rows), items, "/alerts")


def _first(text: str) -> str:
    """An alert's first sentence; what to do stands in the others."""
    return text.partition(". ")[0].rstrip(".")
