"""Since when a channel waits for somebody's approval."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, ScalarSelect, and_, case, func, select

from tidegate.domain.rollout import Kind, State
from tidegate.manager.store.schema import approvals, rollouts


def asked_since() -> ColumnElement[Any]:
    """Of a rollout that waits for approval: since when its channel waits for one, so that alerts count all of it.

    Where releases follow each other faster than people agree to them, each takes the place of the one before it, and
    none would have waited for long.
    """
    earlier, other = rollouts.alias("earlier"), rollouts.alias("other")
    before = and_(other.c.channel_id == rollouts.c.channel_id, other.c.whole, other.c.id < rollouts.c.id)
    last = select(func.coalesce(func.max(other.c.id), 0)).where(before, ~_left_waiting(other)).correlate(rollouts)
    first = (
        select(func.min(_asked_at(earlier)))
        .where(earlier.c.channel_id == rollouts.c.channel_id, earlier.c.whole)
        .where(earlier.c.id <= rollouts.c.id, earlier.c.id > last.scalar_subquery())
        .correlate(rollouts)
    )
    return case((rollouts.c.whole, first.scalar_subquery()), else_=_asked_at(rollouts))


def _left_waiting(it: FromClause) -> ColumnElement[bool]:
    """Whether it was superseded before enough people had agreed to it."""
    overtaken = and_(it.c.state == State.SUPERSEDED, it.c.begun_at.is_(None), it.c.kind == Kind.UPDATE)
    return and_(overtaken, agreed_to(it) < needed_of(it))


def agreed_to(it: FromClause) -> ScalarSelect[int]:
    """How many people have approved a rollout."""
    return select(func.count()).where(approvals.c.rollout_id == it.c.id).correlate(it).scalar_subquery()


def needed_of(it: FromClause) -> ColumnElement[int]:
    """How many people have to agree to an update."""
    own: ColumnElement[int] = func.coalesce(it.c.policy["approvals"].as_integer(), 0)
    return case((it.c.asks > own, it.c.asks), else_=own)


def _asked_at(it: FromClause) -> ColumnElement[Any]:
    return func.coalesce(it.c.asked_at, it.c.created_at)
