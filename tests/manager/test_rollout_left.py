"""What was left by a rollback: nobody goes back to it, until it has gone out again."""

from datetime import timedelta

import pytest
from sqlalchemy import insert
from tests.support.going_back import AT_ONCE, V0, away, back, done, out, taken, undo, ways
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts.left import left_on
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def left_behind(fleet: ManagerFleet) -> int:
    """Have NEW go out and the channel leave it, and then NEWER go out to its end."""
    await out(fleet)
    await back(fleet)
    await done(fleet)
    assert set((await fleet.running()).values()) == {OLD}
    newer = await fleet.start(NEWER)
    await done(fleet)
    assert await fleet.state(newer) == "completed"
    return newer


@pytest.mark.parametrize("what", ["channel", "target", "rollout"])
async def test_what_was_left_by_a_rollback_is_not_gone_back_to(fleet: ManagerFleet, what: str) -> None:
    newer = await left_behind(fleet)
    hosts = {"shop@host0/web"} if what == "target" else {"shop@host0/web", "shop@host1/web"}
    went = await undo(fleet, newer) if what == "rollout" else await back(fleet, "host0" if what == "target" else "")
    assert ways(went) == dict.fromkeys(hosts, OLD)


async def test_it_goes_to_the_same_release_while_the_newer_one_is_under_way(fleet: ManagerFleet) -> None:
    await out(fleet, waves=["1"], soak="5m")
    await back(fleet)
    await done(fleet)
    await fleet.start(NEWER)
    await taken(fleet)
    assert ways(await back(fleet)) == {"shop@host0/web": OLD}


async def test_what_was_left_may_be_named_all_the_same(fleet: ManagerFleet) -> None:
    await left_behind(fleet)
    assert set(ways(await back(fleet, to=NEW)).values()) == {NEW}


@pytest.mark.parametrize("how", ["an update", "a rollback that names it"])
async def test_what_was_left_and_went_out_again_is_gone_back_to(fleet: ManagerFleet, how: str) -> None:
    await out(fleet)
    await back(fleet)
    await done(fleet)
    if how == "an update":
        await fleet.start(NEW)
    else:
        await back(fleet, to=NEW)
    await done(fleet)
    assert set((await fleet.running()).values()) == {NEW}
    await fleet.start(NEWER)
    await done(fleet)
    assert set(ways(await back(fleet)).values()) == {NEW}
    await done(fleet)
    assert set(ways(await back(fleet)).values()) == {OLD}


async def test_what_a_rollout_has_put_back_by_itself_is_not_gone_back_to(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy=AT_ONCE | {"waves": ["1"]})
    made = await fleet.start()
    await taken(fleet)
    for one in fleet.offered():
        await fleet.report(one, Outcome.FAILED)
    await done(fleet)
    await done(fleet)
    assert await fleet.state(made) == "rolled_back"
    await fleet.start(NEWER)
    await done(fleet)
    await done(fleet)
    assert set((await fleet.running()).values()) == {NEWER}
    assert set(ways(await back(fleet)).values()) == {OLD}


async def test_a_target_that_did_not_leave_it_goes_back_to_it(fleet: ManagerFleet) -> None:
    await out(fleet)
    await back(fleet, "host0")
    await done(fleet)
    await fleet.start(NEWER)
    await done(fleet)
    assert ways(await back(fleet)) == {"shop@host0/web": OLD, "shop@host1/web": NEW}


async def test_what_lies_between_was_left_too(fleet: ManagerFleet) -> None:
    """The rollback went past it, as two of one step each would have."""
    await fleet.settle(2, policy=AT_ONCE, digest=V0)
    for digest in (OLD, NEW):
        await fleet.start(digest)
        await done(fleet)
    await back(fleet, to=V0)
    await done(fleet)
    await fleet.start(NEWER)
    await done(fleet)
    assert set(ways(await back(fleet)).values()) == {V0}


@pytest.mark.parametrize("newer", ["completed", "running"])
async def test_who_was_offline_when_it_was_left_does_not_go_back_to_it(fleet: ManagerFleet, newer: str) -> None:
    await out(fleet, soak="5m")
    await away(fleet, "host1")
    await back(fleet, "host0")
    await back(fleet, "host1")
    await taken(fleet)
    made = await fleet.start(NEWER)
    await away(fleet, "host1", online=True)
    if newer == "completed":
        await done(fleet)
    else:
        await taken(fleet)
    assert (await fleet.running(), await fleet.state(made)) == ({"host0": NEWER, "host1": NEWER}, newer)
    await back(fleet)
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD}


async def test_who_came_with_what_its_channel_had_left_does_not_go_back_to_it(fleet: ManagerFleet) -> None:
    """Its tag names that release still: whoever starts a new host has it."""
    await out(fleet)
    await back(fleet)
    await done(fleet)
    await fleet.join("host2", digest=NEW, since=fleet.now)
    await fleet.start(NEWER)
    await done(fleet)
    answer = await back(fleet)
    assert ways(answer) == {"shop@host0/web": OLD, "shop@host1/web": OLD}
    assert "nor left by a rollback" in answer.left[0].reason


async def test_who_came_with_what_had_gone_out_again_goes_back_to_it(fleet: ManagerFleet) -> None:
    await out(fleet)
    await back(fleet)
    await done(fleet)
    await fleet.start(NEW)
    await done(fleet)
    await fleet.join("host2", digest=NEW, since=fleet.now)
    await fleet.start(NEWER)
    await done(fleet)
    assert set(ways(await back(fleet)).values()) == {NEW}


async def test_who_came_with_what_goes_out_again_by_what_was_asked_for_before_goes_back_to_it(
    fleet: ManagerFleet,
) -> None:
    """Of what was to begin later, its beginning counts."""
    await out(fleet)
    host0 = {fleet.targets["shop@host0/web"]}
    await fleet.start(NEWER, targets=host0)
    await done(fleet)
    again = await fleet.start(NEW, targets=host0, not_before=fleet.now + timedelta(hours=5))
    await back(fleet, "host1")
    await done(fleet)
    await fleet.go(timedelta(hours=6))
    await done(fleet)
    assert await fleet.state(again) == "completed"
    await fleet.join("host2", digest=NEW, since=fleet.now)
    await fleet.start(NEWER)
    await done(fleet)
    assert ways(await back(fleet, "host2")) == {"shop@host2/web": NEW}


async def test_to_take_a_rollback_back_leaves_nothing(fleet: ManagerFleet) -> None:
    """Who comes with the earlier release after that goes back to it like everybody."""
    await out(fleet)
    await back(fleet)
    await done(fleet)
    await back(fleet, to=NEW)
    await done(fleet)
    await fleet.join("host2", digest=OLD, since=fleet.now)
    await fleet.start(NEWER, targets={fleet.targets["shop@host2/web"]})
    await done(fleet)
    assert ways(await back(fleet, "host2")) == {"shop@host2/web": OLD}


async def test_a_rollback_that_was_given_up_before_it_moved_anybody_has_left_nothing(fleet: ManagerFleet) -> None:
    await out(fleet)
    (went,) = (await back(fleet)).rollouts
    await fleet.order(int(went.id), "abort")
    for one in fleet.offered():
        await fleet.report(one, Outcome.WITHDRAWN)
    await fleet.go()
    assert await fleet.state(int(went.id)) == "cancelled"
    await fleet.start(NEWER)
    await done(fleet)
    assert set((await fleet.running()).values()) == {NEWER}
    assert set(ways(await back(fleet)).values()) == {NEW}


async def test_what_was_left_before_its_host_could_tell_of_it_is_left(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy=AT_ONCE)
    rollout = await fleet.start()
    first, second = fleet.offered()
    await fleet.report(first, Outcome.HEALTHY)
    await fleet.report(second, Outcome.BEGUN)
    await fleet.decide()
    await away(fleet, "host1")
    await undo(fleet, rollout)
    target = fleet.targets["shop@host1/web"]
    async with fleet.db.write() as conn:
        told = {"target_id": target, "digest": NEW, "since": fleet.now + timedelta(hours=1), "rollout_id": rollout}
        await conn.execute(insert(schema.runs).values(told))
        assert await left_on(conn, {target: fleet.channel}, {fleet.channel: [NEW, OLD]}) == {target: {NEW}}
