"""A channel's policy that is changed while a rollout waits, over HTTP and as it is decided.

The manager that is running decides, too, at its own time: what is decided is asserted, not by whom.
"""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select
from tests.support.manager import People
from tests.support.manager_fleet import NEWER, ManagerFleet

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alert_look import look
from tidegate.manager.telling.alert_rules import findings

DAY = timedelta(days=1)


@pytest.fixture
async def fleet(manager_db: Database) -> ManagerFleet:
    one = ManagerFleet(manager_db)
    one.now = now()
    return one


async def frozen(fleet: ManagerFleet, **policy: Any) -> int:
    """A release that the policy has sent out, and that waits behind a freeze."""
    await fleet.settle(2, policy=policy)
    async with fleet.db.write() as conn:
        freeze = {"name": "f", "starts_at": fleet.now, "ends_at": fleet.now + DAY, "created_at": fleet.now}
        await conn.execute(insert(schema.freezes).values(freeze))
    await fleet.release()
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    return 1


async def thaw(fleet: ManagerFleet) -> None:
    """The freeze is taken away, and everybody looks again."""
    async with fleet.db.write() as conn:
        await conn.execute(delete(schema.freezes))
    await fleet.go(timedelta(minutes=2))


async def put(fleet: ManagerFleet, people: People, **policy: Any) -> None:
    """Change the channel's policy, and decide what follows."""
    path = f"/policies/{fleet.channel}"
    etag = (await people.admin.get(path)).headers["ETag"]
    assert (await people.admin("PUT", path, json=policy, headers={"If-Match": etag})).status == 200
    fleet.now = max(fleet.now, now())
    await fleet.go()


async def test_what_was_to_go_out_by_itself_waits_for_the_people_that_are_asked_for_now(
    fleet: ManagerFleet, people: People
) -> None:
    rollout = await frozen(fleet)
    assert await fleet.state(rollout) == "scheduled"
    await put(fleet, people, mode="approval", approvals=2)
    await thaw(fleet)
    assert (await fleet.state(rollout), fleet.offered()) == ("awaiting_approval", [])
    path = f"/rollouts/{rollout}"
    assert (await people.viewer.get(path)).json["approvals_needed"] == 2
    assert [one["approvals_needed"] for one in (await people.viewer.get("/rollouts")).json["items"]] == [2]
    waiting = (await people.viewer.get("/approvals")).json["items"]
    assert [one["rollout"]["approvals_needed"] for one in waiting] == [2]
    assert (await people.approver.post(f"{path}/approve")).json["state"] == "awaiting_approval"
    assert (await people.admin.post(f"{path}/approve")).json["state"] == "running"


async def test_the_alert_and_the_audit_tell_how_many_are_asked_for_now(fleet: ManagerFleet, people: People) -> None:
    rollout = await frozen(fleet, mode="approval")
    await put(fleet, people, mode="approval", approvals=3)
    await people.approver.post(f"/rollouts/{rollout}/approve")
    assert await fleet.state(rollout) == "awaiting_approval"
    async with fleet.db.read() as conn:
        facts = await look(conn, Thresholds(), fleet.now, watching_since=fleet.now, feed=(0, 0))
        said = select(schema.audit.c.after).where(schema.audit.c.action == "rollout.approve")
        assert (await conn.execute(said)).scalar_one()["approvals_needed"] == 3
    told = findings(facts, Thresholds(), fleet.now + DAY)
    assert "waits for approval (1 of 3)" in next(one.text for one in told if one.rule == "approval_waiting")


async def test_who_was_approved_before_more_were_asked_for_waits_for_the_others(
    fleet: ManagerFleet, people: People
) -> None:
    rollout = await frozen(fleet, mode="approval")
    await people.approver.post(f"/rollouts/{rollout}/approve")
    assert await fleet.state(rollout) == "scheduled"
    await put(fleet, people, mode="approval", approvals=2)
    await thaw(fleet)
    assert (await fleet.state(rollout), fleet.offered()) == ("awaiting_approval", [])
    assert (await people.admin.post(f"/rollouts/{rollout}/approve")).json["state"] == "running"


@pytest.mark.parametrize("mode", ["pinned", "monitor-only"])
@pytest.mark.parametrize("paused", [False, True])
async def test_what_the_policy_has_sent_out_ends_where_releases_go_out_by_hand_only(
    fleet: ManagerFleet, people: People, mode: str, *, paused: bool
) -> None:
    rollout = await frozen(fleet)
    if paused:
        await fleet.order(rollout, "pause")
    since = now()
    await put(fleet, people, mode=mode)
    await thaw(fleet)
    ended = await fleet.rollout(rollout)
    assert (ended.state, fleet.offered()) == ("cancelled", [])
    told = [
        f"its policy is {mode} since {at:%Y-%m-%d %H:%M} UTC: releases go out by hand only" for at in (since, now())
    ]
    assert ended.reason in told


async def test_what_a_policy_alone_has_ended_goes_out_when_it_sends_releases_out_again(
    fleet: ManagerFleet, people: People
) -> None:
    rollout = await frozen(fleet)
    await put(fleet, people, mode="pinned")
    assert await fleet.state(rollout) == "cancelled"
    await fleet.planner.plan(fleet.channel)
    assert await fleet.count(schema.rollouts) == 1
    await put(fleet, people, mode="automatic")
    await fleet.planner.plan(fleet.channel)
    assert await fleet.count(schema.rollouts) == 2


async def test_what_somebody_has_asked_for_goes_out_though_the_channel_is_pinned_now(
    fleet: ManagerFleet, people: People
) -> None:
    await frozen(fleet)
    made = await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEWER})
    assert made.json["state"] == "scheduled"
    await put(fleet, people, mode="pinned")
    await thaw(fleet)
    assert await fleet.state(made.json["id"]) == "running"


async def test_what_somebody_has_asked_for_needs_the_approvals_of_now_too(fleet: ManagerFleet, people: People) -> None:
    await frozen(fleet)
    made = await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEWER})
    await put(fleet, people, mode="pinned", approvals=1)
    await thaw(fleet)
    assert (await fleet.state(made.json["id"]), fleet.offered()) == ("awaiting_approval", [])


async def test_the_wait_for_approval_counts_from_when_that_was_asked_for(fleet: ManagerFleet, people: People) -> None:
    fleet.now -= timedelta(hours=2)
    rollout = await frozen(fleet, approval_expires="1h")
    await put(fleet, people, mode="approval")
    assert await fleet.state(rollout) == "awaiting_approval"
    async with fleet.db.read() as conn:
        facts = await look(conn, Thresholds(), fleet.now, watching_since=fleet.now, feed=(0, 0))
    (since,) = [one.since for one in facts.rollouts]
    assert since is not None
    assert fleet.now - since < timedelta(minutes=1)
    await fleet.go(timedelta(hours=1, minutes=1))
    assert (await fleet.rollout(rollout)).reason == "not approved within 1h"


async def test_what_has_begun_keeps_the_policy_that_it_was_made_with(fleet: ManagerFleet, people: People) -> None:
    await fleet.settle(2)
    await fleet.release()
    await fleet.planner.plan(fleet.channel)
    await fleet.go()
    assert await fleet.state(1) == "running"
    await put(fleet, people, mode="pinned", approvals=3)
    assert await fleet.state(1) == "running"
