"""What goes back in a database that was restored stops, and goes on only when a person says so."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.support.going_back import away, taken
from tests.support.manager_fleet import ANN, NEW, NEWER, OLD, ManagerFleet

from tidegate.domain.rollout import ENDED
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.standstill import stop_ways_back
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

AT_ONCE = {"waves": [], "parallel": 1, "soak": "0s", "healthy_for": "0s"}


@pytest.fixture
async def fleet(db: Database) -> ManagerFleet:
    """Three hosts, two of which were given NEW, one after the other; the rollout goes on."""
    fleet = ManagerFleet(db)
    await fleet.settle(3, policy=AT_ONCE)
    await fleet.start()
    for _ in range(2):
        await fleet.all(Outcome.HEALTHY)
    fleet.offered()
    return fleet


async def stop(fleet: ManagerFleet) -> list[int]:
    async with fleet.db.write() as conn:
        return await stop_ways_back(conn, ANN, fleet.now, reason="on hold")


async def channel_back(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await rollback.channel_back(conn, fleet.channel, None, ANN, fleet.now)
    await fleet.decide()


async def stopped_on_the_way_back(fleet: ManagerFleet) -> None:
    """It goes back and is stopped, and its agents have withdrawn what they were offered."""
    await fleet.order(1, "rollback")
    offers = fleet.offered()
    await stop(fleet)
    await fleet.go()
    for one in offers:
        await fleet.report(one, Outcome.WITHDRAWN)
    await fleet.go()


async def test_who_was_still_to_go_back_stays_and_what_was_offered_is_withdrawn(fleet: ManagerFleet) -> None:
    await fleet.order(1, "rollback")
    assert {one.digest for one in fleet.offered()} == {OLD}
    assert await stop(fleet) == [1]
    await fleet.go(timedelta(hours=1))
    assert fleet.offered() == []
    assert await fleet.state(1) == "cancelled"
    assert all(one.withdrawn for one in (await fleet.rollout(1)).targets.values() if one.in_flight)
    async with fleet.db.read() as conn:
        entries = (await conn.execute(select(schema.audit).order_by(schema.audit.c.number.desc()))).first()
    assert entries is not None
    assert (entries.action, entries.subject, entries.before) == (
        "rollout.abort",
        "rollout 1",
        {"state": "rolling_back"},
    )


async def test_a_rollback_of_its_own_stops_too(fleet: ManagerFleet) -> None:
    await fleet.order(1, "abort")
    await fleet.go()
    await channel_back(fleet)
    assert {one.digest for one in fleet.offered()} == {OLD}
    assert await stop(fleet) == [2]
    await fleet.go(timedelta(hours=1))
    assert fleet.offered() == []
    assert await fleet.state(2) == "cancelled"


@pytest.mark.parametrize("how", ["turned round", "a rollback of its own"])
async def test_who_was_away_when_a_way_back_has_ended_stays_when_it_returns(fleet: ManagerFleet, how: str) -> None:
    rollout = 1
    if how == "turned round":
        await away(fleet, "host1")
        await fleet.order(1, "rollback")
    else:
        await fleet.order(1, "abort")
        await fleet.go()
        await away(fleet, "host1")
        await channel_back(fleet)
        rollout = 2
    for _ in range(4):
        await taken(fleet)
        fleet.now += timedelta(minutes=11)
        await fleet.decide()
    state = await fleet.state(rollout)
    assert (state in ENDED, (await fleet.rollout(rollout)).targets["shop@host1/web"].progress) == (True, "offline")
    await stop(fleet)
    await away(fleet, "host1", online=True)
    await fleet.go()
    assert (fleet.offered(), await fleet.state(rollout)) == ([], state)
    assert (await fleet.running())["host1"] == NEW
    assert (await fleet.rollout(rollout)).targets["shop@host1/web"].reason == "on hold"


async def test_a_person_has_them_go_back_afterwards(fleet: ManagerFleet) -> None:
    await stopped_on_the_way_back(fleet)
    await channel_back(fleet)
    assert {one.digest for one in fleet.offered()} == {OLD}


async def test_what_goes_forward_is_left_to_the_freeze(fleet: ManagerFleet) -> None:
    assert await stop(fleet) == []
    assert await fleet.state(1) == "running"
    assert NEW in (await fleet.running()).values()


async def test_nobody_follows_what_was_stopped_to_where_it_would_have_gone(fleet: ManagerFleet) -> None:
    await stopped_on_the_way_back(fleet)
    await fleet.start(NEWER)
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert await fleet.all(Outcome.FAILED, blame=True) == ["host1"]
    assert {(one.agent, one.digest) for one in fleet.offered()} == {("host0", NEW)}
