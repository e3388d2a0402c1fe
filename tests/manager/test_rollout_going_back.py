"""Going back by hand: the release that people leave does not go on, and nothing goes forward to it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from tests.support.manager_fleet import ANN, NEW, NEWER, OLD, ManagerFleet

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

AT_ONCE = {"waves": [], "soak": "0s", "healthy_for": "0s"}
V0 = f"sha256:{'0' * 64}"


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def back(fleet: ManagerFleet, host: str = "", *, to: str | None = None) -> rollback.Back:
    """Have the channel go back, or one host's target; and decide what follows."""
    async with fleet.db.write() as conn:
        if host:
            plan = await rollback.of_target(conn, fleet.targets[f"shop@{host}/web"], to)
            went = await rollback.go_back(conn, plan, ANN, fleet.now)
        else:
            went = await rollback.channel_back(conn, fleet.channel, to, ANN, fleet.now)
    await fleet.decide()
    return went


def ways(went: rollback.Back) -> dict[str, str]:
    """By names of targets, where they go."""
    return {one.name: one.to for one in went.going}


async def taken(fleet: ManagerFleet) -> None:
    """Have agents do what they are offered now."""
    for one in fleet.offered():
        await fleet.report(one, Outcome.HEALTHY)
    await fleet.decide()


async def done(fleet: ManagerFleet) -> None:
    """Have agents do all that they are offered, until there is no more."""
    for _ in range(4):
        await taken(fleet)
        await fleet.go(timedelta(minutes=6))


async def out(fleet: ManagerFleet, digest: str = NEW, **policy: Any) -> int:
    """Have a release go out to two hosts that ran OLD, to its end."""
    await fleet.settle(2, policy=AT_ONCE | policy)
    made = await fleet.start(digest)
    await done(fleet)
    assert await fleet.state(made) == "completed"
    return made


async def away(fleet: ManagerFleet, host: str, *, online: bool = False) -> None:
    """Have a host go, or come back."""
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.id == host).values(online=online))
        await conn.execute(update(schema.rollouts).values(wake_at=fleet.now))
    await fleet.decide()


async def out_but_for(fleet: ManagerFleet, host: str) -> int:
    """Have NEW go out to three hosts, one of which is not there."""
    await fleet.settle(3, policy=AT_ONCE)
    await away(fleet, host)
    made = await fleet.start()
    for one in fleet.offered():
        await fleet.report(one, Outcome.HEALTHY)
    fleet.now += timedelta(minutes=11)
    await fleet.decide()
    assert await fleet.state(made) == "completed"
    assert (await fleet.rollout(made)).targets[f"shop@{host}/web"].progress == "offline"
    return made


async def test_a_release_in_its_soak_goes_no_further_when_an_earlier_one_is_named(fleet: ManagerFleet) -> None:
    await fleet.settle(3)
    made = await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    answer = await back(fleet, to=OLD)
    assert [one.id for one in answer.rollouts] == [str(made)]
    await done(fleet)
    assert await fleet.running() == dict.fromkeys(("host0", "host1", "host2"), OLD)
    assert await fleet.state(made) == "rolled_back"


async def test_a_release_that_still_runs_on_the_canary_alone_is_left_for_one_before_both(fleet: ManagerFleet) -> None:
    await out(fleet, NEW, waves=["1"], soak="5m")
    made = await fleet.start(NEWER)
    await taken(fleet)
    answer = await back(fleet, to=OLD)
    assert [one.kind for one in answer.rollouts] == ["rollback"]
    await done(fleet)
    assert set((await fleet.running()).values()) == {OLD}
    assert await fleet.state(made) == "cancelled"


@pytest.mark.parametrize("to", [None, OLD])
async def test_who_was_offline_does_not_catch_up_with_what_the_others_have_left(
    fleet: ManagerFleet, to: str | None
) -> None:
    made = await out_but_for(fleet, "host2")
    answer = await back(fleet, to=to)
    assert [len(one.targets) for one in answer.rollouts] == [2]
    await done(fleet)
    await away(fleet, "host2", online=True)
    await done(fleet)
    assert await fleet.running() == dict.fromkeys(("host0", "host1", "host2"), OLD)
    assert (await fleet.rollout(made)).targets["shop@host2/web"].progress == "skipped"


async def test_who_is_catching_up_right_now_is_named(fleet: ManagerFleet) -> None:
    made = await out_but_for(fleet, "host2")
    await away(fleet, "host2", online=True)
    answer = await back(fleet)
    (left,) = answer.left
    assert (left.name, f"rollout {made} is updating it right now" in left.reason) == ("shop@host2/web", True)


async def test_a_rollback_goes_to_what_ran_before_and_not_forward_to_what_was_left(fleet: ManagerFleet) -> None:
    await out(fleet)
    await back(fleet, "host0")
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": NEW}
    await back(fleet)
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD}
    with pytest.raises(CreateRefusedError, match="to have run before on shop@host0/web and 1 more"):
        await back(fleet)


async def test_what_never_got_the_release_stays_where_it_is(fleet: ManagerFleet) -> None:
    """Though something ran there before: it is the newest release that people leave."""
    await out(fleet)
    async with fleet.db.write() as conn:
        earlier = {"target_id": fleet.targets["shop@host0/web"], "digest": V0, "since": fleet.now - timedelta(days=9)}
        await conn.execute(insert(schema.runs).values(earlier))
    await back(fleet, "host0")
    await done(fleet)
    answer = await back(fleet)
    assert ways(answer) == {"shop@host1/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD}


async def test_an_update_that_has_begun_nothing_is_no_reason_not_to_go_back(fleet: ManagerFleet) -> None:
    await out(fleet, mode="automatic")
    made = await fleet.start(NEWER, not_before=fleet.now + timedelta(hours=1))
    await fleet.order(made, "pause")
    answer = await back(fleet)
    assert [(one.kind, one.digest) for one in answer.rollouts] == [("rollback", OLD)]
    assert answer.aborted == [made]
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD}
    assert await fleet.state(made) == "cancelled"


async def test_a_canary_that_failed_alone_sends_nobody_back(fleet: ManagerFleet) -> None:
    """Its agent has put it back, and nobody else had the release: what ran before that is none of it."""
    await fleet.settle(2, policy={"on_failure": "pause"}, digest=V0)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(digest=OLD))
        rows = [{"target_id": id_, "digest": OLD, "since": fleet.now} for id_ in fleet.targets.values()]
        await conn.execute(insert(schema.runs), rows)
    made = await fleet.start()
    await fleet.all(Outcome.FAILED, reason="it is unhealthy")
    answer = await back(fleet)
    assert ([one.id for one in answer.rollouts], await fleet.state(made)) == ([str(made)], "rolled_back")
    assert (ways(answer), await fleet.running()) == ({}, {"host0": OLD, "host1": OLD})


async def test_who_cannot_go_back_with_the_others_is_named_with_the_reason(fleet: ManagerFleet) -> None:
    await out(fleet)
    await fleet.join("host2", digest=NEW)
    answer = await back(fleet)
    assert ways(answer) == {"shop@host0/web": OLD, "shop@host1/web": OLD}
    (left,) = answer.left
    assert left.name == "shop@host2/web"
    assert "nothing is known to have run there before" in left.reason


async def test_who_never_ran_what_is_named_is_told_too(fleet: ManagerFleet) -> None:
    await out(fleet)
    await fleet.join("host2", digest=V0)
    answer = await back(fleet, to=OLD)
    assert [one.name for one in answer.left] == ["shop@host2/web"]
    assert "never ran there" in answer.left[0].reason
