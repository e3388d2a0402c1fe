"""One step of a rollout: it is read with the world around it, decided, and written down with what follows.

Everything that a decision brings with it is in the transaction that writes the decision, and only if nothing that it
went by has changed: the rollout's edition and the world's number are its fencing tokens. So any number of replicas may
do this at once, and a kill at any moment leaves either all of a step or nothing of it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import ENDED, Rollout
from tidegate.domain.rollout_apply import Outcome, Report, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Decision, Quarantine
from tidegate.manager.rollouts.effects import Change, Effects, wake_channel
from tidegate.manager.rollouts.rows import Loaded, load, save, turns_round
from tidegate.manager.rollouts.world import Around, look
from tidegate.manager.store.counters import current
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import reports

_TRIES = 10
_LARGE = 300
"""Targets of a rollout that is left to the worker, and decided in a thread there: it hears the server meanwhile."""
_CHECK = timedelta(minutes=1)
"""A rollout that is under way, or a target of it, is looked at that often, whatever it waits for.

By that it hears that a window has closed.
"""
_TAKEN = "a target was taken by another rollout meanwhile"
_log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Steps:
    """Takes steps. `heard_from`: since when agents are heard here, without a break that is known of."""

    db: Database
    effects: Effects
    clock: Clock
    heard_from: datetime | None = None

    async def take(self, id_: int) -> Rollout | None:
        """Decide one rollout now; as it is then, None if there is none. Raises `StoreUnavailableError`."""
        for _ in range(_TRIES):
            read = await self._decided(id_)
            if read is not None and read.turns_round:
                read = await self._decided(id_, ways_back=True)
            if read is None:
                return None
            if await self._write(read):
                return read.decision.rollout
        raise StoreUnavailableError(f"rollout {id_} is changed faster than it can be decided; try again")

    async def take_within(self, conn: AsyncConnection, id_: int) -> int | None:
        """Decide one rollout in a transaction that writes, so that who has changed it sees what follows.

        The channel whose other rollouts have to be decided anew when the transaction is over (`wake_others`); None: of
        none. A large one, or one whose targets another rollout has taken meanwhile, is left to the worker. So is what
        changes the world: that is held first, to change it, and not when a rollout is held already.
        """
        await load(conn, id_, hold=True)
        read = await self._read(conn, id_)
        if read is None or len(read.loaded.rollout.targets) >= _LARGE:
            return None
        read = replace(read, decision=_decide(read))
        if read.changes_world:
            return None
        try:
            async with conn.begin_nested():
                written = await self._put_down(conn, read)
        except IntegrityError as error:
            _log.info(_TAKEN, rollout=id_, reason=str(error.orig))
            return None
        return read.loaded.channel_id if written is _Written.AND_OTHERS_ARE_DUE else None

    async def wake_others(self, id_: int, channel_id: int) -> None:
        """Have the other rollouts of this one's channel decided anew. Raises `StoreUnavailableError`.

        In a transaction of its own: who holds a rollout waits for no other one.
        """
        async with self.db.write() as conn:
            await wake_channel(conn, channel_id, self.clock(), but=id_)

    async def _decided(self, id_: int, *, ways_back: bool = False) -> "_Read | None":
        async with self.db.read() as conn:
            read = await self._read(conn, id_, ways_back=ways_back)
        return None if read is None else replace(read, decision=await _decided(read))

    async def _read(self, conn: AsyncConnection, id_: int, *, ways_back: bool = False) -> "_Read | None":
        """`ways_back`: with what targets go back to; one that goes back already is read with that anyway."""
        now = self.clock()
        loaded = await load(conn, id_)
        if loaded is None:
            return None
        around = await look(conn, loaded, now, self.heard_from, ways_back=ways_back)
        statement = select(reports).where(reports.c.rollout_id == id_).order_by(reports.c.id)
        said = (await conn.execute(statement)).all()
        undecided = Decision(loaded.rollout, (), None)
        return _Read(now, loaded, around, _reports(said, loaded), [one.id for one in said], undecided)

    async def _write(self, it: "_Read") -> bool:
        try:
            async with self.db.write() as conn:
                written = await self._put_down(conn, it)
        except IntegrityError as error:
            _log.info(_TAKEN, rollout=it.loaded.rollout.id, reason=str(error.orig))
            return False
        if written is _Written.AND_OTHERS_ARE_DUE:
            await self.wake_others(int(it.loaded.rollout.id), it.loaded.channel_id)
        return written is not _Written.NOT

    async def _put_down(self, conn: AsyncConnection, it: "_Read") -> "_Written":
        after = it.decision.rollout
        if await current(conn, "world", hold=True, to_change=it.changes_world) != it.around.number:
            return _Written.NOT
        if not await save(conn, it.loaded, after, wake_at=_wake_at(it.decision, it.now), now=it.now):
            return _Written.NOT
        if it.taken_in:
            these = reports.c.rollout_id == int(after.id), reports.c.id.in_(it.taken_in)
            await conn.execute(delete(reports).where(*these))
        others = await self.effects.carry_out(
            conn, Change(it.loaded, after, it.decision.effects, it.around.places, it.now)
        )
        return _Written.AND_OTHERS_ARE_DUE if others else _Written.IT


@dataclass(frozen=True, slots=True)
class _Read:
    """A rollout, the world around it, and what agents have told, with the numbers of that."""

    now: datetime
    loaded: Loaded
    around: Around
    told: Sequence[Report]
    taken_in: Sequence[int]
    decision: Decision

    @property
    def turns_round(self) -> bool:
        """Whether it is decided that the rollout goes back from now on."""
        return turns_round(self.loaded.rollout, self.decision.rollout)

    @property
    def changes_world(self) -> bool:
        """Whether others have to be decided by what is decided here."""
        return self.turns_round or any(isinstance(one, Quarantine) for one in self.decision.effects)


class _Written(Enum):
    NOT = "somebody else was faster"
    IT = "it is written"
    AND_OTHERS_ARE_DUE = "it is written, and other rollouts of its channel have to be decided anew"


def _reports(rows: Sequence[Any], loaded: Loaded) -> list[Report]:
    names = {id_: name for name, id_ in loaded.ids.items()}
    return [
        Report(names.get(one.target_id, ""), one.generation, Outcome(one.outcome), one.reason, one.blame)
        for one in rows
    ]


async def _decided(it: _Read) -> Decision:
    return await asyncio.to_thread(_decide, it) if len(it.loaded.rollout.targets) >= _LARGE else _decide(it)


def _decide(it: _Read) -> Decision:
    rollout = it.loaded.rollout
    for one in it.told:
        rollout = report(rollout, one, it.around.world.now)
    return decide(rollout, it.around.world)


def _wake_at(decision: Decision, now: datetime) -> datetime | None:
    it = decision.rollout
    if it.state in ENDED and not any(one.in_flight for one in it.targets.values()):
        return decision.wake_at
    return min(decision.wake_at or now + _CHECK, now + _CHECK)
