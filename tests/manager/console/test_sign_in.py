"""Who may look at the console, and for how long."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import Manager, People
from tests.support.visitor import visiting

from tidegate.manager.console.routes.sign_in import local
from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


async def test_who_has_not_signed_in_is_asked_to_and_comes_to_the_page_that_was_meant(
    visitors: Visitors, people: People
) -> None:
    asked = await visitors.nobody.get("/rollouts?state=running")
    assert (asked.status, asked.page.one("h1").text) == (200, "Sign in")
    shown = await visitors.nobody.submit(asked, "/sign-in", token=f" {people.viewer.token} ")
    assert (shown.status, shown.path) == (200, "/rollouts?state=running")


async def test_a_token_that_is_none_opens_nothing_and_is_not_shown_again(visitors: Visitors) -> None:
    shown = await visitors.nobody.sign_in("tg_1_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    assert (shown.status, shown.page.one(role="alert").text) == (
        401,
        "That did not work: the token is not one of this manager.",
    )
    assert "aaaaaaaa" not in shown.html
    assert (await visitors.nobody.get("/", follow=False)).status == 303


async def test_the_cookie_is_for_no_script_and_for_this_manager(visitors: Visitors, people: People) -> None:
    answer = await visitors.nobody.send("/sign-in", {"token": people.viewer.token or ""}, follow=False)
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=43200"} <= set(cookie.split("; "))
    assert (people.viewer.token or "")[6:] not in cookie


async def test_who_signs_out_is_out_wherever_the_cookie_was_copied_to(
    visitors: Visitors, manager_running: Manager
) -> None:
    kept = {one.key: one.value for one in visitors.viewer.session.cookie_jar}
    shown = await visitors.viewer.send("/sign-out")
    assert (shown.path, shown.page.one("h1").text) == ("/sign-in", "Sign in")
    async with visiting(manager_running.url) as thief:
        thief.session.cookie_jar.update_cookies(kept)
        assert (await thief.get("/", follow=False)).status == 303


@pytest.mark.parametrize("how", ["token revoked", "token expired", "session ended"])
async def test_a_session_ends_with_its_token_or_its_time(visitors: Visitors, manager_db: Database, how: str) -> None:
    assert (await visitors.viewer.get("/", follow=False)).status == 200
    ago = now() - timedelta(seconds=1)
    async with manager_db.write() as conn:
        table, values = {
            "token revoked": (schema.tokens, {"revoked_at": ago}),
            "token expired": (schema.tokens, {"expires_at": ago}),
            "session ended": (schema.sessions, {"expires_at": ago}),
        }[how]
        await conn.execute(update(table).values(values))
    answer = await visitors.viewer.get("/rollouts", follow=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in?next=/rollouts")


async def test_signing_in_and_out_are_in_the_audit_log(visitors: Visitors, people: People) -> None:
    await visitors.viewer.send("/sign-out")
    found = (await people.admin.get("/audit?limit=100")).json["items"]
    acts = [(one["actor"], one["action"]) for one in found]
    assert ("a-viewer", "session.end") in acts
    assert ("a-viewer", "session.begin") in acts


async def test_sessions_that_have_ended_are_not_kept(visitors: Visitors, people: People, manager_db: Database) -> None:
    async with manager_db.write() as conn:
        await conn.execute(update(schema.sessions).values(expires_at=now() - timedelta(seconds=1)))
    await visitors.nobody.sign_in(people.viewer.token or "")
    async with manager_db.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(schema.sessions))).scalar_one() == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({}, 303),
    ],
)
async def test_what_another_sites_page_sends_does_nothing(
    visitors: Visitors, headers: dict[str, str], status: int
) -> None:
    answer = await visitors.viewer.send("/sign-out", None, follow=False, **headers)
    assert answer.status == status
    after = await visitors.viewer.get("/", follow=False)
    assert after.status == (303 if status == 303 else 200)


async def test_what_comes_from_no_page_does_nothing(visitors: Visitors) -> None:
    async with visitors.viewer.session.post(f"{visitors.viewer.url}/sign-out", allow_redirects=False) as answer:
        assert answer.status == 403
        assert "programs use /api/v1" in await answer.text()


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        ("/rollouts/3?a=b", "/rollouts/3?a=b"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
    ],
)
def test_nobody_is_led_elsewhere(asked: str, to: str) -> None:
    assert local(asked) == to


async def test_a_session_is_no_token_of_the_api(visitors: Visitors, manager_running: Manager) -> None:
    cookie = next(one.value for one in visitors.admin.session.cookie_jar)
    async with visitors.admin.session.get(f"{manager_running.url}/api/v1/me") as answer:
        assert answer.status == 401
    async with visitors.nobody.session.get(
        f"{manager_running.url}/api/v1/me", headers={"Authorization": f"Bearer {cookie}"}
    ) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("path", ["/sign-in/oidc", "/sign-in/oidc/callback?state=a&code=b"])
async def test_where_no_provider_is_set_there_is_no_way_to_one(visitors: Visitors, path: str) -> None:
    assert (await visitors.nobody.get("/sign-in")).page.all("a", class_="primary") == []
    shown = await visitors.nobody.get(path)
    assert (shown.status, "TIDEGATE_OIDC_ISSUER is not set" in shown.text) == (404, True)
