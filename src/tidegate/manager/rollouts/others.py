"""What other rollouts of its channel mean for a rollout, and what ran on its targets before."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.going_back import ran_before
from tidegate.domain.rollout import Kind, Progress, State
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts.left import ever_left, left_on
from tidegate.manager.rollouts.rows import Loaded
from tidegate.manager.rollouts.runs import first_runs, ran_on
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import (
    assignments,
    clusters,
    quarantine,
    releases,
    rollout_targets,
    rollouts,
    targets,
)

NOT_BEGUN = {State.AWAITING_APPROVAL, State.SCHEDULED}
_CARRIED_OUT = (Outcome.HEALTHY, Outcome.FAILED, Outcome.INCONCLUSIVE)


async def taken(conn: AsyncConnection, it: Loaded) -> frozenset[str]:
    """Targets with an assignment of another rollout."""
    statement = (
        select(targets.c.name)
        .join(assignments, assignments.c.target_id == targets.c.id)
        .where(assignments.c.open, assignments.c.rollout_id != int(it.rollout.id))
    )
    return frozenset((await conn.execute(statement)).scalars())


async def at_work(conn: AsyncConnection, it: Loaded, now: datetime) -> dict[str, datetime]:
    """By targets whose time to begin is over, until when their agents carried out another's assignment: now, if still.

    An agent of any version carries out one after another, and says nothing of those that wait.
    """
    late = (await conn.execute(_late(int(it.rollout.id), now))).all()
    if not late:
        return {}
    begun = and_(assignments.c.open, assignments.c.outcome == Outcome.BEGUN)
    ended = and_(assignments.c.outcome.in_(_CARRIED_OUT), assignments.c.told_at > min(one.since for one in late))
    until = dict[str, datetime]()
    for some in pieces(sorted({one.agent_id for one in late})):
        statement = (
            select(assignments.c.agent_id, func.max(case((begun, 1), else_=0)), func.max(assignments.c.told_at))
            .where(assignments.c.agent_id.in_(some), or_(begun, ended))
            .group_by(assignments.c.agent_id)
        )
        until |= {agent: now if still else at for agent, still, at in await conn.execute(statement)}
    return {one.target: until[one.agent_id] for one in late if one.agent_id in until}


def _late(id_: int, now: datetime) -> Select[Any]:
    """The targets of a rollout that should have begun by now, with their agents."""
    return (
        select(rollout_targets.c.target, rollout_targets.c.since, clusters.c.agent_id)
        .join(targets, targets.c.id == rollout_targets.c.target_id)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .where(rollout_targets.c.rollout_id == id_, rollout_targets.c.progress == Progress.OFFERED)
        .where(rollout_targets.c.deadline <= now)
    )


async def superseded_by(conn: AsyncConnection, it: Loaded, now: datetime) -> str:
    """The first later rollout of the whole channel that has begun, or that goes out in its place.

    One that has to wait for its time, as until its release is old enough, keeps none with an earlier time from going
    out: else a channel with releases that follow each other faster than that would get none of them.
    """
    began: ColumnElement[bool] = rollouts.c.begun_at.is_not(None)
    if it.rollout.place is State.AWAITING_APPROVAL and it.whole:
        not_begun = and_(rollouts.c.state == State.PAUSED, rollouts.c.begun_at.is_(None))
        began = or_(began, rollouts.c.state.in_(NOT_BEGUN), not_begun)
    elif it.rollout.place is State.SCHEDULED and it.whole:
        mine = max(it.rollout.not_before or now, now)
        no_later = or_(rollouts.c.not_before.is_(None), rollouts.c.not_before <= mine)
        began = or_(began, and_(rollouts.c.state == State.SCHEDULED, no_later))
    statement = select(rollouts.c.id).where(*_later(it), rollouts.c.whole, began).order_by(rollouts.c.id).limit(1)
    found = (await conn.execute(statement)).scalar()
    return "" if found is None else str(found)


async def overtaken(conn: AsyncConnection, it: Loaded) -> dict[str, str]:
    """Targets that a later update of some targets alone brings a newer release, with that rollout."""
    statement = (
        select(rollouts.c.id, rollouts.c.digest)
        .where(*_later(it), ~rollouts.c.whole, rollouts.c.begun_at.is_not(None))
        .where(rollouts.c.kind == Kind.UPDATE, rollouts.c.digest != it.rollout.digest)
        .order_by(rollouts.c.id)
    )
    some = (await conn.execute(statement)).all()
    if not some:
        return {}
    order = await _order(conn, it.channel_id)
    at = order.get(it.rollout.digest, -1)
    newer = [one.id for one in some if order.get(one.digest, len(order)) > at]
    mine = {id_: name for name, id_ in it.ids.items()}
    found = {}
    for one in await conn.execute(_members(it).where(rollout_targets.c.rollout_id.in_(newer))):
        found[mine[one.target_id]] = str(one.rollout_id)
    return found


async def moved_on(conn: AsyncConnection, it: Loaded) -> frozenset[str]:
    """Those of its targets that its release runs, or may run on, and that a later rollout has moved since.

    Not those that the later one has brought back to this release, or is bringing back: nobody else moves them on.
    """
    if _stays(it) or not any(one.touched for one in it.rollout.targets.values()):
        return frozenset()
    moved = or_(rollout_targets.c.touched, rollout_targets.c.progress.in_((Progress.HEALTHY, Progress.WENT_BACK)))
    goes = or_(rollout_targets.c.touched, rollout_targets.c.progress == Progress.WENT_BACK)
    comes_back = and_(rollouts.c.back_since.is_not(None), rollout_targets.c.before == it.rollout.digest, goes)
    mine = {id_: name for name, id_ in it.ids.items()}
    return frozenset(mine[one.target_id] for one in await conn.execute(_members(it).where(moved, ~comes_back)))


async def earlier(conn: AsyncConnection, it: Loaded, held: frozenset[str]) -> dict[str, str]:
    """What targets go back to where what ran before is not to run there any more.

    Where that goes back, too, what that one goes back to; where it is in quarantine or was left, what ran before it.
    """
    back = {it.ids[name]: one for name, one in it.rollout.targets.items() if one.touched and one.before}
    if _stays(it) or not back or it.rollout.kind is Kind.ROLLBACK:
        return {}
    taken_back = await _taken_back(conn, it, {id_: one.before for id_, one in back.items()})
    found = {id_: _first_that_stays(one.before, taken_back.get(id_, {})) for id_, one in back.items()}
    lost = held | await ever_left(conn, it.channel_id)
    found |= await _before_those(conn, it, {id_: digest for id_, digest in found.items() if digest in lost}, held)
    return {one.id: found[id_] for id_, one in back.items() if found[id_] not in ("", one.before)}


async def _before_those(
    conn: AsyncConnection, it: Loaded, some: Mapping[int, str], held: frozenset[str]
) -> dict[int, str]:
    """By target ids, what ran there before one of these, where that is in quarantine or was left there."""
    if not some:
        return {}
    order = list((await first_runs(conn, [it.channel_id])).get(it.channel_id, {}))
    left = await left_on(conn, dict.fromkeys(some, it.channel_id), {it.channel_id: order})
    ran = await ran_on(conn, sorted(some))
    return {
        id_: ran_before(order, ran.get(id_, set()) - left.get(id_, set()), digest, held)
        for id_, digest in some.items()
        if digest in held or digest in left.get(id_, ())
    }


def _stays(it: Loaded) -> bool:
    """Whether nothing of it goes back any more."""
    return it.rollout.ended and it.rollout.back_since is None


async def _taken_back(conn: AsyncConnection, it: Loaded, before: Mapping[int, str]) -> dict[int, dict[str, str]]:
    """By target ids, the digests that earlier rollouts take back, with what each goes back to.

    Of rollouts that have brought the same one, the last counts; none that had put it back when this one was made: it
    came there anew. `before` has what ran on each before this one.
    """
    earlier_ones = rollouts.c.channel_id == it.channel_id, rollouts.c.id < int(it.rollout.id)
    turned = select(rollouts.c.digest).where(*earlier_ones, rollouts.c.back_since.is_not(None)).distinct()
    digests = set((await conn.execute(turned)).scalars())
    over = and_(
        rollout_targets.c.progress.in_((Progress.WENT_BACK, Progress.FAILED)),
        ~rollout_targets.c.touched,
        rollout_targets.c.since < it.rollout.created_at,
    )
    found: dict[int, dict[str, str]] = {}
    for some in pieces(sorted(id_ for id_, digest in before.items() if digest in digests)):
        statement = (
            select(rollout_targets.c.target_id, rollouts.c.digest, rollouts.c.back_since, rollout_targets.c.before)
            .join(rollouts, rollouts.c.id == rollout_targets.c.rollout_id)
            .where(*earlier_ones, rollouts.c.digest.in_(turned), rollout_targets.c.target_id.in_(some))
            .where(rollout_targets.c.generation > 0, ~over)
            .order_by(rollouts.c.id)
        )
        for one in await conn.execute(statement):
            found.setdefault(one.target_id, {})[one.digest] = one.before if one.back_since is not None else ""
    return found


def _first_that_stays(digest: str, taken_back: Mapping[str, str]) -> str:
    """What is left where each of these goes back to the other; no further than to what is known."""
    passed = {digest}
    while (following := taken_back.get(digest, "")) and following not in passed:
        digest = following
        passed.add(digest)
    return digest


async def quarantined(conn: AsyncConnection) -> frozenset[str]:
    """Every digest in quarantine."""
    return frozenset(
        (await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))).scalars()
    )


def _later(it: Loaded) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return rollouts.c.channel_id == it.channel_id, rollouts.c.id > int(it.rollout.id)


def _members(it: Loaded) -> Select[Any]:
    """Targets of this rollout in later ones of its channel, in their order."""
    mine = select(rollout_targets.c.target_id).where(rollout_targets.c.rollout_id == int(it.rollout.id))
    return (
        select(rollout_targets.c.target_id, rollout_targets.c.rollout_id)
        .join(rollouts, rollouts.c.id == rollout_targets.c.rollout_id)
        .where(*_later(it), rollout_targets.c.target_id.in_(mine))
        .order_by(rollout_targets.c.rollout_id)
    )


async def _order(conn: AsyncConnection, channel_id: int) -> dict[str, int]:
    """The releases of a channel by how new they are, the newest last."""
    statement = (
        select(releases.c.digest)
        .where(releases.c.channel_id == channel_id)
        .order_by(releases.c.named_at, releases.c.seen_at, releases.c.digest)
    )
    return {digest: number for number, digest in enumerate((await conn.execute(statement)).scalars())}
