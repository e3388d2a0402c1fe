"""Moves rollouts on: reads one and the world around it, has it decided, and writes down what follows.

Everything that a decision brings with it is in the transaction that writes the decision, and only if nothing that it
went by has changed: the rollout's edition and the world's number are its fencing tokens. So any number of replicas may
do this at once, and a kill at any moment leaves either all of a step or nothing of it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from tidegate.domain.rollout import ENDED, Rollout
from tidegate.domain.rollout_apply import Outcome, Report, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Decision
from tidegate.domain.rollout_world import World
from tidegate.manager.rollouts.effects import TOPIC, Change, Effects
from tidegate.manager.rollouts.rows import Loaded, load, save
from tidegate.manager.rollouts.world import Around, look
from tidegate.manager.store.counters import current
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import reports, rollouts

_TRIES = 10
_LOOK_S = 5.0
"""How often what is due is looked for though nothing was told."""
_LARGE = 300
"""Targets of a rollout that is decided in a thread, so that requests are answered meanwhile."""
_REST = 4
"""A rollout that took so long to decide is left alone for this many times that, so that what agents tell gathers."""
_LONGEST_REST_S = 5.0
_CHECK = timedelta(minutes=1)
"""A rollout that is under way is looked at that often, whatever it waits for."""
_log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Driver:
    """Decides what is due. `online_for`: an agent that was heard within that is there."""

    db: Database
    effects: Effects
    clock: Clock
    online_for: timedelta
    _stir: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Decide whatever becomes due, until cancelled."""
        with self.db.bus.listening(TOPIC, lambda _: self._stir.set()):
            while True:
                self._stir.clear()
                await self._wait(await self._round())

    async def _round(self) -> float:
        """Decide what is due now; in how many seconds the next may be."""
        try:
            for id_ in await self._due():
                await self._one(id_)
            return await self._until_next()
        except StoreUnavailableError as error:
            _log.warning("rollouts wait for the database", reason=str(error))
            return float(error.retry_after_s)

    async def _one(self, id_: int) -> None:
        """A rollout that cannot be decided does not keep the others waiting."""
        began = time.monotonic()
        try:
            await self.step(id_)
        except StoreUnavailableError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and the others go on
            _log.exception("a rollout could not be decided; it is tried again", rollout=id_)
            self._rest[id_] = time.monotonic() + _LONGEST_REST_S
            return
        took = time.monotonic() - began
        self._rest[id_] = time.monotonic() + min(took * _REST, _LONGEST_REST_S)

    async def _due(self) -> Sequence[int]:
        async with self.db.read() as conn:
            statement = select(rollouts.c.id).where(rollouts.c.wake_at <= self.clock()).order_by(rollouts.c.wake_at)
            ids = (await conn.execute(statement)).scalars().all()
        now = time.monotonic()
        self._rest = {id_: until for id_, until in self._rest.items() if until > now}
        return [id_ for id_ in ids if id_ not in self._rest]

    async def _until_next(self) -> float:
        async with self.db.read() as conn:
            at = (await conn.execute(select(func.min(rollouts.c.wake_at)))).scalar()
        due = _LOOK_S if at is None else max(0.0, (at - self.clock()).total_seconds())
        if self._rest and due == 0.0:
            due = max(0.0, min(self._rest.values()) - time.monotonic())
        return min(due, _LOOK_S)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stir.wait()
        except TimeoutError:
            return
        await asyncio.sleep(0.01)  # what is told together is decided together

    async def step(self, id_: int) -> Rollout | None:
        """Decide one rollout now; as it is then, None if there is none. Raises `StoreUnavailableError`."""
        for _ in range(_TRIES):
            now = self.clock()
            async with self.db.read() as conn:
                loaded = await load(conn, id_)
                if loaded is None:
                    return None
                around = await look(conn, loaded, now, online_for=self.online_for)
                said = (
                    await conn.execute(select(reports).where(reports.c.rollout_id == id_).order_by(reports.c.id))
                ).all()
            decision = await _decided(loaded.rollout, _reports(said, loaded), around.world)
            if await self._write(loaded, decision, around, [one.id for one in said], now):
                return decision.rollout
        raise StoreUnavailableError(f"rollout {id_} is changed faster than it can be decided; try again")

    async def _write(
        self, loaded: Loaded, decision: Decision, around: Around, told: Sequence[int], now: datetime
    ) -> bool:
        after = decision.rollout
        wake_at = _wake_at(decision, now)
        try:
            async with self.db.write() as conn:
                if await current(conn, "world", hold=True) != around.number:
                    return False
                if not await save(conn, loaded, after, wake_at=wake_at, now=now):
                    return False
                change = Change(loaded, after, decision.effects, around.places, now)
                await self.effects.carry_out(conn, change)
                if told:
                    taken_in = reports.c.rollout_id == int(after.id), reports.c.id.in_(told)
                    await conn.execute(delete(reports).where(*taken_in))
        except IntegrityError as error:
            _log.info("a target was taken by another rollout meanwhile", rollout=after.id, reason=str(error.orig))
            return False
        return True


def _reports(rows: Sequence[Any], loaded: Loaded) -> list[Report]:
    names = {id_: name for name, id_ in loaded.ids.items()}
    return [
        Report(names.get(one.target_id, ""), one.generation, Outcome(one.outcome), one.reason, one.blame)
        for one in rows
    ]


async def _decided(rollout: Rollout, told: Sequence[Report], world: World) -> Decision:
    if len(rollout.targets) < _LARGE:
        return _decide(rollout, told, world)
    return await asyncio.to_thread(_decide, rollout, told, world)


def _decide(rollout: Rollout, told: Sequence[Report], world: World) -> Decision:
    for one in told:
        rollout = report(rollout, one, world.now)
    return decide(rollout, world)


def _wake_at(decision: Decision, now: datetime) -> datetime | None:
    if decision.rollout.state in ENDED:
        return decision.wake_at
    return min(decision.wake_at or now + _CHECK, now + _CHECK)
