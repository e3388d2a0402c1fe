"""Registries to be asked, and a clock that stands still unless it is moved."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.registry_fake import FakeRegistry
from tests.support.registry_push import Pusher
from tests.support.registry_server import registry_server

from tidegate.registry.client import RegistryClient

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@dataclass
class Clock:
    """The time, in a test's hands."""

    now: datetime = field(default=NOON)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    one = RegistryClient()
    yield one
    await one.close()


@pytest.fixture(scope="session")
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry."""
    with registry_server(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def real(real_registry: str) -> Pusher:
    """Pushes to the real registry."""
    return Pusher(f"http://{real_registry}")


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    """A registry that can be told to misbehave."""
    async with FakeRegistry() as one:
        yield one
