"""Lists: pages, cursors, filters."""

import base64
from typing import Any

import pytest
from sqlalchemy import insert
from tests.support.fleet_rows import NOON
from tests.support.manager import Caller, People
from tests.support.manager_fleet import ManagerFleet

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

FREEZE = {"starts_at": "2026-12-20T00:00:00Z", "ends_at": "2027-01-03T00:00:00+01:00"}


async def freeze(caller: Caller, name: str) -> None:
    assert (await caller.post("/freezes", FREEZE | {"name": name})).status == 201


async def test_pages_show_everything_once_also_as_entries_are_added(people: People) -> None:
    for each in range(5):
        await freeze(people.operator, f"f{each}")
    seen, after = [], ""
    while True:
        got = (await people.viewer.get(f"/freezes?limit=2{after}")).json
        seen += [one["name"] for one in got["items"]]
        if got["next"] is None:
            break
        after = f"&after={got['next']}"
        if len(seen) == 2:
            await freeze(people.operator, "f5")
    assert seen == ["f0", "f1", "f2", "f3", "f4", "f5"]


async def test_what_is_listed_newest_first_does_not_repeat_itself_as_entries_are_added(people: People) -> None:
    for each in range(4):
        await freeze(people.operator, f"f{each}")
    first = (await people.viewer.get("/audit?limit=2")).json
    await freeze(people.operator, "f4")
    rest = (await people.viewer.get(f"/audit?limit=9&after={first['next']}")).json
    assert [one["number"] for one in first["items"] + rest["items"]] == [4, 3, 2, 1]


async def names(caller: Caller, query: str) -> list[str]:
    answer = await caller.get(query)
    assert answer.status == 200, answer.text
    return [one["name"] for one in answer.json["items"]]


@pytest.mark.parametrize("kind", ["windows", "freezes"])
async def test_rules_are_listed_by_name_and_by_what_they_are_for(
    people: People, manager_db: Database, kind: str
) -> None:
    fleet = await ManagerFleet(manager_db).settle(2)
    what = FREEZE if kind == "freezes" else {"window": "0 2 * * * 4h"}
    scopes = {
        "all": {},
        "one": {"clusters": ["shop@host0"], "channels": [fleet.channel]},
        "other": {"clusters": ["shop@host1"]},
    }
    for name, scope in scopes.items():
        assert (await people.operator.post(f"/{kind}", what | {"name": name, "scope": scope})).status == 201
    assert await names(people.viewer, f"/{kind}?name=other") == ["other"]
    assert await names(people.viewer, f"/{kind}?cluster=shop@host0") == ["one"]
    assert await names(people.viewer, f"/{kind}?channel={fleet.channel}") == ["one"]
    assert await names(people.viewer, f"/{kind}?channel={fleet.channel}&cluster=shop@host1") == []
    assert await names(people.viewer, f"/{kind}?channel=99&name=one") == []


async def test_freezes_that_are_over_are_listed_apart(people: People) -> None:
    await freeze(people.operator, "coming")
    past = {"name": "past", "starts_at": "2025-12-20T00:00:00Z", "ends_at": "2026-01-03T00:00:00Z"}
    assert (await people.operator.post("/freezes", past)).status == 201
    assert await names(people.viewer, "/freezes?over=true") == ["past"]
    assert await names(people.viewer, "/freezes?over=false") == ["coming"]
    assert await names(people.viewer, "/freezes") == ["coming", "past"]


async def test_policies_are_listed_by_channel_and_by_mode(people: People, manager_db: Database) -> None:
    await ManagerFleet(manager_db).settle(1)
    async with manager_db.write() as conn:
        other: dict[str, Any] = {
            "name": "docker.io/library/nginx:1",
            "repository": "docker.io/library/nginx",
            "tag": "1",
        }
        other |= {"policy": {"mode": "approval"}, "created_at": NOON}
        await conn.execute(insert(schema.channels).values(other))

    async def channels(query: str) -> list[str]:
        answer = await people.viewer.get(f"/policies?{query}")
        return [one["channel"]["name"] for one in answer.json["items"]]

    assert await channels("name=nginx:1") == ["docker.io/library/nginx:1"]
    assert await channels("mode=approval") == ["docker.io/library/nginx:1"]
    assert await channels("mode=automatic") == ["r/app:1"]


async def test_tokens_are_listed_by_user_by_role_and_by_whether_they_are_valid(people: People) -> None:
    for user, role in (("eve", "viewer"), ("eve", "operator"), ("bob", "viewer")):
        assert (
            await people.admin.post("/tokens", {"user": user, "role": role, "name": f"{user} {role}"})
        ).status == 201
    gone = (await people.admin.post("/tokens", {"user": "eve", "role": "viewer", "name": "gone"})).json["id"]
    assert (await people.admin.post(f"/tokens/{gone}/revoke")).status == 200
    assert await names(people.admin, "/tokens?user=eve") == ["eve viewer", "eve operator", "gone"]
    assert await names(people.admin, "/tokens?user=eve&role=viewer&valid=true") == ["eve viewer"]
    assert await names(people.admin, "/tokens?valid=false") == ["gone"]


CURSORS = ["x", "%00", "====", "MQ" * 400]
CURSORS += [base64.urlsafe_b64encode(one).decode() for one in (b'"text"', b"1e400", b"9" * 40, b"true", b"[[[[")]


@pytest.mark.parametrize("cursor", CURSORS)
async def test_a_cursor_of_somewhere_else_is_refused(people: People, cursor: str) -> None:
    answer = await people.viewer.get(f"/freezes?after={cursor}")
    assert (answer.status, answer.json["code"]) == (422, "invalid")


@pytest.mark.parametrize("limit", ["0", "501", "many", "-1", "1e3"])
async def test_a_page_has_one_to_five_hundred_entries(people: People, limit: str) -> None:
    answer = await people.viewer.get(f"/freezes?limit={limit}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "query.limit")


async def test_a_misspelt_filter_is_refused_and_not_passed_over(people: People) -> None:
    answer = await people.viewer.get("/targets?clutser=shop@host0")
    assert answer.status == 422
    assert answer.json["errors"] == [
        {"field": "query.clutser", "message": "it is not known. Did you mean cluster?"},
    ]
    accepted = ["after", "agent", "channel", "cluster", "digest", "drift", "held", "limit", "state"]
    assert answer.json["accepted"] == accepted
