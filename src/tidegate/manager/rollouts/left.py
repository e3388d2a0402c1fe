"""What targets have left by going back, so that they do not go back to it: it is for people to send it out again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.going_back import Move, not_left
from tidegate.domain.rollout import Kind, State
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import rollout_targets, rollouts, runs

_TURNED = rollouts.c.back_since.is_not(None)
_GIVEN_UP = and_(rollouts.c.state == State.CANCELLED, ~rollout_targets.c.touched)
_ROLLBACK = and_(rollouts.c.kind == Kind.ROLLBACK, ~_GIVEN_UP)
"""Of one that was aborted, only what it has moved."""
_Timed = tuple[datetime, Move]


async def left_on(
    conn: AsyncConnection, channel_of: Mapping[int, int], orders: Mapping[int, Sequence[str]]
) -> dict[int, AbstractSet[str]]:
    """By target ids, the digests that ran there and were left: a rollback was to take it away, and none came again.

    `channel_of` has the targets' channels, `orders` by channel ids the digests by when each ran first, the newest
    first. A target that came later than its channel has left a release has left what it came with, too.
    """
    channels_left = await _left_by(conn, set(channel_of.values()), orders)
    found = dict[int, AbstractSet[str]]()
    for some in pieces(sorted(channel_of)):
        ran, back = await _ran(conn, some), await _taken_back(conn, some)
        for id_, moves in ran.items():
            channel = channel_of[id_]
            here = [*_but_for(moves, channels_left.get(channel, {})), *back.get(id_, ())]
            here.sort(key=lambda one: one[0])  # of what is told for the same moment, what it came to run is first
            kept = not_left(orders.get(channel, ()), [move for _, move in here])
            found[id_] = {move.to for _, move in moves} - kept
    return found


async def ever_left(conn: AsyncConnection, channel_id: int) -> set[str]:
    """Everything that some target of the channel was taken back from, though it may have gone out again since."""
    of_channel = rollouts.c.channel_id == channel_id
    turned = select(rollouts.c.digest).where(of_channel, _TURNED)
    taken_back = _members(rollout_targets.c.before).where(of_channel, _ROLLBACK)
    return {digest for some in (turned, taken_back) for digest in (await conn.execute(some.distinct())).scalars()}


def _but_for(moves: Sequence[_Timed], channel_left: Mapping[str, datetime]) -> Sequence[_Timed]:
    """Without what a target came with, where its channel had left that by then."""
    (at, first), *rest = moves
    return rest if first.to in channel_left and channel_left[first.to] < at else moves


async def _ran(conn: AsyncConnection, target_ids: Collection[int]) -> dict[int, list[_Timed]]:
    """What came to run where. What a rollout has brought that was turned round was there by then, told when it may."""
    statement = (
        select(runs.c.target_id, runs.c.digest, runs.c.since, rollouts.c.back_since)
        .outerjoin(rollouts, and_(rollouts.c.id == runs.c.rollout_id, rollouts.c.digest == runs.c.digest))
        .where(runs.c.target_id.in_(target_ids))
        .order_by(runs.c.since, runs.c.id)
    )
    found: dict[int, list[_Timed]] = {}
    for one in await conn.execute(statement):
        at = one.since if one.back_since is None else min(one.since, one.back_since)
        found.setdefault(one.target_id, []).append((at, Move(one.digest)))
    return found


async def _taken_back(conn: AsyncConnection, target_ids: Collection[int]) -> dict[int, list[_Timed]]:
    """What rollbacks were to do, and rollouts that were turned round, also where they did not come to it."""
    turned: ColumnElement[bool] = and_(_TURNED, rollout_targets.c.generation > 0)
    columns = rollouts.c.digest, rollouts.c.created_at, rollouts.c.back_since
    statement = (
        _members(rollout_targets.c.target_id, rollout_targets.c.before, *columns)
        .where(rollout_targets.c.target_id.in_(target_ids), or_(turned, _ROLLBACK))
        .order_by(rollouts.c.id)
    )
    found: dict[int, list[_Timed]] = {}
    for one in await conn.execute(statement):
        if one.back_since is None:
            move = one.created_at, Move(one.digest, one.before)
        else:
            move = one.back_since, Move(one.before, one.digest)
        found.setdefault(one.target_id, []).append(move)
    return found


async def _left_by(
    conn: AsyncConnection, channel_ids: Iterable[int], orders: Mapping[int, Sequence[str]]
) -> dict[int, dict[str, datetime]]:
    """By channel ids, what was left by a rollback and has not gone out again, to anybody; and since when."""
    these, channel = rollouts.c.channel_id.in_(sorted(channel_ids)), rollouts.c.channel_id
    turned = select(channel, rollouts.c.digest, func.max(rollouts.c.back_since).label("at"))
    began = func.max(rollouts.c.begun_at).label("at")
    again = select(channel, rollouts.c.digest, began).where(these, rollouts.c.begun_at.is_not(None), ~_TURNED)
    asked = func.max(rollouts.c.created_at).label("at")
    moves = _members(channel, rollout_targets.c.before, rollouts.c.digest, asked).where(these, _ROLLBACK)
    left, back = dict[tuple[int, str], datetime](), dict[tuple[int, str], datetime]()
    for one in await conn.execute(turned.where(these, _TURNED).group_by(channel, rollouts.c.digest)):
        left[one.channel_id, one.digest] = one.at
    for one in await conn.execute(moves.group_by(channel, rollout_targets.c.before, rollouts.c.digest)):
        if one.before in not_left(orders.get(one.channel_id, ()), [Move(one.before), Move(one.digest, one.before)]):
            continue  # it went forward: a rollback was taken back
        left[one.channel_id, one.before] = max(one.at, left.get((one.channel_id, one.before), one.at))
    for one in await conn.execute(again.group_by(channel, rollouts.c.digest)):
        back[one.channel_id, one.digest] = one.at
    still: dict[int, dict[str, datetime]] = {}
    for (channel_id, digest), at in left.items():
        if back.get((channel_id, digest), at) <= at:
            still.setdefault(channel_id, {})[digest] = at
    return still


def _members(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).join_from(rollout_targets, rollouts, rollouts.c.id == rollout_targets.c.rollout_id)
