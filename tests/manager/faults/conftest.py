"""Managers as programs on a database of the test's own, and a fleet of simulated agents that asks them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.manager_program import ManagerProgram
from tests.support.simulated_agents import World
from tests.support.simulated_fleet import SimulatedFleet, fleet

from tidegate.manager.store.database import Database

Manager = Callable[[], ManagerProgram]


@pytest.fixture
def manager(database_url: str, tmp_path: Path) -> Iterator[Manager]:
    """`manager()`: one more program on the database of this test, not started; none is left when the test ends."""
    made: list[ManagerProgram] = []

    def make() -> ManagerProgram:
        made.append(ManagerProgram(tmp_path, database_url))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def program(manager: Manager) -> ManagerProgram:
    """One, not started."""
    return manager()


Gather = Callable[..., Any]


@pytest.fixture
async def gather(db: Database) -> AsyncIterator[Gather]:
    """Makes a fleet of so many agents (20) that ask these managers; it leaves when the test ends."""
    async with AsyncExitStack() as stack:

        async def some(managers: list[ManagerProgram], size: int = 20, **more: Any) -> SimulatedFleet:
            shared = {name: more.pop(name) for name in ("script", "patience", "waits_s") if name in more}
            world = World([one.address for one in managers], **shared)
            return await stack.enter_async_context(fleet(db, world, size, **more))

        yield some
