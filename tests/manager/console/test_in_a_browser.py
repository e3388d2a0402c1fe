"""The console in a real browser: it is live, says when it is not, and keeps nobody out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support import databases
from tests.support.asker import Asker
from tests.support.browser import DESK, PHONE, barriers, beside, looking
from tests.support.fleet_real import RealWorld, real_world
from tests.support.fleet_state import digest_of
from tests.support.manager_program import ManagerProgram
from tests.support.waiting import wait_for

from tidegate.manager.parts import now
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import quarantine

CHANNEL = "ghcr.io/acme/web:live"
RULES = {"mode": "approval", "approvals": 1, "waves": ["1"]}
LISTS = (
    *("/alerts", "/agents", "/agents/berlin/revoke", "/agents/enrol", "/tokens", "/tokens/new", "/tokens/1/revoke"),
    *("/audit", "/audit?subject=agent+berlin", "/audit/check", "/quarantine", "/quarantine/add"),
)
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def world(sqlite_template: Path, tmp_path: Path) -> Iterator[RealWorld]:
    """A manager with two simulated agents, whose channel asks for approval."""
    with real_world(sqlite_template, tmp_path) as made:
        for host in ("berlin", "paris"):
            made.host(host, {"shop/web": (CHANNEL, "1")})
        made.policy(CHANNEL, **RULES)
        yield made


def waiting(world: RealWorld) -> int:
    """A release that waits for approval; its rollout's number."""
    digest = world.release(CHANNEL, "2")
    ann = Asker(world.url, world.token("viewer"))
    wait_for(lambda: ann.rollout(digest).get("state") == "awaiting_approval", "it waits for approval")
    return int(ann.rollout(digest)["id"])


def is_live(page: Page) -> None:
    expect(page.locator("#live")).to_have_text("live")


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (DESK, True), (PHONE, False)])
def test_nobody_is_kept_from_any_page(
    world: RealWorld, chromium: Browser, size: tuple[int, int], *, dark: bool
) -> None:
    rollout = waiting(world)
    paths = ["/", "/?q=nothing", "/rollouts", f"/rollouts/{rollout}", f"/rollouts/{rollout}/approve", "/sign-in"]
    paths += ["/clusters/shop@berlin", "/clusters/shop@berlin/rollback?service=web", "/clusters/shop@berlin/labels"]
    paths += ["/releases", "/releases/1", "/releases/1/rollout", "/releases/1/quarantine", "/channels"]
    with looking(chromium, world.url, world.token("admin", "eve"), size=size, dark=dark) as (page, _):
        for path in [*paths, *LISTS]:
            page.goto(path)
            assert barriers(page) == [], path
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{path} is {wider} px wider than the window"
            for one in page.locator(".top nav [aria-current]").all():
                expect(one).to_be_in_viewport(ratio=0.9)


def test_a_rollout_is_approved_and_watched_to_its_end_without_a_reload(world: RealWorld, chromium: Browser) -> None:
    rollout = waiting(world)
    with (
        looking(chromium, world.url, world.token("viewer", "vic")) as (watching, _),
        looking(chromium, world.url, world.token("approver", "bob")) as (page, _),
    ):
        watching.goto(f"/rollouts/{rollout}")
        is_live(watching)
        expect(watching.locator(".verbs")).to_have_count(0)
        page.goto("/")
        page.get_by_role("link", name="waits for approval").click()
        page.get_by_role("link", name="Approve").click()
        page.get_by_role("button", name="Approve").click()
        for one in (page, watching):
            expect(one.locator(".badge").first).to_have_text("completed")
        expect(watching.get_by_text("bob approved it")).to_be_visible()
        watching.goto("/")
        expect(watching.locator(".tile.s-current")).to_have_count(2)


def test_a_cluster_says_what_it_waits_for_until_that_has_come(world: RealWorld, chromium: Browser) -> None:
    rollout = waiting(world)
    with looking(chromium, world.url, world.token("viewer", "vic")) as (page, _):
        page.goto("/")
        page.locator(".tile", has_text="berlin").click()
        is_live(page)
        why = page.get_by_role("link", name="waits for approval: 0 of 1 have agreed")
        expect(why).to_have_attribute("href", f"/rollouts/{rollout}")
        Asker(world.url, world.token("approver", "bob"))("POST", f"/rollouts/{rollout}/approve")
        expect(why).to_have_count(0)
        expect(page.locator(".steps .s-healthy")).to_have_count(1)


def test_what_no_event_tells_of_is_seen_a_moment_later(world: RealWorld, chromium: Browser) -> None:
    world.all_told()
    with looking(chromium, world.url, world.token("viewer", "vic")) as (page, _):
        page.clock.install()
        page.goto("/clusters/shop@berlin")
        is_live(page)
        world.sicken("shop@berlin/web")
        page.clock.fast_forward(31_000)
        expect(page.locator("td .badge.s-unhealthy")).to_have_count(1)


def test_the_keyboard_alone_gets_there(world: RealWorld, chromium: Browser) -> None:
    rollout = waiting(world)
    with looking(chromium, world.url, world.token("approver", "bob")) as (page, _):
        page.goto(f"/rollouts/{rollout}")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Approve")
        page.keyboard.press("Enter")
        page.wait_for_url("**/approve")
        page.get_by_role("button", name="Approve").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".badge").first).to_have_text("completed")


def test_the_fleet_is_searched_as_somebody_types(world: RealWorld, chromium: Browser) -> None:
    with looking(chromium, world.url, world.token("viewer", "vic")) as (page, _):
        page.goto("/")
        expect(page.locator(".tile")).to_have_count(2)
        page.get_by_label("Find clusters").press_sequentially("par")
        expect(page.locator(".tile")).to_have_count(1)
        expect(page.get_by_label("Find clusters")).to_be_focused()
        assert page.url.endswith("/?q=par")


def test_who_signs_out_elsewhere_is_told_on_the_pages_that_are_open(world: RealWorld, chromium: Browser) -> None:
    with looking(chromium, world.url, world.token("viewer", "vic")) as (page, faults):
        faults.allowed = ["401"]
        page.goto("/rollouts")
        is_live(page)
        other = page.context.new_page()
        other.goto("/")
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url("**/sign-in")
        waiting(world)  # so that the open page asks for what has changed
        page.wait_for_url("**/sign-in**")


async def _token(url: str) -> str:
    async with _written(url) as conn:
        return (await make_token(conn, "ann", Role.ADMIN, now(), by="test"))[1]


async def _quarantined(url: str) -> None:
    async with _written(url) as conn:
        await conn.execute(insert(quarantine).values(digest=digest_of(CHANNEL, "1"), by="bob", reason="slow", at=now()))


@asynccontextmanager
async def _written(url: str) -> AsyncIterator[AsyncConnection]:
    db = Database.at(url)
    async with db.write() as conn:
        yield conn
    await db.close()


def test_a_manager_that_is_away_is_told_and_what_was_missed_is_shown(
    sqlite_template: Path, tmp_path: Path, chromium: Browser
) -> None:
    url = databases.sqlite_copy(sqlite_template, tmp_path)
    token = beside(_token(url))
    manager = ManagerProgram(tmp_path, url)
    manager.start()
    try:
        beside(manager.ready())
        with looking(chromium, manager.url, token) as (page, faults):
            faults.allowed = ["net::ERR_"]
            page.goto("/")
            is_live(page)
            manager.kill()
            expect(page.locator("#live")).to_have_text("reconnecting …")
            beside(_quarantined(url))
            manager.start()
            beside(manager.ready())
            is_live(page)
            expect(page.get_by_text("is in quarantine")).to_be_visible()
    finally:
        manager.kill()
