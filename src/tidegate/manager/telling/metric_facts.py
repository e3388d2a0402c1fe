"""What the database has to say for metrics, in a few queries that count."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import State
from tidegate.manager.rollouts.asked import asked_since
from tidegate.manager.store.schema import (
    agents,
    alerts,
    assignments,
    channels,
    deliveries,
    outbox,
    releases,
    reports,
    rollouts,
    targets,
)
from tidegate.manager.telling.alert import Rule, Severity
from tidegate.manager.telling.alert_look import watched
from tidegate.manager.telling.metric_outcomes import Counted

MOST_CHANNELS = 30
MOST_VERSIONS = 8
OTHER = "other"
_LONGEST_LABEL = 100
_SHORT_DIGEST = 19


@dataclass(frozen=True, slots=True)
class Standing:
    """How things are now; each maps values of labels to a number."""

    rollouts: Counted
    targets: Counted
    unwell: Counted
    agents: Counted
    alerts: Counted
    queue_length: Counted
    queue_oldest_s: Counted


async def standing(conn: AsyncConnection, now: datetime) -> Standing:
    """How things are now."""
    lengths, oldest = await _queues(conn, now)
    return Standing(
        rollouts=dict.fromkeys(((str(one),) for one in State), 0) | await _counted(conn, _by_state()),
        targets=bounded(await _counted(conn, _by_version())),
        unwell=await _unwell(conn),
        agents=await _agents(conn),
        alerts=await _alerts(conn),
        queue_length=lengths,
        queue_oldest_s=oldest,
    )


async def _counted(conn: AsyncConnection, statement: Select[Any]) -> dict[tuple[str, ...], float]:
    """Rows whose last column is a number; those before it are labels, of which some may be alike once they are cut."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for *labels, count in await conn.execute(statement):
        found[tuple(str(part)[:_LONGEST_LABEL] for part in labels)] += count
    return found


def _by_state() -> Select[tuple[str, int]]:
    return select(rollouts.c.state, func.count()).group_by(rollouts.c.state)


def _by_version() -> Select[Any]:
    digest = func.substr(targets.c.digest, 1, _SHORT_DIGEST)
    version = func.coalesce(func.nullif(releases.c.version, ""), func.nullif(digest, ""), "unknown")
    of = and_(releases.c.channel_id == targets.c.channel_id, releases.c.digest == targets.c.digest)
    statement = (
        select(channels.c.name, version, func.count())
        .select_from(targets)
        .join(channels, channels.c.id == targets.c.channel_id)
        .outerjoin(releases, of)
    )
    return watched(statement).group_by(channels.c.name, version)


def bounded(counts: Counted) -> Counted:
    """By channel and version, with those that most targets have by name, and the others together."""
    channels_: dict[str, float] = defaultdict(float)
    for (channel, _), count in counts.items():
        channels_[channel] += count
    named = set(_largest(channels_.items(), MOST_CHANNELS))
    versions: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (channel, version), count in counts.items():
        versions[channel if channel in named else OTHER][version if channel in named else OTHER] += count
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for channel, each in versions.items():
        kept = set(_largest(each.items(), MOST_VERSIONS))
        for version, count in each.items():
            found[channel, version if version in kept else OTHER] += count
    return found


def _largest(counts: Iterable[tuple[str, float]], most: int) -> list[str]:
    return [name for name, _ in sorted(counts, key=lambda one: (-one[1], one[0]))[:most]]


async def _unwell(conn: AsyncConnection) -> Counted:
    counts = select(
        func.count(case((targets.c.drift_since.is_not(None), 1))),
        func.count(case((targets.c.health == "unhealthy", 1))),
        func.count(case((targets.c.held, 1))),
    )
    row = (await conn.execute(watched(counts))).one()
    return dict(zip((("drifted",), ("unhealthy",), ("held",)), row, strict=True))


async def _agents(conn: AsyncConnection) -> Counted:
    statement = select(agents.c.online, func.count()).where(agents.c.revoked_at.is_(None)).group_by(agents.c.online)
    found = {bool(row[0]): row[1] for row in await conn.execute(statement)}
    return {("online",): found.get(True, 0), ("offline",): found.get(False, 0)}


async def _alerts(conn: AsyncConnection) -> Counted:
    statement = select(alerts.c.rule, alerts.c.severity, func.count()).where(alerts.c.closed_at.is_(None))
    found = await _counted(conn, statement.group_by(alerts.c.rule, alerts.c.severity))
    return dict.fromkeys(((str(rule), str(severity)) for rule in Rule for severity in Severity), 0) | found


async def _queues(conn: AsyncConnection, now: datetime) -> tuple[Counted, Counted]:
    """How many wait, and for how long the first has; what is to be done later does not wait yet."""
    waiting = {
        "assignments": (assignments.c.issued_at, assignments.c.open),
        "reports": (reports.c.at, reports.c.id.is_not(None)),
        "deliveries": (deliveries.c.next_at, and_(deliveries.c.done_at.is_(None), deliveries.c.next_at <= now)),
        "polls": (channels.c.poll_at, channels.c.poll_at <= now),
        "decisions": (rollouts.c.wake_at, rollouts.c.wake_at <= now),
        "approvals": (asked_since(), rollouts.c.state == State.AWAITING_APPROVAL),
    }
    lengths: dict[tuple[str, ...], float] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for name, (at, where) in waiting.items():
        count, first = (await conn.execute(select(func.count(), func.min(at)).where(where))).one()
        lengths[name,] = count
        oldest[name,] = max(0.0, (now - first).total_seconds()) if first is not None else 0.0
    lengths["outbox",] = (await conn.execute(select(func.count()).select_from(outbox))).scalar_one()
    return lengths, oldest
