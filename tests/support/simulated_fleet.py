"""A fleet of simulated agents on one channel of a manager, and what its database says of how things went."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from tests.support.simulated_agents import OLD, REPOSITORY, TAG, SimulatedAgent, World

from tidegate.domain.audit import Entry, fault
from tidegate.domain.rollout import ENDED, State
from tidegate.manager.people.secrets import ENROLMENT, hashed, new_secret, token_text
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.protocol.events import Sighting

AT_ONCE = {"healthy_for": "0s", "soak": "0s"}
"""A channel's policy where nothing is waited for but the agents."""
_LOOK_S = 0.05


@dataclass
class SimulatedFleet:
    """Agents `host0`, `host1`, ..., each with one target on the channel. `db` is a connection of the test's own."""

    db: Database
    world: World
    agents: Sequence[SimulatedAgent]
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def join(self, *, at_once: int = 50) -> None:
        """Have all enrol and tell what they run; return when the manager has taken that in."""
        turn = asyncio.Semaphore(at_once)

        async def one(agent: SimulatedAgent) -> None:
            async with turn:
                await agent.enrol()

        await asyncio.gather(*(one(agent) for agent in self.agents))
        self._tasks = [asyncio.create_task(agent.run()) for agent in self.agents]
        await self.until(self._all_have_told)

    async def _all_have_told(self) -> bool:
        return all(agent.applied and not agent.untold for agent in self.agents)

    def sight(self, digest: str) -> None:
        """Have one of them see that the channel's tag names this digest now."""
        self.agents[0].tell(Sighting(datetime.now(UTC), REPOSITORY, TAG, digest))

    async def ended(self, digest: str, *, within_s: float = 120) -> State:
        """How the rollout of this digest ended, once it has, and every agent has told all that it has to tell."""
        found: list[State] = []

        async def looked() -> bool:
            statement = select(schema.rollouts.c.state).where(schema.rollouts.c.digest == digest)
            async with self.db.read() as conn:
                states = [State(one) for one in (await conn.execute(statement)).scalars()]
                waiting = (await conn.execute(select(func.count()).select_from(schema.reports))).scalar_one()
                open_ = select(func.count()).select_from(schema.assignments).where(schema.assignments.c.open)
                waiting += (await conn.execute(open_)).scalar_one()
            found[:] = states
            return bool(states) and ENDED.issuperset(states) and not waiting and self.idle

        try:
            await self.until(looked, within_s)
        except TimeoutError:
            raise AssertionError(
                f"it has not ended: {found}, {await self.progress()}, {self.world.record.answers}"
            ) from None
        (one,) = found
        return one

    @property
    def idle(self) -> bool:
        """Whether no agent has anything under way."""
        return all(agent.idle for agent in self.agents)

    async def progress(self) -> Counter[str]:
        """How many targets of rollouts are where."""
        async with self.db.read() as conn:
            return Counter((await conn.execute(select(schema.rollout_targets.c.progress))).scalars())

    async def until(self, met: Callable[[], Awaitable[bool]], within_s: float = 120) -> None:
        """Wait; a database that is away meanwhile is looked at again. Raises TimeoutError, and what an agent raised."""
        async with asyncio.timeout(within_s):
            while True:
                for task in self._tasks:
                    if task.done():
                        task.result()
                try:
                    if await met():
                        return
                except StoreUnavailableError:
                    pass
                await asyncio.sleep(_LOOK_S)

    def run(self) -> set[str]:
        """The digests that agents run."""
        return {digest for agent in self.agents for digest in agent.runs.values()}

    async def faults(self) -> list[str]:
        """Everything that is not as it has to be, when nothing is under way."""
        async with self.db.read() as conn:
            given = (await conn.execute(select(schema.assignments))).all()
            known = dict((await conn.execute(select(schema.targets.c.name, schema.targets.c.digest))).all())
            audited = [Entry(**row) for row in (await conn.execute(select(schema.audit))).mappings()]
        found = self.world.record.check({row.id for row in given})
        for agent in self.agents:
            for target, digest in agent.runs.items():
                project, service = target.split("/")
                if known.get(f"{project}@{agent.name}/{service}") != digest:
                    found.append(f"stale: {agent.name} runs {digest}, and the manager knows otherwise")
        broken = fault(sorted(audited, key=lambda one: one.number))
        return found + ([f"audit: {broken}"] if broken else [])

    async def leave(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.world.lines.close()


@asynccontextmanager
async def fleet(
    db: Database, world: World, size: int, *, policy: Mapping[str, Any] = AT_ONCE, digest: str = OLD
) -> AsyncIterator[SimulatedFleet]:
    """So many agents with a token each; the channel has this policy. The database has been migrated."""
    await add_channel(db, policy)
    tokens = await add_tokens(db, size)
    agents = [SimulatedAgent(world, f"host{n}", token, digest=digest) for n, token in enumerate(tokens)]
    one = SimulatedFleet(db, world, agents)
    try:
        yield one
    finally:
        await one.leave()


async def add_channel(db: Database, policy: Mapping[str, Any]) -> None:
    """The channel that simulated agents follow, which no registry is asked about for a day."""
    now = datetime.now(UTC)
    row = {"name": f"{REPOSITORY}:{TAG}", "repository": REPOSITORY, "tag": TAG, "policy": dict(policy)}
    async with db.write() as conn:
        await conn.execute(
            insert(schema.channels).values(row | {"created_at": now, "poll_at": now + timedelta(days=1)})
        )


async def add_tokens(db: Database, count: int) -> list[str]:
    """So many enrolment tokens, as they are shown."""
    now = datetime.now(UTC)
    secrets = [new_secret() for _ in range(count)]
    same = {"created_by": "test", "created_at": now, "expires_at": now + timedelta(days=1), "labels": {}, "name": ""}
    async with db.write() as conn:
        await conn.execute(insert(schema.enrolments), [same | {"token_hash": hashed(one)} for one in secrets])
        rows = await conn.execute(select(schema.enrolments.c.token_hash, schema.enrolments.c.id))
        ids = {row.token_hash: row.id for row in rows}
    return [token_text(ENROLMENT, ids[hashed(one)], one) for one in secrets]
