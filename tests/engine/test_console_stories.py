"""The console's main stories, in a real browser, with real agents.

Approve and watch; a bad release; go back; a freeze, while which the manager is away for a moment; who may what.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.conftest import Push
from tests.support.browser import looking
from tests.support.compose import Compose
from tests.support.images import Pushed
from tests.support.two_clusters import RULES, Fleet
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)


def test_a_day_at_the_console(
    fleet: Fleet,
    chromium: Browser,
    push: Push,
    clusters: tuple[Compose, Compose, Pushed],
) -> None:
    (channel,) = fleet.ann.items("/channels")
    fleet.ann.set_rules(channel["id"], RULES)
    with (
        looking(chromium, fleet.bob.url, fleet.bob.token) as (bob, _),
        looking(chromium, fleet.ann.url, fleet.ann.token) as (ann, _),
    ):
        second = _good(fleet, push, ann, bob)
        _bad(fleet, push, bob)
        assert fleet.images() == (second.image_id, second.image_id)
        _rolled_back(fleet, ann)
    assert fleet.images() == (clusters[2].image_id, clusters[2].image_id)
    _frozen(fleet, push, chromium)
    _signed_in(fleet, chromium)


def _good(fleet: Fleet, push: Push, ann: Page, bob: Page) -> Pushed:
    """Bob approves a release, and both see it come to both clusters."""
    release = push("2", healthcheck=True)
    rollout = fleet.waits(release.digest)
    _approved(bob, rollout)
    ann.goto(f"/rollouts/{rollout}")
    for page in (ann, bob):
        expect(page.locator(".badge").first).to_have_text("completed")
        expect(page.locator(".cell.s-healthy")).to_have_count(2)
    assert fleet.images() == (release.image_id, release.image_id)
    ann.goto("/")
    expect(ann.locator(".tile.s-current")).to_have_count(2)
    return release


def _bad(fleet: Fleet, push: Push, bob: Page) -> None:
    """A release that is sick stops at the canary, and the page says why; the other cluster never sees it."""
    untouched = fleet.other.ids("web")
    release = push("3", env={"SICK": "1"}, healthcheck=True)
    _approved(bob, fleet.waits(release.digest))
    expect(bob.locator(".badge").first).to_have_text("rolled back")
    expect(bob.locator(".lane").nth(1).locator(".cell")).to_contain_text("waiting")
    expect(bob.locator(".reason")).to_contain_text("its health check fails")
    assert fleet.other.ids("web") == untouched
    bob.goto("/")
    expect(bob.get_by_text("is in quarantine")).to_be_visible()
    _what_it_wrote(fleet, bob)


def _what_it_wrote(fleet: Fleet, bob: Page) -> None:
    """The container is gone, but not what it wrote last; what Bob unfolds stays so when the page is shown anew."""
    bob.goto(f"/clusters/{fleet.canary.project}@canary")
    bob.locator("details.output summary").click()
    wrote = bob.locator("details.output pre")
    expect(wrote).to_contain_text("version 3 serves on 8000")
    heading = bob.locator("#updates")
    heading.evaluate("one => { one.textContent = 'old'; htmx.trigger('#cluster', 'stale'); }")
    expect(heading).to_have_text("Latest updates")
    expect(wrote).to_be_visible()


def _rolled_back(fleet: Fleet, ann: Page) -> None:
    """Ann has the good one go back, and sees before what that touches."""
    ann.goto("/rollouts?state=completed")
    ann.locator("table.list a").first.click()
    ann.get_by_role("link", name="Roll back").click()
    expect(ann.get_by_role("heading", name="2 targets would go back")).to_be_visible()
    ann.get_by_label("Reason").fill("errors since noon")
    ann.get_by_role("button", name="Roll back").click()
    expect(ann.locator(".badge").first).to_have_text("completed")
    expect(ann.locator(".timeline")).to_contain_text("ann asked for it")
    wait_for(lambda: len(set(fleet.images())) == 1, "both run one release")


def _frozen(fleet: Fleet, push: Push, chromium: Browser) -> None:
    """Olga freezes everything: a release waits for that, and its clusters say so, until she takes the freeze away."""
    before, tokens = fleet.images(), (_token(fleet, "olga", "operator"), _token(fleet, "vic", "viewer"))
    with (
        looking(chromium, fleet.manager.url, tokens[0]) as (olga, hers),
        looking(chromium, fleet.manager.url, tokens[1]) as (vic, his),
        looking(chromium, fleet.bob.url, fleet.bob.token) as (bob, bobs),
    ):
        hers.allowed = his.allowed = bobs.allowed = ["net::ERR_"]
        _freezes(olga)
        release = push("4", healthcheck=True)
        rollout = fleet.waits(release.digest)
        _approved(bob, rollout)
        vic.goto("/")
        vic.locator(".tile").first.click()
        why = vic.get_by_role("link", name=f"Rollout {rollout} of")
        expect(why).to_contain_text("the accounts are closed")
        _away(fleet, olga, vic, bob)
        expect(why).to_contain_text("the accounts are closed")
        assert (fleet.images(), fleet.rollout(release.digest)["state"]) == (before, "scheduled")
        _thaws(olga, rollout)
        expect(why).to_have_count(0)
        expect(bob.locator(".badge").first).to_have_text("completed")
    assert fleet.images() == (release.image_id, release.image_id)
    both = (fleet.canary, fleet.other)
    wait_for(lambda: [len(one.ids("web")) for one in both] == [1, 1], "nothing is being removed", limit_s=120)


def _freezes(olga: Page) -> None:
    olga.goto("/calendar")
    olga.get_by_role("link", name="Add a freeze").click()
    olga.get_by_label("Name").fill("year end")
    olga.get_by_label("To", exact=True).fill(f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M}")
    olga.get_by_label("Reason").fill("the accounts are closed")
    olga.get_by_role("button", name="Freeze").click()
    expect(olga.locator(".chances .badge")).to_contain_text("frozen until")


def _thaws(olga: Page, rollout: int) -> None:
    """The page that asks names what waits."""
    olga.get_by_role("link", name="Delete year end").click()
    expect(olga.locator(f"a[href='/rollouts/{rollout}']")).to_be_visible()
    olga.get_by_role("button", name="Delete").click()
    expect(olga.get_by_text("Nothing is frozen.")).to_be_visible()


def _away(fleet: Fleet, *pages: Page) -> None:
    """The manager is started anew; pages that are open say so, and are live again by themselves."""
    for page in pages:
        expect(page.locator("#live")).to_have_text("live")
    fleet.manager.program.stop()
    for page in pages:
        expect(page.locator("#live")).to_have_text("reconnecting …")
    fleet.manager.start()
    for page in pages:
        expect(page.locator("#live")).to_have_text("live")


def _signed_in(fleet: Fleet, chromium: Browser) -> None:
    """Val comes to the page that was meant, with a token that is one, sees everything there, and may do nothing."""
    with looking(chromium, fleet.manager.url) as (val, faults):
        faults.allowed = ["401", "403"]
        val.goto("/rollouts")
        for token in ("tg_none", _token(fleet, "val", "viewer")):
            val.get_by_label("Token").fill(token)
            val.get_by_role("button", name="Sign in").click()
            if token == "tg_none":
                expect(val.get_by_role("alert")).to_contain_text("That did not work")
        val.wait_for_url("**/rollouts")
        val.locator("table.list a").first.click()
        expect(val.locator(".badge").first).to_have_text("completed")
        expect(val.locator(".verbs")).to_have_count(0)
        val.goto(f"{val.url}/rollback")
        expect(val.get_by_role("alert")).to_contain_text("viewer")
        val.get_by_role("button", name="Sign out").click()
        val.goto("/rollouts")
        expect(val.get_by_role("heading", name="Sign in")).to_be_visible()


def _token(fleet: Fleet, name: str, role: str) -> str:
    return str(fleet.ann("POST", "/tokens", {"user": name, "role": role})["token"])


def _approved(bob: Page, rollout: int) -> None:
    bob.goto("/")
    bob.get_by_role("link", name="waits for approval").click()
    bob.wait_for_url(f"**/rollouts/{rollout}")
    bob.get_by_role("link", name="Approve").click()
    bob.get_by_role("button", name="Approve").click()
    bob.wait_for_url(f"**/rollouts/{rollout}")
