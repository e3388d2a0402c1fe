"""What a decision wants done, done: in the transaction that writes the decision down."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout import Kind, Progress, Rollout, State
from tidegate.domain.rollout_apply import Outcome
from tidegate.domain.rollout_effects import Effect, Notify, Offer, Quarantine, Withdraw
from tidegate.manager.people.audit import MANAGER, Actor, record
from tidegate.manager.rollouts.others import NOT_BEGUN
from tidegate.manager.rollouts.rows import Loaded, counts
from tidegate.manager.rollouts.runs import hold_targets, note_runs, want_there
from tidegate.manager.rollouts.world import Place
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import change_world
from tidegate.manager.store.schema import assignments, quarantine, rollouts, targets
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.telling.feed import Said, tell_all
from tidegate.protocol.signed import Withdraw as WithdrawDocument

_TOLD_ONE_BY_ONE = 100
"""Of more targets than this that move at once the feed has only how many are where."""
_FAILED = (Progress.FAILED, Progress.NOT_PUT_BACK)
_NO_END = ("", str(Outcome.BEGUN), str(Outcome.BUSY))
"""What is known of an assignment that has not ended."""

Sending = tuple[str, Assignment | WithdrawDocument]
"""A document for the agent with that id."""


class Outbox(Protocol):
    """How documents reach agents."""

    async def send(self, conn: AsyncConnection, documents: Sequence[Sending]) -> None:
        """Sign documents, and send each to the agent with that id once the transaction is committed."""


@dataclass(frozen=True, slots=True)
class Change:
    """A decision: the rollout before and after it, what it wants done, and where its targets are."""

    before: Loaded
    after: Rollout
    effects: Sequence[Effect]
    places: Mapping[str, Place]
    now: datetime

    @property
    def offers(self) -> list[Offer]:
        """The offers among its effects."""
        return [one for one in self.effects if isinstance(one, Offer)]

    @property
    def touched(self) -> set[int]:
        """The ids of the targets that it changes, or has assigned something."""
        old = self.before.rollout.targets
        names = {name for name, one in self.after.targets.items() if one != old[name]}
        return {self.before.ids[name] for name in names | {one.target for one in self.offers}}

    @property
    def begins(self) -> bool:
        """Whether the rollout begins with it: from then on targets are its own."""
        return self.after.state not in NOT_BEGUN and self.before.rollout.state in NOT_BEGUN


@dataclass(frozen=True, slots=True)
class Effects:
    """Carries out effects. `new_id` gives ids to assignments."""

    outbox: Outbox
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex

    async def carry_out(self, conn: AsyncConnection, it: Change) -> bool:
        """Do what a decision wants, and tell of it; whether other rollouts of the channel have to be decided anew.

        They are woken afterwards (`wake_channel`): who holds a rollout waits for no other one.
        Raises `IntegrityError` where another rollout has an assignment of the same target under way.
        """
        there = await _where_it_runs(conn, it)
        await hold_targets(conn, it.touched | there)
        closed = await _close(conn, it)
        documents = [*await self._offer(conn, it), *_withdrawals(it)]
        if documents:
            await self.outbox.send(conn, documents)
        for one in it.effects:
            if isinstance(one, Quarantine):
                await _quarantine(conn, it, one)
        await _note_what_runs(conn, it)
        await want_there(conn, there, it.after.digest)
        await tell_all(conn, _said(it), it.now)
        return closed or it.begins or any(isinstance(one, Quarantine) for one in it.effects)

    async def _offer(self, conn: AsyncConnection, it: Change) -> list[Sending]:
        made = [self._assignment(one, it) for one in it.offers]
        if made:
            ids = [it.before.ids[one.target] for one in it.offers]
            rows = [_row(one) | {"target_id": id_} for one, id_ in zip(made, ids, strict=True)]
            await conn.execute(insert(assignments), rows)
            latest = [{"which": id_, "latest": one.generation} for one, id_ in zip(made, ids, strict=True)]
            statement = update(targets).where(targets.c.id == bindparam("which"))
            await conn.execute(statement.values(generation=bindparam("latest")), latest)
        return [(one.agent, one) for one in made]

    def _assignment(self, one: Offer, it: Change) -> Assignment:
        return Assignment(
            id=self.new_id(),
            **_which(one.target, it.places),
            repository=it.places[one.target].repository,
            digest=one.digest,
            generation=one.generation,
            issued_at=it.now,
            expires_at=one.expires_at,
            rollout=it.after.id,
            back=one.back or it.after.kind is Kind.ROLLBACK,
            forced=one.forced,
            health_timeout_s=it.after.policy.healthy_deadline.total_seconds(),
            tag=it.places[one.target].tag,
        )


def _withdrawals(it: Change) -> list[Sending]:
    taken_back = [one for one in it.effects if isinstance(one, Withdraw) and one.target in it.places]
    return [
        (
            it.places[one.target].agent,
            WithdrawDocument(**_which(one.target, it.places), generation=one.generation, issued_at=it.now),
        )
        for one in taken_back
    ]


def _which(target: str, places: Mapping[str, Place]) -> dict[str, str]:
    """A target as its agent knows it."""
    place = places[target]
    return {"agent": place.agent, "target": f"{place.project}/{place.service}"}


def _row(it: Assignment) -> dict[str, Any]:
    return {
        "id": it.id,
        "agent_id": it.agent,
        "rollout_id": int(it.rollout),
        "digest": it.digest,
        "generation": it.generation,
        "issued_at": it.issued_at,
        "expires_at": it.expires_at,
        "back": it.back,
        "forced": it.forced,
        "open": True,
    }


async def _close(conn: AsyncConnection, it: Change) -> bool:
    """Assignments that are over, or in whose place another one comes; whether there were any."""
    after = it.after.targets
    over = {name for name, one in it.before.rollout.targets.items() if one.in_flight and not after[name].in_flight}
    failed = {name for name in over if after[name].progress in _FAILED}
    statement = (
        update(assignments)
        .where(assignments.c.target_id == bindparam("which"), assignments.c.open)
        .where(assignments.c.rollout_id == int(it.after.id))
    )
    if failed:  # those of which no agent has told that: nobody else would say so
        silent = statement.where(or_(*(assignments.c.outcome == one for one in _NO_END)))  # no `in_` for several rows
        how = silent.values(outcome=str(Outcome.FAILED), told_at=it.now)
        await conn.execute(how, [{"which": it.before.ids[name]} for name in sorted(failed)])
    rows = [{"which": it.before.ids[name]} for name in sorted(over | {one.target for one in it.offers})]
    if rows:
        await conn.execute(statement.values(open=False), rows)
    return bool(over)


async def _quarantine(conn: AsyncConnection, it: Change, one: Quarantine) -> None:
    held = select(quarantine.c.id).where(quarantine.c.digest == one.digest, quarantine.c.released_at.is_(None))
    if (await conn.execute(held)).first() is not None:
        return
    values = {"channel_id": it.before.channel_id, "rollout_id": int(it.after.id), "by": MANAGER, "at": it.now}
    await conn.execute(insert(quarantine).values({"digest": one.digest, "reason": one.reason} | values))
    await change_world(conn)
    after = {"digest": one.digest, "reason": one.reason}
    await record(conn, Actor(MANAGER), "quarantine.add", one.digest, it.now, after=after)


async def wake_channel(conn: AsyncConnection, channel_id: int, now: datetime, *, but: int = 0) -> None:
    """Have every rollout of a channel but one decided anew that has anything left to decide."""
    statement = (
        update(rollouts)
        .where(rollouts.c.channel_id == channel_id, rollouts.c.wake_at.is_not(None), rollouts.c.id != but)
        .values(wake_at=now)
        .returning(rollouts.c.id)
    )
    publish(conn, ROLLOUTS, *(str(id_) for id_ in (await conn.execute(statement)).scalars()))


async def _note_what_runs(conn: AsyncConnection, it: Change) -> None:
    """What agents have proved runs there from now on; they tell the whole of it a little later."""
    runs = {}
    for name, one in it.after.targets.items():
        if one.progress is not it.before.rollout.targets[name].progress:
            if one.progress is Progress.HEALTHY:
                runs[it.before.ids[name]] = it.after.digest
            elif one.progress is Progress.WENT_BACK:
                runs[it.before.ids[name]] = one.before
    await note_runs(conn, runs, it.now, rollout_id=int(it.after.id), wanted_on=it.before.channel_id)


async def _where_it_runs(conn: AsyncConnection, it: Change) -> set[int]:
    """Where a release that people have just approved ran before, by hand: those are no targets of the rollout."""
    begins = it.after.state is State.RUNNING and it.before.rollout.state in NOT_BEGUN
    if not (begins and it.before.whole and it.after.needed):
        return set()
    there = select(targets.c.id).where(targets.c.channel_id == it.before.channel_id, targets.c.gone_at.is_(None))
    return set((await conn.execute(there.where(targets.c.digest == it.after.digest))).scalars())


def _said(it: Change) -> list[Said]:
    """What the feed has of a decision."""
    before, after, effects = it.before.rollout, it.after, it.effects
    subject, said = f"rollout {after.id}", list[Said]()
    common = {"rollout": int(after.id), "channel": int(after.channel), "digest": after.digest, "kind": str(after.kind)}
    moved = [one for name, one in after.targets.items() if one.progress is not before.targets[name].progress]
    if len(moved) <= _TOLD_ONE_BY_ONE:
        said += [
            (
                "rollout.target",
                subject,
                common | {"target": one.id, "progress": str(one.progress), "wave": one.wave + 1, "reason": one.reason},
            )
            for one in moved
        ]
    if moved or (before.state, before.wave, before.passed_at) != (after.state, after.wave, after.passed_at):
        where = {"state": str(after.state), "wave": after.wave + 1, "waves": after.waves, "reason": after.reason}
        said.append(("rollout.state", subject, common | where | {"counts": counts(after)}))
    said += [
        (f"rollout.{one.notice}", subject, common | {"text": one.text}) for one in effects if isinstance(one, Notify)
    ]
    said += [
        ("quarantine.added", one.digest, common | {"reason": one.reason})
        for one in effects
        if isinstance(one, Quarantine)
    ]
    return said
