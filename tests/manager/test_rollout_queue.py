"""Several clusters on one agent, which does one thing after another: who waits for its turn has not failed."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.support.manager_fleet import NEW, ManagerFleet, tell

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

MINUTE = timedelta(minutes=1)
POLICY: dict[str, object] = {"waves": list[str](), "soak": "0s", "healthy_for": "0s"}


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def on_one_agent(fleet: ManagerFleet, clusters: int) -> None:
    """So many clusters, all of them of one agent."""
    await fleet.settle(clusters, policy=POLICY)
    async with fleet.db.write() as conn:
        for number in range(clusters):
            this = schema.clusters.c.name == f"shop@host{number}"
            await conn.execute(update(schema.clusters).where(this).values(agent_id="host0", project=f"shop{number}"))


async def carry_out(fleet: ManagerFleet, one: Assignment, takes: timedelta) -> None:
    """Have the agent begin an assignment and come to its end, as it is looked at each minute meanwhile."""
    await tell(fleet, one, outcome=Outcome.BEGUN)
    for _ in range(takes // MINUTE):
        await fleet.go(MINUTE)
    await tell(fleet, one, outcome=Outcome.HEALTHY)


async def test_as_many_clusters_as_an_agent_has_are_updated_one_after_another(fleet: ManagerFleet) -> None:
    await on_one_agent(fleet, 12)
    rollout = await fleet.start()
    for one in fleet.offered():
        await carry_out(fleet, one, MINUTE)
    assert fleet.offered() == []
    assert await fleet.state(rollout) == "completed"
    assert set((await fleet.running()).values()) == {NEW}


async def test_a_long_update_of_another_rollout_on_the_agent_fails_nobody(fleet: ManagerFleet) -> None:
    await on_one_agent(fleet, 2)
    first = await fleet.start(targets={fleet.targets["shop@host0/web"]})
    second = await fleet.start(targets={fleet.targets["shop@host1/web"]})
    long, waiting = fleet.offered()
    await fleet.go(9 * MINUTE)
    await carry_out(fleet, long, 9 * MINUTE)
    await fleet.go(9 * MINUTE)
    await carry_out(fleet, waiting, MINUTE)
    assert [await fleet.state(one) for one in (first, second)] == ["completed", "completed"]


async def test_an_agent_that_does_nothing_after_an_update_has_its_time_and_no_more(fleet: ManagerFleet) -> None:
    await on_one_agent(fleet, 2)
    rollout = await fleet.start()
    await fleet.go(5 * MINUTE)
    await carry_out(fleet, fleet.offered()[0], MINUTE)
    await fleet.go(9 * MINUTE)
    assert (await fleet.rollout(rollout)).targets["shop@host1/web"].progress == "offered"
    await fleet.go(MINUTE)
    assert [(one.target, one.back) for one in fleet.offered()] == [("shop0/web", True), ("shop1/web", True)]
