"""Tokens, the audit log and alerts over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.manager import Manager, People

from tidegate.manager.parts import now
from tidegate.manager.people import audit_check
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.people.audit_check import Checked, check_audit
from tidegate.manager.people.uses import TokenUses
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


async def test_a_token_is_kept_as_a_hash(people: People, manager_db: Database) -> None:
    made = (await people.admin.post("/tokens", {"user": "eve", "role": "viewer", "name": "ci", "expires_in": 60})).json
    async with manager_db.read() as conn:
        row = (await conn.execute(select(schema.tokens).where(schema.tokens.c.id == made["id"]))).one()
    assert row.hash not in made["token"]
    assert made["token"].split("_", 2)[2] not in str(row)
    assert timedelta(seconds=50) < row.expires_at - now() < timedelta(seconds=61)
    shown = (await people.admin.get(f"/tokens/{made['id']}")).json
    assert "token" not in shown
    assert (shown["user"], shown["role"], shown["created_by"]) == ("eve", "viewer", "a-admin")


@pytest.mark.parametrize(
    "given",
    [
        {"user": "agent x", "role": "viewer"},
        {"user": "tidegate", "role": "viewer"},
        {"user": "Tidegate", "role": "viewer"},
        {"user": "eve", "role": "root"},
        {"user": "eve"},
        {"user": "eve", "role": "viewer", "expires_in": 0},
        {"user": "eve", "role": "viewer", "expires_in": 10**12},
        {"user": "eve\n", "role": "viewer"},
    ],
)
async def test_a_token_that_cannot_be_is_refused(people: People, given: dict[str, Any]) -> None:
    assert (await people.admin.post("/tokens", given)).status == 422


async def test_a_tokens_name_is_a_line_of_text_that_reads_as_it_is_written(people: People) -> None:
    for name in ("two\nlines", "\x1b[31mred", "turned \u202eround"):
        refused = await people.admin.post("/tokens", {"user": "eve", "role": "viewer", "name": name})
        assert (refused.status, "body.name" in str(refused.json)) == (422, True)


async def test_a_user_name_that_only_case_tells_from_another_is_refused(people: People) -> None:
    assert (await people.admin.post("/tokens", {"user": "eve", "role": "operator"})).status == 201
    answer = await people.admin.post("/tokens", {"user": "Eve", "role": "approver"})
    assert (answer.status, "there is a user 'eve' already" in answer.json["detail"]) == (409, True)
    assert (await people.admin.post("/tokens", {"user": "eve", "role": "approver"})).status == 201


async def test_when_a_token_was_used_last_is_written_from_time_to_time(
    people: People, manager_running: Manager, manager_db: Database
) -> None:
    number = (await people.viewer.get("/me")).json["token_id"]
    uses = TokenUses(manager_running.parts)
    uses.saw(number)
    other = TokenUses(type(manager_running.parts)(manager_running.parts.settings, manager_db))
    other.saw(number)
    await other.write()
    shown = (await people.admin.get(f"/tokens/{number}")).json
    assert shown["used_at"] is not None


# the audit log


async def fill(db: Database, count: int) -> None:
    async with db.write() as conn:
        for each in range(count):
            await record(
                conn, Actor(f"user{each % 2}", "192.0.2.1"), "thing.do", f"thing {each}", now(), after={"n": each}
            )


async def test_the_audit_log_is_found_by_who_what_and_to_what(people: People, manager_db: Database) -> None:
    await fill(manager_db, 4)
    for query, subjects in {
        "actor=user1": ["thing 3", "thing 1"],
        "subject=thing 2": ["thing 2"],
        "action=thing.do&limit=1": ["thing 3"],
        "action=other": [],
    }.items():
        got = (await people.viewer.get(f"/audit?{query}")).json
        assert [one["subject"] for one in got["items"]] == subjects, query


async def test_a_whole_log_is_told_as_whole(people: People, manager_db: Database) -> None:
    await fill(manager_db, 7)
    got = (await people.viewer.get("/audit/verify")).json
    last = (await people.viewer.get("/audit?limit=1")).json["items"][0]["hash"]
    assert got == {"ok": True, "entries": 7, "fault": None, "last_hash": last}


@pytest.mark.parametrize(
    ("tampering", "fault", "entries"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 3", "entry 3 was changed after it was written", 2),
        ("DELETE FROM audit WHERE number = 5", "entry 5 is missing: 6 follows in its place", 4),
        ("DELETE FROM audit WHERE number = 1", "entry 1 is missing: 2 follows in its place", 0),
        ("DELETE FROM audit WHERE number = 7", "entry 7 is missing at its end: 7 were written", 6),
        ("DELETE FROM audit WHERE number > 4", "entries 5 to 7 are missing at its end: 7 were written", 4),
        ("DELETE FROM audit", "entries 1 to 7 are missing at its end: 7 were written", 0),
        ("UPDATE counters SET value = 5 WHERE name = 'audit'", "entry 7 is in it, and only 5 were written", 7),
    ],
)
async def test_a_log_that_was_tampered_with_tells_where(
    people: People, manager_db: Database, tampering: str, fault: str, entries: int
) -> None:
    await fill(manager_db, 7)
    async with manager_db.write() as conn:
        await conn.execute(text(tampering))
    got = (await people.viewer.get("/audit/verify")).json
    hashes = {one["number"]: one["hash"] for one in (await people.viewer.get("/audit")).json["items"]}
    assert got == {"ok": False, "fault": fault, "entries": entries, "last_hash": hashes.get(entries)}
    async with manager_db.read() as conn:
        assert await check_audit(conn, piece=2) == Checked(entries, fault, hashes.get(entries, ""))


@pytest.mark.parametrize(
    ("tampering", "wrong"),
    [
        ("DELETE FROM audit WHERE number > 4", "entries 5 to 7 are missing at its end: 7 were written"),
        ("DELETE FROM audit", "entries 1 to 7 are missing at its end: 7 were written"),
        ("UPDATE counters SET value = 5 WHERE name = 'audit'", "entry 7 is in it, and only 5 were written"),
    ],
)
async def test_nothing_is_written_where_the_logs_end_is_not_what_was_written_and_who_asks_is_told_why(
    people: People, manager_db: Database, tampering: str, wrong: str
) -> None:
    await fill(manager_db, 7)
    async with manager_db.write() as conn:
        await conn.execute(text(tampering))
    for _ in range(2):
        got = await people.admin.post("/tokens", {"user": "eve", "role": "viewer"})
        assert (got.status, got.json["code"]) == (503, "audit-log")
        assert f"the audit log does not hold: {wrong}" in got.json["detail"]
        assert "docs/manager-operations.md" in got.json["detail"]
    assert "eve" not in [one["user"] for one in (await people.admin.get("/tokens")).json["items"]]


async def test_who_has_the_log_gone_through_at_the_same_time_shares_one_look_and_holds_one_connection(
    people: People, manager_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(manager_db, 7)
    looks, under_way, most = 0, 0, 0

    async def counted(conn: AsyncConnection) -> Checked:
        nonlocal looks, under_way, most
        looks, under_way = looks + 1, under_way + 1
        most = max(most, under_way)
        try:
            if looks == 1:
                await asyncio.sleep(1)  # the others ask meanwhile
            return await check_audit(conn)
        finally:
            under_way -= 1

    monkeypatch.setattr(audit_check, "check_audit", counted)
    answers = await asyncio.gather(*(people.viewer.get("/audit/verify") for _ in range(40)))
    assert {(one.status, one.json["entries"]) for one in answers} == {(200, 7)}
    assert most == 1
    assert looks < 20
    await fill(manager_db, 1)
    assert (await people.viewer.get("/audit/verify")).json["entries"] == 8


# alerts


async def test_an_alert_is_acknowledged_by_the_first_who_says_so(people: People, manager_db: Database) -> None:
    row = {"rule": "drift", "subject": "target x", "severity": "warning", "text": "it drifted", "opened_at": now()}
    async with manager_db.write() as conn:
        id_ = (await conn.execute(insert(schema.alerts).values(row).returning(schema.alerts.c.id))).scalar_one()
    first = await people.operator.post(f"/alerts/{id_}/acknowledge")
    second = await people.admin.post(f"/alerts/{id_}/acknowledge", {})
    assert (first.json["acknowledged_by"], second.json) == ("a-operator", first.json)
    async with manager_db.write() as conn:
        await conn.execute(update(schema.alerts).values(closed_at=now(), close_reason="it is over"))
    assert (await people.viewer.get("/alerts?open=true")).json["items"] == []
    over = (await people.viewer.get("/alerts?open=false")).json["items"]
    assert [one["close_reason"] for one in over] == ["it is over"]
