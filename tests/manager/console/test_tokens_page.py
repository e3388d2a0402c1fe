"""Tokens on a page, for admins: made and shown once, revoked once it was asked."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.visitor import Shown

from tidegate.manager.parts import now
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import metadata, tokens

MARKUP = "<b>why</b>&\"'"


def listed(shown: Shown) -> list[str]:
    """Whose they are."""
    return [row.one("b").text for row in shown.main.one("tbody").all("tr")]


async def make(visitors: Visitors, **fields: str) -> Shown:
    """Fill in the form."""
    given = {"user": "carol", "role": "operator", "name": "laptop", "expires_in": "86400"} | fields
    return await visitors.admin.submit(await visitors.admin.get("/tokens/new"), "/tokens/new", **given)


async def test_only_who_may_sees_that_there_are_any(visitors: Visitors, people: People) -> None:
    for role in ("viewer", "operator", "approver"):
        visitor = getattr(visitors, role)
        assert "/tokens" not in [one.attributes["href"] for one in (await visitor.get("/audit")).page.all("a")]
        for path in ("/tokens", "/tokens/new", "/tokens/1/revoke"):
            assert (await visitor.get(path)).status == 403
        for path in ("/tokens/new", "/tokens/1/revoke"):
            assert (await visitor.send(path, {"user": "carol", "role": "admin"})).status == 403
    assert "/tokens" in [one.attributes["href"] for one in (await visitors.admin.get("/audit")).page.all("a")]
    assert len((await people.admin.get("/tokens?valid=true")).json["items"]) == 4


async def test_they_are_listed_the_newest_first_and_narrowed_down(visitors: Visitors, manager_db: Database) -> None:
    async with manager_db.write() as conn:
        await make_token(conn, "eve", Role.VIEWER, now(), name=MARKUP, by="ann", expires_at=now() - timedelta(hours=1))
    shown = await visitors.admin.get("/tokens?state=all")
    assert listed(shown) == ["eve", "a-admin", "a-approver", "a-operator", "a-viewer"]
    assert MARKUP in shown.text
    assert listed(await visitors.admin.get("/tokens")) == listed(shown)[1:]
    assert listed(await visitors.admin.get("/tokens?state=ended")) == ["eve"]
    assert listed(await visitors.admin.get("/tokens?q=APPRO")) == ["a-approver"]
    first = await visitors.admin.get("/tokens?limit=3")
    more = first.main.one("p", class_="pager").one("a").attributes["href"]
    assert listed(await visitors.admin.get(more)) == ["a-viewer"]


async def test_one_that_is_made_opens_what_it_is_for_and_is_shown_once(
    visitors: Visitors, people: People, manager_db: Database
) -> None:
    shown = await make(visitors)
    token = shown.main.one("pre", class_="once").text
    assert (shown.status, shown.path, shown.headers["Cache-Control"]) == (200, "/tokens/new", "no-store")
    assert (await visitors.nobody.sign_in(token)).status == 200
    (row,) = (await people.admin.get("/tokens?user=carol")).json["items"]
    assert (row["role"], row["name"], row["created_by"]) == ("operator", "laptop", "a-admin")
    assert row["expires_at"] is not None
    secret = token.split("_", 2)[2]  # it may have such a line in it, too
    assert secret not in (await visitors.admin.get("/tokens")).html + (await visitors.admin.get("/audit")).html
    async with manager_db.read() as conn:
        for table in metadata.sorted_tables:
            assert secret not in str((await conn.execute(select(table))).all()), table.name


async def test_one_may_be_valid_until_it_is_revoked(visitors: Visitors, people: People) -> None:
    assert "valid until it is revoked" in (await make(visitors, expires_in="")).text
    assert (await people.admin.get("/tokens?user=carol")).json["items"][0]["expires_at"] is None


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"user": MARKUP}, 422, "user: it takes"),
        ({"user": "tidegate"}, 422, "user: nobody can be called that"),
        ({"user": "A-Viewer"}, 409, "there is a user 'a-viewer' already"),
        ({"role": "king"}, 422, "role: it takes"),
        ({"expires_in": "7"}, 422, "expires_in: it takes one of"),
        ({"name": "x" * 101}, 422, "name: "),
    ],
)
async def test_what_cannot_be_is_said_beside_what_was_typed(
    visitors: Visitors, people: People, fields: dict[str, str], status: int, said: str
) -> None:
    shown = await make(visitors, **fields)
    assert (shown.status, said in shown.main.one(role="alert").text) == (status, True)
    assert shown.main.one("input", name="user").attributes["value"] == fields.get("user", "carol")
    assert len((await people.admin.get("/tokens")).json["items"]) == 4


async def test_one_is_revoked_once_it_was_asked_and_its_browsers_are_signed_out(
    visitors: Visitors, people: People
) -> None:
    asked = await visitors.admin.get("/tokens/1/revoke")
    assert "a-viewer" in asked.text
    assert "1 browser" in asked.text
    assert (await visitors.viewer.get("/alerts")).status == 200
    after = await visitors.admin.submit(asked, "/tokens/1/revoke")
    assert "a-viewer" not in listed(after)
    assert (await visitors.viewer.get("/alerts")).path == "/sign-in?next=/alerts"
    (entry,) = (await people.admin.get("/audit?action=token.revoke")).json["items"]
    assert (entry["actor"], entry["subject"]) == ("a-admin", "token 1")
    assert "was revoked" in (await visitors.admin.get("/tokens/1/revoke")).text


async def test_it_says_where_it_is_ones_own_and_the_last_of_its_kind(visitors: Visitors, manager_db: Database) -> None:
    asked = await visitors.admin.get("/tokens/4/revoke")
    assert "you will be signed out" in asked.text
    assert "No other token may make tokens" in asked.text
    async with manager_db.write() as conn:
        await make_token(conn, "ann", Role.ADMIN, now(), by="test")
    assert "No other token may make tokens" not in (await visitors.admin.get("/tokens/4/revoke")).text
    async with manager_db.write() as conn:
        await conn.execute(update(tokens).where(tokens.c.user == "ann").values(revoked_at=now()))
    assert "No other token may make tokens" in (await visitors.admin.get("/tokens/4/revoke")).text
