"""Calendar and trends in a real browser: its time zone is shown, charts are drawn, and nobody is kept out."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import insert
from tests.support import databases
from tests.support.browser import DESK, PHONE, barriers, beside, looking
from tests.support.manager import Manager, serving, token
from tests.support.manager_fleet import NEW, ManagerFleet

from tidegate.manager.parts import now
from tidegate.manager.people.roles import Role
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

CALENDAR = ("/calendar", "/calendar?weeks=8", "/calendar/windows/new", "/calendar/freezes/new")
CHARTS = ("/charts", "/charts?days=7")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def manager(sqlite_template: Path, tmp_path: Path) -> Iterator[Manager]:
    """A manager of its own: the browser and it are in threads of their own."""
    with serving(databases.sqlite_copy(sqlite_template, tmp_path), tmp_path) as one:
        yield one


@pytest.fixture
def operator(manager: Manager) -> str:
    """The token of somebody who sees two targets, a window, a freeze, and updates of three days."""
    return beside(_settled(manager.database_url))


async def _settled(url: str) -> str:
    db = Database.at(url)
    fleet = ManagerFleet(db)
    fleet.now = now()
    await fleet.settle(2)
    async with db.write() as conn:
        window = {"name": "nights", "window": "0 2 * * * 4h UTC", "scope": {}, "created_at": fleet.now}
        await conn.execute(insert(schema.windows).values(window))
        lasts = {"starts_at": fleet.now, "ends_at": fleet.now + timedelta(days=2), "created_at": fleet.now}
        await conn.execute(insert(schema.freezes).values(lasts | {"name": "stocktaking", "reason": "we count"}))
        rollout = {"id": 1, "channel_id": fleet.channel, "digest": NEW, "kind": "update", "state": "completed"}
        rollout |= {"policy": {}, "counts": {}, "requested_by": "ann", "created_at": fleet.now}
        await conn.execute(insert(schema.rollouts).values(rollout))
        for number in range(3):
            at = fleet.now - timedelta(days=number)
            one = {"id": f"a{number}", "agent_id": "host0", "target_id": fleet.targets["shop@host0/web"], "digest": NEW}
            one |= {"rollout_id": 1, "generation": number, "issued_at": at, "expires_at": at, "told_at": at}
            await conn.execute(insert(schema.assignments).values(one | {"outcome": "healthy", "duration_s": 30.0}))
        made = await token(conn, Role.OPERATOR)
    await db.close()
    return made


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (DESK, True), (PHONE, False)])
def test_nobody_is_kept_from_the_calendar_and_the_trends(
    manager: Manager, operator: str, chromium: Browser, size: tuple[int, int], *, dark: bool
) -> None:
    with looking(chromium, manager.url, operator, size=size, dark=dark) as (page, _):
        for path in (*CALENDAR, "/calendar/windows/1/delete", *CHARTS):
            page.goto(path)
            if path.startswith("/charts"):
                expect(page.locator(".chart canvas")).to_have_count(3)
            assert barriers(page) == [], path
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, f"{path} is {wider} px wider than the window"


def test_the_browsers_time_zone_is_told_once_and_shown(manager: Manager, operator: str, chromium: Browser) -> None:
    with looking(chromium, manager.url, operator) as (page, _):
        zone = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
        loads: list[str] = []
        page.on("load", lambda one: loads.append(one.url))
        page.goto("/calendar?tz=Asia/Tokyo")
        expect(page.locator("#zone")).to_have_text("times in Asia/Tokyo")
        page.goto("/calendar")
        expect(page.locator("#zone")).to_have_text(f"times in {zone}")
        assert {one["name"]: one["value"] for one in page.context.cookies()}["tidegate-zone"] == zone.replace(
            "/", "%2F"
        )
        assert len(loads) == 2


def test_charts_show_a_day_s_numbers_where_the_mouse_is(manager: Manager, operator: str, chromium: Browser) -> None:
    with looking(chromium, manager.url, operator) as (page, _):
        page.goto("/charts?days=7")
        chart = page.locator("[data-chart=outcomes]")
        expect(chart.locator("canvas")).to_be_visible()
        over = chart.locator(".u-over").bounding_box()
        assert over is not None
        page.mouse.move(over["x"] + over["width"] * 6.5 / 7, over["y"] + 20)
        expect(chart.locator(".u-legend")).to_contain_text(str(now().date()))
        expect(chart.locator(".u-legend .u-series", has_text="updated")).to_contain_text("1")
