"""Somebody at the console, of each role."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from tests.support.browser import chromium  # noqa: F401 - a fixture
from tests.support.manager import Manager, People
from tests.support.manager_fleet import ManagerFleet
from tests.support.visitor import Visitor, visiting

from tidegate.manager.parts import now
from tidegate.manager.store.database import Database


@dataclass(frozen=True)
class Visitors:
    """One browser for each role, and one in which nobody has signed in."""

    viewer: Visitor
    operator: Visitor
    approver: Visitor
    admin: Visitor
    nobody: Visitor


@pytest.fixture
async def visitors(manager_running: Manager, people: People) -> AsyncIterator[Visitors]:
    """Browsers at the running manager."""
    tokens = [people.viewer, people.operator, people.approver, people.admin, people.nobody]
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(visiting(manager_running.url, one.token)) for one in tokens]
        yield Visitors(*made)


@pytest.fixture
async def fleet(manager_db: Database) -> ManagerFleet:
    """A fleet of that manager, at this time."""
    one = ManagerFleet(manager_db)
    one.now = now()
    return one
