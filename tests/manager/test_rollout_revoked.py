"""An agent that is revoked in the middle of a rollout, and enrolled anew: that is no fault of the release."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.manager_fleet import ANN, NEW, NEWER, OLD, ManagerFleet, stock, tell

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.agents.enrolment import make_enrolment
from tidegate.manager.agents.keys import ManagerKeys
from tidegate.manager.agents.letting_in import Asked, Enrolled, LettingIn
from tidegate.manager.agents.presence import Heard, Silence, note_heard, tell_who_came_and_went
from tidegate.manager.agents.revocation import revoke
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.create import CreateRefusedError
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import EnrolRequest
from tidegate.protocol.requests import enrol_proof
from tidegate.protocol.version import PROTOCOL

IMAGE = "docker.io/acme/app:stable"
AT_ONCE: dict[str, object] = {"waves": list[str](), "soak": "0s", "healthy_for": "0s"}
ONE_BY_ONE = AT_ONCE | {"waves": ["1"]}
BEGUN = pytest.mark.parametrize("begun", [False, True])


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def settle(fleet: ManagerFleet, hosts: int, policy: Mapping[str, object], **labels: str) -> None:
    """Have so many hosts, on a channel that inventories can name."""
    await fleet.settle(hosts, policy=policy)
    repository, _, tag = IMAGE.partition(":")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(name=IMAGE, repository=repository, tag=tag))
        await conn.execute(update(schema.targets).values(repository=repository, tag=tag, image=IMAGE))
        await conn.execute(update(schema.clusters).values(labels=labels))
        await conn.execute(update(schema.agents).values(labels=labels))


async def cut_off(fleet: ManagerFleet, host: str) -> None:
    async with fleet.db.write() as conn:
        assert await revoke(conn, host, ANN, fleet.now)
    await fleet.decide()


async def enrol(fleet: ManagerFleet, host: str, *, labels: Mapping[str, str] | None = None) -> str:
    """Have a host whose agent was revoked enrol anew; the id that it has now, and it is there."""
    fleet.now += timedelta(seconds=30)
    key, manager = load_key(make_key()), ManagerKeys((load_key(make_key()),))
    async with fleet.db.write() as conn:
        token = (await make_enrolment(conn, ANN, fleet.now, name=host, labels=labels)).token
    asked = EnrolRequest(PROTOCOL, token, host, public_text(key), "1", enrol_proof(key, token))
    [answer] = await LettingIn(fleet.db, lambda: manager, lambda: fleet.now)([Asked(asked)])
    assert isinstance(answer, Enrolled), answer
    async with fleet.db.write() as conn:
        await hear(conn, answer.agent, fleet.now)
    await fleet.decide()
    return answer.agent


async def hear(conn: AsyncConnection, agent: str, now: datetime) -> None:
    """Have an agent be heard for the first time."""
    await note_heard(conn, {agent: Heard(now, "1", PROTOCOL, "")})
    await tell_who_came_and_went(conn, Silence(now, now, tell_gone=False))


async def progress(fleet: ManagerFleet, rollout: int) -> dict[str, str]:
    """Where each host is in a rollout."""
    found = (await fleet.rollout(rollout)).targets.values()
    return {one.id.split("@")[1].split("/")[0]: str(one.progress) for one in found}


@BEGUN
async def test_an_agent_that_is_enrolled_anew_in_the_middle_of_an_update_is_offered_it_anew(
    fleet: ManagerFleet, *, begun: bool
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, rotated = fleet.offered()
    if begun:
        await tell(fleet, rotated, outcome=Outcome.BEGUN)
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    await cut_off(fleet, "host1")
    again = await enrol(fleet, "host1")
    await stock(fleet, "host1", IMAGE, OLD, agent=again)
    (offer,) = fleet.offered()
    assert (offer.agent, offer.digest, offer.generation > rotated.generation) == (again, NEW, True)
    await fleet.go(timedelta(minutes=5))
    await tell(fleet, offer, outcome=Outcome.HEALTHY)
    assert await progress(fleet, rollout) == {"host0": "healthy", "host1": "healthy"}
    assert await fleet.state(rollout) == "completed"


async def test_what_ended_well_while_its_agent_was_cut_off_is_done(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    rollout = await fleet.start()
    await tell(fleet, *fleet.offered(), outcome=Outcome.BEGUN)
    await cut_off(fleet, "host0")
    again = await enrol(fleet, "host0")
    assert fleet.offered() == []
    await stock(fleet, "host0", IMAGE, NEW, agent=again)
    assert (fleet.offered(), await progress(fleet, rollout)) == ([], {"host0": "healthy"})
    assert await fleet.state(rollout) == "completed"


async def test_who_enrols_anew_is_offered_nothing_before_it_has_told_what_it_has(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    await fleet.start()
    fleet.sent.documents = []
    await cut_off(fleet, "host0")
    again = await enrol(fleet, "host0")
    assert fleet.offered() == []
    await stock(fleet, "host0", "docker.io/acme/other:1", NEWER, agent=again)
    assert fleet.offered() == []


@BEGUN
async def test_an_agent_that_is_revoked_for_good_is_offline_at_the_deadline_and_no_failure(
    fleet: ManagerFleet, *, begun: bool
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, revoked = fleet.offered()
    if begun:
        await tell(fleet, revoked, outcome=Outcome.BEGUN)
    await tell(fleet, stays, outcome=Outcome.HEALTHY)
    await cut_off(fleet, "host1")
    assert await progress(fleet, rollout) == {"host0": "healthy", "host1": "waiting"}
    fleet.now += timedelta(minutes=11)
    await fleet.decide()
    assert await progress(fleet, rollout) == {"host0": "healthy", "host1": "offline"}
    assert await fleet.state(rollout) == "completed"
    assert await fleet.count(schema.assignments, schema.assignments.c.open) == 0


@BEGUN
async def test_who_may_run_the_release_though_its_agent_was_revoked_goes_back_when_it_returns(
    fleet: ManagerFleet, *, begun: bool
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    bad, revoked = fleet.offered()
    if begun:
        await tell(fleet, revoked, outcome=Outcome.BEGUN)
    await cut_off(fleet, "host1")
    await tell(fleet, bad, outcome=Outcome.FAILED)
    again = await enrol(fleet, "host1")
    await stock(fleet, "host1", IMAGE, NEW, agent=again)
    (back,) = fleet.offered()
    assert (back.agent, back.digest, back.back) == (again, OLD, True)
    await tell(fleet, back, outcome=Outcome.HEALTHY)
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host1"]) == ("rolled_back", "went_back")


async def test_a_way_back_whose_agent_was_revoked_is_offered_anew_to_who_comes_in_its_place(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, ONE_BY_ONE)
    rollout = await fleet.start()
    assert await fleet.all(Outcome.HEALTHY) == ["host0"]
    assert await fleet.all(Outcome.FAILED, blame=True) == ["host1"]
    await tell(fleet, *fleet.offered(), outcome=Outcome.BEGUN)
    await cut_off(fleet, "host0")
    fleet.now += timedelta(minutes=11)
    await fleet.decide()
    again = await enrol(fleet, "host0")
    await stock(fleet, "host0", IMAGE, NEW, agent=again)
    (back,) = fleet.offered()
    assert (back.agent, back.digest, back.back) == (again, OLD, True)
    await tell(fleet, back, outcome=Outcome.HEALTHY)
    assert (await fleet.state(rollout), (await progress(fleet, rollout))["host0"]) == ("rolled_back", "went_back")


async def test_who_was_revoked_catches_up_with_a_completed_rollout_once_it_has_enrolled_anew(
    fleet: ManagerFleet,
) -> None:
    await settle(fleet, 2, AT_ONCE)
    rollout = await fleet.start()
    stays, _ = fleet.offered()
    await cut_off(fleet, "host1")
    await fleet.report(stays, Outcome.HEALTHY)
    await fleet.go(timedelta(minutes=11))
    assert await fleet.state(rollout) == "completed"
    again = await enrol(fleet, "host1")
    assert fleet.offered() == []
    await stock(fleet, "host1", IMAGE, OLD, agent=again)
    (offer,) = fleet.offered()
    assert (offer.agent, offer.digest) == (again, NEW)


async def test_labels_of_the_new_token_are_its_clusters_and_others_stay(fleet: ManagerFleet) -> None:
    await settle(fleet, 2, AT_ONCE, ring="early", region="eu")
    await cut_off(fleet, "host0")
    await enrol(fleet, "host0", labels={"ring": "late", "rack": "7"})
    assert await labels(fleet) == {
        "shop@host0": {"ring": "late", "region": "eu", "rack": "7"},
        "shop@host1": {"ring": "early", "region": "eu"},
    }


async def test_a_new_token_without_labels_leaves_those_that_are_there(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE, ring="early")
    await cut_off(fleet, "host0")
    await enrol(fleet, "host0")
    assert await labels(fleet) == {"shop@host0": {"ring": "early"}}


async def test_clusters_that_come_later_have_the_labels_that_the_revoked_agent_gave(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE, ring="early", region="eu")
    await cut_off(fleet, "host0")
    again = await enrol(fleet, "host0", labels={"ring": "late"})
    await stock(fleet, "host0", IMAGE, OLD, agent=again, project="blog")
    assert (await labels(fleet))["blog@host0"] == {"ring": "late", "region": "eu"}


async def labels(fleet: ManagerFleet) -> dict[str, dict[str, str]]:
    """The labels of each cluster."""
    async with fleet.db.read() as conn:
        rows = await conn.execute(select(schema.clusters.c.name, schema.clusters.c.labels))
        return {row.name: row.labels for row in rows}


@pytest.mark.parametrize("to", [None, OLD])
async def test_a_target_whose_agent_was_revoked_cannot_go_back_and_it_says_so(
    fleet: ManagerFleet, to: str | None
) -> None:
    await settle(fleet, 1, AT_ONCE)
    await cut_off(fleet, "host0")
    async with fleet.db.write() as conn:
        with pytest.raises(CreateRefusedError, match=r"its agent was revoked.*`tidegate agents enrol host0`"):
            await rollback.of_target(conn, fleet.targets["shop@host0/web"], to)


async def test_a_target_that_was_taken_away_cannot_go_back_and_it_says_so(fleet: ManagerFleet) -> None:
    await settle(fleet, 1, AT_ONCE)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(gone_at=fleet.now))
        with pytest.raises(CreateRefusedError, match="shop@host0/web is not there any more"):
            await rollback.of_target(conn, fleet.targets["shop@host0/web"], None)
