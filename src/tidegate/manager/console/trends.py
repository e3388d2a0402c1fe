"""How updates have gone, and what has run, day by day. Days are those of UTC: the database counts by them."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, String, Subquery, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.console.versions import Version, named
from tidegate.manager.parts import Parts
from tidegate.manager.store.schema import assignments, channels, rollouts, runs, targets

MOST_DAYS = 180
MOST_CHANNELS = 6
"""So many channels' versions are told at once: those with the most targets."""
_KEPT = timedelta(seconds=30)
_MOST_KEPT = 50
_COUNTED = (Outcome.HEALTHY, Outcome.FAILED, Outcome.INCONCLUSIVE)
_DAY = timedelta(days=1)
_HALF, _MOST = 0.5, 0.95


@dataclass(frozen=True, slots=True)
class Outcomes:
    """By days, how many updates ended how; `put_back` are those that brought back what ran before."""

    healthy: Sequence[int]
    failed: Sequence[int]
    inconclusive: Sequence[int]
    put_back: Sequence[int]


@dataclass(frozen=True, slots=True)
class Durations:
    """By days, in seconds, how long updates took that ended well; None: there was none that told."""

    median: Sequence[float | None]
    p95: Sequence[float | None]
    longest: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Spread:
    """What the targets of a channel ran at the end of each day, the oldest version first."""

    id: int
    name: str
    versions: Sequence[Version]


@dataclass(frozen=True, slots=True)
class Trends:
    """All of it; `days` are dates, and what is by days is in their order."""

    days: Sequence[str]
    outcomes: Outcomes
    durations: Durations
    spreads: Sequence[Spread]

    def document(self) -> dict[str, Any]:
        """As it is handed over."""
        return asdict(self)

    @property
    def any_ended(self) -> bool:
        """Whether an update ended in that time."""
        kinds = asdict(self.outcomes).values()
        return any(count for kind in kinds for count in kind)


class Looks:
    """One of a process: what was counted a moment ago is not counted again, and one is counted at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: dict[tuple[int, int | None], tuple[datetime, Trends]] = {}
        self._turn = asyncio.Lock()

    async def look(self, days: int, channel: int | None) -> Trends:
        """So many days up to now, of all channels or of one."""
        async with self._turn:
            now, key = self._parts.clock(), (days, channel)
            if key in self._kept and timedelta() <= now - self._kept[key][0] < _KEPT:
                return self._kept[key][1]
            async with self._parts.db.read() as conn:
                found = await look(conn, now, days, channel, is_postgres=self._parts.db.is_postgres)
            self._kept.pop(key, None)
            self._kept[key] = (now, found)
            if len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]  # the one that was counted longest ago
            return found


async def look(conn: AsyncConnection, now: datetime, days: int, channel: int | None, *, is_postgres: bool) -> Trends:
    """The same from the database."""
    last = now.astimezone(UTC).date()
    dates = [last - _DAY * back for back in reversed(range(days))]
    period = _Period(dates, is_postgres)
    texts = [str(one) for one in dates]
    return Trends(
        texts,
        await _outcomes(conn, period, channel),
        await _durations(conn, period, channel),
        await _spreads(conn, period, await _channels(conn, channel)),
    )


@dataclass(frozen=True, slots=True)
class _Period:
    dates: Sequence[date]
    is_postgres: bool

    @property
    def start(self) -> datetime:
        return datetime.combine(self.dates[0], time(), UTC)

    @property
    def at(self) -> dict[str, int]:
        """By days, which one it is."""
        return {str(one): at for at, one in enumerate(self.dates)}

    def day(self, moment: ColumnElement[Any]) -> ColumnElement[str]:
        """The day of a moment, as SQL."""
        if self.is_postgres:
            return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD", type_=String)
        return func.substr(moment, 1, len("2026-12-31"), type_=String)  # it is kept as text

    def day_or_first(self, moment: ColumnElement[Any]) -> ColumnElement[str]:
        """The same; what was before is of the first day."""
        return case((moment < self.start, str(self.dates[0])), else_=self.day(moment))


def _ended(period: _Period, channel: int | None, *columns: ColumnElement[Any]) -> Select[Any]:
    """What has ended in that time."""
    told = assignments.c.told_at
    statement = select(period.day(told).label("day"), *columns).where(told >= period.start)
    if channel is None:
        return statement
    of_it = rollouts.c.id == assignments.c.rollout_id
    return statement.join(rollouts, of_it).where(rollouts.c.channel_id == channel)


async def _outcomes(conn: AsyncConnection, period: _Period, channel: int | None) -> Outcomes:
    each = _ended(period, channel, assignments.c.outcome, assignments.c.back).where(assignments.c.outcome.in_(_COUNTED))
    one = each.subquery()
    counted = select(one.c.day, one.c.outcome, one.c.back, func.count().label("many"))
    found: dict[str, list[int]] = defaultdict(lambda: [0] * len(period.dates))
    at = period.at
    for row in await conn.execute(counted.group_by(one.c.day, one.c.outcome, one.c.back)):
        kind = "put_back" if row.back and row.outcome == Outcome.HEALTHY else row.outcome
        if row.day in at:
            found[kind][at[row.day]] += row.many
    return Outcomes(found["healthy"], found["failed"], found["inconclusive"], found["put_back"])


async def _durations(conn: AsyncConnection, period: _Period, channel: int | None) -> Durations:
    took = assignments.c.duration_s
    each = _ended(period, channel, took.label("took")).where(
        assignments.c.outcome == Outcome.HEALTHY, assignments.c.back.is_(False), took.is_not(None)
    )
    one = each.subquery()
    share = func.cume_dist().over(partition_by=one.c.day, order_by=one.c.took).label("share")
    ranked = select(one, share).subquery()
    low, high = (func.min(case((ranked.c.share >= least, ranked.c.took))) for least in (_HALF, _MOST))
    statement = select(ranked.c.day, low.label("low"), high.label("high"), func.max(ranked.c.took).label("top"))
    rows = {row.day: row for row in await conn.execute(statement.group_by(ranked.c.day))}
    some = [rows.get(str(one)) for one in period.dates]
    return Durations(
        [row.low if row else None for row in some],
        [row.high if row else None for row in some],
        [row.top if row else None for row in some],
    )


async def _channels(conn: AsyncConnection, channel: int | None) -> dict[int, str]:
    """By numbers, the names of those whose versions are told."""
    if channel is not None:
        rows = await conn.execute(select(channels.c.id, channels.c.name).where(channels.c.id == channel))
        return {one.id: one.name for one in rows}
    many = func.count().label("many")
    statement = (
        select(channels.c.id, channels.c.name, many)
        .join(targets, targets.c.channel_id == channels.c.id)
        .where(targets.c.gone_at.is_(None))
        .group_by(channels.c.id, channels.c.name)
        .order_by(many.desc(), channels.c.name)
        .limit(MOST_CHANNELS)
    )
    return {one.id: one.name for one in await conn.execute(statement)}


async def _spreads(conn: AsyncConnection, period: _Period, some: Mapping[int, str]) -> list[Spread]:
    """From when what began to run where: a target comes to a version, and leaves the one before."""
    changes = await _changes(conn, period, sorted(some))
    names = await named(conn, sorted(some))
    return [
        Spread(id_, name, names.versions(id_, _added_up(changes[id_], len(period.dates))))
        for id_, name in some.items()
        if changes[id_]
    ]


async def _changes(
    conn: AsyncConnection, period: _Period, ids: Sequence[int]
) -> Mapping[int, dict[str, dict[int, int]]]:
    """By channels, digests and days, by how many targets more run it."""
    each, gone = _moves(period, ids), _gone(period, ids)
    found: dict[int, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    at = period.at
    for one in await conn.execute(select(*each.c, func.count().label("many")).group_by(*each.c)):
        for digest, sign in ((one.digest, 1), (one.was, -1)):
            if digest is not None:
                found[one.channel_id][digest][at.get(one.day, len(at) - 1)] += sign * one.many
    for one in await conn.execute(select(*gone.c, func.count().label("many")).group_by(*gone.c)):
        found[one.channel_id][one.digest][at.get(one.day, len(at) - 1)] -= one.many
    return found


def _moves(period: _Period, ids: Sequence[int]) -> Subquery:
    """Channel, day, digest and the one before, of what began to run in that time or ran as it began."""
    earlier = runs.alias()
    last = select(func.max(earlier.c.since)).where(earlier.c.target_id == targets.c.id, earlier.c.since < period.start)
    begun = func.coalesce(last.scalar_subquery(), period.start).label("begun")
    some = select(targets.c.id, targets.c.channel_id, begun).where(targets.c.channel_id.in_(ids)).subquery()
    before = func.lag(runs.c.digest).over(partition_by=runs.c.target_id, order_by=(runs.c.since, runs.c.id))
    return (
        select(some.c.channel_id, period.day_or_first(runs.c.since).label("day"), runs.c.digest, before.label("was"))
        .join(some, and_(some.c.id == runs.c.target_id, runs.c.since >= some.c.begun))
        .subquery()
    )


def _gone(period: _Period, ids: Sequence[int]) -> Subquery:
    """Channel, day and digest of targets that have gone."""
    day = period.day_or_first(targets.c.gone_at).label("day")
    gone = targets.c.channel_id.in_(ids), targets.c.gone_at.is_not(None)
    return select(targets.c.channel_id, day, targets.c.digest).where(*gone).subquery()


def _added_up(changes: Mapping[str, Mapping[int, int]], count: int) -> dict[str, list[int]]:
    """By digests, how many targets run it at the end of each day."""
    return {digest: list(_sums(some.get(at, 0) for at in range(count))) for digest, some in changes.items()}


def _sums(changes: Iterable[int]) -> Iterator[int]:
    total = 0
    for one in changes:
        total += one
        yield max(0, total)
