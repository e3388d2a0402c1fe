"""What the fleet is, over HTTP: agents, clusters, targets, channels, policies."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.support.manager import People
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet

from tidegate.manager.agents.enrolment import make_enrolment
from tidegate.manager.parts import now
from tidegate.manager.people.audit import Actor
from tidegate.manager.store import schema
from tidegate.manager.store.counters import current
from tidegate.manager.store.database import Database

CHANNEL = "r/app:1"


@pytest.fixture
async def fleet(people: People, manager_db: Database) -> ManagerFleet:
    """Three hosts, of which `host0` and `host1` are there; `people` come after the database was emptied."""
    del people
    it = await ManagerFleet(manager_db).settle(3)
    async with manager_db.write() as conn:
        there = schema.agents.c.id.in_(["host0", "host1"])
        await conn.execute(update(schema.agents).where(there).values(last_seen_at=now()))
    return it


async def world(db: Database) -> int:
    async with db.read() as conn:
        return await current(conn, "world")


async def test_the_status_counts_what_there_is(people: People, fleet: ManagerFleet) -> None:
    await fleet.start(NEW)
    await people.operator.post("/quarantine", {"digest": NEWER})
    got = (await people.viewer.get("/status")).json
    rollouts = {state: count for state, count in got.pop("rollouts").items() if count}
    assert got.pop("alerts_open") in {0, 1}  # of the quarantine, as soon as the manager looks
    assert (rollouts, got) == (
        {"running": 1},
        {
            "agents": {"online": 2, "offline": 1},
            "targets": 3,
            "approvals_waiting": 0,
            "quarantined": 1,
        },
    )


@pytest.mark.usefixtures("fleet")
async def test_clusters_are_found_by_agent_and_by_label(people: People) -> None:
    one = await people.viewer.get("/clusters/shop@host1")
    labels = {"labels": {"ring": "early", "site": "berlin 'east'"}}
    changed = await people.operator("PATCH", "/clusters/shop@host1", labels, headers={"If-Match": one.headers["ETag"]})
    assert (changed.status, changed.json["labels"], changed.json["version"]) == (200, labels["labels"], 2)
    for query, names in {
        "agent=host2": ["shop@host2"],
        "label=ring=early": ["shop@host1"],
        "label=ring=early&label=site=berlin 'east'": ["shop@host1"],
        "label=ring=late": [],
        "": ["shop@host0", "shop@host1", "shop@host2"],
    }.items():
        got = (await people.viewer.get(f"/clusters?{query}")).json
        assert [item["name"] for item in got["items"]] == names, query
    assert [item["online"] for item in got["items"]] == [True, True, False]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("label", ["ring", "=x", 'a"b=x', "%00=x"])
async def test_a_label_to_look_for_has_a_name_and_a_value(people: People, label: str) -> None:
    assert (await people.viewer.get(f"/clusters?label={label}")).status == 422


@pytest.mark.usefixtures("fleet")
async def test_who_labels_a_cluster_has_rollouts_decided_anew(people: People, manager_db: Database) -> None:
    before = await world(manager_db)
    await people.operator("PATCH", "/clusters/shop@host0", {"labels": {}}, headers={"If-Match": '"1"'})
    assert await world(manager_db) == before + 1


async def test_a_target_tells_what_runs_and_what_ran(people: People, fleet: ManagerFleet) -> None:
    got = (await people.viewer.get("/targets/shop@host0/web")).json
    assert got["channel"] == {"id": fleet.channel, "name": CHANNEL}
    assert (got["digest"], got["agent"], got["online"]) == (OLD, "host0", True)
    assert [run["digest"] for run in got["runs"]] == [OLD]


async def test_targets_are_found_by_what_they_follow_and_run(people: People, fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        odd = schema.targets.c.id == fleet.targets["shop@host1/web"]
        await conn.execute(update(schema.targets).where(odd).values(digest=NEW, state="stopped"))
    for query, hosts in {
        f"digest={NEW}": ["host1"],
        f"channel={fleet.channel}&digest={OLD}": ["host0", "host2"],
        "channel=999": [],
        "state=stopped": ["host1"],
        "cluster=shop@host2": ["host2"],
    }.items():
        got = (await people.viewer.get(f"/targets?{query}")).json
        assert [item["agent"] for item in got["items"]] == hosts, query


async def test_targets_are_found_by_agent_by_drift_and_by_being_held(people: People, fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        drifted, held = (schema.targets.c.id == fleet.targets[f"shop@{host}/web"] for host in ("host1", "host2"))
        await conn.execute(update(schema.targets).where(drifted).values(drift_since=now()))
        await conn.execute(update(schema.targets).where(held).values(held=True))
    for query, hosts in {
        "agent=host1": ["host1"],
        "agent=host9": [],
        "drift=true": ["host1"],
        "drift=false": ["host0", "host2"],
        "held=true": ["host2"],
        "held=false": ["host0", "host1"],
        "held=false&drift=false": ["host0"],
        "agent=host2&held=false": [],
    }.items():
        got = (await people.viewer.get(f"/targets?{query}")).json
        assert [item["agent"] for item in got["items"]] == hosts, query


@pytest.mark.usefixtures("fleet")
async def test_a_state_that_no_target_can_be_in_is_refused_with_those_that_it_can(people: People) -> None:
    answer = await people.viewer.get("/targets?state=runing")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "query.state")
    assert "'running', 'stopped' or 'mixed'" in answer.json["detail"]


async def test_a_target_that_is_gone_is_not_there_any_more(people: People, fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(gone_at=now()))
    assert (await people.viewer.get("/targets")).json["items"] == []
    assert (await people.viewer.get("/targets/shop@host0/web")).status == 404


async def test_a_channel_tells_what_its_tag_names_now(people: People, fleet: ManagerFleet) -> None:
    await fleet.release(OLD)
    await fleet.go(later=fleet.now - fleet.now)
    fleet.now = now()
    await fleet.release(NEW)
    got = (await people.viewer.get(f"/channels/{fleet.channel}")).json
    assert (got["name"], got["targets"], got["newest"]["digest"], got["mode"]) == (CHANNEL, 3, NEW, "automatic")


@pytest.mark.parametrize("name", [CHANNEL, "docker.io/r/app:1"])
async def test_a_channel_is_found_by_its_name_as_people_write_it(
    people: People, fleet: ManagerFleet, name: str
) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(name="docker.io/r/app:1", repository="docker.io/r/app"))
    got = (await people.viewer.get(f"/channels?name={name}")).json
    assert [item["id"] for item in got["items"]] == [fleet.channel]


async def test_a_channel_that_is_polled_is_due_at_once(people: People, fleet: ManagerFleet) -> None:
    before = now()
    answer = await people.operator.post(f"/channels/{fleet.channel}/poll")
    assert answer.status == 200
    async with fleet.db.read() as conn:
        at = (await conn.execute(select(schema.channels.c.poll_at))).scalar_one()
    assert before <= at <= now()
    assert (await people.operator.post("/channels/999/poll")).status == 404


# policies


async def test_a_policy_is_shown_complete_and_can_be_put_back(people: People, fleet: ManagerFleet) -> None:
    path = f"/policies/{fleet.channel}"
    shown = await people.viewer.get(path)
    same = await people.admin("PUT", path, shown.json, headers={"If-Match": shown.headers["ETag"]})
    assert (same.status, same.json) == (200, shown.json)


async def test_a_policy_is_changed_and_the_channel_chooses_anew(people: People, fleet: ManagerFleet) -> None:
    path, wanted = (
        f"/policies/{fleet.channel}",
        {"mode": "approval", "approvals": 2, "waves": [1, {"labels": {"a": "b"}}]},
    )
    before = await world(fleet.db)
    answer = await people.admin("PUT", path, wanted, headers={"If-Match": '"1"'})
    assert (answer.json["approvals"], answer.json["waves"]) == (2, ["1", {"labels": {"a": "b"}, "share": None}])
    async with fleet.db.read() as conn:
        row = (await conn.execute(select(schema.channels))).one()
    assert (row.policy["mode"], row.plan_at is not None, row.edition) == ("approval", True, 2)
    assert await world(fleet.db) == before + 1


async def test_a_policy_that_cannot_be_used_is_refused_with_every_fault(people: People, fleet: ManagerFleet) -> None:
    wanted = {"mode": "automatic", "approvals": 1, "soak": "long", "sook": "5m"}
    answer = await people.admin("PUT", f"/policies/{fleet.channel}", wanted, headers={"If-Match": '"1"'})
    faults = {one["field"]: one["message"] for one in answer.json["errors"]}
    assert (answer.status, set(faults)) == (422, {"body.approvals", "body.soak", "body.sook"})
    assert "Did you mean soak?" in faults["body.sook"]
    late = await people.admin(
        "PUT", f"/policies/{fleet.channel}", {"freezes": ["2026-12-24/2026-12-20"]}, headers={"If-Match": '"1"'}
    )
    assert late.json["detail"].endswith("put the earlier date first.")


# agents


@pytest.mark.usefixtures("fleet")
async def test_an_agent_is_cut_off(people: People) -> None:
    got = (await people.viewer.get("/agents/host0")).json
    assert (got["online"], got["clusters"], got["targets"]) == (True, 1, 1)
    cut = await people.admin.post("/agents/host0/revoke", {"reason": "stolen"})
    assert (cut.status, cut.json["online"], cut.json["revoked_at"] is not None) == (200, False, True)
    again = await people.admin.post("/agents/host0/revoke")
    assert again.json["revoked_at"] == cut.json["revoked_at"]
    for query, count in {"revoked=true": 1, "revoked=false": 2, "": 3}.items():
        assert len((await people.viewer.get(f"/agents?{query}")).json["items"]) == count


async def test_an_enrolment_is_shown_once_and_can_be_withdrawn(people: People) -> None:
    made = (await people.admin.post("/agents/enrolments", {"name": "berlin1", "labels": {"site": "berlin"}})).json
    assert made["token"].startswith(f"te_{made['id']}_")
    listed = (await people.admin.get("/agents/enrolments")).json["items"]
    assert [(one["id"], one["name"], "token" in one) for one in listed] == [(made["id"], "berlin1", False)]
    for _ in range(2):
        assert (await people.admin("DELETE", f"/agents/enrolments/{made['id']}")).status == 204
    assert (await people.admin("DELETE", "/agents/enrolments/999")).status == 404


async def test_enrolments_that_let_nobody_in_any_more_can_be_left_out(people: People, manager_db: Database) -> None:
    async with manager_db.write() as conn:
        good, used, withdrawn = [await make_enrolment(conn, Actor("ann"), now(), name=f"host{n}") for n in range(3)]
        expired = await make_enrolment(conn, Actor("ann"), now() - timedelta(hours=2))
        these = schema.enrolments.c.id
        await conn.execute(update(schema.enrolments).where(these == used.id).values(used_at=now()))
        await conn.execute(update(schema.enrolments).where(these == withdrawn.id).values(revoked_at=now()))
    for query, wanted in {"true": [good.id], "false": [expired.id, withdrawn.id, used.id]}.items():
        items = (await people.admin.get(f"/agents/enrolments?usable={query}")).json["items"]
        assert [one["id"] for one in items] == wanted


async def test_an_enrolment_that_was_used_cannot_be_withdrawn(people: People, manager_db: Database) -> None:
    async with manager_db.write() as conn:
        made = await make_enrolment(conn, Actor("ann"), now())
        await conn.execute(update(schema.enrolments).values(used_at=now()))
    answer = await people.admin("DELETE", f"/agents/enrolments/{made.id}")
    assert (answer.status, answer.json["code"]) == (409, "used")


@pytest.mark.parametrize("body", [{"name": "a b"}, {"expires_in": 0}, {"labels": {"": "x"}}, {"nmae": "x"}, []])
async def test_an_enrolment_that_cannot_be_is_refused(people: People, body: object) -> None:
    assert (await people.admin.post("/agents/enrolments", body)).status == 422
