"""Releases that go out by themselves: once, to whom, and what is left alone."""

import asyncio

import pytest
from sqlalchemy import update
from tests.support import databases
from tests.support.manager_fleet import ANN, NEW, OLD, T0, ManagerFleet

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts import planner, rollback
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def sent_out(fleet: ManagerFleet) -> None:
    """The release went out by itself to one host, and is healthy there."""
    await fleet.settle(1, policy={"soak": "0s", "healthy_for": "0s"})
    await fleet.release()
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    await fleet.all(Outcome.HEALTHY)


async def test_a_new_release_goes_out_once(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.release()
    first = await fleet.planner.plan(fleet.channel)
    again = await fleet.planner.plan(fleet.channel)
    assert first is not None
    assert first.release is not None
    assert again is not None
    assert (again.release, again.reason) == (None, f"{NEW[:19]} is on its way")
    await fleet.go()
    assert len(fleet.offered()) == 1


async def test_what_failed_or_was_left_by_hand_does_not_come_back_by_itself(fleet: ManagerFleet) -> None:
    await sent_out(fleet)
    async with fleet.db.write() as conn:
        await rollback.go_back(conn, await rollback.of_channel(conn, fleet.channel, None), ANN, fleet.now)
    await fleet.go()
    await fleet.all(Outcome.HEALTHY)
    choice = await fleet.planner.plan(fleet.channel)
    assert choice is not None
    assert choice.release is None
    assert choice.reason == f"{NEW[:19]} was left by a rollback; start a rollout by hand to send it out again"


async def test_a_target_that_joins_after_a_release_went_out_gets_it_and_the_others_are_left_alone(
    fleet: ManagerFleet,
) -> None:
    await sent_out(fleet)
    await fleet.join("late")
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    assert await fleet.all(Outcome.FAILED) == ["late"]
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    assert fleet.offered() == []  # once


async def test_what_was_left_by_hand_is_sent_to_no_new_host_and_not_again_before_all_are_back(
    fleet: ManagerFleet,
) -> None:
    await sent_out(fleet)
    async with fleet.db.write() as conn:
        await rollback.go_back(conn, await rollback.of_channel(conn, fleet.channel, None), ANN, fleet.now)
    for _ in range(2):  # it is under way, and then it is done
        choice = await fleet.planner.plan(fleet.channel)
        assert choice is not None
        assert choice.release is None
        await fleet.go()
        await fleet.all(Outcome.HEALTHY)
    await fleet.join("late")
    choice = await fleet.planner.plan(fleet.channel)
    assert choice is not None
    assert choice.release is None
    assert set((await fleet.running()).values()) == {OLD}


async def test_a_host_that_was_revoked_keeps_no_channel_from_its_releases(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy={"soak": "0s", "healthy_for": "0s"})
    await fleet.join("gone")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.id == "gone").values(revoked_at=T0))
    await fleet.release()
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    offers = fleet.offered()
    await fleet.report(offers[0], Outcome.HEALTHY)
    await fleet.go()
    await fleet.all(Outcome.HEALTHY)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).where(schema.targets.c.name == "shop@host1/web").values(digest=OLD))
    choice = await fleet.planner.plan(fleet.channel)
    assert choice is not None
    assert choice.reason == f"{NEW[:19]} went out already; start a rollout by hand to send it out again"


async def test_what_cannot_go_out_is_said_and_keeps_no_other_channel_from_going_on(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise CreateRefusedError("no target follows this channel")

    await fleet.settle(1)
    await fleet.release()
    monkeypatch.setattr(planner, "create", refuse)
    choice = await fleet.planner.plan(fleet.channel)
    assert choice is not None
    assert choice.reason == f"{NEW[:19]} cannot go out: no target follows this channel"
    assert await fleet.count(schema.channels, schema.channels.c.choice == choice.reason) == 1


async def test_planners_of_several_replicas_make_one_rollout(postgres_server: str, postgres_template: str) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url:
        fleets = [ManagerFleet(Database.at(url)) for _ in range(4)]
        await fleets[0].settle(1)
        await fleets[0].release()
        await asyncio.gather(*(each.planner.plan(fleets[0].channel) for each in fleets))
        assert await fleets[0].count(schema.rollouts) == 1
        for each in fleets:
            await each.db.close()
