"""Looking at the database for what may be worth an alert."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import NOT_APPROVED, NOT_OVER, State
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts.asked import agreed_to, asked_since, needed_of
from tidegate.manager.store.schema import (
    agents,
    assignments,
    channels,
    clusters,
    quarantine,
    releases,
    rollout_targets,
    rollouts,
    targets,
)
from tidegate.manager.store.schema import feed as entries
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alert_facts import (
    Drifted,
    Facts,
    Failure,
    Hampered,
    Quarantined,
    Refused,
    Silent,
    Troubled,
    Unreachable,
)
from tidegate.protocol.events import UPDATER_TROUBLE

T = TypeVar("T")
REFUSED = "agent.refused"
_REMEMBERED = timedelta(days=14)
"""How long a rollout that went wrong is worth an alert."""
_FAILED = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.REFUSED)
_TOLD = (Outcome.HEALTHY, *_FAILED)
_STANDING = (State.AWAITING_APPROVAL, State.PAUSED, State.ROLLING_BACK)


async def look(
    conn: AsyncConnection, limits: Thresholds, now: datetime, *, watching_since: datetime, feed: tuple[int, int]
) -> Facts:
    """What may be worth an alert, and what the feed has told after one number, up to another."""
    return Facts(
        watching_since=watching_since,
        failures=await _each(conn, Failure, failures()),
        rollouts=await _each(conn, Troubled, _rollouts(now)),
        silent=await _each(conn, Silent, _silent(now - limits.offline)),
        drifted=await _each(conn, Drifted, _drifted()),
        unreachable=await _each(conn, Unreachable, _unreachable(limits.channel_failures)),
        hampered=await _each(conn, Hampered, _hampered()),
        refused=await _refused(conn, *feed),
        quarantined=await _each(conn, Quarantined, _quarantined()),
    )


async def _each(conn: AsyncConnection, fact: Callable[..., T], statement: Select[Any]) -> tuple[T, ...]:
    """A fact of each row, whose columns are called as its fields are."""
    return tuple(fact(**row) for row in (await conn.execute(statement)).mappings())


def failures() -> Select[tuple[str, str, str, str, int, str, str, str, datetime]]:
    """Targets whose latest assignment that has ended went wrong, unless they run its digest all the same.

    Who has refused a release of a channel that it has left was right to, and so was who is monitored only, but for a
    way back.
    """
    earlier = assignments.alias("earlier")
    latest = (
        select(func.max(earlier.c.generation))
        .where(earlier.c.target_id == targets.c.id, earlier.c.outcome.in_(_TOLD))
        .scalar_subquery()
    )
    this = and_(assignments.c.target_id == targets.c.id, assignments.c.generation == latest)
    return watched(
        select(
            targets.c.name.label("target"),
            assignments.c.id.label("assignment"),
            assignments.c.digest,
            func.coalesce(releases.c.version, "").label("version"),
            assignments.c.rollout_id.label("rollout"),
            rollouts.c.state,
            channels.c.name.label("channel"),
            func.coalesce(rollout_targets.c.reason, "").label("reason"),
            func.coalesce(assignments.c.told_at, assignments.c.issued_at).label("at"),
        )
        .select_from(targets)
        .join(assignments, this)
        .join(rollouts, rollouts.c.id == assignments.c.rollout_id)
        .join(channels, channels.c.id == rollouts.c.channel_id)
        .outerjoin(
            rollout_targets,
            and_(
                rollout_targets.c.rollout_id == assignments.c.rollout_id,
                rollout_targets.c.target_id == assignments.c.target_id,
                rollout_targets.c.generation == assignments.c.generation,
            ),
        )
        .outerjoin(releases, _released(rollouts.c.channel_id, assignments.c.digest))
        .where(
            assignments.c.outcome.in_(_FAILED),
            (assignments.c.outcome != Outcome.REFUSED)
            | ((targets.c.channel_id == rollouts.c.channel_id) & (~targets.c.held | assignments.c.back)),
            (targets.c.digest != assignments.c.digest) | (targets.c.health.in_(("unhealthy", "starting"))),
        )
    )


def _rollouts(now: datetime) -> Select[tuple[int, str, str, str, str, str, str, datetime | None, bool, int, int]]:
    """Those that wait for somebody, and those that went wrong and that none has made good since."""
    later = rollouts.alias("later")
    made_good = exists().where(
        later.c.channel_id == rollouts.c.channel_id, later.c.id > rollouts.c.id, later.c.state == State.COMPLETED
    )
    by_time = or_(*(rollouts.c.reason.startswith(one, autoescape=True) for one in (NOT_APPROVED, NOT_OVER)))
    expired = and_(rollouts.c.state == State.CANCELLED, by_time)
    bad = or_(rollouts.c.state.in_((State.ROLLED_BACK, State.FAILED)), expired)
    wrong = and_(bad, rollouts.c.ended_at > now - _REMEMBERED, ~made_good)
    waiting = case((rollouts.c.state == State.AWAITING_APPROVAL, asked_since()))
    since = func.coalesce(rollouts.c.ended_at, rollouts.c.back_since, waiting)
    agreed = agreed_to(rollouts)
    return (
        select(
            rollouts.c.id,
            channels.c.name.label("channel"),
            rollouts.c.digest,
            func.coalesce(releases.c.version, "").label("version"),
            rollouts.c.state,
            rollouts.c.reason,
            rollouts.c.requested_by,
            since.label("since"),
            rollouts.c.whole,
            agreed.label("agreed"),
            needed_of(rollouts).label("needed"),
        )
        .join(channels, channels.c.id == rollouts.c.channel_id)
        .outerjoin(releases, _released(rollouts.c.channel_id, rollouts.c.digest))
        .where(rollouts.c.state.in_(_STANDING) | wrong)
        .order_by(rollouts.c.id)
    )


def _silent(since: datetime) -> Select[tuple[str, datetime | None, datetime, int]]:
    """Agents that count, and that were not heard after `since`."""
    theirs = (
        select(func.count())
        .select_from(targets.join(clusters, clusters.c.id == targets.c.cluster_id))
        .where(clusters.c.agent_id == agents.c.id, targets.c.gone_at.is_(None))
        .scalar_subquery()
    )
    return select(
        agents.c.name.label("agent"), agents.c.last_seen_at, agents.c.enrolled_at, theirs.label("targets")
    ).where(agents.c.revoked_at.is_(None), func.coalesce(agents.c.last_seen_at, agents.c.enrolled_at) <= since)


def _drifted() -> Select[tuple[str, datetime, str, str]]:
    statement = select(
        targets.c.name.label("target"),
        targets.c.drift_since.label("since"),
        targets.c.digest.label("runs"),
        targets.c.wanted,
    )
    return watched(statement).where(targets.c.drift_since.is_not(None))


def _unreachable(failures: int) -> Select[tuple[str, int, str]]:
    """Channels stay for ever, and if it is one of a tag that was mistyped once: only what is followed is missed."""
    followed = watched(select(targets.c.id)).where(targets.c.channel_id == channels.c.id).exists()
    return select(channels.c.name.label("channel"), channels.c.failures, channels.c.trouble).where(
        channels.c.failures >= failures, followed
    )


def _hampered() -> Select[tuple[str, str]]:
    """Agents whose targets tell of trouble with their updater, which is the same for all of one agent's."""
    said = func.min(func.substr(targets.c.reason, len(UPDATER_TROUBLE) + 1))
    statement: Select[Any] = select(agents.c.name.label("agent"), said.label("trouble"))
    return (
        watched(statement.select_from(targets))
        .where(targets.c.reason.startswith(UPDATER_TROUBLE, autoescape=True))
        .group_by(agents.c.name)
    )


def watched(of_targets: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """Only of targets that are there; of a revoked agent's nothing is heard any more, not even that they are well."""
    return (
        of_targets.join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
    )


def _quarantined() -> Select[tuple[int, str, str, str, str, datetime]]:
    return (
        select(
            quarantine.c.id,
            quarantine.c.digest,
            func.coalesce(channels.c.name, "").label("channel"),
            quarantine.c.reason,
            quarantine.c.by,
            quarantine.c.at,
        )
        .outerjoin(channels, channels.c.id == quarantine.c.channel_id)
        .where(quarantine.c.released_at.is_(None))
    )


async def _refused(conn: AsyncConnection, after: int, upto: int) -> tuple[Refused, ...]:
    """What agents have refused since; of each subject the latest."""
    rows = await conn.execute(
        select(entries)
        .where(entries.c.number > after, entries.c.number <= upto, entries.c.kind == REFUSED)
        .order_by(entries.c.number)
    )
    latest = {
        row.subject: Refused(row.subject, str(row.data.get("target", "")), str(row.data.get("reason", "")), row.at)
        for row in rows
    }
    return tuple(latest.values())


def _released(channel: Column[int], digest: Column[str]) -> ColumnElement[bool]:
    return and_(releases.c.channel_id == channel, releases.c.digest == digest)
