"""Signing in by an OpenID provider in a real browser, which holds pages to what they say may be done there."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect
from tests.support import databases
from tests.support.browser import DESK, PHONE, barriers, looking
from tests.support.manager import Manager
from tests.support.openid_provider import PASSWORD
from tests.support.signing_in import manager_with_provider

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def manager(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """One with a provider."""
    folder = tmp_path_factory.mktemp("manager")
    with manager_with_provider(databases.sqlite_copy(sqlite_template, folder), folder) as one:
        yield one


def test_somebody_signs_in_sees_what_the_role_may_and_signs_out(manager: Manager, chromium: Browser) -> None:
    with looking(chromium, manager.url) as (page, faults):
        faults.others = {urlsplit(manager.parts.settings.oidc_issuer or "").netloc}
        faults.allowed = ["Failed to load resource: the server responded with a status of 404"]  # its own icon
        page.goto("/rollouts?state=all")
        assert barriers(page) == []
        page.get_by_role("link", name="Sign in with single sign-on").click()
        page.get_by_label("Username").fill("anna")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/rollouts?state=all")
        expect(page.get_by_title("role: operator")).to_have_text("anna@example.com")
        expect(page.get_by_role("link", name="Tokens")).to_have_count(0)
        expect(page.locator("#live")).to_have_text("live")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        page.goto("/")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(("size", "dark"), [(DESK, True), (PHONE, False)])
def test_nobody_is_kept_from_either_way_in(
    manager: Manager, chromium: Browser, size: tuple[int, int], *, dark: bool
) -> None:
    with looking(chromium, manager.url, size=size, dark=dark) as (page, _):
        page.goto("/sign-in")
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
