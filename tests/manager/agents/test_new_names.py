"""Targets and channels that an agent names for the first time."""

from collections.abc import Sequence
from uuid import uuid4

import pytest
from tests.support.manager_fleet import OLD, T0, ManagerFleet

from tidegate.manager.agents import batches
from tidegate.manager.agents.batches import Batch, Intake
from tidegate.manager.agents.known import Agent
from tidegate.manager.agents.new_names import NewNames, TooManyNewError
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.events import Health, Inventory, InventoryTarget, Running
from tidegate.protocol.messages import EventsRequest
from tidegate.protocol.version import PROTOCOL

APP = "docker.io/r/app"


class Agents:
    """Agents that tell their inventories, of which the manager takes two new names an hour."""

    def __init__(self, fleet: ManagerFleet) -> None:
        self.fleet = fleet
        self.intake = Intake(fleet.db, lambda: T0, _no_sighting, lambda _: None, NewNames(1, clock=lambda: 0.0))

    async def tell(self, *told: tuple[str, Sequence[str]]) -> list[int | Exception]:
        """Have hosts tell at the same time that they have these services, all of one channel."""
        return list(await self.intake([_batch(host, services) for host, services in told]))

    async def targets(self) -> int:
        """How many the manager knows."""
        return await self.fleet.count(schema.targets)


def _batch(host: str, services: Sequence[str]) -> Batch:
    some = [
        InventoryTarget(f"shop/{one}", f"{APP}:1", APP, "1", OLD, Running.RUNNING, Health.HEALTHY) for one in services
    ]
    request = EventsRequest(PROTOCOL, uuid4().hex, 1, (Inventory(T0, tuple(some)),))
    return Batch(Agent(host, host, host, PROTOCOL), request)


async def _no_sighting(*_: object) -> None:
    raise AssertionError("nothing was sighted")


@pytest.fixture
async def agents(db: Database) -> Agents:
    return Agents(await ManagerFleet(db).settle(2))


async def test_who_names_too_much_does_not_take_the_others_with_it(agents: Agents) -> None:
    assert await agents.tell(("host0", ["web", "api"])) == [1]  # web is known; so two are new, with the channel
    refused, done = await agents.tell(("host0", ["web", "api", "db"]), ("host1", ["web", "api", "db"]))
    assert isinstance(refused, TooManyNewError)
    assert (done, await agents.targets()) == (1, 5)


async def test_what_could_not_be_written_is_not_counted_when_it_comes_again(
    agents: Agents, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> None:
        raise RuntimeError("it is full")

    with monkeypatch.context() as broken:
        broken.setattr(batches, "take_in_inventories", failing)
        [error] = await agents.tell(("host0", ["web", "api"]))
    assert isinstance(error, RuntimeError)
    assert await agents.tell(("host0", ["web", "api"])) == [1]
    assert await agents.targets() == 3
