"""The calendar: what is on, when a channel may be updated next, and what operators do about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.manager_fleet import ManagerFleet
from tests.support.visitor import Shown

from tidegate.manager.store import schema

MARKUP = "<b>bold</b>"


async def window(fleet: ManagerFleet, name: str, opens: str, **scope: Any) -> None:
    async with fleet.db.write() as conn:
        values = {"name": name, "window": opens, "scope": scope, "created_by": "ann", "created_at": fleet.now}
        await conn.execute(insert(schema.windows).values(values))


async def freeze(
    fleet: ManagerFleet, name: str, lasts: timedelta, *, begins: datetime | None = None, reason: str = "", **scope: Any
) -> None:
    start = begins or fleet.now - timedelta(hours=1)
    async with fleet.db.write() as conn:
        values = {"name": name, "starts_at": start, "ends_at": start + lasts, "reason": reason, "scope": scope}
        await conn.execute(insert(schema.freezes).values(values | {"created_by": "ann", "created_at": fleet.now}))


async def policy(fleet: ManagerFleet, **document: Any) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(policy=document))


async def kept(fleet: ManagerFleet, table: Any) -> list[Any]:
    async with fleet.db.read() as conn:
        return list((await conn.execute(select(table).order_by(table.c.id))).all())


def chances(shown: Shown) -> str:
    return shown.page.one("section", aria_labelledby="next").text


def labels(shown: Shown) -> list[str]:
    """What each day says of itself."""
    return [one.attributes["aria-label"].replace("\N{EN DASH}", "-") for one in shown.main.all("svg", role="img")]


async def test_without_a_channel_a_window_or_a_freeze_it_is_said_what_to_do(visitors: Visitors) -> None:
    shown = await visitors.operator.get("/calendar")
    assert "There are no channels yet" in shown.text
    assert "No window is set, and nothing is frozen: updates may begin at any time" in shown.text
    assert len(labels(shown)) == 14
    assert shown.main.all("a", href="/calendar/windows/new")


async def test_windows_and_freezes_are_in_the_days_with_what_they_are_for(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    await window(fleet, f"nights {MARKUP}", "0 2 * * * 4h UTC", channels=[fleet.channel], labels={"ring": "early"})
    await freeze(fleet, "stocktaking", timedelta(days=3), reason="we count")
    shown = await visitors.viewer.get("/calendar?weeks=3")
    days = labels(shown)
    assert len(days) == 21
    assert f"nights {MARKUP} 02:00-06:00" in days[1]
    assert "stocktaking: we count all day" in days[1]
    assert "r/app:1, where ring=early" in shown.text
    assert MARKUP not in shown.html


async def test_times_are_in_the_zone_that_is_asked_for_or_that_the_browser_has_told(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    await window(fleet, "nights", "0 2 * * * 4h UTC")
    cases: list[tuple[str, dict[str, str], str, str]] = [
        ("/calendar", {}, "UTC", "02:00-06:00"),
        ("/calendar?tz=Asia/Tokyo", {}, "Asia/Tokyo", "11:00-15:00"),
        ("/calendar", {"tidegate-zone": "Asia%2FTokyo"}, "Asia/Tokyo", "11:00-15:00"),
        ("/calendar?tz=UTC", {"tidegate-zone": "Asia%2FTokyo"}, "UTC", "02:00-06:00"),
        ("/calendar", {"tidegate-zone": "../etc/passwd"}, "UTC", "02:00-06:00"),
    ]
    for path, headers, zone, when in cases:
        visitors.viewer.session.cookie_jar.update_cookies(headers)
        shown = await visitors.viewer.get(path)
        assert shown.page.one(id="zone").text == f"times in {zone}"
        assert f"nights {when}" in labels(shown)[1], path


async def test_a_zone_that_is_none_is_said_to_be_none(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/calendar?tz=%3Ci%3EMars")
    assert shown.page.one(role="alert").text.startswith("There is no time zone <i>Mars;")
    assert shown.page.one(id="zone").text == "times in UTC"


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({}, "now no window is set"),
        ({"mode": "pinned"}, "never: pinned new releases go out by hand only"),
        ({"windows": ["0 0 * * * 1440m UTC"]}, "now until "),
        ({"windows": ["SOON 1h UTC"]}, "in 1 h "),
        ({"freezes": ["2000-01-01/8000-01-01 the end"]}, "frozen until Sun 2 Jan 8000 00:00 (the end)"),
        ({"windows": ["0 0 30 2 * 1h"]}, "never no window opens any more"),
    ],
)
async def test_a_channel_says_when_it_may_be_updated_next(
    visitors: Visitors, fleet: ManagerFleet, document: dict[str, Any], told: str
) -> None:
    await fleet.settle(2)
    soon = fleet.now + timedelta(minutes=100)
    windows = [one.replace("SOON", f"{soon.minute} {soon.hour} * * *") for one in document.get("windows", [])]
    await policy(fleet, **document | ({"windows": windows} if windows else {}))
    assert told in chances(await visitors.viewer.get("/calendar"))


async def test_a_freeze_says_until_when_and_why_and_what_is_after_it(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    ends = fleet.now.replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    await freeze(fleet, "stocktaking", ends - fleet.now + timedelta(hours=1), reason="we count")
    await policy(fleet, windows=[f"0 {(ends.hour + 5) % 24} * * * 1h UTC"])
    told = chances(await visitors.viewer.get("/calendar"))
    assert f"frozen until {ends:%a %H:%M} (stocktaking: we count)" in told
    assert "opens in 2 d " in told


async def test_targets_of_a_channel_may_differ_in_when_they_may_be_updated(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    await fleet.join("early", labels={"ring": "early"})
    await freeze(fleet, "held", timedelta(days=30), labels={"ring": "early"})
    await freeze(fleet, "elsewhere", timedelta(days=300), channels=[fleet.channel + 1])
    told = chances(await visitors.viewer.get("/calendar"))
    assert "now no window is set · 1 target frozen until" in told
    assert "(held) · 1 target 2" in told
    assert "elsewhere" not in told


async def test_a_channel_by_itself_has_what_may_be_about_it(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await window(fleet, "of-others", "0 2 * * * 4h UTC", channels=[fleet.channel + 1])
    await window(fleet, "of-all", "0 3 * * * 4h UTC")
    await policy(fleet, windows=["0 4 * * * 4h UTC"])
    shown = await visitors.viewer.get(f"/calendar?channel={fleet.channel}&weeks=2&tz=")
    assert "of-others" not in shown.text
    assert "of-all 03:00-07:00; policy of app:1 04:00-08:00" in labels(shown)[1]
    assert (await visitors.viewer.get("/calendar?channel=99")).status == 404
    assert (await visitors.viewer.get("/calendar?channel=x")).status == 404
    assert (await visitors.viewer.get("/calendar?channel=")).status == 200


async def test_an_operator_adds_a_window_and_is_told_first_what_it_comes_to(
    visitors: Visitors, fleet: ManagerFleet, people: People
) -> None:
    await fleet.settle(2)
    given = {"name": "nights", "cron": "0 2 * * 1-5", "lasts": "4h", "zone": "Europe/Berlin", "clusters": "shop@host1"}
    asked = await visitors.operator.send("/calendar/windows", given | {"channel": str(fleet.channel)})
    assert asked.page.one("h1").text == "Add the window nights?"
    assert "It is the first window for them" in asked.text
    assert "1 target in 1 cluster" in asked.text
    assert await kept(fleet, schema.windows) == []
    done = await visitors.operator.submit(asked, "/calendar/windows")
    assert (done.status, done.path) == (200, "/calendar")
    (row,) = await kept(fleet, schema.windows)
    assert (row.name, row.window, row.created_by) == ("nights", "0 2 * * 1-5 4h Europe/Berlin", "a-operator")
    assert row.scope == {"channels": [fleet.channel], "clusters": ["shop@host1"]}
    audit = (await people.admin.get("/audit?limit=5&action=window.create")).json["items"]
    assert [one["actor"] for one in audit] == ["a-operator"]


async def test_a_window_beside_others_is_said_to_let_more_begin(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"windows": ["0 4 * * * 1h UTC"]})
    await window(fleet, "nights", "0 2 * * * 4h UTC", labels={"ring": "early"})
    await window(fleet, "of-others", "0 2 * * * 4h UTC", labels={"ring": "late"})
    given = {"name": "noon", "cron": "0 12 * * *", "lasts": "1h", "zone": "UTC", "labels": "ring=early"}
    asked = await visitors.operator.send("/calendar/windows", given)
    assert "Beside nights, those of r/app:1, updates that wait may begin in the window noon, too." in asked.text


async def test_an_operator_adds_a_freeze_in_the_zone_of_the_form(visitors: Visitors, fleet: ManagerFleet) -> None:
    given = {"name": "year end", "starts": "2090-12-20T18:00", "ends": "2091-01-03T00:00", "zone": "Asia/Tokyo"}
    shown = await visitors.operator.send("/calendar/freezes", given | {"reason": MARKUP})
    assert shown.path == "/calendar"
    (row,) = await kept(fleet, schema.freezes)
    assert (row.starts_at, row.ends_at) == (
        datetime(2090, 12, 20, 9, tzinfo=UTC),
        datetime(2091, 1, 2, 15, tzinfo=UTC),
    )
    assert MARKUP in shown.text
    assert MARKUP not in shown.html


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("window", {"cron": "0 25 * * *"}, "cannot be read"),
        ("window", {"cron": "0 0 30 2 *"}, "never opens"),
        ("window", {"zone": "Mars/Base"}, "time zone 'Mars/Base', which is not known"),
        ("window", {"name": ""}, "Name: "),
        ("window", {"name": "taken"}, "take another name"),
        ("window", {"clusters": "shop@nowhere"}, "there is no cluster shop@nowhere"),
        ("window", {"labels": "ring"}, "is not NAME=VALUE"),
        ("freeze", {"ends": ""}, "To: it takes"),
        ("freeze", {"ends": "2020-06-01T00:00"}, "over already"),
        ("freeze", {"starts": "2091-01-01T00:00"}, "ends before it begins"),
        ("freeze", {"name": "taken"}, "take another name"),
    ],
)
async def test_what_cannot_be_used_is_said_above_the_form_as_it_was_filled_in(
    visitors: Visitors, fleet: ManagerFleet, kind: str, change: dict[str, str], told: str
) -> None:
    await window(fleet, "taken", "0 2 * * * 4h UTC")
    await freeze(fleet, "taken", timedelta(hours=2))
    given = {
        "window": {"name": "it", "cron": "0 2 * * *", "lasts": "4h", "zone": "UTC"},
        "freeze": {"name": "it", "starts": "2020-01-01T00:00", "ends": "2090-01-01T00:00", "zone": "UTC"},
    }[kind] | change
    shown = await visitors.operator.send(f"/calendar/{kind}s", given)
    status = 409 if told == "take another name" else 422
    assert (shown.status, told in shown.page.one(role="alert").text) == (status, True), shown.text
    name = next(one for one in shown.main.all("input", name="name"))
    assert name.attributes["value"] == given["name"]
    assert len(await kept(fleet, schema.windows)) + len(await kept(fleet, schema.freezes)) == 2


async def test_before_a_window_is_deleted_it_is_said_what_waits_for_it(visitors: Visitors, fleet: ManagerFleet) -> None:
    later = fleet.now + timedelta(hours=3)
    await fleet.settle(2)
    await window(fleet, f"nights {MARKUP}", f"0 {later.hour} {later.day} {later.month} * 1h UTC")
    await fleet.release()
    await fleet.start()
    (row,) = await kept(fleet, schema.windows)
    asked = await visitors.operator.get(f"/calendar/windows/{row.id}/delete")
    assert "updates that it holds back may begin at once. No other window is for them" in asked.text
    assert "2 targets in 2 clusters" in asked.text
    assert "outside every update window" in asked.text
    assert MARKUP not in asked.html
    done = await visitors.operator.submit(asked, f"/calendar/windows/{row.id}/delete")
    assert (done.path, await kept(fleet, schema.windows)) == ("/calendar", [])


async def test_a_freeze_is_deleted_as_it_was_looked_at(visitors: Visitors, fleet: ManagerFleet) -> None:
    await freeze(fleet, "held", timedelta(hours=2))
    (row,) = await kept(fleet, schema.freezes)
    asked = await visitors.operator.get(f"/calendar/freezes/{row.id}/delete")
    assert "Without the freeze held, updates that it holds back may begin at once." in asked.text
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.freezes).values(edition=row.edition + 1))
    refused = await visitors.operator.submit(asked, f"/calendar/freezes/{row.id}/delete")
    assert refused.status == 412
    back = refused.main.one("a", class_="button").attributes["href"]
    assert (await visitors.operator.get(back)).path == "/calendar"
    again = await visitors.operator.get(f"/calendar/freezes/{row.id}/delete")
    await visitors.operator.submit(again, f"/calendar/freezes/{row.id}/delete")
    assert await kept(fleet, schema.freezes) == []


async def test_who_may_not_operate_is_offered_nothing_and_can_do_nothing(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await window(fleet, "nights", "0 2 * * * 4h UTC")
    for visitor in (visitors.viewer, visitors.approver):
        shown = await visitor.get("/calendar")
        links = [one.attributes["href"] for one in shown.main.all("a")]
        assert [one for one in links if "/new" in one or "/delete" in one] == []
        for path in ("/calendar/windows/new", "/calendar/freezes/new", "/calendar/windows/1/delete"):
            assert (await visitor.get(path)).status == 403
        for path in ("/calendar/windows", "/calendar/freezes", "/calendar/windows/1/delete"):
            assert (await visitor.send(path, {"edition": "1", "sure": "yes"})).status == 403
    assert len(await kept(fleet, schema.windows)) == 1
    assert (await visitors.nobody.get("/calendar", follow=False)).status == 303
