"""Going back by hand: the release that people leave does not go on, and nothing goes forward to it."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, update
from tests.support.going_back import AT_ONCE, V0, away, back, done, out, out_but_for, taken, undo, ways
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet

from tidegate.domain.rollout_apply import Outcome, VerbRefusedError
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.rollouts.verbs import StaleError
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


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
    assert (await fleet.rollout(made)).targets["shop@host2/web"].progress == "left_alone"


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


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("running", "abort that one, or roll it back; or wait for it"),
        ("rolling_back", "that one goes back; wait for it"),
        ("rollback", "that one is a rollback; wait for it, or abort it"),
    ],
)
async def test_who_is_being_moved_is_told_what_can_be_done_about_that(
    fleet: ManagerFleet, state: str, advice: str
) -> None:
    await out(fleet, soak="5m")
    if state == "rollback":
        await back(fleet)
    else:
        made = await fleet.start(NEWER)
        for one in fleet.offered():
            await fleet.report(one, Outcome.BEGUN)
        await fleet.decide()
        if state == "rolling_back":
            await fleet.order(made, "rollback")
    with pytest.raises(CreateRefusedError, match=f"is being moved by rollout [0-9]+ right now: {advice}$"):
        await back(fleet, "host0", to=OLD if state != "rollback" else NEW)


# updates of some targets alone


async def test_a_channel_that_goes_back_stops_also_what_goes_to_some_of_it_alone(fleet: ManagerFleet) -> None:
    await out(fleet, soak="5m")
    made = await fleet.start(NEWER, targets={fleet.targets["shop@host0/web"]})
    await taken(fleet)
    answer = await back(fleet, to=OLD)
    assert ways(answer) == {"shop@host0/web": OLD, "shop@host1/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD}
    assert await fleet.state(made) == "cancelled"


async def test_who_joins_late_does_not_keep_the_channel_from_going_back(fleet: ManagerFleet) -> None:
    """Its update is turned round, and everybody who runs the same release goes back, too."""
    await out(fleet)
    late = await fleet.join("host2")
    made = await fleet.start(NEW, targets={fleet.targets[late]})
    (offer,) = fleet.offered()
    await fleet.report(offer, Outcome.BEGUN)
    await fleet.decide()
    answer = await back(fleet)
    assert ways(answer) == {f"shop@host{number}/web": OLD for number in range(3)}
    await fleet.report(offer, Outcome.HEALTHY)
    await fleet.decide()
    await done(fleet)
    assert await fleet.running() == dict.fromkeys(("host0", "host1", "host2"), OLD)
    assert await fleet.state(made) == "rolled_back"


async def test_what_some_alone_get_is_turned_round_and_the_others_stay(fleet: ManagerFleet) -> None:
    await out(fleet)
    await fleet.start(NEWER, targets={fleet.targets["shop@host0/web"]})
    answer = await back(fleet)
    assert ways(answer) == {"shop@host0/web": NEW}
    (offer,) = fleet.offered()
    await fleet.report(offer, Outcome.WITHDRAWN)
    await fleet.decide()
    await done(fleet)
    assert await fleet.running() == {"host0": NEW, "host1": NEW}


async def test_who_is_offline_does_not_catch_up_though_nobody_else_can_go_back(fleet: ManagerFleet) -> None:
    """Nothing ran before on it, so nothing moves; the release that was to come to it does not come any more."""
    made = await out_but_for(fleet, "host2")
    answer = await back(fleet, "host2")
    assert (ways(answer), [one.name for one in answer.left]) == ({}, ["shop@host2/web"])
    assert (await fleet.rollout(made)).targets["shop@host2/web"].progress == "left_alone"
    with pytest.raises(CreateRefusedError, match="nothing is known to have run before"):
        await back(fleet, "host2")


# a rollout that is named


async def test_what_a_completed_rollout_has_updated_goes_back_to_what_ran_before(fleet: ManagerFleet) -> None:
    made = await out(fleet)
    await fleet.join("host2", digest=NEW)
    answer = await undo(fleet, made)
    assert [(one.kind, one.digest) for one in answer.rollouts] == [("rollback", OLD)]
    assert ways(answer) == {"shop@host0/web": OLD, "shop@host1/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD, "host2": NEW}
    with pytest.raises(CreateRefusedError, match=f"rollout {made} is completed, and nothing that it has updated runs"):
        await undo(fleet, made)


async def test_who_runs_a_newer_release_than_the_rollouts_or_waits_for_it_is_none_of_its_business(
    fleet: ManagerFleet,
) -> None:
    first = await out(fleet)
    newer = await fleet.start(NEWER, targets={fleet.targets["shop@host0/web"]})
    await done(fleet)
    assert ways(await undo(fleet, first)) == {"shop@host1/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": NEWER, "host1": OLD}
    assert (await fleet.rollout(newer)).targets["shop@host0/web"].progress == "healthy"


async def test_what_an_aborted_rollout_has_updated_goes_back_and_the_others_stay(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy={"waves": ["1"]})
    made = await fleet.start()
    await taken(fleet)
    await fleet.order(made, "abort")
    assert ways(await undo(fleet, made)) == {"shop@host0/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": OLD}
    assert (await fleet.rollout(made)).targets["shop@host1/web"].progress == "waiting"


async def test_who_got_the_release_by_another_rollout_stays(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy={"waves": ["1"], "soak": "5m", "healthy_for": "0s"})
    made = await fleet.start()
    await taken(fleet)
    await fleet.order(made, "abort")
    await fleet.start(NEW)
    await done(fleet)
    assert await fleet.running() == {"host0": NEW, "host1": NEW}
    assert ways(await undo(fleet, made)) == {"shop@host0/web": OLD}


async def test_what_a_failed_rollout_could_not_put_back_is_put_back_once_more(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy=AT_ONCE | {"soak": "5m"})
    made = await fleet.start()
    await taken(fleet)
    await fleet.order(made, "rollback")
    while offers := fleet.offered():
        for one in offers:
            await fleet.report(one, Outcome.FAILED)
        await fleet.go(timedelta(minutes=10))
    assert (await fleet.state(made), await fleet.running()) == ("failed", {"host0": NEW})
    assert ways(await undo(fleet, made)) == {"shop@host0/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": OLD}


async def test_who_was_offline_does_not_catch_up_with_a_rollout_that_was_taken_back(fleet: ManagerFleet) -> None:
    made = await out_but_for(fleet, "host2")
    assert ways(await undo(fleet, made)) == {"shop@host0/web": OLD, "shop@host1/web": OLD}
    assert (await fleet.rollout(made)).targets["shop@host2/web"].progress == "left_alone"
    await done(fleet)
    await away(fleet, "host2", online=True)
    await done(fleet)
    assert await fleet.running() == dict.fromkeys(("host0", "host1", "host2"), OLD)


async def test_who_is_catching_up_while_its_rollout_is_taken_back_is_named(fleet: ManagerFleet) -> None:
    made = await out_but_for(fleet, "host2")
    await away(fleet, "host2", online=True)
    (left,) = (await undo(fleet, made)).left
    assert (left.name, f"rollout {made} is updating it right now" in left.reason) == ("shop@host2/web", True)


async def test_where_nothing_is_known_to_have_run_before_a_rollout_the_release_is_to_be_named(
    fleet: ManagerFleet,
) -> None:
    await fleet.settle(1, policy=AT_ONCE, digest="")
    made = await fleet.start()
    await done(fleet)
    assert await fleet.running() == {"host0": NEW}
    with pytest.raises(CreateRefusedError, match="nothing is known to have run before on shop@host0/web"):
        await undo(fleet, made)


async def test_a_rollback_is_not_taken_back_unless_to_a_release_that_is_named(fleet: ManagerFleet) -> None:
    await out(fleet)
    (went,) = (await back(fleet)).rollouts
    await done(fleet)
    with pytest.raises(VerbRefusedError, match="is a rollback, which is not rolled back"):
        await undo(fleet, int(went.id))
    assert set(ways(await undo(fleet, int(went.id), to=NEW)).values()) == {NEW}
    await done(fleet)
    assert await fleet.running() == {"host0": NEW, "host1": NEW}


async def test_the_targets_of_an_ended_rollout_go_to_the_release_that_is_named(fleet: ManagerFleet) -> None:
    await out(fleet)
    second = await fleet.start(NEWER, targets={fleet.targets["shop@host0/web"]})
    await done(fleet)
    assert ways(await undo(fleet, second, to=OLD)) == {"shop@host0/web": OLD}
    await done(fleet)
    assert await fleet.running() == {"host0": OLD, "host1": NEW}


async def test_an_open_rollout_is_turned_round_where_that_brings_its_targets_to_what_is_named(
    fleet: ManagerFleet,
) -> None:
    await fleet.settle(3)
    made = await fleet.start()
    await taken(fleet)
    answer = await undo(fleet, made, to=OLD)
    assert ([one.id for one in answer.rollouts], ways(answer)) == ([str(made)], {"shop@host0/web": OLD})
    await done(fleet)
    assert (await fleet.state(made), set((await fleet.running()).values())) == ("rolled_back", {OLD})


async def test_an_open_rollout_is_aborted_where_its_targets_go_further_back(fleet: ManagerFleet) -> None:
    await out(fleet, waves=["1"], soak="5m")
    made = await fleet.start(NEWER)
    await taken(fleet)
    answer = await undo(fleet, made, to=OLD)
    assert ([one.kind for one in answer.rollouts], answer.aborted) == (["rollback"], [made])
    assert ways(answer) == {"shop@host0/web": OLD, "shop@host1/web": OLD}
    await done(fleet)
    assert (await fleet.state(made), set((await fleet.running()).values())) == ("cancelled", {OLD})


async def test_another_rollout_of_the_channel_goes_on(fleet: ManagerFleet) -> None:
    await out(fleet, soak="5m")
    ours, other = [await fleet.start(NEWER, targets={fleet.targets[f"shop@host{n}/web"]}) for n in (0, 1)]
    await taken(fleet)
    await undo(fleet, ours, to=OLD)
    await done(fleet)
    assert (await fleet.state(ours), await fleet.state(other)) == ("cancelled", "completed")
    assert await fleet.running() == {"host0": OLD, "host1": NEWER}


@pytest.mark.parametrize(("to", "said"), [(V0, "never ran on any of these targets"), (OLD, "is in quarantine")])
async def test_a_release_that_may_not_be_gone_back_to_is_refused_and_the_rollout_goes_on(
    fleet: ManagerFleet, to: str, said: str
) -> None:
    await fleet.settle(3)
    made = await fleet.start()
    await taken(fleet)
    async with fleet.db.write() as conn:
        held = {"digest": OLD, "reason": "it burns", "by": "ann", "at": fleet.now}
        await conn.execute(insert(schema.quarantine).values(held))
    with pytest.raises(CreateRefusedError, match=said):
        await undo(fleet, made, to=to)
    assert await fleet.state(made) == "running"


async def test_a_rollout_that_was_changed_meanwhile_is_not_taken_back(fleet: ManagerFleet) -> None:
    made = await out(fleet)
    with pytest.raises(StaleError):
        await undo(fleet, made, edition=0)


@pytest.mark.parametrize("whole", [True, False])
async def test_where_targets_go_is_told_as_they_go_where_what_ran_before_is_bad_by_now(
    fleet: ManagerFleet, *, whole: bool
) -> None:
    await out(fleet)
    rollout = await fleet.start(NEWER)
    first, _ = fleet.offered()
    await fleet.report(first, Outcome.HEALTHY)
    await fleet.decide()
    async with fleet.db.write() as conn:
        held = {"digest": NEW, "reason": "it leaks", "by": "ann", "at": fleet.now}
        await conn.execute(insert(schema.quarantine).values(held))
    went = await (back(fleet) if whole else undo(fleet, rollout))
    assert ways(went)["shop@host0/web"] == OLD
    assert [(one.agent, one.digest) for one in fleet.offered()] == [("host0", OLD)]
