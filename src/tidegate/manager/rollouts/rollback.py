"""Going back by hand: to what ran before, or to any earlier release; of a target, a cluster, a channel or a rollout."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.going_back import newest, ran_before, reached
from tidegate.domain.rollout import IN_FLIGHT, Kind, Rollout
from tidegate.manager.people.audit import Actor
from tidegate.manager.rollouts import others
from tidegate.manager.rollouts.create import CreateRefusedError, Wish, create
from tidegate.manager.rollouts.halt import Going, Halted, Left, catch_up_no_more, halt_updates, keep_from, take_out
from tidegate.manager.rollouts.left import left_on
from tidegate.manager.rollouts.rows import Loaded, load
from tidegate.manager.rollouts.runs import first_runs, hold_targets, ran_on, want_there
from tidegate.manager.rollouts.verbs import Order, StaleError, carry_out
from tidegate.manager.store.counters import current
from tidegate.manager.store.schema import agents, clusters, quarantine, rollout_targets, rollouts, targets

_NOT_KNOWN = "what ran before is not known"


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
    return await _plan(conn, targets.c.channel_id == channel_id, to)


async def of_cluster(conn: AsyncConnection, cluster_id: int, to: str | None) -> Plan:
    """Every target of a cluster that follows a channel. Raises `CreateRefusedError`."""
    return await _plan(conn, targets.c.cluster_id == cluster_id, to)


async def of_target(conn: AsyncConnection, target_id: int, to: str | None) -> Plan:
    """One target. Raises `CreateRefusedError`."""
    return await _plan(conn, targets.c.id == target_id, to)


def _there() -> Select[Any]:
    return (
        select(targets.c.id, targets.c.name, targets.c.channel_id, targets.c.digest, targets.c.digest_since)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id.is_not(None), targets.c.gone_at.is_(None), agents.c.revoked_at.is_(None))
        .order_by(targets.c.name)
    )


async def _plan(conn: AsyncConnection, these: ColumnElement[bool], to: str | None) -> Plan:
    rows = (await conn.execute(_there().where(these))).all()
    if not rows:
        raise CreateRefusedError(await _why_nobody(conn, these))
    return await _planned(conn, rows, to)


async def _why_nobody(conn: AsyncConnection, these: ColumnElement[bool]) -> str:
    """Why none of these targets can go back."""
    statement = (
        select(targets.c.name, targets.c.gone_at, agents.c.name.label("agent"))
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(targets.c.channel_id.is_not(None), these)
        .order_by(targets.c.gone_at.is_not(None), targets.c.name)
        .limit(1)
    )
    one = (await conn.execute(statement)).one_or_none()
    if one is None:
        return "there is no target that follows a channel here: nothing can go back"
    if one.gone_at is not None:
        return f"{one.name} is not there any more, as its agent tells: nothing can go back"
    return (
        f"{one.name} cannot go back: its agent was revoked, and does nothing any more. Enrol one anew with "
        f"`tidegate agents enrol {one.agent}`"
    )


async def _planned(conn: AsyncConnection, rows: Sequence[Row[Any]], to: str | None) -> Plan:
    ran = await ran_on(conn, [one.id for one in rows])
    first = await first_runs(conn, [one.channel_id for one in rows])
    held = set((await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))).scalars())
    if to is not None:
        return _all_to(rows, ran, first, to, held)
    orders = {id_: list(digests) for id_, digests in first.items()}
    left = await left_on(conn, {one.id: one.channel_id for one in rows}, orders)
    return _all_before(rows, {id_: digests - left[id_] for id_, digests in ran.items()}, orders, held)


# to what ran before


def _all_before(
    rows: Sequence[Row[Any]],
    stays: Mapping[int, AbstractSet[str]],
    known: Mapping[int, Sequence[str]],
    held: AbstractSet[str],
) -> Plan:
    """Who runs the newest release of those that run goes back; who runs an earlier one has left it, or never got it.

    `stays` has by target ids what ran there and was not left, `known` by channel ids the digests by when each ran
    first, the newest first.
    """
    orders = {row.channel_id: known.get(row.channel_id, ()) for row in rows}
    leaving = {
        id_: newest(order, {row.digest for row in rows if row.channel_id == id_}) for id_, order in orders.items()
    }
    going, left = list[Going](), list[Left]()
    for row in rows:
        to = row.digest
        if to == leaving[row.channel_id]:
            to = ran_before(orders[row.channel_id], stays.get(row.id, set()), row.digest, held) if row.digest else ""
        going.append(Going(row.id, row.name, row.channel_id, row.digest, to))
        if not to:
            left.append(Left(row.name, _why_lost(row.digest)))
    lost = [one.name for one in left]
    return Plan(going, left, _refused(lost) if lost else "")


def _why_lost(running: str) -> str:
    if not running:
        return "what runs there is not known: name the release to go back to"
    return (
        f"nothing is known to have run there before {running[:19]} that is neither in quarantine nor left by a "
        f"rollback: name the release to go back to"
    )


def _refused(lost: Sequence[str]) -> str:
    more = f" and {len(lost) - 1} more" if lost[1:] else ""
    return (
        f"nothing is known to have run before on {lost[0]}{more} that is neither in quarantine nor left by a rollback: "
        f"name the release to go back to"
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
        if await keep_from(conn, plan.going, by, now):
            return Back([], [], plan.left)
        raise CreateRefusedError(plan.refused)
    left = [*plan.left, *await take_out(conn, plan.going, by, now)]
    await _stay(conn, [one for one in plan.going if one.to and not one.moves])
    groups: dict[tuple[int, str], list[int]] = {}
    for one in moving:
        groups.setdefault((one.channel_id, one.to), []).append(one.id)
    made = [
        await create(conn, Wish(channel_id, digest, Kind.ROLLBACK, ids, reason=reason), by, now)
        for (channel_id, digest), ids in groups.items()
    ]
    return Back(made, moving, left)


async def _stay(conn: AsyncConnection, staying: Sequence[Going]) -> None:
    """What runs there is to run there, also where it was put there by hand."""
    await hold_targets(conn, [one.id for one in staying])
    for digest in {one.running for one in staying}:
        await want_there(conn, [one.id for one in staying if one.running == digest], digest)


async def channel_back(
    conn: AsyncConnection, channel_id: int, to: str | None, by: Actor, now: datetime, *, reason: str = ""
) -> Back:
    """Take a whole channel back, and have no update of it go on meanwhile.

    Where one was turned round, only who got its release goes back, by that one or an earlier rollout, unless a release
    is named for all.
    Raises `CreateRefusedError`, and `VerbRefusedError`.
    """
    await current(conn, "world", hold=True, to_change=True)
    plan = await of_channel(conn, channel_id, to)
    halted = await halt_updates(conn, rollouts.c.channel_id == channel_id, to, by, now, reason=reason)
    return await _after(conn, plan, halted, to, by, now, reason=reason)


async def _after(  # noqa: PLR0917
    conn: AsyncConnection, plan: Plan, halted: Halted, to: str | None, by: Actor, now: datetime, *, reason: str
) -> Back:
    """Go back as planned, but for what goes back with updates that were turned round."""
    around = await _around(conn, halted.turned, plan)
    plan = _without(plan, {one.name for one in around})
    if halted.turned and to is None:
        lost = [Left(one.name, _NOT_KNOWN) for one in around if not one.to]
        around = [one for one in around if one.to]
        plan = _leaving(plan, {it.digest for it in halted.turned})
        plan = replace(plan, left=[*lost, *plan.left])
        if not any(one.moves for one in plan.going):
            return Back(halted.turned, around, plan.left, halted.aborted)
    back = await go_back(conn, plan, by, now, reason=reason)
    return Back([*halted.turned, *back.rollouts], [*around, *back.going], back.left, halted.aborted)


def _leaving(plan: Plan, digests: AbstractSet[str]) -> Plan:
    """Of a plan, what runs one of these: the others stay where they are."""
    going = [one if one.running in digests else replace(one, to=one.running) for one in plan.going]
    lost = {one.name for one in going if not one.to and one.running}
    return Plan(going, [one for one in plan.left if one.name in lost])


def _without(plan: Plan, names: AbstractSet[str]) -> Plan:
    going = [one for one in plan.going if one.name not in names]
    return replace(plan, going=going, left=[one for one in plan.left if one.name not in names])


async def _around(conn: AsyncConnection, turned: Sequence[Rollout], plan: Plan) -> list[Going]:
    """The targets that go back with updates that were turned round; one with two of them as far as the earlier."""
    found: dict[str, Going] = {}
    for it in reversed(turned):
        going = {one.name: one for one in await _turned(conn, it, plan)}
        found |= {name: one for name, one in going.items() if name not in found or found[name].to == it.digest}
    return sorted(found.values(), key=lambda one: one.name)


async def _turned(conn: AsyncConnection, it: Rollout, plan: Plan) -> list[Going]:
    """The targets that go back with an update that was turned round."""
    known = {one.name: one for one in plan.going}
    loaded = await load(conn, int(it.id))
    ways = {} if loaded is None else await _ways_back(conn, loaded)
    return [replace(known[name], to=to) for name, to in ways.items() if name in known]


async def _ways_back(conn: AsyncConnection, it: Loaded) -> dict[str, str]:
    """By their names, where the targets of an update go that was turned round; empty where nothing is known."""
    further = await others.earlier(conn, it, await others.quarantined(conn))
    return {one.id: further.get(one.id, one.before) for one in reached(it.rollout)}


# of a rollout


async def rollout_back(conn: AsyncConnection, id_: int, to: str | None, order: Order, now: datetime) -> Back | None:
    """Take back what a rollout has updated, or all its targets to a release that is named; None: there is none.

    An open one is turned round, or aborted where that does not bring its targets there.
    Raises `CreateRefusedError`, `VerbRefusedError` and `StaleError`.
    """
    await current(conn, "world", hold=True, to_change=True)
    loaded = await load(conn, id_, hold=True)
    if loaded is None:
        return None
    if order.edition not in {None, loaded.edition}:
        raise StaleError
    if to is not None:
        plan = await _plan(conn, _of(id_), to)
        halted = await halt_updates(conn, rollouts.c.id == id_, to, order.by, now, reason=order.reason)
        return await _after(conn, plan, halted, to, order.by, now, reason=order.reason)
    if loaded.rollout.ended and loaded.rollout.kind is Kind.UPDATE:
        return await _ended_back(conn, loaded, order, now)
    after = await carry_out(conn, id_, order, now)
    return None if after is None else await _turned_round(conn, after, loaded)


async def _turned_round(conn: AsyncConnection, it: Rollout, loaded: Loaded) -> Back:
    ways = await _ways_back(conn, replace(loaded, rollout=it))
    going = [Going(loaded.ids[name], name, loaded.channel_id, it.digest, to) for name, to in ways.items()]
    return Back([it], [one for one in going if one.to], [Left(one.name, _NOT_KNOWN) for one in going if not one.to])


async def _ended_back(conn: AsyncConnection, loaded: Loaded, order: Order, now: datetime) -> Back:
    """Take back what runs the release of a rollout that has ended, by that rollout; nobody catches up with it."""
    it = loaded.rollout
    by_it = or_(rollout_targets.c.touched, rollout_targets.c.progress.in_(IN_FLIGHT))
    runs_it = _there().where(_of(int(it.id), by_it), targets.c.digest == it.digest)
    rows = (await conn.execute(runs_it)).all()
    plan = await _planned(conn, rows, None) if rows else Plan([], refused=_nothing_of(it))
    kept, left = await catch_up_no_more(conn, loaded, {row.name for row in rows}, order.by, now)
    if (kept or left) and not any(one.moves for one in plan.going):
        return Back([], [], [*left, *plan.left])
    back = await go_back(conn, plan, order.by, now, reason=order.reason)
    return replace(back, left=[*left, *back.left])


def _of(id_: int, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    """The targets of a rollout, or those that it has so."""
    return targets.c.id.in_(select(rollout_targets.c.target_id).where(rollout_targets.c.rollout_id == id_, *which))


def _nothing_of(it: Rollout) -> str:
    return (
        f"rollout {it.id} is {it.state.replace('_', ' ')}, and nothing that it has updated runs its release now: name "
        f"the release that its targets are to go to, or roll back the targets themselves"
    )
