"""What gates rollouts, over HTTP: windows, freezes, quarantine. Each change counts, is audited and is told."""

from typing import Any

import pytest
from sqlalchemy import select
from tests.support.manager import People
from tests.support.manager_fleet import NEW, ManagerFleet

from tidegate.manager.store import schema
from tidegate.manager.store.counters import current
from tidegate.manager.store.database import Database

WINDOW = {"name": "nights", "window": "0 2 * * * 4h Europe/Berlin"}
FREEZE = {"name": "year end", "starts_at": "2026-12-20T00:00:00+01:00", "ends_at": "2027-01-03T00:00:00Z"}


async def world(db: Database) -> int:
    async with db.read() as conn:
        return await current(conn, "world")


async def told(db: Database) -> list[tuple[Any, ...]]:
    """Action, subject, before and after of each audit entry; the feed has the same actions."""
    async with db.read() as conn:
        entries = (await conn.execute(select(schema.audit).order_by(schema.audit.c.number))).all()
        but_alerts = schema.feed.c.kind.not_like("alert.%")  # which the manager may open meanwhile, by itself
        events = (await conn.execute(select(schema.feed).where(but_alerts).order_by(schema.feed.c.number))).all()
    assert [(one.kind, one.subject) for one in events] == [(one.action, one.subject) for one in entries]
    return [(one.actor, one.source, one.action, one.subject, one.before, one.after) for one in entries]


async def test_a_windows_life_is_in_the_audit_log_with_before_and_after(people: People, manager_db: Database) -> None:
    before = await world(manager_db)
    made = (await people.operator.post("/windows", WINDOW)).json
    path, what = f"/windows/{made['id']}", f"window {made['id']}"
    await people.operator("PUT", path, WINDOW | {"name": "days"}, headers={"If-Match": '"1"'})
    await people.operator("DELETE", path, headers={"If-Match": '"2"'})
    first = {**WINDOW, "scope": {}}
    second = first | {"name": "days"}
    who = ("a-operator", "127.0.0.1")
    assert await told(manager_db) == [
        (*who, "window.create", what, None, first),
        (*who, "window.update", what, first, second),
        (*who, "window.delete", what, second, None),
    ]
    assert await world(manager_db) == before + 3


async def test_a_freezes_reason_is_kept_shown_and_audited(people: People, manager_db: Database) -> None:
    made = await people.operator.post("/freezes", FREEZE | {"reason": "accounts are closed"})
    path = f"/freezes/{made.json['id']}"
    await people.operator("PUT", path, FREEZE | {"reason": "stocktaking"}, headers={"If-Match": '"1"'})
    assert (await people.viewer.get(path)).json["reason"] == "stocktaking"
    assert [one["reason"] for one in (await people.viewer.get("/freezes")).json["items"]] == ["stocktaking"]
    _, (*_, before, after) = await told(manager_db)
    assert (before["reason"], after["reason"]) == ("accounts are closed", "stocktaking")


async def test_a_rollout_that_waits_is_decided_anew_when_a_freeze_is_gone(people: People, manager_db: Database) -> None:
    fleet = await ManagerFleet(manager_db).settle(1)
    id_ = await fleet.start(NEW)
    later = fleet.now.replace(year=2999)
    async with manager_db.write() as conn:
        await conn.execute(schema.rollouts.update().values(wake_at=later))
    made = await people.operator.post("/freezes", FREEZE)
    assert made.status == 201
    async with manager_db.read() as conn:
        at = (await conn.execute(select(schema.rollouts.c.wake_at).where(schema.rollouts.c.id == id_))).scalar_one()
    assert at < later


@pytest.mark.parametrize(
    "window",
    [
        "",
        "x",
        "0 2 * * *",
        "0 2 * * * 4h Mars/Olympus",
        "61 2 * * * 4h",
        "0 2 * * * -4h",
        "0 2 * * * 99999999999999h",
        7,
    ],
)
async def test_a_window_that_is_none_is_refused_with_what_it_takes(people: People, window: object) -> None:
    answer = await people.operator.post("/windows", WINDOW | {"window": window})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "body.window")


@pytest.mark.parametrize(
    "given",
    [
        {"starts_at": "2026-12-20T00:00:00"},
        {"starts_at": 1766000000},
        {"starts_at": "0001-01-01T00:00:00+14:00"},
        {"ends_at": "9999-12-31T23:59:59-12:00"},
        {"ends_at": "2026-12-19T22:59:59Z"},
        {"starts_at": "2026-02-30T00:00:00Z"},
        {"reason": "x" * 1001},
        {"reason": "closed\x1b[2J"},
        {"reason": "two\nlines"},
        {"name": "year\x1bend"},
        {"name": " "},
        {"name": "a\x00b"},
        {"name": "half \ud800"},
        {"scope": {"labels": {"a b": "c"}}},
        {"scope": {"channels": [True]}},
        {"scope": {"channels": [10**30]}},
    ],
)
async def test_a_freeze_that_cannot_be_is_refused(people: People, given: dict[str, Any]) -> None:
    answer = await people.operator.post("/freezes", FREEZE | given)
    assert (answer.status, answer.json["code"]) == (422, "invalid")


async def test_a_scope_of_what_is_not_there_is_refused(people: People, manager_db: Database) -> None:
    await ManagerFleet(manager_db).settle(1)
    scope = {"channels": [999], "clusters": ["shop@host0", "shop@hots0"]}
    answer = await people.operator.post("/windows", WINDOW | {"scope": scope})
    assert answer.status == 422
    assert {one["field"]: one["message"] for one in answer.json["errors"]} == {
        "body.scope.channels.0": "there is no channel 999.",
        "body.scope.clusters.1": "there is no cluster shop@hots0. Did you mean shop@host0?",
    }


async def test_a_window_that_never_opens_is_refused(people: People, manager_db: Database) -> None:
    fleet = await ManagerFleet(manager_db).settle(1)
    for never in ("0 2 30 2 * 4h", "0 2 31 4,6 * 4h"):
        by_itself = await people.operator.post("/windows", WINDOW | {"window": never})
        in_policy = await people.admin(
            "PUT", f"/policies/{fleet.channel}", {"windows": [never]}, headers={"If-Match": "*"}
        )
        for answer in (by_itself, in_policy):
            assert (answer.status, answer.json["code"]) == (422, "invalid")
            assert "never opens" in answer.json["detail"]
    assert (await people.operator.post("/windows", WINDOW | {"window": "0 2 29 2 * 4h"})).status == 201


async def test_a_name_that_cannot_be_is_refused_in_words(people: People) -> None:
    answer = await people.admin.post("/tokens", {"user": "b\u00f6b", "role": "viewer"})
    assert answer.status == 422
    assert "letters, digits" in answer.json["detail"]
    assert "^[" not in answer.text


async def test_two_windows_of_one_name_are_refused(people: People) -> None:
    await people.operator.post("/windows", WINDOW)
    answer = await people.operator.post("/windows", WINDOW)
    assert (answer.status, answer.json["code"]) == (409, "name-taken")


# quarantine


async def test_a_digest_goes_into_quarantine_and_out_again(people: People, manager_db: Database) -> None:
    fleet = await ManagerFleet(manager_db).settle(1)
    wanted = {"digest": NEW, "channel": fleet.channel, "reason": "it leaks"}
    made = (await people.operator.post("/quarantine", wanted)).json
    assert (made["channel"]["name"], made["by"], made["released_at"]) == ("r/app:1", "a-operator", None)
    twice = await people.operator.post("/quarantine", {"digest": NEW})
    assert (twice.status, twice.json["code"]) == (409, "in-quarantine")
    out = await people.admin.post(f"/quarantine/{made['id']}/release", {"reason": "it does not"})
    assert (out.status, out.json["released_by"], out.json["release_reason"]) == (200, "a-admin", "it does not")
    assert (await people.admin.post(f"/quarantine/{made['id']}/release")).status == 409
    assert (await people.viewer.get("/quarantine")).json["items"] == []
    assert len((await people.viewer.get("/quarantine?released=true")).json["items"]) == 1
    assert [one[2] for one in await told(manager_db)] == ["quarantine.add", "quarantine.release"]
    assert (await people.operator.post("/quarantine", {"digest": NEW})).status == 201


@pytest.mark.parametrize("given", [{"digest": "sha256:12"}, {"digest": NEW.upper()}, {"digest": NEW, "channel": 999}])
async def test_what_is_no_digest_of_a_channel_is_refused(people: People, given: dict[str, Any]) -> None:
    assert (await people.operator.post("/quarantine", given)).status == 422


async def test_what_an_operator_put_into_quarantine_only_an_admin_takes_out(people: People) -> None:
    made = (await people.operator.post("/quarantine", {"digest": NEW})).json
    assert (await people.operator.post(f"/quarantine/{made['id']}/release")).status == 403
