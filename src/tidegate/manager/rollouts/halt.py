"""Stopping what would bring targets forward again that somebody takes back."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.going_back import reached, stops, without
from tidegate.domain.rollout import ENDED, IN_FLIGHT, MISSED, Kind, Progress, Rollout, State
from tidegate.domain.rollout_apply import Verb
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.rollouts.rows import Loaded, load, save
from tidegate.manager.rollouts.verbs import Order, carry_out
from tidegate.manager.store.bus import publish
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import rollout_targets, rollouts
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.telling.feed import tell

_NOT_BACK_YET = (State.AWAITING_APPROVAL, State.SCHEDULED, State.RUNNING, State.PAUSED)
_LIVE = (*_NOT_BACK_YET, State.ROLLING_BACK)


@dataclass(frozen=True, slots=True)
class Going:
    """A target that goes back: what runs there, and what it goes back to; empty where that is not known."""

    id: int
    name: str
    channel_id: int
    running: str
    to: str

    @property
    def moves(self) -> bool:
        """Whether anything is to be done about it."""
        return self.to not in ("", self.running)


@dataclass(frozen=True, slots=True)
class Left:
    """A target that does not go back with the others, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Halted:
    """Updates of a channel that were stopped: those that were turned round, and the numbers of the others."""

    turned: Sequence[Rollout]
    aborted: Sequence[int]


async def halt_updates(
    conn: AsyncConnection, these: ColumnElement[bool], to: str | None, by: Actor, now: datetime, *, reason: str
) -> Halted:
    """Stop every update among these rollouts, but for one that brings `to`. Raises `CreateRefusedError`."""
    statement = (
        select(rollouts.c.id)
        .where(these, rollouts.c.state.in_(_NOT_BACK_YET))
        .where(rollouts.c.kind == Kind.UPDATE)
        .order_by(rollouts.c.id)
    )
    turned, aborted = list[Rollout](), list[int]()
    for id_ in (await conn.execute(statement)).scalars().all():
        loaded = await load(conn, id_, hold=True)
        verb = stops(loaded.rollout, to) if loaded is not None else None
        if loaded is None or verb is None:
            continue
        if verb is Verb.ABORT:
            _refuse_in_flight(loaded.rollout, list(loaded.ids))
        after = await carry_out(conn, id_, Order(verb, by, reason), now)
        if verb is Verb.ABORT:
            aborted.append(id_)
        elif after is not None:
            turned.append(after)
    return Halted(turned, aborted)


async def take_out(conn: AsyncConnection, going: Sequence[Going], by: Actor, now: datetime) -> list[Left]:
    """Have rollouts leave these targets alone from now on, also those that have ended and would catch up.

    Those that stay are taken out, too: else a release that the others leave would still come to them. The ones that
    cannot be are told. Raises `CreateRefusedError`.
    """
    left, by_id = list[Left](), {one.id: one for one in going}
    for id_ in await _concerned(conn, list(by_id)):
        loaded = await load(conn, id_, hold=True)
        if loaded is None:
            continue
        it, here = loaded.rollout, _concerning(loaded, by_id)
        if it.ended:
            left += _maybe_updated(it, here)
        else:
            _refuse_in_flight(it, list(here))
        await leave_alone(conn, loaded, list(here), by, now)
    return left


async def keep_from(conn: AsyncConnection, going: Sequence[Going], by: Actor, now: datetime) -> bool:
    """Have no release come to these targets that was still to come; whether there was one.

    For who cannot be moved: what has come, or is on its way, its rollout goes on to look after.
    """
    kept, by_id = False, {one.id: one for one in going}
    for id_ in await _concerned(conn, list(by_id)):
        loaded = await load(conn, id_, hold=True)
        if loaded is None:
            continue
        targets = loaded.rollout.targets
        to_come = [name for name in _concerning(loaded, by_id) if targets[name].progress in MISSED]
        untouched = [name for name in to_come if not targets[name].touched]
        kept = await leave_alone(conn, loaded, untouched, by, now) or kept
    return kept


async def catch_up_no_more(
    conn: AsyncConnection, loaded: Loaded, moving: AbstractSet[str], by: Actor, now: datetime
) -> tuple[bool, list[Left]]:
    """Have nobody catch up with a rollout that has ended; whether anybody would have.

    And who may come to run its release all the same, though others go back, which are named by `moving`.
    """
    it = loaded.rollout
    here = {name: Going(id_, name, loaded.channel_id, "", "") for name, id_ in loaded.ids.items() if name not in moving}
    left = _maybe_updated(it, here)
    missed = [name for name in here if it.state is State.COMPLETED and it.targets[name].progress in MISSED]
    if int(it.id) not in await _concerned(conn, [loaded.ids[name] for name in missed]):
        return False, left
    return await leave_alone(conn, loaded, missed, by, now), left


async def leave_alone(
    conn: AsyncConnection, loaded: Loaded, names: Sequence[str], by: Actor, now: datetime, *, why: str = ""
) -> bool:
    """Have a rollout leave these alone from now on, for being rolled back if not for another reason; whether it did."""
    after = without(loaded.rollout, names, why or f"left alone: {by.name} rolls it back")
    if after is loaded.rollout or not await save(conn, loaded, after, wake_at=now, now=now):
        return False
    await _tell(conn, loaded.rollout, after, by, now)
    return True


async def _tell(conn: AsyncConnection, before: Rollout, after: Rollout, by: Actor, now: datetime) -> None:
    """Tell which targets leave a rollout."""
    subject = f"rollout {after.id}"
    leave = sorted(id_ for id_, one in after.targets.items() if before.targets[id_] != one)
    old, new = ({"targets": {id_: str(one.targets[id_].progress) for id_ in leave}} for one in (before, after))
    await record(conn, by, "rollout.leave", subject, now, before=old, after=new)
    await tell(conn, "rollout.leave", subject, now, rollout=int(after.id), by=by.name, targets=leave)
    publish(conn, ROLLOUTS, after.id)


async def _concerned(conn: AsyncConnection, target_ids: Sequence[int]) -> list[int]:
    """The rollouts that have, or may still have, something to do with these targets."""
    found = set[int]()
    for some in pieces(target_ids):
        found |= set((await conn.execute(_with(some))).scalars())
    return sorted(found)


def _with(target_ids: Sequence[int]) -> Select[Any]:
    later = rollouts.alias()
    superseded = (  # nobody catches up with it any more: there is no need to read it with all its targets
        select(func.count())
        .where(later.c.channel_id == rollouts.c.channel_id, later.c.id > rollouts.c.id)
        .where(later.c.whole, later.c.begun_at.is_not(None))
        .correlate(rollouts)
        .scalar_subquery()
    )
    waits = and_(rollout_targets.c.progress == Progress.WAITING, rollouts.c.state == State.COMPLETED)
    catches_up = and_(or_(rollout_targets.c.progress == Progress.OFFLINE, waits), superseded == 0)
    ended = and_(rollouts.c.state.in_(ENDED), or_(rollout_targets.c.progress.in_(IN_FLIGHT), catches_up))
    return (
        select(rollouts.c.id)
        .join(rollout_targets, rollout_targets.c.rollout_id == rollouts.c.id)
        .where(rollout_targets.c.target_id.in_(target_ids), or_(rollouts.c.state.in_(_LIVE), ended))
        .distinct()
    )


def _concerning(loaded: Loaded, going: Mapping[int, Going]) -> dict[str, Going]:
    """By name, the targets that the rollout must leave alone.

    Not who stays and is to be brought where it stays, nor who stays and is being put back.
    """
    it = loaded.rollout
    goes_on = it.back_since is None
    ours = {name: going[id_] for name, id_ in loaded.ids.items() if id_ in going}
    return {name: one for name, one in ours.items() if one.moves or (goes_on and it.digest != one.to)}


def _refuse_in_flight(it: Rollout, names: Sequence[str]) -> None:
    moving = [name for name in sorted(names) if it.targets[name].in_flight]
    if moving:
        raise CreateRefusedError(f"{moving[0]} is being moved by rollout {it.id} right now: {_instead(it)}")


def _instead(it: Rollout) -> str:
    """What can be done where a rollout is at a target that is to go back."""
    if it.state is State.ROLLING_BACK:
        return "that one goes back; wait for it"
    if it.kind is Kind.ROLLBACK:
        return "that one is a rollback; wait for it, or abort it"
    return "abort that one, or roll it back; or wait for it"


def _maybe_updated(it: Rollout, here: Mapping[str, Going]) -> list[Left]:
    """Those of a rollout that has ended which may come to run its release though they stay."""
    said = list[Left]()
    for one in reached(it):
        if one.id not in here or here[one.id].moves:
            continue
        if one.in_flight:
            said.append(Left(one.id, f"rollout {it.id} is updating it right now: roll it back when that is over"))
        elif one.progress is Progress.OFFLINE:
            why = f"its host went away while rollout {it.id} updated it: look at what runs there when it is back"
            said.append(Left(one.id, why))
    return said
