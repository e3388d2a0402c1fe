"""A service that its owner takes away while it waits for a release: that is no fault of the release."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.support.manager_fleet import NEW, OLD, ManagerFleet, hear, made_from, tell

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.events import Inventory, Refusal, Report

IMAGE = "docker.io/acme/app:stable"
AT_ONCE: dict[str, object] = {"waves": list[str](), "soak": "0s", "healthy_for": "0s"}
ONE_BY_ONE = AT_ONCE | {"waves": ["1"]}
NOT_THERE = "shop/web is no target of this agent"
Word = Callable[[ManagerFleet, Assignment], Report | Refusal]


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


def refusal(fleet: ManagerFleet, it: Assignment, *, reason: str = NOT_THERE) -> Refusal:
    return Refusal(fleet.now, it.id, it.target, it.generation, reason)


def report(fleet: ManagerFleet, it: Assignment, outcome: Outcome = Outcome.REFUSED) -> Report:
    return Report(fleet.now, it.id, it.rollout, it.target, it.generation, it.digest, outcome)


REFUSED = pytest.mark.parametrize("word", [refusal, report])


async def settle(fleet: ManagerFleet, hosts: int, policy: dict[str, object]) -> None:
    """Have so many hosts, on a channel that inventories can name."""
    await fleet.settle(hosts, policy=policy)
    repository, _, tag = IMAGE.partition(":")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(name=IMAGE, repository=repository, tag=tag))
        await conn.execute(update(schema.targets).values(repository=repository, tag=tag, image=IMAGE))


async def progress(fleet: ManagerFleet, rollout: int) -> dict[str, str]:
    """Where each host is in a rollout."""
    found = (await fleet.rollout(rollout)).targets.values()
    return {one.id.split("@")[1].split("/")[0]: str(one.progress) for one in found}


def nothing(fleet: ManagerFleet) -> Inventory:
    return Inventory(fleet.now, ())


def here(fleet: ManagerFleet, digest: str = OLD) -> Inventory:
    return Inventory(fleet.now, (made_from(IMAGE, digest),))


async def feed(fleet: ManagerFleet) -> list[str]:
    async with fleet.db.read() as conn:
        return list((await conn.execute(select(schema.feed.c.kind))).scalars())


@REFUSED
@pytest.mark.parametrize("together", [True, False])
async def test_what_was_taken_away_before_it_began_is_no_failure_and_holds_nobody_up(
    fleet: ManagerFleet, word: Word, *, together: bool
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, goes = fleet.offered()
    if together:
        await hear(fleet, "host1", nothing(fleet), word(fleet, goes))
    else:
        await hear(fleet, "host1", nothing(fleet))
        await hear(fleet, "host1", word(fleet, goes))
    assert await progress(fleet, rollout) == {"host0": "offered", "host1": "offline"}
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    assert await fleet.state(rollout) == "completed"
    assert await fleet.count(schema.assignments, schema.assignments.c.outcome == "withdrawn") == 1
    assert await fleet.count(schema.assignments, schema.assignments.c.open) == 0
    assert "agent.refused" not in await feed(fleet)


@REFUSED
async def test_it_is_offered_the_release_when_it_returns_though_the_rollout_has_ended(
    fleet: ManagerFleet, word: Word
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, goes = fleet.offered()
    await hear(fleet, "host1", nothing(fleet), word(fleet, goes))
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    assert (await fleet.state(rollout), fleet.offered()) == ("completed", [])
    await hear(fleet, "host1", here(fleet))
    (again,) = fleet.offered()
    assert (again.agent, again.digest) == ("host1", NEW)
    await tell(fleet, again, outcome=Outcome.HEALTHY)
    assert (await progress(fleet, rollout))["host1"] == "healthy"


async def test_who_is_back_before_it_is_decided_is_offered_it_anew_at_once(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    _, goes = fleet.offered()
    await hear(fleet, "host1", nothing(fleet), refusal(fleet, goes), here(fleet))
    assert [one.agent for one in fleet.offered()] == ["host1"]
    assert await progress(fleet, rollout) == {"host0": "offered", "host1": "offered"}


async def test_who_was_taken_away_from_its_way_back_is_put_back_when_it_returns(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, ONE_BY_ONE)
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert await fleet.all(Outcome.FAILED, blame=True) == ["host1"]
    for _ in range(3):
        (back,) = fleet.offered()
        await hear(fleet, "host0", nothing(fleet), refusal(fleet, back))
        assert await fleet.state(rollout) == "rolled_back"
        await hear(fleet, "host0", here(fleet, NEW))
    (back,) = fleet.offered()
    assert (back.agent, back.digest, back.back) == ("host0", OLD, True)
    await tell(fleet, back, outcome=Outcome.HEALTHY)
    assert (await progress(fleet, rollout))["host0"] == "went_back"


async def test_what_is_refused_though_its_target_is_there_counts_and_is_told(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    _, refuses = fleet.offered()
    await hear(fleet, "host1", here(fleet), refusal(fleet, refuses), nothing(fleet))
    assert (await progress(fleet, rollout))["host1"] == "failed"
    assert "agent.refused" in await feed(fleet)


async def test_what_is_refused_for_another_reason_is_told_to_people_though_its_target_is_gone(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    _, refuses = fleet.offered()
    await hear(fleet, "host1", nothing(fleet), refusal(fleet, refuses, reason="its signature is not good"))
    assert (await progress(fleet, rollout))["host1"] == "offline"
    assert "agent.refused" in await feed(fleet)


async def test_what_has_failed_is_no_better_for_its_target_being_gone(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    _, fails = fleet.offered()
    await tell(fleet, fails, outcome=Outcome.BEGUN)
    await hear(fleet, "host1", nothing(fleet), report(fleet, fails, Outcome.FAILED))
    assert (await progress(fleet, rollout))["host1"] == "failed"


async def test_who_nobody_hears_of_any_more_is_looked_after_by_time(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, _ = fleet.offered()
    await hear(fleet, "host1", nothing(fleet))
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    await fleet.go(timedelta(minutes=11))
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host1"]) == ("completed", "offline")
