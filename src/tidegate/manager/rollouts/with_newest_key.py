"""Deciding rollouts only with the newest of the manager's keys: who decides them signs what follows from that."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tidegate.manager.agents.keys import ManagerKeys
from tidegate.manager.agents.newest_key import behind
from tidegate.manager.parts import Service
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.supervision import at_work

_LOOK_S = 2.0


@dataclass(frozen=True, slots=True)
class WithNewestKey:
    """Runs services while these keys may sign. `AgentLink` tells the log where they may not."""

    db: Database
    keys: Callable[[], ManagerKeys]
    services: Sequence[Service]

    async def run(self) -> None:
        """Work, and rest, until cancelled."""
        while True:
            await self._until(behind=False)
            async with at_work(self.services):
                await self._until(behind=True)

    async def _until(self, *, behind: bool) -> None:
        while True:
            if await self._is_behind() is behind:
                return
            await asyncio.sleep(_LOOK_S)

    async def _is_behind(self) -> bool:
        """Where the database does not answer nothing is signed, either."""
        try:
            async with self.db.read() as conn:
                return await behind(conn, self.keys()) is not None
        except StoreUnavailableError:
            return False
