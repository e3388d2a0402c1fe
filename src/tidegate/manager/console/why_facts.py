"""What `why` decides by, gathered for all services of a cluster in a few queries."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.rollout import ENDED, Kind, Progress, State
from tidegate.domain.windows import Gate
from tidegate.manager.console.why import Answer, Bringing, Facts, Named, why
from tidegate.manager.console.words import release
from tidegate.manager.releases.views import newest_of
from tidegate.manager.rollouts.asked import agreed_to, needed_of
from tidegate.manager.rollouts.gates import calendar
from tidegate.manager.store.schema import quarantine, releases, rollout_targets, rollouts

_OPEN = Gate(open=True, reason="")


@dataclass(frozen=True, slots=True)
class Said:
    """By target ids: why nothing is happening there, and the gate of its windows and freezes; by channels, the newest.

    Who follows no channel has no gate, and no answer.
    """

    answers: Mapping[int, Answer | None] = field(default_factory=dict)
    gates: Mapping[int, Gate] = field(default_factory=dict)
    newest: Mapping[int, Named] = field(default_factory=dict)


async def say(conn: AsyncConnection, cluster: Any, services: Sequence[Any], now: datetime) -> Said:
    """Of a cluster (its row, with `online`, `last_seen_at` and `revoked_at`) and its services that follow a channel.

    Rows of services are of `targets`, with `policy`, `choice` and `trouble` of their channels.
    """
    ids = {one.channel_id for one in services}
    rows = await newest_of(conn, ids)
    newest = {id_: Named(row.digest, release(row.version, row.digest), row.id) for id_, row in rows.items()}
    held = await _quarantined(conn, [one.digest for one in newest.values()])
    bringing = await _bringing(conn, services, rows)
    gates = await _gates(conn, cluster, services, now)
    answers = {}
    for one in services:
        latest = newest.get(one.channel_id)
        answers[one.id] = why(
            Facts(
                one.digest,
                latest,
                now,
                online=bool(cluster.online),
                revoked=cluster.revoked_at is not None,
                last_seen_at=cluster.last_seen_at,
                held=one.held,
                reason=one.reason,
                drifted=one.drift_since is not None,
                mode=read_channel_policy(one.policy).mode,
                choice=one.choice,
                trouble=one.trouble,
                quarantined=held.get(latest.digest) if latest is not None else None,
                rollout=bringing.get(one.id),
                gate=gates[one.id],
            )
        )
    return Said(answers, gates, newest)


async def _quarantined(conn: AsyncConnection, digests: Collection[str]) -> dict[str, str]:
    statement = select(quarantine.c.digest, quarantine.c.reason)
    rows = await conn.execute(statement.where(quarantine.c.digest.in_(digests), quarantine.c.released_at.is_(None)))
    return {one.digest: one.reason for one in rows}


async def _gates(conn: AsyncConnection, cluster: Any, services: Sequence[Any], now: datetime) -> dict[int, Gate]:
    known = await calendar(conn, now)
    place = [("", cluster.name, cluster.labels or {})]
    return {
        one.id: known.gates(read_channel_policy(one.policy), one.channel_id, place, now).get("", _OPEN)
        for one in services
    }


async def _bringing(conn: AsyncConnection, services: Sequence[Any], newest: Mapping[int, Any]) -> dict[int, Bringing]:
    """By target ids, the rollout that matters there: an open one before one that has ended, the latest of them."""
    mine = {(one.id, one.channel_id) for one in services}
    found: dict[int, list[Any]] = defaultdict(list)
    for row in await conn.execute(_of_targets([one.id for one in services], newest)):
        if (row.target_id, row.channel_id) in mine and _still_counts(row, newest.get(row.channel_id)):
            found[row.target_id].append(row)
    others = {row.channel_id: row for row in await conn.execute(_of_others({one.channel_id for one in services}))}
    chosen = {}
    for one in services:
        latest: Any = max(found[one.id], key=_weight, default=None)
        elsewhere = others.get(one.channel_id)
        if elsewhere is not None and (latest is None or latest.state in ENDED):
            chosen[one.id] = _as_bringing(elsewhere, member=False)
        elif latest is not None:
            chosen[one.id] = _as_bringing(latest)
    return chosen


def _weight(row: Any) -> tuple[bool, int]:
    return row.state not in ENDED, row.id


def _still_counts(row: Any, latest: Any) -> bool:
    """Whether it is open, or brought the newest release since the tag came to name that."""
    if row.state not in ENDED:
        return True
    return latest is not None and row.digest == latest.digest and row.created_at >= latest.named_at


_COLUMNS = (
    rollouts.c.id,
    rollouts.c.channel_id,
    rollouts.c.digest,
    rollouts.c.state,
    rollouts.c.kind,
    rollouts.c.reason,
    rollouts.c.created_at,
    rollouts.c.wave.label("open_wave"),
    rollouts.c.waves,
    rollouts.c.passed_at,
    rollouts.c.not_before,
    agreed_to(rollouts).label("approvals"),
    needed_of(rollouts).label("needed"),
    func.coalesce(releases.c.version, "").label("version"),
)
_RELEASED = and_(releases.c.channel_id == rollouts.c.channel_id, releases.c.digest == rollouts.c.digest)


def _of_targets(ids: Collection[int], newest: Mapping[int, Any]) -> Any:
    its = ("target_id", "wave", "progress", "deadline")
    latest = rollouts.c.digest.in_([one.digest for one in newest.values()])
    return (
        select(*_COLUMNS, *(rollout_targets.c[name] for name in its), rollout_targets.c.reason.label("said"))
        .join(rollout_targets, rollout_targets.c.rollout_id == rollouts.c.id)
        .outerjoin(releases, _RELEASED)
        .where(rollout_targets.c.target_id.in_(ids))
        .where(or_(rollouts.c.state.not_in(ENDED), and_(latest, rollouts.c.kind == Kind.UPDATE)))
    )


def _of_others(channel_ids: Collection[int]) -> Any:
    """Updates that are under way; the last of a channel is the one that matters."""
    under_way = rollouts.c.state.not_in(ENDED), rollouts.c.kind == Kind.UPDATE
    statement = select(*_COLUMNS).outerjoin(releases, _RELEASED)
    return statement.where(rollouts.c.channel_id.in_(channel_ids), *under_way).order_by(rollouts.c.id)


def _as_bringing(row: Any, *, member: bool = True) -> Bringing:
    return Bringing(
        row.id,
        release(row.version, row.digest),
        State(row.state),
        kind=Kind(row.kind),
        reason=row.reason,
        open_wave=row.open_wave + 1,
        waves=row.waves,
        passed_at=row.passed_at,
        not_before=row.not_before,
        approvals=row.approvals,
        needed=row.needed,
        wave=row.wave + 1 if member else None,
        progress=Progress(row.progress) if member else Progress.WAITING,
        said=row.said if member else "",
        deadline=row.deadline if member else None,
    )
