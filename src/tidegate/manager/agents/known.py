"""Which agents there are, by which keys they are known, and who was cut off."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.gathering import Gathering
from tidegate.manager.store.bus import publish
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import agents
from tidegate.manager.store.topics import REVOKED

_LOOK_S = 3.0
_WAIT_S = 0.005
_AT_ONCE = 500
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that has enrolled. `seen` is up to where it has what it was sent, when this was read."""

    id: str
    name: str
    public_key: str
    seen: int


class KnownAgents:
    """Agents as they are asked for, kept in memory. `cut_off` is called for each that turns out to be revoked."""

    def __init__(self, db: Database, cut_off: Callable[[str], None]) -> None:
        self._db = db
        self._cut_off = cut_off
        self._known: dict[str, Agent] = {}
        self._revoked: set[str] = set()
        self._asking = Gathering(self._read, wait_s=_WAIT_S, most=_AT_ONCE, room=5000)

    def is_revoked(self, id_: str) -> bool:
        """Whether it was cut off."""
        return id_ in self._revoked

    async def find(self, id_: str) -> Agent | None:
        """The agent with this id; None if there is none. Raises `StoreUnavailableError` and `FullError`."""
        return self._known.get(id_) or await self._asking.ask(id_)

    async def run(self) -> None:
        """Hear of revocations at once, and look for those that were not heard of, until cancelled."""
        with self._db.bus.listening(REVOKED, self._told):
            while True:
                try:
                    await self.look()
                except StoreUnavailableError as error:
                    _log.warning("revocations cannot be looked for", reason=str(error))
                await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Find out who was revoked. Raises `StoreUnavailableError`."""
        async with self._db.read() as conn:
            found = await conn.execute(select(agents.c.id).where(agents.c.revoked_at.is_not(None)))
            self._told(found.scalars().all())

    def _told(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            if id_ not in self._revoked:
                self._revoked.add(id_)
                self._cut_off(id_)

    async def _read(self, ids: Sequence[str]) -> list[Agent | Exception | None]:
        columns = agents.c.id, agents.c.name, agents.c.public_key, agents.c.outbox_seen, agents.c.revoked_at
        async with self._db.read() as conn:
            rows = (await conn.execute(select(*columns).where(agents.c.id.in_(set(ids))))).all()
        self._told([row.id for row in rows if row.revoked_at is not None])
        self._known |= {row.id: Agent(row.id, row.name, row.public_key, row.outbox_seen) for row in rows}
        return [self._known.get(id_) for id_ in ids]


def tell_revoked(conn: AsyncConnection, id_: str) -> None:
    """Have every replica cut this agent off once the transaction is committed."""
    publish(conn, REVOKED, id_)
