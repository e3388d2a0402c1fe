"""Targets that follow another channel by now, or are monitored only: no update moves them, and none counts them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet, hear, made_from, stock, tell

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout import Kind
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.events import Inventory, Report
from tidegate.protocol.signed import Withdraw

REPOSITORY = "docker.io/acme/app"
STABLE, HOTFIX, PINNED = f"{REPOSITORY}:stable", f"{REPOSITORY}:2-hotfix", f"{REPOSITORY}@{NEWER}"
ELSEWHERE = pytest.mark.parametrize("image", [HOTFIX, PINNED, "docker.io/acme/other:stable"])
AT_ONCE: dict[str, object] = {"waves": list[str](), "soak": "0s", "healthy_for": "0s"}
ONE_BY_ONE = AT_ONCE | {"waves": ["1"]}


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def settle(fleet: ManagerFleet, hosts: int, policy: dict[str, object]) -> None:
    """Have so many hosts follow `STABLE`."""
    await fleet.settle(hosts, policy=policy)
    repository, _, tag = STABLE.partition(":")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(name=STABLE, repository=repository, tag=tag))
        await conn.execute(update(schema.targets).values(repository=repository, tag=tag, image=STABLE))


async def progress(fleet: ManagerFleet, rollout: int) -> dict[str, str]:
    """Where each host is in a rollout."""
    found = (await fleet.rollout(rollout)).targets.values()
    return {one.id.split("@")[1].split("/")[0]: str(one.progress) for one in found}


def offered_to(fleet: ManagerFleet) -> list[str]:
    return sorted(one.agent for one in fleet.offered())


async def presence(fleet: ManagerFleet, host: str, *, online: bool) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.id == host).values(online=online))
        await conn.execute(update(schema.rollouts).values(wake_at=fleet.now))
    await fleet.decide()


@ELSEWHERE
async def test_a_later_wave_passes_over_who_follows_another_channel_by_then(fleet: ManagerFleet, image: str) -> None:
    await settle(fleet, 3, ONE_BY_ONE)
    rollout = await fleet.start()
    await stock(fleet, "host1", image, NEWER)
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert offered_to(fleet) == ["host2"]
    assert (await progress(fleet, rollout))["host1"] == "left_alone"
    assert image.removeprefix("docker.io/acme/") in (await fleet.rollout(rollout)).targets["shop@host1/web"].reason


@ELSEWHERE
async def test_what_was_offered_to_who_leaves_is_taken_back_at_once_and_its_refusal_is_no_failure(
    fleet: ManagerFleet, image: str
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, leaves = fleet.offered()
    await stock(fleet, "host1", image, NEWER)
    assert [type(one) for one in fleet.sent.documents] == [Withdraw]
    await tell(fleet, leaves, outcome=Outcome.REFUSED)
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    assert await progress(fleet, rollout) == {"host0": "healthy", "host1": "left_alone"}
    assert await fleet.state(rollout) == "completed"


async def test_what_is_offered_says_which_tag_its_target_followed_forward_and_back(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, ONE_BY_ONE)
    await fleet.start()
    (forward,) = fleet.offered()
    await tell(fleet, forward, outcome=Outcome.HEALTHY)
    assert await fleet.all(Outcome.FAILED) == ["host1"]
    (back,) = fleet.offered()
    assert [(one.repository, one.tag, one.back) for one in (forward, back)] == [
        (REPOSITORY, "stable", False),
        (REPOSITORY, "stable", True),
    ]


@ELSEWHERE
async def test_who_hears_of_an_offer_before_the_manager_hears_what_it_follows_has_left_and_has_not_failed(
    fleet: ManagerFleet, image: str
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, leaves = fleet.offered()
    await hear(fleet, "host1", Inventory(fleet.now, (made_from(image, NEWER),)), refused(fleet, leaves))
    assert await progress(fleet, rollout) == {"host0": "offered", "host1": "left_alone"}
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    assert await fleet.state(rollout) == "completed"


def refused(fleet: ManagerFleet, it: Assignment) -> Report:
    """An agent's word that it has not begun something."""
    return Report(fleet.now, it.id, it.rollout, it.target, it.generation, it.digest, Outcome.REFUSED)


async def test_who_leaves_while_nothing_is_heard_of_its_offer_is_no_failure_at_the_deadline(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, _ = fleet.offered()
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    await stock(fleet, "host1", HOTFIX, NEWER)
    await fleet.go(timedelta(minutes=11))
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host1"]) == ("completed", "left_alone")


@ELSEWHERE
async def test_who_was_offline_does_not_catch_up_with_a_channel_that_it_has_left(
    fleet: ManagerFleet, image: str
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    await presence(fleet, "host1", online=False)
    stays, _ = fleet.offered()
    await tell_offline(fleet, stays)
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host1"]) == ("completed", "offline")
    await stock(fleet, "host1", image, NEWER)
    await presence(fleet, "host1", online=True)
    assert (offered_to(fleet), (await progress(fleet, rollout))["host1"]) == ([], "left_alone")


async def tell_offline(fleet: ManagerFleet, it: Assignment) -> None:
    """Have one host end well, and the others stay away until they are not waited for any longer."""
    await fleet.report(it, Outcome.HEALTHY)
    await fleet.decide()
    fleet.now += timedelta(minutes=11)
    await fleet.decide()
    fleet.sent.documents = []


@ELSEWHERE
async def test_who_has_left_does_not_go_back_with_the_others(fleet: ManagerFleet, image: str) -> None:
    await settle(fleet, 3, ONE_BY_ONE | {"waves": ["2"]})
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host0", "host1"]
    await stock(fleet, "host1", image, NEWER)
    assert await fleet.all(Outcome.FAILED, blame=True) == ["host2"]
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert await fleet.state(rollout) == "rolled_back"
    assert await progress(fleet, rollout) == {"host0": "went_back", "host1": "left_alone", "host2": "failed"}


async def test_who_leaves_on_its_way_back_is_not_waited_for(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, ONE_BY_ONE)
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert await fleet.all(Outcome.FAILED, blame=True) == ["host1"]
    (back,) = fleet.offered()
    await stock(fleet, "host0", HOTFIX, NEWER)
    assert [type(one) for one in fleet.sent.documents] == [Withdraw]
    await tell(fleet, back, outcome=Outcome.WITHDRAWN)
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host0"]) == ("rolled_back", "left_alone")


async def test_what_a_channel_wanted_of_a_target_ends_with_it(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    await stock(fleet, "host0", STABLE, OLD)
    assert await wanted(fleet) == (NEW, True)
    await stock(fleet, "host0", HOTFIX, NEWER)
    assert await wanted(fleet) == ("", False)


async def test_what_had_begun_when_a_target_left_is_not_wanted_there_afterwards(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    await fleet.start()
    (one,) = fleet.offered()
    await tell(fleet, one, outcome=Outcome.BEGUN)
    await stock(fleet, "host0", HOTFIX, OLD)
    await tell(fleet, one, outcome=Outcome.HEALTHY)
    assert await wanted(fleet) == ("", False)


async def wanted(fleet: ManagerFleet) -> tuple[str, bool]:
    """What the manager wants to run on the one target, and whether something else does."""
    async with fleet.db.read() as conn:
        row = (await conn.execute(select(schema.targets.c.wanted, schema.targets.c.drift_since))).one()
    return row.wanted, row.drift_since is not None


# monitored only


def monitored(fleet: ManagerFleet) -> Inventory:
    """What a host tells whose target follows `STABLE`, and that lets nobody update it."""
    return Inventory(fleet.now, (replace(made_from(STABLE, OLD), held=True),))


async def test_what_was_offered_to_who_comes_to_be_monitored_only_is_taken_back_and_its_refusal_is_no_failure(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, leaves = fleet.offered()
    await hear(fleet, "host1", monitored(fleet))
    assert [type(one) for one in fleet.sent.documents] == [Withdraw]
    await tell(fleet, leaves, outcome=Outcome.REFUSED)
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    assert await progress(fleet, rollout) == {"host0": "healthy", "host1": "left_alone"}
    assert await fleet.state(rollout) == "completed"


async def test_who_refuses_together_with_the_word_that_it_is_monitored_only_has_not_failed(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    _, leaves = fleet.offered()
    await hear(fleet, "host1", monitored(fleet), refused(fleet, leaves))
    assert await progress(fleet, rollout) == {"host0": "offered", "host1": "left_alone"}
    assert (await fleet.rollout(rollout)).targets["shop@host1/web"].reason == "its host has it monitored only"


async def test_who_was_monitored_only_before_is_in_no_update_and_no_wave_waits_for_it(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, ONE_BY_ONE)
    await hear(fleet, "host0", monitored(fleet))  # by its name, it would be the first wave
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host1"]
    assert (await fleet.state(rollout), await progress(fleet, rollout)) == ("completed", {"host1": "healthy"})


async def test_an_update_of_nobody_but_who_is_monitored_only_is_refused_by_their_names(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    await hear(fleet, "host0", monitored(fleet))
    with pytest.raises(CreateRefusedError, match=r"^shop@host0/web: monitored only, as it is set where it runs"):
        await fleet.start()


async def test_an_update_of_targets_that_are_named_one_by_one_leaves_none_of_them_out_in_silence(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, AT_ONCE)
    await hear(fleet, "host0", monitored(fleet))
    both = set(fleet.targets.values())
    with pytest.raises(CreateRefusedError, match=r"^shop@host0/web: monitored only, as it is set where it runs; leave"):
        await fleet.start(targets=both, named=both)
    assert await progress(fleet, await fleet.start(targets=both)) == {"host1": "offered"}


async def test_who_is_monitored_only_no_more_gets_what_went_out_meanwhile(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    await hear(fleet, "host1", monitored(fleet))
    await fleet.release()
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    choice = await fleet.planner.plan(fleet.channel)
    assert choice is not None
    assert choice.reason.endswith("went out already; start a rollout by hand to send it out again")
    await hear(fleet, "host1", Inventory(fleet.now, (made_from(STABLE, OLD),)))
    async with fleet.db.read() as conn:
        assert (await conn.execute(select(schema.channels.c.plan_at))).scalar_one() == fleet.now  # not in minutes
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    assert await fleet.all(Outcome.HEALTHY) == ["host1"]


async def test_who_has_left_for_being_monitored_only_gets_it_once_it_is_so_no_more(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    await fleet.release()
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    stays, leaves = fleet.offered()
    await hear(fleet, "host1", monitored(fleet), refused(fleet, leaves))
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    await hear(fleet, "host1", Inventory(fleet.now, (made_from(STABLE, OLD),)))
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    assert [(one.agent, one.digest) for one in fleet.offered()] == [("host1", NEW)]


async def test_who_is_monitored_only_and_runs_by_its_owner_what_is_sent_out_drifts_no_more(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE)
    await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    owned = replace(made_from(STABLE, NEWER), held=True)
    await hear(fleet, "host1", Inventory(fleet.now, (owned,)))
    assert await drifting(fleet) == {"shop@host1/web"}
    await fleet.start(NEWER)
    assert await drifting(fleet) == set()


async def drifting(fleet: ManagerFleet) -> set[str]:
    """Targets that run something else than is wanted there."""
    async with fleet.db.read() as conn:
        other = schema.targets.c.wanted.not_in(("", schema.targets.c.digest))
        found = select(schema.targets.c.name).where(other)
        return set((await conn.execute(found)).scalars())


async def test_who_is_monitored_only_and_refuses_to_go_back_is_for_people_to_hear_of(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    await hear(fleet, "host0", monitored(fleet))
    rollout = await fleet.start(NEWER, kind=Kind.ROLLBACK)
    assert await fleet.all(Outcome.REFUSED) == ["host0"]
    assert (await fleet.state(rollout), await progress(fleet, rollout)) == ("paused", {"host0": "failed"})


async def test_who_is_monitored_only_by_the_time_that_others_go_back_is_for_people_to_hear_of(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, ONE_BY_ONE)
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    await hear(fleet, "host0", Inventory(fleet.now, (replace(made_from(STABLE, NEW), held=True),)))
    assert await fleet.all(Outcome.FAILED, blame=True) == ["host1"]
    for _ in range(2):
        assert await fleet.all(Outcome.REFUSED) == ["host0"]
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host0"]) == ("failed", "not_put_back")
