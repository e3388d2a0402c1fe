"""What a cluster's page shows: its services, why nothing is happening, what was done there, and when more may be."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.standing import Service, Standing
from tidegate.domain.windows import Gate, parse_freeze
from tidegate.manager.console import fleet
from tidegate.manager.console.why import Answer
from tidegate.manager.console.why_facts import say
from tidegate.manager.rollouts.gates import Scope
from tidegate.manager.store.schema import (
    agents,
    assignments,
    channels,
    clusters,
    courses,
    freezes,
    releases,
    rollout_targets,
    rollouts,
    runs,
    targets,
    windows,
)

MOST_UPDATES = 5
"""Of a service, the latest."""
MOST_RUNS = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One service: its row, what went wrong, the newest release if that is another, why it waits, and its gate."""

    row: Any
    note: str
    newest: str
    why: Answer | None
    gate: Gate | None


@dataclass(frozen=True, slots=True)
class Rule:
    """A window or a freeze that holds for some of the services. `kind` is `window` or `freeze`; `name` may be empty."""

    kind: str
    name: str
    text: str
    services: Sequence[str]
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """All of it."""

    row: Any
    standing: Standing
    lines: Sequence[Line]
    updates: Sequence[Any]
    ran: Mapping[str, Sequence[Any]]
    rules: Sequence[Rule]


def cluster_rows(there: ColumnElement[bool]) -> Select[Any]:
    """Clusters with what matters of their agents; `there` tells of a row of `agents` whether it is heard."""
    names = ("last_seen_at", "revoked_at", "updater")
    of_agent = (agents.c.name.label("agent"), agents.c.version.label("agent_version"))
    its = (*of_agent, *(agents.c[name] for name in names), there.label("online"))
    return select(clusters, *its).join(agents, agents.c.id == clusters.c.agent_id)


async def look(conn: AsyncConnection, there: ColumnElement[bool], name: str, now: datetime) -> Page | None:
    """One cluster; None where it is not known."""
    row = (await conn.execute(cluster_rows(there).where(clusters.c.name == name))).one_or_none()
    if row is None:
        return None
    stands = await fleet.one(conn, there, row.id)
    services = (await conn.execute(service_rows().where(targets.c.cluster_id == row.id))).all()
    said = await say(conn, row, [one for one in services if one.channel_id is not None], now)
    by_name = {one.name: one for one in stands.services}
    lines = [
        _line(one, by_name[one.service], said.answers.get(one.id), said.gates.get(one.id), _name(said.newest, one))
        for one in services
    ]
    ids = [one.id for one in services]
    updates = (await conn.execute(_updates(ids))).all()
    return Page(row, stands.standing, lines, updates, await _ran(conn, ids), await _rules(conn, row, services, now))


def service_rows() -> Select[Any]:
    """Targets that are there, with what matters of their channels and of what they run."""
    released = and_(releases.c.channel_id == targets.c.channel_id, releases.c.digest == targets.c.digest)
    of_channel = (channels.c.name.label("channel"), channels.c.policy, channels.c.choice, channels.c.trouble)
    return (
        select(targets, *of_channel, func.coalesce(releases.c.version, "").label("version"), releases.c.id.label("of"))
        .outerjoin(channels, channels.c.id == targets.c.channel_id)
        .outerjoin(releases, released)
        .where(targets.c.gone_at.is_(None))
        .order_by(targets.c.service)
    )


def _name(newest: Mapping[int, Any], row: Any) -> str:
    found = newest.get(row.channel_id)
    return found.name if found is not None and found.digest != row.digest else ""


def _line(row: Any, stands: Service, why: Answer | None, gate: Gate | None, newest: str) -> Line:
    note = f"its latest update failed: {stands.failed}" if stands.failed else ""
    return Line(row, note, newest, why, gate)


def _updates(ids: Collection[int]) -> Select[Any]:
    """The latest assignments of each service; what its rollout says of it, where that is about the same one."""
    order = (assignments.c.issued_at.desc(), assignments.c.generation.desc())
    place = func.row_number().over(partition_by=assignments.c.target_id, order_by=order).label("place")
    latest = select(assignments, place).where(assignments.c.target_id.in_(ids)).subquery("latest")
    same = and_(
        rollout_targets.c.rollout_id == latest.c.rollout_id,
        rollout_targets.c.target_id == latest.c.target_id,
        rollout_targets.c.generation == latest.c.generation,
    )
    its = ("progress", "since", "busy_since", "deadline", "reason")
    return (
        select(latest, targets.c.service, func.coalesce(releases.c.version, "").label("version"))
        .add_columns(*(rollout_targets.c[name] for name in its), rollouts.c.kind, courses.c.steps)
        .join(targets, targets.c.id == latest.c.target_id)
        .join(rollouts, rollouts.c.id == latest.c.rollout_id)
        .outerjoin(rollout_targets, same)
        .outerjoin(courses, courses.c.assignment_id == latest.c.id)
        .outerjoin(releases, and_(releases.c.channel_id == rollouts.c.channel_id, releases.c.digest == latest.c.digest))
        .where(latest.c.place <= MOST_UPDATES)
        .order_by(latest.c.issued_at.desc(), latest.c.id)
    )


async def _ran(conn: AsyncConnection, ids: Collection[int]) -> dict[str, list[Any]]:
    """By services, what ran there, the newest first; each with `until`, None: it runs now."""
    place = func.row_number().over(partition_by=runs.c.target_id, order_by=runs.c.id.desc()).label("place")
    until = (
        func.lead(runs.c.since, type_=runs.c.since.type)
        .over(partition_by=runs.c.target_id, order_by=runs.c.id)
        .label("until")
    )
    latest = select(runs, place, until).where(runs.c.target_id.in_(ids)).subquery("latest")
    statement = (
        select(latest, targets.c.service, func.coalesce(releases.c.version, "").label("version"))
        .join(targets, targets.c.id == latest.c.target_id)
        .outerjoin(releases, and_(releases.c.channel_id == targets.c.channel_id, releases.c.digest == latest.c.digest))
        .where(latest.c.place <= MOST_RUNS)
        .order_by(targets.c.service, latest.c.id.desc())
    )
    found: dict[str, list[Any]] = defaultdict(list)
    for one in await conn.execute(statement):
        found[one.service].append(one)
    return found


async def _rules(conn: AsyncConnection, cluster: Any, services: Sequence[Any], now: datetime) -> list[Rule]:
    """The windows and the freezes that are not over, of the fleet and of the channels' policies."""
    followed = {one.channel_id: one for one in services if one.channel_id is not None}
    found = []
    for id_, one in followed.items():
        names = [each.service for each in services if each.channel_id == id_]
        policy = read_channel_policy(one.policy)
        found += [Rule("window", "", text, names) for text in policy.windows]
        found += [Rule("freeze", "", text, names) for text in policy.freezes if parse_freeze(text).end > now]
    for row in await conn.execute(select(windows).order_by(windows.c.name)):
        found.append(Rule("window", row.name, row.window, _meant(Scope.of(row.scope), cluster, services)))
    to_come = select(freezes).where(freezes.c.ends_at > now).order_by(freezes.c.starts_at, freezes.c.id)
    for row in await conn.execute(to_come):
        meant = _meant(Scope.of(row.scope), cluster, services)
        found.append(Rule("freeze", row.name, row.reason, meant, row.starts_at, row.ends_at))
    return [one for one in found if one.services]


def _meant(scope: Scope, cluster: Any, services: Sequence[Any]) -> list[str]:
    labels = cluster.labels or {}
    return [
        one.service
        for one in services
        if one.channel_id is not None and scope.holds(one.channel_id, cluster.name, labels)
    ]
