"""What a manager has of rollouts: how steps are taken, who takes them, and who sends new releases out."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.keys import KeyFile
from tidegate.manager.agents.link import AgentLink
from tidegate.manager.agents.outbox import send
from tidegate.manager.apart import Apart
from tidegate.manager.parts import Parts
from tidegate.manager.rollouts.driver import Driver
from tidegate.manager.rollouts.effects import Effects, Sending
from tidegate.manager.rollouts.planner import Planner
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.store.database import Database


@dataclass(frozen=True, slots=True)
class _Outbox:
    keys: KeyFile

    async def send(self, conn: AsyncConnection, documents: Sequence[Sending]) -> None:
        await send(conn, self.keys(), documents)


def steps(parts: Parts) -> Steps:
    """How steps of rollouts are taken."""
    return _steps(parts, parts.db)


def driver(parts: Parts) -> Apart:
    """Has rollouts decided when that is due. A large one takes its time, so it has a thread of its own."""
    return Apart("rollouts", parts.db, lambda db: Driver(_steps(parts, db)))


def planner(parts: Parts) -> Apart:
    """Sends new releases out where their policy says that this needs nobody; in a thread, too."""
    return Apart("plans", parts.db, lambda db: Planner(db, parts.clock))


def _steps(parts: Parts, db: Database) -> Steps:
    return Steps(db, Effects(_Outbox(parts.one(AgentLink).keys)), parts.clock)
