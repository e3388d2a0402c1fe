"""Lists: pages, cursors, filters."""

import base64

import pytest
from tests.support.manager import Caller, People

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
    assert answer.json["accepted"] == ["after", "channel", "cluster", "digest", "limit", "state"]
