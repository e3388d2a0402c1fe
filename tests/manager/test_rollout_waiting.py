"""A channel with more releases than its policy lets through: what waits for its age, or for people, is not starved."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from tests.support.manager_fleet import ANN, BOB, NEW, NEWER, ManagerFleet

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alert_look import look
from tidegate.manager.telling.metric_facts import standing

HOUR = timedelta(hours=1)
NEWEST = f"sha256:{'4' * 64}"
TWO, ASKS = {"mode": "approval", "approvals": 2}, "awaiting_approval"


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def push(fleet: ManagerFleet, digest: str) -> int:
    """Have a release seen now, and what the channel's policy makes of it; its rollout's number."""
    await fleet.release(digest)
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    async with fleet.db.read() as conn:
        found = await conn.execute(select(schema.rollouts.c.id).order_by(schema.rollouts.c.id.desc()).limit(1))
        return int(found.scalar_one())


async def waits_since(fleet: ManagerFleet) -> list[tuple[int, datetime | None]]:
    async with fleet.db.read() as conn:
        facts = await look(conn, Thresholds(), fleet.now, watching_since=fleet.now, feed=(0, 0))
    return [(one.id, one.since) for one in facts.rollouts if one.state == "awaiting_approval"]


async def oldest_s(fleet: ManagerFleet) -> float:
    async with fleet.db.read() as conn:
        return (await standing(conn, fleet.now)).queue_oldest_s["approvals",]


async def test_a_release_goes_out_at_its_age_though_newer_ones_come_before_that(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"minimum_age": "24h"})
    first = await push(fleet, NEW)
    await fleet.go(12 * HOUR)
    second = await push(fleet, NEWER)
    assert await fleet.state(first) == "scheduled"
    await fleet.go(12 * HOUR)
    await fleet.all(Outcome.HEALTHY)
    assert set((await fleet.running()).values()) == {NEW}
    third = await push(fleet, NEWEST)
    await fleet.go(12 * HOUR)
    assert [one.digest for one in fleet.offered()] == [NEWER]
    assert [await fleet.state(one) for one in (first, second, third)] == ["superseded", "running", "scheduled"]


async def test_of_two_that_have_their_age_when_a_freeze_ends_the_newer_goes_out(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"minimum_age": "1h", "windows": ["0 0 * * * 2h"]})
    first = await push(fleet, NEW)
    await fleet.go(HOUR / 2)
    second = await push(fleet, NEWER)
    assert await fleet.state(first) == "scheduled"
    await fleet.go(HOUR)
    assert await fleet.state(first) == "superseded"
    await fleet.go(11 * HOUR)
    assert [one.digest for one in fleet.offered()] == [NEWER]
    assert await fleet.state(second) == "running"


async def test_a_newer_release_takes_the_place_of_one_that_waits_for_approval_though_it_is_paused(
    fleet: ManagerFleet,
) -> None:
    await fleet.settle(1, policy=TWO)
    first = await push(fleet, NEW)
    await fleet.order(first, "pause")
    second = await push(fleet, NEWER)
    await fleet.order(second, "pause")
    third = await push(fleet, NEWEST)
    assert [await fleet.state(one) for one in (first, second, third)] == ["superseded", "superseded", ASKS]


async def test_a_newer_release_takes_the_place_of_a_paused_one_once_it_might_begin(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"minimum_age": "1h", "windows": ["0 0 * * * 2h"]})
    first = await push(fleet, NEW)
    await fleet.order(first, "pause")
    await fleet.go(HOUR / 2)
    second = await push(fleet, NEWER)
    assert await fleet.state(first) == "paused"
    await fleet.go(HOUR / 2)
    assert await fleet.state(first) == "paused"
    await fleet.go(HOUR / 2)
    assert [await fleet.state(one) for one in (first, second)] == ["superseded", "scheduled"]


async def test_a_paused_one_that_has_begun_is_not_superseded_by_one_that_waits(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    first = await fleet.start()
    await fleet.order(first, "pause")
    second = await fleet.start(NEWER, not_before=fleet.now + HOUR)
    assert [await fleet.state(one) for one in (first, second)] == ["paused", "scheduled"]


async def test_a_person_sends_a_release_out_before_its_age(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"minimum_age": "24h"})
    first = await push(fleet, NEW)
    await fleet.start(NEWER)
    await fleet.go()
    assert [one.digest for one in fleet.offered()] == [NEWER]
    assert await fleet.state(first) == "superseded"


async def test_a_channel_waits_for_approval_since_the_first_that_nobody_approved(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy=TWO)
    asked = fleet.now
    first = await push(fleet, NEW)
    await fleet.order(first, "approve", BOB)
    await fleet.go(2 * HOUR)
    await push(fleet, NEWER)
    await fleet.go(2 * HOUR)
    third = await push(fleet, NEWEST)
    assert (await fleet.rollout(third)).approvals == ()
    assert await waits_since(fleet) == [(third, asked)]
    assert await oldest_s(fleet) == (4 * HOUR).total_seconds()


async def test_what_was_approved_ends_the_wait_of_those_before_it(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy=TWO | {"windows": ["0 0 * * * 2h"]})
    first = await push(fleet, NEW)
    for person in (ANN, BOB):
        await fleet.order(first, "approve", person)
    assert await fleet.state(first) == "scheduled"
    await fleet.go(2 * HOUR)
    second = await push(fleet, NEWER)
    assert await waits_since(fleet) == [(second, fleet.now)]
    for person in (ANN, BOB):
        await fleet.order(second, "approve", person)
    await fleet.go(timedelta(minutes=1))
    assert await fleet.state(first) == "superseded"
    third = await push(fleet, NEWEST)
    assert await waits_since(fleet) == [(third, fleet.now)]


async def test_what_was_turned_down_ends_the_wait_too(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy=TWO)
    await fleet.order(await push(fleet, NEW), "reject")
    await fleet.go(2 * HOUR)
    second = await push(fleet, NEWER)
    assert await waits_since(fleet) == [(second, fleet.now)]


async def test_a_rollout_of_some_targets_waits_since_it_was_asked_for(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy=TWO)
    whole, asked = await push(fleet, NEW), fleet.now
    await fleet.go(2 * HOUR)
    some = await fleet.start(NEWER, targets={fleet.targets["shop@host0/web"]})
    assert sorted(await waits_since(fleet)) == [(whole, asked), (some, fleet.now)]
