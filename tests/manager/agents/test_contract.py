"""The contract of the agent's link, kept by the real manager on PostgreSQL too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.test_agent_link import *  # noqa: F403 - each test of it
from tests.support import databases
from tests.support.real_manager import RealManager, real_manager


@pytest.fixture  # type: ignore[no-redef]
async def manager(tmp_path: Path, postgres_server: str, postgres_template: str) -> AsyncIterator[RealManager]:
    """In place of those of the contract itself."""
    with databases.postgres_database(postgres_server, postgres_template) as url:
        async with real_manager(tmp_path, url) as one:
            yield one
