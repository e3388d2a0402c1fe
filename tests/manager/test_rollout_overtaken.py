"""Several rollouts of a channel at the same targets: nobody is left on a bad release, and nobody goes backwards."""

from collections.abc import Collection
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.support.manager_fleet import BOB, NEW, NEWER, OLD, ManagerFleet

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts.rollback import channel_back
from tidegate.manager.rollouts.runs import note_runs
from tidegate.manager.rollouts.verbs import Order, carry_out
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.signed import Withdraw

IN_WAVES: dict[str, object] = {"soak": "0s", "healthy_for": "0s", "on_failure": "rollback"}
AT_ONCE = IN_WAVES | {"waves": list[str]()}
NEWEST = f"sha256:{'4' * 64}"
SOAK = timedelta(minutes=6)


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def away(fleet: ManagerFleet, host: str, *, online: bool = False, first: int = 0) -> None:
    """Have a host go, or come back; the rollout `first` is the first to know."""
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.id == host).values(online=online))
        await conn.execute(update(schema.rollouts).values(wake_at=fleet.now))
    if first:
        await fleet.steps.take(first)
    await fleet.decide()


async def say(fleet: ManagerFleet, outcome: Outcome, *hosts: str, blame: bool = False) -> list[tuple[str, str]]:
    """Have these tell so of what they were offered last, others of theirs nothing; who was offered what."""
    offers = fleet.offered()
    for one in offers:
        if not hosts or one.agent in hosts:
            await fleet.report(one, outcome, blame=blame)
    await fleet.decide()
    return [(one.agent, one.digest) for one in offers]


async def policy(fleet: ManagerFleet, document: dict[str, object]) -> None:
    """Have the channel's next rollouts go by another policy."""
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(policy=document))


async def bad(fleet: ManagerFleet, *, gone: bool) -> int:
    """Have NEW go to host0, and fail on the others; `gone`: host0 is offline by then, and it is over."""
    await fleet.settle(3, policy=IN_WAVES)
    made = await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    if gone:
        await away(fleet, "host0")
    await say(fleet, Outcome.FAILED, blame=True)
    if gone:
        fleet.now += timedelta(minutes=10)
        await fleet.decide()
        assert await fleet.state(made) == "rolled_back"
    await policy(fleet, AT_ONCE)
    return made


async def to_the_end(fleet: ManagerFleet, outcome: Outcome, refused: Collection[str] = ()) -> list[tuple[str, str]]:
    """Have agents do all that they are offered (`refused` fail), until there is no more; what they were offered."""
    said = []
    for _ in range(6):
        for one in fleet.offered():
            said.append((one.agent, one.digest))
            await fleet.report(one, Outcome.FAILED if one.digest in refused else outcome)
        await fleet.go(SOAK)
    return said


async def test_a_newer_release_that_fails_leaves_nobody_on_the_bad_one_before_it(fleet: ManagerFleet) -> None:
    first = await bad(fleet, gone=False)
    back = [one for one in fleet.sent.documents if isinstance(one, Assignment)]
    assert [(one.agent, one.digest) for one in back] == [("host0", OLD)]
    second = await fleet.start(NEWER)
    assert not [one for one in fleet.sent.documents if isinstance(one, Withdraw)]
    said = await to_the_end(fleet, Outcome.HEALTHY, {NEWER})
    assert ("host0", OLD) in said
    assert set((await fleet.running()).values()) == {OLD}
    assert (await fleet.state(first), await fleet.state(second)) == ("rolled_back", "rolled_back")


@pytest.mark.parametrize("works", [True, False])
async def test_who_returns_to_two_rollouts_is_moved_by_one_and_does_not_stay_on_the_bad_release(
    fleet: ManagerFleet, *, works: bool
) -> None:
    await bad(fleet, gone=True)
    second = await fleet.start(NEWER)
    await say(fleet, Outcome.BEGUN)
    await away(fleet, "host0", online=True, first=second)
    assert [(one.agent, one.digest) for one in fleet.sent.documents if isinstance(one, Assignment)] == [
        ("host0", NEWER)
    ]
    await say(fleet, Outcome.HEALTHY if works else Outcome.FAILED)
    await fleet.go(timedelta(minutes=1))
    assert await say(fleet, Outcome.HEALTHY) == ([] if works else [("host0", OLD)])
    assert (await fleet.running())["host0"] == (NEWER if works else OLD)


async def test_who_came_from_a_bad_release_goes_back_to_the_one_before_it(fleet: ManagerFleet) -> None:
    first = await bad(fleet, gone=True)
    second = await fleet.start(NEWER)
    others = fleet.offered()
    await away(fleet, "host0", online=True, first=second)
    await say(fleet, Outcome.HEALTHY, "host0")
    await fleet.report(others[0], Outcome.FAILED, blame=True)
    await fleet.report(others[1], Outcome.HEALTHY)
    await fleet.decide()
    assert await say(fleet, Outcome.HEALTHY) == [("host0", OLD), ("host2", OLD)]
    assert (await fleet.running())["host0"] == OLD
    assert (await fleet.state(second), await fleet.state(first)) == ("rolled_back", "rolled_back")


# some targets alone


async def release(fleet: ManagerFleet, *digests: str) -> None:
    for digest in digests:
        fleet.now += timedelta(seconds=1)
        await fleet.release(digest)


def only(fleet: ManagerFleet, host: str) -> set[int]:
    return {fleet.targets[f"shop@{host}/web"]}


async def test_who_got_a_newer_release_by_itself_is_not_put_back_by_an_earlier_rollout(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy=IN_WAVES | {"soak": "5m"})
    await release(fleet, NEW, NEWER)
    whole = await fleet.start(NEW)
    await fleet.all(Outcome.HEALTHY)
    await fleet.start(NEWER, targets=only(fleet, "host1"))
    await to_the_end(fleet, Outcome.HEALTHY)
    assert await fleet.running() == {"host0": NEW, "host1": NEWER, "host2": NEW}
    assert await fleet.state(whole) == "completed"


async def test_who_gets_an_older_release_by_itself_goes_on_with_the_newer_rollout(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy=IN_WAVES | {"soak": "5m"})
    await release(fleet, NEW, NEWER)
    await fleet.start(NEWER)
    await fleet.all(Outcome.HEALTHY)
    await fleet.start(NEW, targets=only(fleet, "host1"))
    await to_the_end(fleet, Outcome.HEALTHY)
    assert set((await fleet.running()).values()) == {NEWER}


async def test_who_got_a_newer_release_by_itself_does_not_go_back_with_the_earlier_rollout(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy=IN_WAVES | {"soak": "5m"})
    await release(fleet, NEW, NEWER)
    whole = await fleet.start(NEW)
    await fleet.all(Outcome.HEALTHY)
    await fleet.start(NEWER, targets=only(fleet, "host0"))
    await say(fleet, Outcome.HEALTHY)
    await fleet.order(whole, "rollback")
    await to_the_end(fleet, Outcome.HEALTHY)
    assert await fleet.running() == {"host0": NEWER, "host1": OLD, "host2": OLD}


async def test_what_was_offered_to_catch_up_is_taken_back_for_a_newer_release(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy=AT_ONCE)
    await release(fleet, NEW, NEWER)
    await away(fleet, "host1")
    await fleet.start(NEW)
    await say(fleet, Outcome.HEALTHY)
    fleet.now += timedelta(minutes=10)
    await fleet.decide()
    await away(fleet, "host1", online=True)
    (late,) = fleet.offered()
    await fleet.start(NEWER, targets=only(fleet, "host1"))
    await fleet.decide()
    assert [(type(one), one.generation) for one in fleet.sent.documents] == [(Withdraw, late.generation)]
    await fleet.report(late, Outcome.WITHDRAWN)
    await fleet.decide()
    assert await say(fleet, Outcome.HEALTHY) == [("host1", NEWER)]


async def both_went_out(fleet: ManagerFleet) -> tuple[int, int]:
    """Have NEW run everywhere by one rollout, and NEWER on host0 by a later one; both may go back still."""
    await fleet.settle(3, policy=AT_ONCE | {"soak": "5m"})
    await release(fleet, NEW, NEWER)
    whole = await fleet.start(NEW)
    await say(fleet, Outcome.HEALTHY)
    some = await fleet.start(NEWER, targets=only(fleet, "host0"))
    await say(fleet, Outcome.HEALTHY)
    assert await fleet.running() == {"host0": NEWER, "host1": NEW, "host2": NEW}
    return whole, some


async def turn(fleet: ManagerFleet, *these: int) -> None:
    """Have a person roll these back at the same moment; they are decided in that order."""
    async with fleet.db.write() as conn:
        for one in these:
            await carry_out(conn, one, Order("rollback", BOB), fleet.now)
    for one in these:
        await fleet.steps.take(one)


@pytest.mark.parametrize("some_first", [True, False])
@pytest.mark.parametrize("how", ["at once", "one waits for the other", "one is over"])
async def test_where_both_go_back_nobody_stays_on_the_release_between(
    fleet: ManagerFleet, how: str, *, some_first: bool
) -> None:
    whole, some = await both_went_out(fleet)
    first, second = (some, whole) if some_first else (whole, some)
    if how == "at once":
        await turn(fleet, first, second)
    else:
        await turn(fleet, first)
        if how == "one is over":
            await say(fleet, Outcome.HEALTHY)
            assert await fleet.state(first) == "rolled_back"
        await turn(fleet, second)
    await to_the_end(fleet, Outcome.HEALTHY)
    assert set((await fleet.running()).values()) == {OLD}
    assert (await fleet.state(whole), await fleet.state(some)) == ("rolled_back", "rolled_back")


async def test_a_channel_that_goes_back_tells_of_each_target_where_it_ends(fleet: ManagerFleet) -> None:
    await both_went_out(fleet)
    async with fleet.db.write() as conn:
        back = await channel_back(conn, fleet.channel, None, BOB, fleet.now)
    assert [(one.name, one.to) for one in back.going] == [(f"shop@host{each}/web", OLD) for each in range(3)]
    await to_the_end(fleet, Outcome.HEALTHY)
    assert set((await fleet.running()).values()) == {OLD}


@pytest.mark.parametrize("by_hand", [True, False])
async def test_who_came_to_run_again_what_was_taken_back_goes_back_to_it(fleet: ManagerFleet, *, by_hand: bool) -> None:
    await fleet.settle(2, policy=AT_ONCE | {"soak": "5m"})
    await release(fleet, NEW, NEWER)
    whole = await fleet.start(NEW)
    await say(fleet, Outcome.HEALTHY)
    await turn(fleet, whole)
    await to_the_end(fleet, Outcome.HEALTHY)
    assert set((await fleet.running()).values()) == {OLD}
    if by_hand:
        async with fleet.db.write() as conn:
            await note_runs(conn, dict.fromkeys(only(fleet, "host0"), NEW), fleet.now)
    else:
        await fleet.start(NEW)
        await to_the_end(fleet, Outcome.HEALTHY)
    some = await fleet.start(NEWER, targets=only(fleet, "host0"))
    await say(fleet, Outcome.HEALTHY)
    await turn(fleet, some)
    await to_the_end(fleet, Outcome.HEALTHY)
    assert (await fleet.running())["host0"] == NEW


async def test_where_one_after_another_is_taken_back_each_goes_back_as_far_as_the_first(fleet: ManagerFleet) -> None:
    whole, some = await both_went_out(fleet)
    await release(fleet, NEWEST)
    last = await fleet.start(NEWEST, targets=only(fleet, "host0"))
    await say(fleet, Outcome.HEALTHY)
    for one in (whole, some, last):
        await turn(fleet, one)
    await to_the_end(fleet, Outcome.HEALTHY)
    assert set((await fleet.running()).values()) == {OLD}
