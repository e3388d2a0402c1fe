"""Writes: done once however often they are sent, and never over somebody else's."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from multidict import CIMultiDict
from sqlalchemy import func, select, update
from tests.support.manager import Manager, People

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

WINDOW = {"name": "nights", "window": "0 2 * * * 4h Europe/Berlin"}


async def count(db: Database, table: Any) -> int:
    async with db.read() as conn:
        return (await conn.execute(select(func.count()).select_from(table))).scalar_one()


def key(text: str = "one") -> dict[str, str]:
    return {"Idempotency-Key": text}


async def test_a_write_that_is_sent_again_is_answered_again_and_done_once(people: People, manager_db: Database) -> None:
    first = await people.operator.post("/windows", WINDOW, headers=key())
    again = await people.operator.post("/windows", WINDOW, headers=key())
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert (again.headers["ETag"], again.headers["Idempotency-Replayed"]) == (first.headers["ETag"], "true")
    assert [await count(manager_db, table) for table in (schema.windows, schema.audit)] == [1, 1]


async def test_many_at_once_with_one_key_are_one(people: People, manager_db: Database) -> None:
    answers = await asyncio.gather(*(people.operator.post("/windows", WINDOW, headers=key()) for _ in range(8)))
    done = [one for one in answers if one.status == 201]
    assert {one.json["code"] for one in answers if one.status != 201} <= {"idempotency-running"}
    assert len({one.json["id"] for one in done}) == 1
    assert await count(manager_db, schema.windows) == 1


async def test_a_key_is_for_one_request(people: People) -> None:
    await people.operator.post("/windows", WINDOW, headers=key())
    other = await people.operator.post("/windows", WINDOW | {"name": "days"}, headers=key())
    assert (other.status, other.json["code"]) == (422, "idempotency-mismatch")


async def test_a_key_is_each_tokens_own(people: People, manager_db: Database) -> None:
    await people.operator.post("/windows", WINDOW, headers=key())
    other = await people.admin.post("/windows", WINDOW | {"name": "days"}, headers=key())
    assert other.status == 201
    assert await count(manager_db, schema.windows) == 2


async def test_a_refusal_is_not_kept_because_nothing_was_done(people: People, manager_db: Database) -> None:
    wrong = await people.operator.post("/windows", WINDOW | {"scope": {"clusters": ["a@b"]}}, headers=key())
    right = await people.operator.post("/windows", WINDOW, headers=key())
    assert (wrong.status, right.status) == (422, 201)
    assert await count(manager_db, schema.idempotency) == 1


async def test_a_key_is_forgotten_after_a_day(people: People, manager_db: Database) -> None:
    await people.operator.post("/windows", WINDOW, headers=key())
    async with manager_db.write() as conn:
        await conn.execute(update(schema.idempotency).values(at=now() - timedelta(hours=25)))
    again = await people.operator.post("/windows", WINDOW | {"name": "days"}, headers=key())
    assert again.status == 201


@pytest.mark.parametrize("text", ["", "a b", "x" * 256])
async def test_a_key_that_is_none_is_refused(people: People, text: str) -> None:
    answer = await people.operator.post("/windows", WINDOW, headers=key(text))
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "header.Idempotency-Key")


async def test_a_secret_is_not_kept_for_a_request_that_is_sent_again(people: People, manager_db: Database) -> None:
    made = await people.admin.post("/tokens", {"user": "eve", "role": "viewer"}, headers=key())
    again = await people.admin.post("/tokens", {"user": "eve", "role": "viewer"}, headers=key())
    assert made.json["token"].startswith(f"tg_{made.json['id']}_")
    assert again.json == made.json | {"token": None}
    secret = made.json["token"].split("_", 2)[2]
    async with manager_db.read() as conn:
        for table in schema.metadata.sorted_tables:
            assert secret not in str((await conn.execute(select(table))).all())


async def test_a_write_that_fails_in_its_middle_leaves_nothing_and_keeps_no_key(
    people: People, manager_db: Database, manager_running: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("tidegate.manager.api.change.tell", fail)  # the last thing that a write does
        broken = await people.operator.post("/windows", WINDOW, headers=key())
    assert (broken.status, broken.json["code"]) == (500, "internal")
    tables = (schema.windows, schema.audit, schema.idempotency)
    assert [await count(manager_db, table) for table in tables] == [0, 0, 0]
    assert (await people.operator.post("/windows", WINDOW, headers=key())).status == 201
    assert manager_running.parts.db is not manager_db


# edits


async def test_an_edit_of_what_was_changed_meanwhile_is_refused(people: People) -> None:
    made = await people.operator.post("/windows", WINDOW)
    path, first = f"/windows/{made.json['id']}", {"If-Match": made.headers["ETag"]}
    changed = await people.operator("PUT", path, WINDOW | {"name": "later"}, headers=first)
    stale = await people.operator("PUT", path, WINDOW | {"name": "lost"}, headers=first)
    assert (changed.status, stale.status, stale.json["code"]) == (200, 412, "stale")
    now_ = await people.operator.get(path)
    assert (now_.json["name"], now_.headers["ETag"], now_.json["version"]) == ("later", changed.headers["ETag"], 2)


async def test_an_edit_says_what_it_was_made_from(people: People) -> None:
    path = f"/windows/{(await people.operator.post('/windows', WINDOW)).json['id']}"
    for method in ("PUT", "DELETE"):
        answer = await people.operator(method, path, WINDOW if method == "PUT" else None)
        assert (answer.status, answer.json["code"]) == (428, "condition-needed")
    for of_others in ('W/"2"', '"abc"', 'W/"1-gzip"'):
        answer = await people.operator("DELETE", path, headers={"If-Match": of_others})
        assert answer.status == 412, of_others
    assert (await people.operator("DELETE", path, headers={"If-Match": "*"})).status == 204
    assert (await people.operator.get(path)).status == 404


async def test_an_etag_that_a_proxy_has_made_weak_is_of_the_same_edition(people: People) -> None:
    path = f"/windows/{(await people.operator.post('/windows', WINDOW)).json['id']}"
    for number in (1, 2):
        changed = {**WINDOW, "name": f"after-{number}"}
        answer = await people.operator("PUT", path, changed, headers={"If-Match": f'W/"{number}"'})
        assert (answer.status, answer.json["name"]) == (200, f"after-{number}")


async def test_a_key_that_is_given_twice_is_refused(people: People, manager_db: Database) -> None:
    for again in ("one", "two"):
        headers = CIMultiDict([("Idempotency-Key", "one"), ("Idempotency-Key", again)])
        answer = await people.operator.post("/windows", WINDOW, headers=headers)
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "header.Idempotency-Key")
        assert answer.json["errors"][0]["message"] == "it is given 2 times; it takes one"
    assert await count(manager_db, schema.windows) == 0


@pytest.mark.parametrize("text", ["1", "one", "", '"1', '"1", "2"'])
async def test_an_edit_that_names_no_edition_is_told_what_is_taken(people: People, text: str) -> None:
    path = f"/windows/{(await people.operator.post('/windows', WINDOW)).json['id']}"
    answer = await people.operator("PUT", path, WINDOW, headers={"If-Match": text})
    assert (answer.status, [one["field"] for one in answer.json["errors"]]) == (422, ["header.If-Match"])
    assert 'such as "1"; or *' in answer.json["detail"]


async def test_of_two_edits_at_once_one_is_done(people: People) -> None:
    made = await people.operator.post("/windows", WINDOW)
    path, first = f"/windows/{made.json['id']}", {"If-Match": made.headers["ETag"]}
    edits = (people.operator("PUT", path, WINDOW | {"name": f"n{each}"}, headers=first) for each in range(6))
    assert sorted(one.status for one in await asyncio.gather(*edits)) == [200, 412, 412, 412, 412, 412]
