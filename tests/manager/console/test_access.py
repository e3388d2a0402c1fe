"""Deny by default, of pages too: nobody sees one without a session, and no role what is not for it."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.manager.console.conftest import Visitors
from tests.support.visitor import Visitor

from tidegate.manager.api.app import create_app
from tidegate.manager.console.router import ConsoleRoute
from tidegate.manager.parts import make_parts
from tidegate.manager.people.roles import Permission, Role, allowed
from tidegate.manager.settings import load_manager_settings

OPEN = {"/sign-in", "/sign-in/oidc", "/sign-in/oidc/callback", "/static/{mark}/{name}"}
"""What anybody sees. Whoever adds to this says here why: it is what one needs to sign in, by a provider too."""


def pages(folder: Path) -> Iterator[tuple[str, str, ConsoleRoute]]:
    """Method, a path that can be asked for, and the route."""
    app = create_app(make_parts(load_manager_settings({"TIDEGATE_DATA": str(folder)})))
    for route in app.routes:
        if isinstance(route, ConsoleRoute):
            path = re.sub(r"\{\w+(:\w+)?\}", "999", route.path)
            yield from ((method, path, route) for method in sorted(route.methods or ()))


def test_only_what_is_meant_to_is_seen_without_a_session(tmp_path: Path) -> None:
    without = {one.path for _, _, one in pages(tmp_path) if one.access is None or one.access.permission is None}
    assert without == OPEN


async def test_who_has_not_signed_in_sees_no_page_and_does_nothing(visitors: Visitors, tmp_path: Path) -> None:
    asked = 0
    for method, path, route in pages(tmp_path):
        if route.path not in OPEN:
            answer = await asked_for(visitors.nobody, method, path)
            assert (answer[0], answer[1].partition("?")[0]) == (303, "/sign-in"), f"{method} {path}"
            asked += 1
    assert asked > 10


async def test_every_role_gets_to_what_it_may_and_to_nothing_else(visitors: Visitors, tmp_path: Path) -> None:
    for method, path, route in pages(tmp_path):
        assert route.access is not None
        permission = route.access.permission
        if permission is None or path in {"/live", "/sign-out"}:
            continue
        for role in Role:
            status, _ = await asked_for(getattr(visitors, role), method, path)
            assert (status == 403) is not allowed(role, Permission(permission)), f"{role} {method} {path}: {status}"


async def test_who_is_refused_something_is_still_signed_in_on_the_page_that_says_so(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/tokens")
    assert (shown.status, "Sign out" in shown.html, "viewer" in shown.text) == (403, True, True)


async def asked_for(visitor: Visitor, method: str, path: str) -> tuple[int, str]:
    """Status, and where it leads."""
    headers = {"Origin": visitor.url, "Content-Type": "application/x-www-form-urlencoded"}
    async with visitor.session.request(method, visitor.url + path, headers=headers, allow_redirects=False) as got:
        return got.status, got.headers.get("Location", "")


async def test_every_page_allows_the_browser_only_what_is_ours(visitors: Visitors) -> None:
    for path in ("/", "/rollouts", "/sign-in", "/rollouts/999"):
        shown = await visitors.viewer.get(path)
        policy = dict(part.strip().split(" ", 1) for part in shown.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {policy[one] for one in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
        assert (shown.headers["Cache-Control"], shown.headers["X-Frame-Options"]) == ("no-store", "DENY")
        assert not [one for one in shown.page.all("script") if one.text or not one.attributes["src"].startswith("/")]
        assert not shown.page.all("style")
        assert " style=" not in shown.html
        assert not re.search(r"\son\w+=", shown.html)
        assert not re.search(r"(src|href)=\"(https?:)?//", shown.html)


async def test_files_are_kept_for_ever_and_change_their_address_with_their_content(visitors: Visitors) -> None:
    shown = await visitors.nobody.get("/sign-in")
    styles = shown.page.one("link", rel="stylesheet").attributes["href"]
    found = await visitors.nobody.get(styles)
    assert (found.status, found.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
    assert (await visitors.nobody.get(styles.replace("/static/", "/static/0"))).status == 404
