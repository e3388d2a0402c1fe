"""How assignments have ended since there are any, also those that went with their channel: a counter never falls."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store.schema import assignments, counters

BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
"""The same as those of the agent's transactions."""
_ENDED = (Outcome.HEALTHY, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.REFUSED, Outcome.WITHDRAWN)
_KEPT = "ended"
_COUNT, _TIMED, _TOOK_MS = "count", "timed", "took_ms"

Counted = Mapping[tuple[str, ...], float]
_Each = tuple[str, int, str]
"""An outcome, a bucket, and what is counted of it."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long assignments took that told so: how many in each of `BUCKETS_S` and above, and the sum."""

    buckets: Sequence[int]
    sum_s: float


async def outcomes(conn: AsyncConnection) -> tuple[Counted, Durations]:
    """How they have ended, and how long they took."""
    counts: dict[tuple[str, ...], float] = {(str(one),): 0 for one in _ENDED}
    buckets, total_ms = [0] * (len(BUCKETS_S) + 1), 0
    for (outcome, bucket, what), value in [*(await _there(conn)), *(await _gone(conn)).items()]:
        if what == _COUNT:
            counts[outcome,] += value
        elif what == _TIMED:
            buckets[bucket] += value
        else:
            total_ms += value
    return counts, Durations(buckets, total_ms / 1000)


async def keep(conn: AsyncConnection, of_rollouts: Select[Any]) -> None:
    """Keep what is counted of the assignments of these rollouts, which are about to be deleted."""
    rows = [
        {"name": f"{_KEPT}/{outcome}/{bucket}/{what}", "value": value}
        for (outcome, bucket, what), value in await _there(conn, assignments.c.rollout_id.in_(of_rollouts))
        if value
    ]
    if rows:
        dialect = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
        adding = dialect(counters)
        more = {"value": counters.c.value + adding.excluded.value}
        await conn.execute(adding.on_conflict_do_update(index_elements=["name"], set_=more), rows)


async def _there(conn: AsyncConnection, *which: ColumnElement[bool]) -> list[tuple[_Each, int]]:
    bucket = case(
        *((assignments.c.duration_s <= bound, index) for index, bound in enumerate(BUCKETS_S)), else_=len(BUCKETS_S)
    )
    took = assignments.c.duration_s
    rows = await conn.execute(
        select(assignments.c.outcome, bucket, func.count(), func.count(took), func.coalesce(func.sum(took), 0.0))
        .where(assignments.c.outcome.in_(_ENDED), *which)
        .group_by(assignments.c.outcome, bucket)
    )
    return [found for row in rows for found in _counted(*row)]


def _counted(outcome: str, bucket: int, count: int, timed: int, seconds: float) -> Iterator[tuple[_Each, int]]:
    values = {_COUNT: count, _TIMED: timed, _TOOK_MS: round(seconds * 1000)}
    return (((outcome, bucket, what), value) for what, value in values.items())


async def _gone(conn: AsyncConnection) -> Mapping[_Each, int]:
    rows = await conn.execute(select(counters).where(counters.c.name.startswith(f"{_KEPT}/", autoescape=True)))
    found: dict[_Each, int] = defaultdict(int)
    for row in rows:
        _, outcome, bucket, what = row.name.split("/")
        found[outcome, int(bucket), what] = int(row.value)
    return found
