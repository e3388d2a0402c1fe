"""A cluster with a real Watchtower."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.conftest import Push
from tests.support import watchtower
from tests.support.compose import Compose
from tests.support.fake_manager import FakeManager, fake_manager
from tests.support.images import Pushed
from tests.support.managed import Fleet
from tests.support.registry import Registry
from tests.support.watchtower_cluster import Cluster


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as one:
        yield one


@pytest.fixture(scope="session")
def watchtowers_image(registry: Registry) -> Pushed:
    """Watchtower's image."""
    return watchtower.image(registry)


@pytest.fixture
async def cluster(manager: FakeManager, compose: Compose, push: Push, watchtowers_image: Pushed) -> Cluster:
    """Not up yet."""
    return Cluster(await Fleet.of(manager, compose), push, watchtowers_image)
