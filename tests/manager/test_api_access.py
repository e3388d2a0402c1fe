"""Deny by default: whoever shows no token, or one whose role is not meant, is answered nothing, at any route."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.routing import Route
from tests.support.manager import Caller, Manager, People, token

from tidegate.manager.api.access import anybody, needs
from tidegate.manager.api.app import create_app
from tidegate.manager.api.door import Door
from tidegate.manager.api.problems import Problem
from tidegate.manager.api.router import GuardedRoute, UndeclaredRouteError, add_routes, router
from tidegate.manager.console.router import ConsoleRoute
from tidegate.manager.parts import make_parts, now
from tidegate.manager.people.roles import Permission, Role, allowed
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store.database import Database

OPEN = {
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/api/v1/docs",
}
"""What answers without a token. Whoever adds to this says here why: none of these tells or changes what matters."""
OWN_AUTHENTICATION = ("/api/v1/agent/", "/api/v1/webhooks/")


def app_here(tmp_path: Path, **environ: str) -> FastAPI:
    return create_app(make_parts(load_manager_settings({"TIDEGATE_DATA": str(tmp_path), **environ})))


def guarded(app: FastAPI) -> list[tuple[str, str, GuardedRoute]]:
    """Method, a path that can be asked for, and the route; pages have tests of their own."""
    found = []
    for route in app.routes:
        assert isinstance(route, GuardedRoute), route
        if isinstance(route, ConsoleRoute):
            continue
        found += [(method, re.sub(r"\{\w+\}", "999", route.path), route) for method in sorted(route.methods or ())]
    return found


def is_own(path: str) -> bool:
    return path.startswith(OWN_AUTHENTICATION)


def test_only_what_is_meant_to_answers_without_a_role(tmp_path: Path) -> None:
    routes = guarded(app_here(tmp_path))
    without = {path for _, path, route in routes if route.access is not None and route.access.permission is None}
    assert {path for path in without if not is_own(path)} == OPEN
    assert all(route.access is not None for _, _, route in routes)


async def test_no_route_answers_without_a_token(people: People, tmp_path: Path) -> None:
    asked = 0
    for method, path, _ in guarded(app_here(tmp_path)):
        if path in OPEN or is_own(path):
            continue
        answer = await people.nobody(method, f"/{path}", headers={"Content-Type": "application/json"}, data=b"{")
        code = "unauthorized" if method == "HEAD" else answer.json["code"]  # that has no body
        assert (answer.status, code) == (401, "unauthorized"), f"{method} {path}"
        asked += 1
    assert asked > 30


@pytest.mark.parametrize("kind", ["revoked", "expired", "wrong secret", "of another kind", "of no kind", "basic"])
async def test_no_route_answers_a_token_that_is_not_valid(
    people: People, manager_db: Database, tmp_path: Path, kind: str
) -> None:
    async with manager_db.write() as conn:
        expires_at = now() - timedelta(seconds=1) if kind == "expired" else None
        good = await token(conn, Role.ADMIN, "mallory", expires_at=expires_at)
    number = int(good.split("_")[1])
    if kind == "revoked":
        assert (await people.admin.post(f"/tokens/{number}/revoke")).status == 200
    shown = {
        "wrong secret": good[:-4] + ("AAAA" if not good.endswith("AAAA") else "BBBB"),
        "of another kind": f"te{good[2:]}",
        "of no kind": "x" * 5000,
    }.get(kind, good)
    scheme = "Basic" if kind == "basic" else "Bearer"
    for method, path, _ in guarded(app_here(tmp_path)):
        if path not in OPEN and not is_own(path):
            answer = await people.nobody(method, f"/{path}", headers={"Authorization": f"{scheme} {shown}"})
            assert answer.status == 401, f"{method} {path}"
            assert good not in answer.text


async def test_every_role_gets_to_what_it_may_and_to_nothing_else(people: People, tmp_path: Path) -> None:
    callers = {role: getattr(people, role) for role in Role}
    for method, path, route in guarded(app_here(tmp_path)):
        if path in OPEN or is_own(path) or path == "/api/v1/events":
            continue
        assert route.access is not None
        assert route.access.permission is not None
        for role, caller in callers.items():
            may = allowed(role, route.access.permission)
            answer = await caller(method, f"/{path}")
            assert (answer.status == 403) is not may, f"{role} {method} {path}: {answer.status}"
            if not may:
                assert str(role) not in answer.json["accepted"]


async def test_what_needs_a_role_says_which(people: People) -> None:
    answer = await people.viewer.post("/tokens", {})
    assert (answer.status, answer.json["accepted"]) == (403, ["admin"])
    assert answer.json["detail"] == "This takes a token of admin; the one of a-viewer is viewer."


async def test_a_token_is_refused_as_soon_as_it_is_revoked(people: People, manager_running: Manager) -> None:
    made = (await people.admin.post("/tokens", {"user": "eve", "role": "admin"})).json
    eve = Caller(people.nobody.session, manager_running.url, made["token"])
    assert (await eve.get("/me")).status == 200
    await people.admin.post(f"/tokens/{made['id']}/revoke")
    answer = await eve.get("/me")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert "revoked" in answer.json["detail"]


# what cannot be forgotten


async def _answer() -> None:
    """Answer."""


def test_an_app_with_a_route_that_declares_nothing_does_not_start() -> None:
    one = router("x")
    one.add_api_route("/forgotten", _answer)
    with pytest.raises(UndeclaredRouteError, match="/forgotten does not say who may use it"):
        add_routes(FastAPI(), [one])


def test_nor_does_one_with_a_route_that_passes_by_the_door() -> None:
    one = APIRouter(routes=[Route("/plain", _answer)])
    with pytest.raises(UndeclaredRouteError, match="/plain"):
        add_routes(FastAPI(), [one])


def test_nor_one_that_declares_two_things() -> None:
    with pytest.raises(ValueError, match="2 times"):
        router("x").add_api_route("/both", _answer, dependencies=[needs(Permission.TOKENS), anybody("no")])


async def test_a_route_that_declares_nothing_is_for_nobody_also_where_it_is_there(tmp_path: Path) -> None:
    parts = make_parts(load_manager_settings({"TIDEGATE_DATA": str(tmp_path)}))
    with pytest.raises(Problem) as refused:
        await Door(parts).admit(Request({"type": "http", "headers": []}), None)
    assert (refused.value.status, refused.value.code) == (403, "undeclared")
