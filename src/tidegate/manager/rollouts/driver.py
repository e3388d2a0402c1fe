"""Has every rollout decided when that is due."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import func, select

from tidegate.agent.within import within
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import rollouts
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.supervision import raise_if_cancelled

_LOOK_S = 5.0
"""How often what is due is looked for though nothing was told."""
_REST = 4
"""A rollout that took so long to decide is left alone for this many times that, so that what agents tell gathers."""
_LONGEST_REST_S = 5.0
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Driver:
    """Decides what is due, one rollout after another."""

    steps: Steps
    _stir: asyncio.Event = field(default_factory=asyncio.Event)
    _rest: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Decide whatever becomes due, until cancelled."""
        with self.steps.db.bus.listening(ROLLOUTS, lambda _: self._stir.set()):
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
            self.steps = replace(self.steps, heard_from=self.steps.clock())  # what agents tell is kept nowhere, either
            return float(error.retry_after_s)

    async def _one(self, id_: int) -> None:
        """A rollout that cannot be decided does not keep the others waiting."""
        began = time.monotonic()
        try:
            await self.steps.take(id_)
        except StoreUnavailableError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and the others go on
            raise_if_cancelled()
            _log.exception("a rollout could not be decided; it is tried again", rollout=id_)
            self._rest[id_] = time.monotonic() + _LONGEST_REST_S
            return
        took = time.monotonic() - began
        self._rest[id_] = time.monotonic() + min(took * _REST, _LONGEST_REST_S)

    async def _due(self) -> Sequence[int]:
        async with self.steps.db.read() as conn:
            statement = (
                select(rollouts.c.id).where(rollouts.c.wake_at <= self.steps.clock()).order_by(rollouts.c.wake_at)
            )
            ids = (await conn.execute(statement)).scalars().all()
        now = time.monotonic()
        self._rest = {id_: until for id_, until in self._rest.items() if until > now}
        return [id_ for id_ in ids if id_ not in self._rest]

    async def _until_next(self) -> float:
        async with self.steps.db.read() as conn:
            at = (await conn.execute(select(func.min(rollouts.c.wake_at)))).scalar()
        due = _LOOK_S if at is None else max(0.0, (at - self.steps.clock()).total_seconds())
        if self._rest and due == 0.0:
            due = max(0.0, min(self._rest.values()) - time.monotonic())
        return min(due, _LOOK_S)

    async def _wait(self, seconds: float) -> None:
        if await within(self._stir, seconds):
            await asyncio.sleep(0.01)  # what is told together is decided together
