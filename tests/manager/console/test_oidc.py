"""Signing in by an OpenID provider: a real one runs beside the manager."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import select, update
from tests.support.manager import Manager, People, serving
from tests.support.openid_provider import CLIENT_SECRET
from tests.support.signing_in import manager_with_provider, settings, sign_in
from tests.support.visitor import Visitor, visiting

from groundwork.registry import free_port
from tidegate.manager.oidc.attempt import Attempt
from tidegate.manager.oidc.parts import provider
from tidegate.manager.parts import now
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.settings import CALLBACK
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import tokens

ANNA = "anna@example.com"


@pytest.fixture(scope="module")
def manager_running(managers_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """A manager with a provider."""
    with manager_with_provider(managers_url, tmp_path_factory.mktemp("manager")) as one:
        yield one


@pytest.fixture
async def visitor(manager_running: Manager, manager_db: Database) -> AsyncIterator[Visitor]:
    """Somebody who has signed in nowhere, at a manager that knows nobody."""
    del manager_db
    async with visiting(manager_running.url) as one:
        yield one


def cookie(visitor: Visitor, name: str) -> str:
    return next((one.value for one in visitor.session.cookie_jar if one.key == name), "")


async def accounts(db: Database) -> list[tuple[str, str, bool]]:
    """By the order in which they came: the user, the role, and whether it was revoked."""
    async with db.read() as conn:
        rows = await conn.execute(select(tokens).where(tokens.c.account != "").order_by(tokens.c.id))
        return [(row.user, row.role, row.revoked_at is not None) for row in rows]


async def test_somebody_comes_to_the_page_that_was_meant_with_the_role_of_the_group(
    visitor: Visitor, people: People, manager_db: Database, manager_running: Manager
) -> None:
    asked = await visitor.get("/rollouts?state=running")
    link = asked.page.one("a", class_="primary")
    assert link.text == "Sign in with single sign-on"
    shown = await sign_in(visitor, "anna", link.attributes["href"].removeprefix(visitor.url))
    assert (shown.status, shown.path) == (200, "/rollouts?state=running")
    assert shown.page.one("span", title="role: operator").text == ANNA
    assert (await visitor.get("/tokens")).status == 403
    assert await accounts(manager_db) == [(ANNA, "operator", False)]
    (entry,) = (await people.admin.get(f"/audit?actor={ANNA}")).json["items"]
    after = {"issuer": manager_running.parts.settings.oidc_issuer, "sub": "1", "role": "operator"}
    assert (entry["action"], entry["after"]) == ("session.begin", after)


async def test_the_way_there_is_bound_to_this_browser_for_a_while(visitor: Visitor) -> None:
    answer = await visitor.get("/sign-in/oidc", follow=False)
    assert answer.status == 303
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=600"} <= set(answer.headers["Set-Cookie"].split("; "))
    attempt = Attempt.read(cookie(visitor, "tidegate-oidc"))
    assert attempt is not None
    assert f"state={attempt.state}" in answer.headers["Location"]
    assert attempt.verifier not in answer.headers["Location"]
    assert (await sign_in(visitor, "anna")).status == 200
    assert cookie(visitor, "tidegate-oidc") == ""


async def test_nobody_is_led_elsewhere_afterwards(visitor: Visitor) -> None:
    shown = await sign_in(visitor, "anna", "/sign-in/oidc?next=//evil.example/x")
    assert (shown.status, shown.path) == (200, "/")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bob", "the provider does not say that the address bob@example.com is verified"),
        ("cora", "the claim groups is staff, and nothing of that is given a role: TIDEGATE_OIDC_ROLES has those"),
    ],
)
async def test_who_may_not_come_in_is_told_why(visitor: Visitor, manager_db: Database, name: str, why: str) -> None:
    shown = await sign_in(visitor, name)
    assert shown.status == 403
    assert f"That did not work: {why}" in shown.page.one(role="alert").text
    assert await accounts(manager_db) == []
    assert (await visitor.get("/", follow=False)).status == 303


async def test_an_account_has_one_token_and_the_role_of_its_last_sign_in_everywhere(
    visitor: Visitor, manager_db: Database
) -> None:
    await sign_in(visitor, "anna")
    async with manager_db.write() as conn:
        await conn.execute(update(tokens).where(tokens.c.user == ANNA).values(role="viewer"))
    assert (await visitor.get("/")).page.all("span", title="role: viewer")
    async with visiting(visitor.url) as other:
        await sign_in(other, "anna")
    assert (await visitor.get("/")).page.all("span", title="role: operator")
    assert await accounts(manager_db) == [(ANNA, "operator", False)]


async def test_who_is_revoked_is_out_until_the_provider_says_who_it_is_again(
    visitor: Visitor, people: People, manager_db: Database
) -> None:
    await sign_in(visitor, "anna")
    (token,) = (await people.admin.get(f"/tokens?user={ANNA}")).json["items"]
    assert (token["name"], token["created_by"]) == ("signs in by OpenID Connect", "tidegate")
    await people.admin.post(f"/tokens/{token['id']}/revoke")
    assert (await visitor.get("/", follow=False)).status == 303
    assert (await sign_in(visitor, "anna")).status == 200
    assert await accounts(manager_db) == [(ANNA, "operator", True), (ANNA, "operator", False)]


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (("1", "anna.berg@example.com"), "this account has come as 'anna.berg@example.com' so far"),
        (("99", ANNA), "'anna@example.com' is another account of the provider"),
        (("", "Anna@example.com"), "there is a user 'Anna@example.com' already"),
    ],
)
async def test_nobody_takes_another_name_or_anothers(
    visitor: Visitor, manager_db: Database, manager_running: Manager, before: tuple[str, str], why: str
) -> None:
    (sub, user), issuer = before, manager_running.parts.settings.oidc_issuer
    async with manager_db.write() as conn:
        account = f"{issuer} {sub}" if sub else ""
        await make_token(conn, user, Role.VIEWER, now(), by="test", account=account)
    shown = await sign_in(visitor, "anna")
    assert (shown.status, why in shown.text) == (403, True), shown.text


async def test_the_same_name_with_a_token_is_the_same_user(visitor: Visitor, manager_db: Database) -> None:
    async with manager_db.write() as conn:
        _, text = await make_token(conn, ANNA, Role.APPROVER, now(), by="test")
    assert (await sign_in(visitor, "anna")).page.one("span", title="role: operator").text == ANNA
    assert (await visitor.sign_in(text)).page.one("span", title="role: approver").text == ANNA


async def test_an_answer_that_this_browser_did_not_ask_for_does_nothing(visitor: Visitor) -> None:
    await visitor.get("/sign-in/oidc", follow=False)
    async with visiting(visitor.url) as other:  # who would have the first be signed in as himself
        await other.get("/sign-in/oidc", follow=False)
        state = (Attempt.read(cookie(other, "tidegate-oidc")) or Attempt.begin("/")).state
    for query in (f"?state={state}&code=x", "?code=x", f"?state={state}&error=x&error_description=Call+me"):
        await visitor.get("/sign-in/oidc", follow=False)
        shown = await visitor.get(f"{CALLBACK}{query}")
        assert (shown.status, "none to what this browser asked" in shown.text) == (400, True)
        assert "Call me" not in shown.html


async def test_what_the_provider_refuses_with_is_shown_as_text_and_not_all_of_it(visitor: Visitor) -> None:
    await visitor.get("/sign-in/oidc", follow=False)
    attempt = Attempt.read(cookie(visitor, "tidegate-oidc"))
    assert attempt is not None
    said = f"error=access_denied&error_description=<b>No</b>{'x' * 2000}"
    shown = await visitor.get(f"{CALLBACK}?state={attempt.state}&{said}")
    assert shown.status == 403
    assert "the provider refused: access_denied <b>No</b>xxx" in shown.page.one(role="alert").text
    assert len(shown.text) < 1000


async def test_another_providers_answer_is_refused(visitor: Visitor) -> None:
    await visitor.get("/sign-in/oidc", follow=False)
    attempt = Attempt.read(cookie(visitor, "tidegate-oidc"))
    assert attempt is not None
    shown = await visitor.get(f"{CALLBACK}?state={attempt.state}&code=x&iss=https://evil.example")
    assert (shown.status, "another provider has answered" in shown.text) == (400, True)


async def test_an_answer_counts_once(visitor: Visitor) -> None:
    await visitor.get("/sign-in/oidc", follow=False)
    kept = cookie(visitor, "tidegate-oidc")
    attempt = Attempt.read(kept)
    assert attempt is not None
    shown = await visitor.get(f"{CALLBACK}?state={attempt.state}&code=guessed")
    assert (shown.status, "the provider takes its own answer no more" in shown.text) == (400, True)


async def test_a_key_that_the_provider_has_changed_is_asked_for(visitor: Visitor, manager_running: Manager) -> None:
    await sign_in(visitor, "anna")
    known = manager_running.parts.one(provider)
    assert known is not None
    known._keys = KeySet([RSAKey.generate_key(2048, auto_kid=True)])
    assert (await sign_in(visitor, "anna")).status == 200


async def test_a_provider_that_is_away_is_told_of_and_a_token_still_works(url: str, tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{free_port()}/o"
    db = Database.at(url)
    async with db.write() as conn:
        _, text = await make_token(conn, "ann", Role.VIEWER, now(), by="test")
    await db.close()
    with serving(url, tmp_path, **settings("http://127.0.0.1", away)) as manager:
        async with visiting(manager.url) as visitor:
            shown = await visitor.get("/sign-in/oidc?next=/rollouts")
            assert shown.status == 502
            assert "cannot be reached (Connection refused). A token still works." in shown.page.one(role="alert").text
            assert (await visitor.submit(shown, "/sign-in", token=text)).path == "/rollouts"


async def test_what_is_in_no_id_token_is_asked_for_and_a_secret_that_is_wrong_is_told_to_nobody(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with manager_with_provider(
        url,
        tmp_path,
        TIDEGATE_OIDC_ROLE_CLAIM="team",
        TIDEGATE_OIDC_ROLES="platform=admin",
        TIDEGATE_OIDC_USER_CLAIM="preferred_username",
        TIDEGATE_OIDC_NAME="Acme",
    ) as manager:
        async with visiting(manager.url) as visitor:
            assert "Sign in with Acme" in (await visitor.get("/sign-in")).text
            shown = await sign_in(visitor, "bob")
            assert shown.page.one("span", title="role: admin").text == "bob"
            known = manager.parts.one(provider)
            assert known is not None
            object.__setattr__(known._client, "secret", f"not the {CLIENT_SECRET}")
            shown = await sign_in(visitor, "anna")
            assert (shown.status, "it answered 401" in shown.text, "invalid_client" in shown.text) == (502, True, True)
            said = capsys.readouterr()
            assert CLIENT_SECRET not in shown.html + said.out + said.err
