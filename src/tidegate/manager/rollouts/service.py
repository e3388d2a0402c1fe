"""What a manager has of rollouts: how steps are taken, who takes them, and who sends new releases out."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.keys import KeyFile
from tidegate.manager.agents.link import AgentLink
from tidegate.manager.agents.outbox import send
from tidegate.manager.leader import Leader
from tidegate.manager.parts import Clock, Parts, Service
from tidegate.manager.rollouts.driver import Driver
from tidegate.manager.rollouts.effects import Effects, Sending
from tidegate.manager.rollouts.planner import Planner
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.rollouts.with_newest_key import WithNewestKey
from tidegate.manager.store.database import Database


@dataclass(frozen=True, slots=True)
class _Outbox:
    keys: KeyFile

    async def send(self, conn: AsyncConnection, documents: Sequence[Sending]) -> None:
        await send(conn, self.keys(), documents)


def steps(parts: Parts) -> Steps:
    """How steps of rollouts are taken."""
    return _steps(parts.db, parts.one(AgentLink).keys, parts.clock)


def deciding(db: Database, keys: KeyFile, clock: Clock) -> list[Service]:
    """What decides rollouts and sends releases out, in one replica; in large fleets it computes for seconds."""
    both: list[Service] = [Driver(_steps(db, keys, clock)), Planner(db, clock)]
    return [WithNewestKey(db, keys, [Leader(db.dsn, both)] if db.is_postgres else both)]


def _steps(db: Database, keys: KeyFile, clock: Clock) -> Steps:
    return Steps(db, Effects(_Outbox(keys)), clock, heard_from=clock())
