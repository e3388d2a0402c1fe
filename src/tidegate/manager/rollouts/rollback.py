"""Going back by hand: to what ran before, or to any earlier release; of a target, a cluster or a whole channel."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.going_back import newest, ran_before, reached
from tidegate.domain.rollout import Kind, Rollout
from tidegate.manager.people.audit import Actor
from tidegate.manager.rollouts.create import CreateRefusedError, Wish, create
from tidegate.manager.rollouts.halt import Going, Left, halt_updates, take_out
from tidegate.manager.rollouts.runs import first_runs, ran_on
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import agents, clusters, quarantine, targets


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes back where, and what does not; `refused` says why nothing would be moved by it."""

    going: Sequence[Going]
    left: Sequence[Left] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Back:
    """What a rollback came to: its rollouts, the targets that they move, those that stay behind, what was aborted."""

    rollouts: Sequence[Rollout]
    going: Sequence[Going]
    left: Sequence[Left]
    aborted: Sequence[int] = ()


Which = Callable[[AsyncConnection, int, str | None], Awaitable[Plan]]
"""Finds what goes back: of a channel, a cluster or a target, to this digest or to what ran before."""


async def of_channel(conn: AsyncConnection, channel_id: int, to: str | None) -> Plan:
    """Every target of a channel. Raises `CreateRefusedError`."""
    return await _plan(conn, _there().where(targets.c.channel_id == channel_id), to)


async def of_cluster(conn: AsyncConnection, cluster_id: int, to: str | None) -> Plan:
    """Every target of a cluster that follows a channel. Raises `CreateRefusedError`."""
    return await _plan(conn, _there().where(targets.c.cluster_id == cluster_id), to)


async def of_target(conn: AsyncConnection, target_id: int, to: str | None) -> Plan:
    """One target. Raises `CreateRefusedError`."""
    return await _plan(conn, _there().where(targets.c.id == target_id), to)


def _there() -> Select[Any]:
    return (
        select(targets.c.id, targets.c.name, targets.c.channel_id, targets.c.digest, targets.c.digest_since)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id.is_not(None), targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
        .order_by(targets.c.name)
    )


async def _plan(conn: AsyncConnection, some: Select[Any], to: str | None) -> Plan:
    rows = (await conn.execute(some)).all()
    if not rows:
        raise CreateRefusedError("there is no target that follows a channel here: nothing can go back")
    ran = await ran_on(conn, [one.id for one in rows])
    first = await first_runs(conn, [one.channel_id for one in rows])
    held = set((await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))).scalars())
    return _all_before(rows, ran, first, held) if to is None else _all_to(rows, ran, first, to, held)


# to what ran before


def _all_before(
    rows: Sequence[Row[Any]],
    ran: Mapping[int, AbstractSet[str]],
    first: Mapping[int, Mapping[str, datetime]],
    held: AbstractSet[str],
) -> Plan:
    """Who runs the newest release of those that run goes back; who runs an earlier one has left it, or never got it."""
    orders = {row.channel_id: list(first.get(row.channel_id, {})) for row in rows}
    leaving = {
        id_: newest(order, {row.digest for row in rows if row.channel_id == id_}) for id_, order in orders.items()
    }
    going, left = list[Going](), list[Left]()
    for row in rows:
        to = row.digest
        if to == leaving[row.channel_id]:
            to = ran_before(orders[row.channel_id], ran.get(row.id, set()), row.digest, held) if row.digest else ""
        going.append(Going(row.id, row.name, row.channel_id, row.digest, to))
        if not to:
            left.append(Left(row.name, _why_lost(row.digest)))
    lost = [one.name for one in left]
    return Plan(going, left, _refused(lost) if lost else "")


def _why_lost(running: str) -> str:
    if not running:
        return "what runs there is not known: name the release to go back to"
    return (
        f"nothing is known to have run there before {running[:19]} that is not in quarantine: name the release to go "
        f"back to"
    )


def _refused(lost: Sequence[str]) -> str:
    more = f" and {len(lost) - 1} more" if lost[1:] else ""
    return (
        f"nothing is known to have run before on {lost[0]}{more} that is not in quarantine: name the release to go "
        f"back to"
    )


# to one that is named


def _all_to(
    rows: Sequence[Row[Any]],
    ran: Mapping[int, AbstractSet[str]],
    first: Mapping[int, Mapping[str, datetime]],
    to: str,
    held: AbstractSet[str],
) -> Plan:
    """One release for all of them: each that it ran on, or whose channel it ran on before what runs there now.

    Not any that was seen: to bring one forward takes an update, with the approvals, windows and waves of its policy.
    """
    if to in held:
        raise CreateRefusedError(f"{to[:19]} is in quarantine; release it first, if it is to run again")
    going, left = list[Going](), list[Left]()
    for row in rows:
        since = first.get(row.channel_id, {}).get(to)
        if to == row.digest or to in ran.get(row.id, ()) or _is_before(since, row.digest_since):
            going.append(Going(row.id, row.name, row.channel_id, row.digest, to))
        else:
            left.append(Left(row.name, f"{to[:19]} never ran there, nor on its channel before what runs there now"))
    if not going:
        raise CreateRefusedError(
            f"{to[:19]} never ran on any of these targets, nor on their channels before what runs there now: "
            f"`tidegate rollout start` sends it out, by the channel's policy"
        )
    return Plan(going, left)


def _is_before(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


# doing it


async def go_back(conn: AsyncConnection, plan: Plan, by: Actor, now: datetime, *, reason: str = "") -> Back:
    """Make the rollbacks that this takes: one for each channel and release to go back to.

    None for what runs already. Targets are taken out of rollouts that would bring them forward again.
    Raises `CreateRefusedError`.
    """
    await current(conn, "world", hold=True)  # first, as everywhere: who changes it changes rollouts next
    moving = [one for one in plan.going if one.moves]
    if not moving and plan.refused:
        raise CreateRefusedError(plan.refused)
    left = [*plan.left, *await take_out(conn, plan.going, by, now)]
    groups: dict[tuple[int, str], list[int]] = {}
    for one in moving:
        groups.setdefault((one.channel_id, one.to), []).append(one.id)
    made = [
        await create(conn, Wish(channel_id, digest, Kind.ROLLBACK, ids, reason=reason), by, now)
        for (channel_id, digest), ids in groups.items()
    ]
    return Back(made, moving, left)


async def channel_back(
    conn: AsyncConnection, channel_id: int, to: str | None, by: Actor, now: datetime, *, reason: str = ""
) -> Back:
    """Take a whole channel back, and have no update of it go on meanwhile.

    Where one was turned round, only who got its release goes back, unless a release is named for all.
    Raises `CreateRefusedError`, and `VerbRefusedError`.
    """
    await current(conn, "world", hold=True)
    plan = await of_channel(conn, channel_id, to)
    halted = await halt_updates(conn, channel_id, to, by, now, reason=reason)
    around = [one for it in halted.turned for one in _turned(it, plan)]
    if halted.turned and to is None:
        lost = [Left(one.name, "what ran before is not known") for one in around if not one.to]
        return Back(halted.turned, [one for one in around if one.to], lost, halted.aborted)
    names = {one.name for one in around}
    rest = replace(plan, going=[one for one in plan.going if one.name not in names])
    back = await go_back(conn, rest, by, now, reason=reason)
    return Back([*halted.turned, *back.rollouts], [*around, *back.going], back.left, halted.aborted)


def _turned(it: Rollout, plan: Plan) -> list[Going]:
    """The targets that go back with an update that was turned round."""
    known = {one.name: one for one in plan.going}
    return [replace(known[one.id], to=one.before) for one in reached(it) if one.id in known]
