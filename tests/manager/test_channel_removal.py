"""A channel that nobody needs can be taken away, and no other one."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update
from tests.support.manager import People
from tests.support.manager_fleet import NEW, ManagerFleet

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

ANY = {"If-Match": "*"}


@pytest.fixture
async def fleet(manager_db: Database) -> ManagerFleet:
    """Two targets on one channel."""
    one = ManagerFleet(manager_db)
    one.now = now()
    return await one.settle(2)


async def gone(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(gone_at=now()))


async def end(fleet: ManagerFleet, *, open_: bool = False) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.rollouts).values(state="completed"))
        await conn.execute(update(schema.assignments).values(open=open_))


async def started(fleet: ManagerFleet, people: People) -> int:
    made = await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEW})
    assert made.status == 201, made.text
    return int(made.json["id"])


async def test_it_goes_with_its_releases_and_what_has_ended_and_its_targets_stay(
    fleet: ManagerFleet, people: People
) -> None:
    await started(fleet, people)
    await end(fleet)
    await gone(fleet)
    path = f"/channels/{fleet.channel}"
    assert (await people.admin("DELETE", path)).json["code"] == "condition-needed"
    assert (await people.admin("DELETE", path, headers={"If-Match": '"7"'})).json["code"] == "stale"
    etag = (await people.admin.get(path)).headers["ETag"]
    assert (await people.admin("DELETE", path, headers={"If-Match": etag})).status == 204
    assert (await people.viewer.get(path)).status == 404
    tables = schema.channels, schema.releases, schema.rollouts, schema.rollout_targets, schema.assignments
    assert [await fleet.count(table) for table in tables] == [0] * len(tables)
    assert await fleet.count(schema.targets) == 2
    entry = (await people.viewer.get("/audit?limit=1")).json["items"][0]
    assert (entry["action"], entry["subject"], entry["before"]["rollouts"]) == (
        "channel.delete",
        f"channel {fleet.channel}",
        1,
    )


async def test_one_that_targets_follow_stays(fleet: ManagerFleet, people: People) -> None:
    refused = await people.admin("DELETE", f"/channels/{fleet.channel}", headers=ANY)
    assert (refused.status, refused.json["code"]) == (409, "in-use")
    assert "2 targets follow it" in refused.json["detail"]


async def test_one_that_one_target_follows_stays_and_is_told_as_that(fleet: ManagerFleet, people: People) -> None:
    async with fleet.db.write() as conn:
        one = select(schema.targets.c.id).limit(1).scalar_subquery()
        await conn.execute(update(schema.targets).where(schema.targets.c.id == one).values(gone_at=now()))
    refused = await people.admin("DELETE", f"/channels/{fleet.channel}", headers=ANY)
    assert refused.json["detail"].count("1 target follows it") == 1


@pytest.mark.parametrize("how", ["open", "under way"])
async def test_one_with_a_rollout_that_is_not_over_stays(fleet: ManagerFleet, people: People, how: str) -> None:
    id_ = await started(fleet, people)
    await gone(fleet)
    if how == "under way":
        await end(fleet, open_=True)
    refused = await people.admin("DELETE", f"/channels/{fleet.channel}", headers=ANY)
    assert (refused.status, refused.json["code"]) == (409, "in-use")
    assert f"rollout {id_}" in refused.json["detail"]


async def test_targets_of_an_agent_that_was_cut_off_do_not_keep_one(fleet: ManagerFleet, people: People) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).values(revoked_at=now()))
    assert (await people.admin("DELETE", f"/channels/{fleet.channel}", headers=ANY)).status == 204


async def test_only_an_administrator_takes_one_away(fleet: ManagerFleet, people: People) -> None:
    await gone(fleet)
    for who in (people.viewer, people.operator, people.approver):
        assert (await who("DELETE", f"/channels/{fleet.channel}", headers=ANY)).status == 403
    assert (await people.admin("DELETE", "/channels/4711", headers=ANY)).status == 404
