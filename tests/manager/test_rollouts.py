"""Rollouts in the database: decided, written down, and nothing of it lost or doubled."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.support import databases
from tests.support.manager_fleet import ANN, NEW, NEWER, OLD, T0, ManagerFleet, tell

from tidegate.domain.audit import Entry, fault
from tidegate.domain.rollout import Kind
from tidegate.domain.rollout_apply import Outcome, VerbRefusedError
from tidegate.manager.agents.wakes import wake
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.rollouts.verbs import Order, StaleError, carry_out
from tidegate.manager.store import schema
from tidegate.manager.store.counters import change_world
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alert_look import look

SOAK = timedelta(minutes=5, seconds=10)


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def test_a_release_goes_to_the_canary_soaks_and_goes_to_the_rest(fleet: ManagerFleet) -> None:
    await fleet.settle(3)
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert fleet.offered() == []
    await fleet.go(timedelta(seconds=10))
    await fleet.go(SOAK)
    assert await fleet.all(Outcome.HEALTHY) == ["host1", "host2"]
    await fleet.go(timedelta(seconds=10))
    await fleet.go(SOAK)
    assert await fleet.state(rollout) == "completed"
    assert set((await fleet.running()).values()) == {NEW}


async def test_an_assignment_says_what_its_agent_needs(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    rollout = await fleet.start()
    (one,) = fleet.offered()
    assert (one.agent, one.target, one.repository, one.digest) == ("host0", "shop/web", "r/app", NEW)
    assert (one.rollout, one.health_timeout_s) == (str(rollout), 300.0)
    assert one.issued_at == T0 < one.expires_at


async def test_a_manager_whose_database_was_restored_gives_no_generation_that_agents_know(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    rollout = await fleet.start()
    (lost,) = fleet.offered()
    await fleet.order(rollout, "abort")
    async with fleet.db.write() as conn:  # as it was in the backup
        await conn.execute(schema.assignments.delete())
        await conn.execute(update(schema.targets).values(generation=0))
    fleet.now += timedelta(minutes=2)
    await fleet.start()
    (one,) = fleet.offered()
    assert one.generation > lost.generation


async def test_a_bad_release_stops_at_the_canary_is_put_back_and_held(fleet: ManagerFleet) -> None:
    await fleet.settle(3)
    rollout = await fleet.start()
    assert await fleet.all(Outcome.FAILED, reason="it is unhealthy", blame=True) == ["host0"]
    assert await fleet.state(rollout) == "rolled_back"
    assert fleet.offered() == []  # the agent has put it back itself, and nobody else saw it
    assert await fleet.count(schema.quarantine, schema.quarantine.c.digest == NEW) == 1
    why = r"in quarantine \(shop@host0/web: it is unhealthy\): .*, first `tidegate quarantine release 1` \(an admin\)$"
    with pytest.raises(CreateRefusedError, match=why):
        await fleet.start()


async def test_what_was_updated_before_a_failure_goes_back_with_it(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy={"soak": "0s", "healthy_for": "0s"})
    rollout = await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    offers = fleet.offered()
    await fleet.report(offers[0], Outcome.FAILED, blame=True)
    await fleet.report(offers[1], Outcome.HEALTHY)
    await fleet.go()
    back = fleet.offered()
    assert [(one.agent, one.digest, one.back) for one in back] == [("host0", OLD, True), ("host2", OLD, True)]
    for one in back:
        await fleet.report(one, Outcome.HEALTHY)
    await fleet.go()
    assert await fleet.state(rollout) == "rolled_back"
    assert set((await fleet.running()).values()) == {OLD}


async def test_a_person_who_did_not_ask_approves_and_it_begins(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"mode": "approval"})
    rollout = await fleet.start(by=ANN)
    assert fleet.offered() == []
    with pytest.raises(VerbRefusedError, match="somebody else has to"):
        await fleet.order(rollout, "approve", ANN)
    await fleet.order(rollout, "approve")
    assert [one.digest for one in fleet.offered()] == [NEW]
    assert [one.by for one in (await fleet.rollout(rollout)).approvals] == ["bob"]


async def test_an_order_for_an_edition_that_is_no_more_is_refused(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    rollout = await fleet.start()
    await fleet.order(rollout, "pause")
    with pytest.raises(StaleError):
        await fleet.order(rollout, "resume", edition=1)


async def test_a_report_is_taken_in_once_and_is_gone_then(fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    await fleet.start()
    (one,) = fleet.offered()
    await fleet.report(one, Outcome.BEGUN)
    await fleet.report(one, Outcome.HEALTHY)
    await fleet.go()
    assert await fleet.count(schema.reports) == 0
    assert await fleet.count(schema.assignments, schema.assignments.c.open) == 0


async def test_a_failed_sending_leaves_nothing_of_the_decision(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    fleet.sent.fail = RuntimeError("the disk is on fire")
    with pytest.raises(RuntimeError):
        await fleet.start()
    assert await fleet.count(schema.assignments) == 0
    await fleet.go()
    assert len(fleet.offered()) == 1


async def test_what_was_decided_in_another_world_is_not_written(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A freeze comes between the decision and its writing."""
    await fleet.settle(1)
    write, worlds = Steps._write, list[int]()

    async def frozen_meanwhile(steps: Steps, *arguments: object) -> bool:
        if not worlds:
            async with fleet.db.write() as conn:
                freeze = {"name": "f", "starts_at": T0, "ends_at": T0 + timedelta(hours=1), "created_at": T0}
                await conn.execute(insert(schema.freezes).values(freeze))
                await change_world(conn)
        worlds.append(1)
        return await write(steps, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Steps, "_write", frozen_meanwhile)
    await fleet.start()
    assert (len(worlds), fleet.offered()) == (2, [])


async def test_a_rollout_that_is_woken_while_it_is_decided_is_decided_again(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an agent tells between the look and the writing would otherwise wait until the rollout is due by itself."""
    await fleet.settle(1)
    write = Steps._write

    async def woken_meanwhile(steps: Steps, it: Any) -> bool:
        async with fleet.db.write() as conn:
            await wake(conn, [int(it.loaded.rollout.id)], fleet.now + timedelta(milliseconds=1))
        return await write(steps, it)

    monkeypatch.setattr(Steps, "_write", woken_meanwhile)
    rollout = await fleet.start()
    assert len(fleet.offered()) == 1
    due = schema.rollouts.c.wake_at < fleet.now + timedelta(seconds=1)
    assert await fleet.count(schema.rollouts, schema.rollouts.c.id == rollout, due) == 1


async def test_an_agent_that_is_not_there_is_offered_nothing_until_it_is_back(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).values(online=False))
    rollout = await fleet.start()
    assert fleet.offered() == []
    await fleet.go()
    await fleet.steps.take(rollout)
    assert len(fleet.offered()) == 1


async def test_two_drivers_offer_everything_once(postgres_server: str, postgres_template: str) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url:
        one = await ManagerFleet(Database.at(url)).settle(20, policy={"waves": [], "approvals": 0})
        rollout = await one.start()
        one.sent.documents.clear()
        async with one.db.write() as conn:
            await conn.execute(update(schema.rollouts).values(state="scheduled", edition=99))
            await conn.execute(update(schema.rollout_targets).values(progress="waiting", generation=0))
            await conn.execute(schema.assignments.delete())
            await conn.execute(update(schema.targets).values(generation=0))
        others = [ManagerFleet(Database.at(url)) for _ in range(4)]
        await asyncio.gather(*(other.steps.take(rollout) for other in others))
        offered = sorted(it.agent for other in others for it in other.offered())
        assert offered == sorted(f"host{number}" for number in range(20))
        for each in (one, *others):
            await each.db.close()


async def test_a_rollout_that_changes_faster_than_it_is_decided_is_tried_again_later(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.settle(1)
    rollout = await fleet.start()

    async def lost(*_: object) -> bool:
        return False

    monkeypatch.setattr(Steps, "_write", lost)
    with pytest.raises(StoreUnavailableError):
        await fleet.steps.take(rollout)


async def test_the_newest_of_those_that_wait_for_approval_takes_the_places_of_the_others(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"mode": "approval"})
    first, second = await fleet.start(NEW), await fleet.start(NEWER)
    await fleet.go()
    assert (await fleet.state(first), await fleet.state(second)) == ("superseded", "awaiting_approval")


async def test_a_newer_release_takes_over_once_it_has_begun_and_nobody_is_at_it_twice(fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    first = await fleet.start(NEW)
    (canary,) = fleet.offered()
    await fleet.report(canary, Outcome.BEGUN)
    await fleet.go()
    second = await fleet.start(NEWER)
    await fleet.go()
    assert await fleet.state(first) == "superseded"
    assert fleet.offered() == []  # its agent is still at the first one
    await fleet.report(canary, Outcome.HEALTHY)
    await fleet.go()
    assert [(one.agent, one.digest, one.generation) for one in fleet.offered()] == [
        ("host0", NEWER, canary.generation + 1)
    ]
    assert await fleet.state(second) == "running"


async def outcome(fleet: ManagerFleet, generation: int) -> str:
    """What is kept of an assignment's end."""
    which = schema.assignments.c.generation == generation
    async with fleet.db.read() as conn:
        return str((await conn.execute(select(schema.assignments.c.outcome).where(which))).scalar_one())


@pytest.mark.parametrize("silence", [Outcome.BEGUN, None])
async def test_who_is_never_heard_of_again_has_failed_and_that_is_an_alert(
    fleet: ManagerFleet, silence: Outcome | None
) -> None:
    await fleet.settle(1, policy={"on_failure": "continue", "soak": "0s", "healthy_for": "0s"})
    rollout = await fleet.start()
    (one,) = fleet.offered()
    if silence is not None:
        await tell(fleet, one, outcome=silence)
    await fleet.go(timedelta(minutes=10))
    assert (await fleet.state(rollout), await outcome(fleet, one.generation)) == ("completed", "failed")
    async with fleet.db.read() as conn:
        facts = await look(conn, Thresholds(), fleet.now, watching_since=T0, feed=(0, 0))
    assert [(it.target, it.reason) for it in facts.failures] == [("shop@host0/web", "no result within 10m")]


async def test_what_fails_on_several_together_stops_the_rollout(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy={"waves": []})
    rollout = await fleet.start()
    one, two, three = fleet.offered()
    for it in (one, two):
        await fleet.report(it, Outcome.FAILED)
    await fleet.report(three, Outcome.HEALTHY)
    await fleet.go()
    assert [(it.agent, it.digest) for it in fleet.offered()] == [(three.agent, OLD)]
    assert await fleet.state(rollout) == "rolling_back"
    assert await fleet.count(schema.assignments, schema.assignments.c.outcome == "failed") == 2


async def test_what_several_tell_together_is_kept_of_each(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy={"waves": []})
    await fleet.start()
    both = fleet.offered()
    for how in (Outcome.BEGUN, Outcome.HEALTHY):
        await tell(fleet, *both, outcome=how)
        assert await fleet.count(schema.assignments, schema.assignments.c.outcome == how) == 2


async def test_what_is_heard_after_a_failure_for_silence_is_kept_only_where_it_says_how_it_ended(
    fleet: ManagerFleet,
) -> None:
    await fleet.settle(1, policy={"on_failure": "continue"})
    await fleet.start()
    (one,) = fleet.offered()
    await fleet.go(timedelta(minutes=10))
    for late in (Outcome.BEGUN, Outcome.WITHDRAWN):
        await tell(fleet, one, outcome=late)
        assert await outcome(fleet, one.generation) == "failed"
    await tell(fleet, one, outcome=Outcome.HEALTHY)
    assert await outcome(fleet, one.generation) == "healthy"


async def test_what_is_over_because_its_agent_said_so_stays_as_it_was_said(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"on_failure": "continue"})
    await fleet.start()
    (one,) = fleet.offered()
    await tell(fleet, one, outcome=Outcome.INCONCLUSIVE)
    assert await outcome(fleet, one.generation) == "inconclusive"


# going back by hand


async def test_a_whole_channel_goes_back_to_what_ran_before(fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy={"waves": [], "soak": "0s", "healthy_for": "0s"})
    await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    async with fleet.db.write() as conn:
        going = await rollback.of_channel(conn, fleet.channel, None)
        (made,) = (await rollback.go_back(conn, going, ANN, fleet.now)).rollouts
    await fleet.go()
    assert (made.kind, made.digest) == (Kind.ROLLBACK, OLD)
    assert [(one.agent, one.digest) for one in fleet.offered()] == [("host0", OLD), ("host1", OLD)]


async def test_who_goes_back_waits_for_no_window_no_wave_and_no_soak(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy={"windows": ["0 3 * * * 1h UTC"], "mode": "approval"}, digest=NEW)
    rollout = await fleet.start(OLD, kind=Kind.ROLLBACK)
    assert [(one.agent, one.back) for one in fleet.offered()] == [(f"host{number}", True) for number in range(3)]
    assert (await fleet.rollout(rollout)).waves == 1


async def test_to_go_back_to_what_runs_is_nothing_to_do(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        back = await rollback.go_back(conn, await rollback.of_channel(conn, fleet.channel, OLD), ANN, T0)
        assert (back.rollouts, back.going, back.left) == ([], [], [])


async def test_where_nothing_ran_before_it_says_so(fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    async with fleet.db.write() as conn:
        going = await rollback.of_channel(conn, fleet.channel, None)
        with pytest.raises(CreateRefusedError, match="shop@host0/web and 1 more"):
            await rollback.go_back(conn, going, ANN, T0)


async def test_a_digest_that_never_ran_there_is_refused(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.read() as conn:
        with pytest.raises(CreateRefusedError, match="never ran on any of these targets"):
            await rollback.of_channel(conn, fleet.channel, NEWER)


async def test_one_target_goes_back_while_its_rollout_goes_on_without_it(fleet: ManagerFleet) -> None:
    await fleet.settle(3, policy={"soak": "0s", "healthy_for": "0s"})
    rollout = await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    await fleet.all(Outcome.BEGUN)
    async with fleet.db.write() as conn:
        going = await rollback.of_target(conn, fleet.targets["shop@host0/web"], None)
        await rollback.go_back(conn, going, ANN, fleet.now)
    await fleet.go()
    assert [(one.agent, one.digest) for one in fleet.offered()] == [("host0", OLD)]
    assert await fleet.state(rollout) == "running"
    assert (await fleet.rollout(rollout)).targets["shop@host0/web"].reason == "left alone: ann rolls it back"


async def test_a_target_that_is_being_moved_does_not_go_back_meanwhile(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    rollout = await fleet.start()
    async with fleet.db.write() as conn:
        await conn.execute(insert(schema.runs).values(target_id=1, digest=NEWER, since=T0))
        going = await rollback.of_channel(conn, fleet.channel, NEWER)
        with pytest.raises(CreateRefusedError, match=f"moved by rollout {rollout} right now"):
            await rollback.go_back(conn, going, ANN, T0)


async def test_an_update_that_is_under_way_is_turned_round(fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    rollout = await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    async with fleet.db.write() as conn:
        await rollback.channel_back(conn, fleet.channel, None, ANN, fleet.now)
    await fleet.go()
    assert [(one.agent, one.digest, one.back) for one in fleet.offered()] == [("host0", OLD, True)]
    assert await fleet.state(rollout) == "rolling_back"


# who did what


async def test_all_of_it_is_in_the_audit_log_and_the_log_holds(fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    rollout = await fleet.start()
    await fleet.order(rollout, "pause", reason="lunch")
    await fleet.order(rollout, "resume")
    await fleet.all(Outcome.FAILED, blame=True)
    async with fleet.db.read() as conn:
        rows = (await conn.execute(select(schema.audit).order_by(schema.audit.c.number))).all()
    entries = [Entry(**row._mapping) for row in rows]
    assert [(one.actor, one.action) for one in entries] == [
        ("ann", "rollout.create"),
        ("bob", "rollout.pause"),
        ("bob", "rollout.resume"),
        ("tidegate", "quarantine.add"),
    ]
    assert fault(entries) is None
    assert (entries[1].before, entries[1].after) == (
        {"state": "running", "wave": 1, "approvals": [], "counts": {"offered": 1, "waiting": 1}},
        {"state": "paused", "wave": 1, "approvals": [], "counts": {"offered": 1, "waiting": 1}, "reason": "lunch"},
    )


async def test_the_feed_tells_what_became_of_it_in_order(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    async with fleet.db.read() as conn:
        rows = (await conn.execute(select(schema.feed).order_by(schema.feed.c.number))).all()
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    told = [(row.kind, row.data.get("progress") or row.data.get("state")) for row in rows]
    assert told == [
        ("rollout.created", "scheduled"),
        ("rollout.target", "offered"),
        ("rollout.state", "running"),
        ("rollout.started", None),
        ("rollout.target", "healthy"),
        ("rollout.state", "running"),
    ]


async def test_who_names_targets_of_other_channels_is_told_which_those_follow(fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    async with fleet.db.write() as conn:
        channel = {"name": "r/app:2", "repository": "r/app", "tag": "2", "policy": {}, "created_at": T0}
        made = await conn.execute(insert(schema.channels).values(channel).returning(schema.channels.c.id))
        this = schema.targets.c.name == "shop@host0/web"
        await conn.execute(update(schema.targets).where(this).values(channel_id=made.scalar_one(), tag="2"))
    said = r"none of the named targets follows this channel: shop@host0/web follows r/app:2$"
    with pytest.raises(CreateRefusedError, match=said):
        await fleet.start(targets={fleet.targets["shop@host0/web"]})
    with pytest.raises(CreateRefusedError, match="no target of what is named follows this channel"):
        await fleet.start(targets=set())
    both = set(fleet.targets.values())
    with pytest.raises(
        CreateRefusedError, match=r"not each of the named targets follows this channel: shop@host0/web f"
    ):
        await fleet.start(targets=both, named=both)
    assert list((await fleet.rollout(await fleet.start(targets=both))).targets) == ["shop@host1/web"]


async def test_an_order_for_no_rollout_is_told_apart(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        assert await carry_out(conn, 4711, Order("pause", ANN), T0) is None
