"""A real manager on each kind of database, and agents that speak the bare protocol to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.support.bare_agent import BareAgent
from tests.support.real_manager import RealManager, real_manager


@pytest.fixture
async def manager(tmp_path: Path, database_url: str) -> AsyncIterator[RealManager]:
    """A manager that answers."""
    async with real_manager(tmp_path, database_url) as one:
        yield one


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """For any number of connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as one:
        yield one


@pytest.fixture
async def agent(manager: RealManager, session: aiohttp.ClientSession) -> BareAgent:
    """One that has enrolled as berlin1."""
    return await BareAgent.enrolled(manager, session, "berlin1")
