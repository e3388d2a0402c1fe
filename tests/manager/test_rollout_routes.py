"""What people ask of rollouts over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from tests.support.manager import Manager, People
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.counters import change_world
from tidegate.manager.store.database import Database


@pytest.fixture
async def fleet(manager_db: Database) -> ManagerFleet:
    one = ManagerFleet(manager_db)
    one.now = now()
    return one


async def started(fleet: ManagerFleet, people: People, hosts: int = 2, **policy: Any) -> dict[str, Any]:
    await fleet.settle(hosts, policy=policy)
    answer = await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEW, "reason": "try it"})
    assert answer.status == 201, answer.text
    return dict(answer.json)


async def test_a_rollout_is_started_and_told_as_it_is_decided(fleet: ManagerFleet, people: People) -> None:
    made = await started(fleet, people)
    assert (made["state"], made["wave"], made["waves"], made["whole"]) == ("running", 1, 2, True)
    assert made["counts"]["offered"] == 1
    assert made["waves_detail"][0] == {"wave": 1, "counts": made["waves_detail"][0]["counts"]}
    assert made["requested_by"] == "a-operator"
    shown = await people.viewer.get(f"/rollouts/{made['id']}")
    assert shown.json["digest"] == NEW
    assert shown.headers["ETag"] == f'"{shown.json["edition"]}"'


async def test_its_assignment_is_on_its_way_signed(fleet: ManagerFleet, people: People) -> None:
    await started(fleet, people)
    async with fleet.db.read() as conn:
        (row,) = (await conn.execute(select(schema.outbox))).all()
    assert (row.agent_id, row.seq) == ("host0", 1)
    assert NEW in row.document


async def test_targets_are_listed_by_pages_and_by_where_they_are(fleet: ManagerFleet, people: People) -> None:
    made = await started(fleet, people, hosts=3)
    path = f"/rollouts/{made['id']}/targets"
    first = await people.viewer.get(f"{path}?limit=2")
    rest = await people.viewer.get(f"{path}?limit=2&after={first.json['next']}")
    names = [one["target"] for one in [*first.json["items"], *rest.json["items"]]]
    assert names == ["shop@host0/web", "shop@host1/web", "shop@host2/web"]
    offered = await people.viewer.get(f"{path}?progress=offered")
    assert [(one["target"], one["wave"], one["running"]) for one in offered.json["items"]] == [
        ("shop@host0/web", 1, OLD)
    ]


async def frozen(people: People, name: str, ends_in: timedelta, **more: Any) -> str:
    """The end of a freeze that is on."""
    ends = now().replace(second=0, microsecond=0) + ends_in
    freeze = {"name": name, "starts_at": "2026-01-01T00:00:00Z", "ends_at": ends.isoformat()} | more
    assert (await people.operator.post("/freezes", freeze)).status == 201
    return f"{ends:%Y-%m-%d %H:%M} UTC"


async def test_a_rollout_that_waits_for_a_freeze_names_it_and_its_reason(fleet: ManagerFleet, people: People) -> None:
    until = await frozen(people, "year end", timedelta(days=3), reason="accounts are closed")
    made = await started(fleet, people)
    said = f'frozen until {until} by "year end": accounts are closed'
    assert (made["state"], made["reason"], made["waits_for"]) == ("scheduled", "try it", said)
    assert (await people.viewer.get(f"/rollouts/{made['id']}")).json["waits_for"] == said
    assert [one["waits_for"] for one in (await people.viewer.get("/rollouts")).json["items"]] == [None]


async def test_a_wave_names_the_freeze_that_is_over_first_and_no_other_rollouts_do(
    fleet: ManagerFleet, people: People
) -> None:
    made = await started(fleet, people, hosts=3, waves=[])
    assert made["waits_for"] == ""
    await frozen(people, "long", timedelta(days=3), scope={"clusters": ["shop@host1"]})
    until = await frozen(people, "short", timedelta(days=1), scope={"clusters": ["shop@host2"]})
    async with fleet.db.write() as conn:  # now that nothing lets them go on
        not_yet = schema.rollout_targets.c.target != "shop@host0/web"
        await conn.execute(update(schema.rollout_targets).where(not_yet).values(progress="waiting"))
    path = f"/rollouts/{made['id']}"
    assert (await people.viewer.get(path)).json["waits_for"] == f'frozen until {until} by "short"'
    paused = await people.operator.post(f"{path}/pause")
    assert (paused.json["state"], paused.json["waits_for"]) == ("paused", "")


async def test_a_rollout_whose_time_has_not_come_or_that_goes_back_waits_for_no_freeze(
    fleet: ManagerFleet, people: People
) -> None:
    await fleet.settle(1)
    await frozen(people, "year end", timedelta(days=3))
    wish = {"channel": fleet.channel, "digest": NEW, "not_before": (now() + timedelta(hours=1)).isoformat()}
    later = (await people.operator.post("/rollouts", wish)).json
    assert (later["state"], later["waits_for"]) == ("scheduled", "")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.rollouts).values(kind="rollback", not_before=None))
    assert (await people.viewer.get(f"/rollouts/{later['id']}")).json["waits_for"] == ""


async def test_somebody_else_approves_and_nobody_who_may_not(fleet: ManagerFleet, people: People) -> None:
    made = await started(fleet, people, mode="approval")
    path = f"/rollouts/{made['id']}/approve"
    assert (made["state"], made["approvals_needed"]) == ("awaiting_approval", 1)
    waiting = await people.viewer.get("/approvals")
    assert [one["rollout"]["id"] for one in waiting.json["items"]] == [made["id"]]
    assert (await people.operator.post(path)).status == 403
    approved = await people.approver.post(path)
    assert approved.json["state"] == "running"
    assert [one["by"] for one in approved.json["approvals"]] == ["a-approver"]
    again = await people.approver.post(path)
    assert (again.status, again.json["code"]) == (409, "no-meaning-now")
    given = await people.viewer.get("/approvals?state=given")
    assert [one["by"] for one in given.json["items"]] == ["a-approver"]


async def looked_at_later(fleet: ManagerFleet, id_: int) -> None:
    """Have a rollout that nothing happens to decided in a minute, and not before."""
    async with fleet.db.write() as conn:
        which = update(schema.rollouts).where(schema.rollouts.c.id == id_)
        await conn.execute(which.values(wake_at=now() + timedelta(minutes=1)))


async def is_due_or_over(fleet: ManagerFleet, id_: int) -> bool:
    async with fleet.db.read() as conn:
        row = (await conn.execute(select(schema.rollouts).where(schema.rollouts.c.id == id_))).one()
    return bool(row.state == "superseded" or row.wake_at <= now())


async def test_an_approval_has_the_rollout_that_is_superseded_by_it_decided_at_once(
    fleet: ManagerFleet, people: People
) -> None:
    """Till then its agents may begin what they were offered."""
    first = await started(fleet, people, mode="approval")
    assert (await people.approver.post(f"/rollouts/{first['id']}/approve")).json["state"] == "running"
    second = (await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEWER})).json
    await looked_at_later(fleet, first["id"])
    assert not await is_due_or_over(fleet, first["id"])
    assert (await people.approver.post(f"/rollouts/{second['id']}/approve")).json["state"] == "running"
    assert await is_due_or_over(fleet, first["id"])


async def test_a_rollout_that_goes_on_and_begins_has_the_one_that_it_supersedes_decided_at_once(
    fleet: ManagerFleet, people: People
) -> None:
    first = await started(fleet, people)
    await frozen(people, "lunch", timedelta(days=1))
    second = (await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEWER})).json
    paused = await people.operator.post(f"/rollouts/{second['id']}/pause")
    assert (second["state"], paused.json["state"]) == ("scheduled", "paused")
    async with fleet.db.write() as conn:
        await conn.execute(delete(schema.freezes))
        await change_world(conn)
    await looked_at_later(fleet, first["id"])
    assert not await is_due_or_over(fleet, first["id"])
    assert (await people.operator.post(f"/rollouts/{second['id']}/resume")).json["state"] == "running"
    assert await is_due_or_over(fleet, first["id"])


async def test_who_asked_for_it_cannot_approve_it_with_another_token(fleet: ManagerFleet, people: People) -> None:
    await fleet.settle(1, policy={"mode": "approval"})
    made = (await people.admin.post("/rollouts", {"channel": fleet.channel, "digest": NEW})).json
    answer = await people.admin.post(f"/rollouts/{made['id']}/approve")
    assert answer.status == 409
    assert "somebody else has to approve it" in answer.json["detail"]


async def test_verbs_are_carried_out_and_refused_in_words(fleet: ManagerFleet, people: People) -> None:
    made = await started(fleet, people)
    paused = await people.operator.post(f"/rollouts/{made['id']}/pause", {"reason": "lunch"})
    assert (paused.json["state"], paused.json["reason"]) == ("paused", "paused by a-operator: lunch")
    again = await people.operator.post(f"/rollouts/{made['id']}/pause")
    assert again.status == 409
    assert "what can be done is resume, abort, retry, advance, rollback" in again.json["detail"]
    gone_on = await people.operator.post(f"/rollouts/{made['id']}/resume")
    assert gone_on.json["state"] == "running"
    ended = await people.operator.post(f"/rollouts/{made['id']}/abort")
    assert ended.json["state"] == "cancelled"


@pytest.mark.parametrize("policy", [{"mode": "approval"}, {"freezes": ["2026-01-01T00:00Z/2100-01-01T00:00Z"]}])
async def test_a_pause_lets_nobody_open_waves_of_what_has_not_begun(
    fleet: ManagerFleet, people: People, policy: dict[str, Any]
) -> None:
    made = await started(fleet, people, hosts=3, **policy)
    path = f"/rollouts/{made['id']}"
    assert (await people.operator.post(f"{path}/pause")).json["state"] == "paused"
    for verb in ("retry", "advance", "rollback"):
        answer = await people.operator.post(f"{path}/{verb}")
        assert answer.status == 409
        assert answer.json["detail"].endswith("what can be done is resume, abort.")
    assert (await people.operator.post(f"{path}/resume")).json["state"] == made["state"]
    assert await fleet.count(schema.assignments) == 0


async def test_an_order_that_names_an_older_edition_is_refused(fleet: ManagerFleet, people: People) -> None:
    made = await started(fleet, people)
    answer = await people.operator.post(f"/rollouts/{made['id']}/pause", headers={"If-Match": '"1"'})
    assert (answer.status, answer.json["code"]) == (412, "stale")


async def test_the_same_key_starts_one_rollout(fleet: ManagerFleet, people: People) -> None:
    await fleet.settle(1)
    wish = {"channel": fleet.channel, "digest": NEW}
    answers = [await people.operator.post("/rollouts", wish, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [one.json["id"] for one in answers] == [answers[0].json["id"]] * 2
    assert await fleet.count(schema.rollouts) == 1


@pytest.mark.parametrize(
    ("wish", "status", "said"),
    [
        ({}, 422, "release or digest"),
        ({"digest": "latest"}, 422, "digest"),
        ({"digest": NEW, "release": 1}, 422, "release or digest"),
        ({"digest": NEW, "targets": ["shop@host9/web"]}, 422, "shop@host9/web"),
        ({"digest": NEW, "clusters": ["nowhere"]}, 422, "nowhere"),
        ({"digest": NEW, "channel": 4711}, 404, "channel 4711"),
        ({"release": 4711}, 404, "release 4711"),
        ({"digest": NEW, "not_before": "2026-11-25T12:00:00"}, 422, "not_before"),
        ({"digest": NEW, "not_before": "9999-12-31T23:59:59-12:00"}, 422, "not between 1970 and 9000"),
        ({"digest": NEW, "not_before": "0001-01-01T00:00:00+14:00"}, 422, "not between 1970 and 9000"),
        ({"digest": NEW, "not_before": 1}, 422, "a time with a time zone"),
        ({"digest": NEW, "not_before": "1796040000"}, 422, "a time with a time zone"),
        ({"digest": NEW, "not_before": "8999-12-31T23:59:59Z"}, 409, "it would expire"),
        ({"digest": NEW, "targetz": ["x"]}, 422, "targetz"),
    ],
)
async def test_a_rollout_that_cannot_be_made_is_refused_in_words(
    fleet: ManagerFleet, people: People, wish: dict[str, Any], status: int, said: str
) -> None:
    await fleet.settle(1)
    answer = await people.operator.post("/rollouts", {"channel": fleet.channel} | wish)
    assert (answer.status, said in answer.text) == (status, True), answer.text
    assert await fleet.count(schema.rollouts) == 0


async def test_a_rollout_may_wait_for_nearly_as_long_as_it_lasts(fleet: ManagerFleet, people: People) -> None:
    await fleet.settle(1)
    statuses = [
        (await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEW, "not_before": one})).status
        for one in (f"{now() + timedelta(days=30, seconds=9):%FT%TZ}", f"{now() + timedelta(days=29):%FT%TZ}")
    ]
    assert statuses == [409, 201]


async def test_one_of_some_clusters_or_targets_only_is_not_one_of_the_whole_channel(
    fleet: ManagerFleet, people: People
) -> None:
    await fleet.settle(3)
    wish = {"channel": fleet.channel, "digest": NEW, "clusters": ["shop@host2"], "targets": ["shop@host0/web"]}
    made = (await people.operator.post("/rollouts", wish)).json
    assert (sum(made["counts"].values()), made["whole"]) == (2, False)


async def test_a_release_that_is_under_way_is_not_started_anew_over_its_approvals(
    fleet: ManagerFleet, people: People
) -> None:
    made = await started(fleet, people, mode="approval", approvals=2)
    assert (await people.approver.post(f"/rollouts/{made['id']}/approve")).status == 200
    wish = {"channel": fleet.channel, "digest": NEW}
    again = await people.operator.post("/rollouts", wish)
    assert (again.status, again.json["detail"]) == (
        409,
        f"rollout {made['id']} of this release is awaiting approval: go on with that one, or abort it first.",
    )
    there = (await people.viewer.get(f"/rollouts/{made['id']}")).json
    assert (there["state"], len(there["approvals"])) == ("awaiting_approval", 1)
    assert (await people.operator.post(f"/rollouts/{made['id']}/abort")).status == 200
    assert (await people.operator.post("/rollouts", wish)).status == 201


async def test_a_quarantined_release_is_not_sent_out(fleet: ManagerFleet, people: People) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        held = {"digest": NEW, "reason": "it burns", "by": "ann", "at": fleet.now}
        await conn.execute(insert(schema.quarantine).values(held))
    answer = await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEW})
    assert answer.status == 409
    assert "in quarantine (it burns)" in answer.json["detail"]


async def test_rollouts_are_listed_newest_first_and_by_what_is_asked(fleet: ManagerFleet, people: People) -> None:
    first = await started(fleet, people)
    await people.operator.post(f"/rollouts/{first['id']}/abort")
    second = (await people.operator.post("/rollouts", {"channel": fleet.channel, "digest": NEWER})).json
    every = await people.viewer.get("/rollouts")
    assert [one["id"] for one in every.json["items"]] == [second["id"], first["id"]]
    some = await people.viewer.get("/rollouts?state=cancelled&kind=update")
    assert [one["id"] for one in some.json["items"]] == [first["id"]]


async def test_what_changes_with_a_rollout_is_shown(fleet: ManagerFleet, people: People) -> None:
    made = await started(fleet, people)
    shown = await people.viewer.get(f"/rollouts/{made['id']}/changes")
    assert shown.status == 200, shown.text
    assert (shown.json["before"]["digest"], shown.json["after"]["digest"]) == (OLD, NEW)
    assert (await people.viewer.get("/rollouts/4711/changes")).status == 404


# going back


async def updated(fleet: ManagerFleet) -> None:
    """Every target runs NEW, and OLD before."""
    await fleet.settle(2)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(digest=NEW))
        rows = [{"target_id": id_, "digest": NEW, "since": fleet.now} for id_ in fleet.targets.values()]
        await conn.execute(insert(schema.runs), rows)


@pytest.mark.parametrize(
    ("path", "many"),
    [
        ("/channels/{channel}/rollback", 2),
        ("/clusters/shop@host0/rollback", 1),
        ("/targets/shop@host1/web/rollback", 1),
    ],
)
async def test_what_is_named_goes_back_to_what_ran_before(
    fleet: ManagerFleet, people: People, path: str, many: int
) -> None:
    await updated(fleet)
    answer = await people.operator.post(path.format(channel=fleet.channel), {"reason": "it is slow"})
    assert answer.status == 200, answer.text
    (made,) = answer.json["items"]
    assert (made["kind"], made["digest"], made["state"], made["reason"]) == ("rollback", OLD, "running", "")
    assert made["counts"]["offered"] == many


@pytest.mark.parametrize("path", ["/channels/{channel}/rollback", "/clusters/shop@host0/rollback"])
async def test_what_never_ran_does_not_come_by_a_rollback_past_its_approval(
    fleet: ManagerFleet, people: People, path: str
) -> None:
    """Nor what ran on the canary alone: the others have it only by their waves."""
    await updated(fleet)
    await fleet.release(NEWER)
    answer = await people.operator.post(path.format(channel=fleet.channel), {"to": NEWER})
    assert (answer.status, answer.json["code"]) == (409, "not-to-be-made")
    assert "`tidegate rollout start` sends it out, by the channel's policy" in answer.json["detail"]
    async with fleet.db.write() as conn:
        which = {"target_id": fleet.targets["shop@host1/web"], "digest": NEWER, "since": fleet.now + timedelta(hours=1)}
        await conn.execute(insert(schema.runs), which)
    answer = await people.operator.post("/clusters/shop@host0/rollback", {"to": NEWER})
    assert answer.status == 409


async def test_what_ran_on_the_channel_before_is_gone_back_to_where_it_never_ran(
    fleet: ManagerFleet, people: People
) -> None:
    await updated(fleet)
    async with fleet.db.write() as conn:
        which = {"target_id": fleet.targets["shop@host1/web"], "digest": NEWER, "since": fleet.now - timedelta(days=9)}
        await conn.execute(insert(schema.runs), which)
        await conn.execute(update(schema.targets).values(digest_since=fleet.now))
    answer = await people.operator.post("/clusters/shop@host0/rollback", {"to": NEWER})
    assert answer.status == 200, answer.text
    assert [one["digest"] for one in answer.json["items"]] == [NEWER]


async def test_a_rollback_to_what_runs_makes_nothing(fleet: ManagerFleet, people: People) -> None:
    await updated(fleet)
    answer = await people.operator.post(f"/channels/{fleet.channel}/rollback", {"to": NEW})
    assert (answer.status, answer.json) == (200, {"items": [], "going": [], "left": [], "aborted": []})


async def test_what_would_go_where_is_told_and_nothing_is_done(fleet: ManagerFleet, people: People) -> None:
    await updated(fleet)
    await fleet.join("host2", digest=NEW)
    path = f"/channels/{fleet.channel}/rollback"
    would = await people.operator.post(path, {"dry_run": True})
    assert would.status == 200, would.text
    assert would.json["going"] == [{"to": OLD, "targets": ["shop@host0/web", "shop@host1/web"]}]
    assert [one["target"] for one in would.json["left"]] == ["shop@host2/web"]
    assert (would.json["items"], await fleet.count(schema.rollouts)) == ([], 0)
    done = await people.operator.post(path)
    assert [one["kind"] for one in done.json["items"]] == ["rollback"]
    assert done.json | {"items": []} == would.json


async def test_a_misspelt_cluster_is_told_with_the_one_that_may_be_meant(fleet: ManagerFleet, people: People) -> None:
    await updated(fleet)
    answer = await people.operator.post("/clusters/shop@hots0/rollback")
    assert answer.status == 404
    assert "shop@host0" in answer.json["detail"]


async def test_an_update_under_way_is_turned_round_by_a_rollback_of_its_channel(
    fleet: ManagerFleet, people: People
) -> None:
    made = await started(fleet, people)
    answer = await people.operator.post(f"/channels/{fleet.channel}/rollback")
    (turned,) = answer.json["items"]
    assert (turned["id"], turned["state"]) == (made["id"], "rolling_back")


async def test_a_rollout_under_way_is_turned_round_and_is_the_answer(fleet: ManagerFleet, people: People) -> None:
    path = f"/rollouts/{(await started(fleet, people))['id']}"
    would = await people.operator.post(f"{path}/rollback", {"dry_run": True})
    assert would.json == {
        "items": [],
        "going": [{"to": OLD, "targets": ["shop@host0/web"]}],
        "left": [],
        "aborted": [],
    }
    assert (await people.viewer.get(path)).json["state"] == "running"
    turned = await people.operator.post(f"{path}/rollback", {"reason": "it is slow"})
    assert (turned.json["state"], turned.headers["ETag"]) == ("rolling_back", f'"{turned.json["edition"]}"')
    again = await people.operator.post(f"{path}/rollback")
    assert (again.status, again.json["code"]) == (409, "no-meaning-now")
    assert "it goes back already" in again.json["detail"]


async def test_a_rollout_that_has_ended_is_taken_back_once_under_one_key_and_as_it_was_read(
    fleet: ManagerFleet, people: People
) -> None:
    made = await started(fleet, people)
    path = f"/rollouts/{made['id']}"
    await people.operator.post(f"{path}/abort")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(digest=NEW))
        touched = {"touched": True, "progress": "healthy"}
        await conn.execute(update(schema.rollout_targets).values(touched))
    stale = await people.operator.post(f"{path}/rollback", headers={"If-Match": f'"{made["edition"]}"'})
    assert (stale.status, stale.json["code"]) == (412, "stale")
    key = {"Idempotency-Key": "k"}
    first, second = [await people.operator.post(f"{path}/rollback", headers=key) for _ in range(2)]
    assert first.json == second.json
    assert [(one["kind"], one["digest"]) for one in first.json["items"]] == [("rollback", OLD)]
    assert first.json["going"] == [{"to": OLD, "targets": ["shop@host0/web", "shop@host1/web"]}]
    assert await fleet.count(schema.rollouts) == 2


async def test_a_rollout_that_is_not_there_or_has_updated_nothing_is_not_taken_back(
    fleet: ManagerFleet, people: People
) -> None:
    path = f"/rollouts/{(await started(fleet, people))['id']}"
    assert (await people.operator.post("/rollouts/4711/rollback")).status == 404
    assert (await people.viewer.post(f"{path}/rollback")).status == 403
    unknown = await people.operator.post(f"{path}/rollback", {"to": NEWER})
    assert (unknown.status, unknown.json["code"]) == (409, "not-to-be-made")
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.rollouts).values(state="cancelled"))
        await conn.execute(update(schema.rollout_targets).values(progress="waiting"))
    answer = await people.operator.post(f"{path}/rollback")
    assert (answer.status, answer.json["code"]) == (409, "not-to-be-made")
    assert "nothing that it has updated runs its release now" in answer.json["detail"]


async def test_the_driver_goes_on_by_itself_when_an_agent_has_told(
    fleet: ManagerFleet, people: People, manager_running: Manager
) -> None:
    del manager_running
    made = await started(fleet, people, soak="0s", healthy_for="0s", waves=[])
    async with fleet.db.read() as conn:
        rows = (await conn.execute(select(schema.assignments))).all()
    async with fleet.db.write() as conn:
        for row in rows:
            said = {"rollout_id": row.rollout_id, "target_id": row.target_id, "generation": row.generation}
            await conn.execute(insert(schema.reports).values(said | {"outcome": "healthy", "at": fleet.now}))
        await conn.execute(update(schema.rollouts).values(wake_at=fleet.now - timedelta(seconds=1)))
    async with asyncio.timeout(30):
        while (shown := await people.viewer.get(f"/rollouts/{made['id']}")).json["state"] != "completed":
            await asyncio.sleep(0.1)
    assert shown.json["counts"]["healthy"] == 2
