"""The audit log on a page: who did what, what it changed, and whether the log holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update
from tests.manager.console.conftest import Visitors
from tests.support.visitor import Shown

from tidegate.manager.people.audit import Actor, record
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import audit

MARKUP = "<b>why</b>&\"'"
T0 = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)


def listed(shown: Shown) -> list[str]:
    """What was done."""
    return [row.all("td")[2].text for row in shown.main.one("tbody").all("tr")]


async def told(db: Database) -> None:
    """Some acts, a day between each two."""
    acts: list[tuple[str, str, str, Any, Any]] = [
        (
            "ann",
            "policy.update",
            "channel 1",
            {"mode": "automatic", "n": {"a": 1}},
            {"mode": "approval", "n": {"a": 1}},
        ),
        ("agent host0", "agent.enrol", "agent host0", None, {"labels": {"ring": MARKUP}}),
        ("bob", "rollout.approve", "rollout 1", {"approvals": 0}, {"approvals": 1}),
        ("bob", "rollouts.other", "rollout 1", None, None),
    ]
    async with db.write() as conn:
        for day, (actor, action, subject, before, after) in enumerate(acts):
            at = T0 + timedelta(days=day)
            await record(conn, Actor(actor, "192.0.2.1"), action, subject, at, before=before, after=after)


async def seen(visitors: Visitors, query: str) -> list[str]:
    """What is listed, of what was told."""
    return listed(await visitors.viewer.get(f"/audit?{query}"))


async def test_it_is_listed_the_newest_first_with_who_what_and_what_it_changed(
    visitors: Visitors, manager_db: Database
) -> None:
    await told(manager_db)
    shown = await visitors.viewer.get("/audit?to=2026-11-28")
    assert listed(shown) == ["rollouts.other", "rollout.approve", "agent.enrol", "policy.update"]
    _, approved, enrolled, changed = shown.main.one("tbody").all("tr")
    assert "bob 192.0.2.1" in approved.text
    assert [one.text for one in changed.all("dt")] == ["mode"]
    assert (changed.one("del").text, changed.one("ins").text) == ("automatic", "approval")
    assert (enrolled.one("dt").text, enrolled.one("ins").text, enrolled.all("del")) == ("labels.ring", MARKUP, [])


async def test_it_is_narrowed_down(visitors: Visitors, manager_db: Database) -> None:
    await told(manager_db)
    assert await seen(visitors, "actor=agent+host0") == ["agent.enrol"]
    assert await seen(visitors, "action=rollout") == ["rollout.approve"]
    assert await seen(visitors, "action=policy.update") == ["policy.update"]
    assert await seen(visitors, "subject=rollout+1&actor=bob") == ["rollouts.other", "rollout.approve"]
    assert await seen(visitors, "from=2026-11-26&to=2026-11-27") == ["rollout.approve", "agent.enrol"]
    assert "Nothing matches" in (await visitors.viewer.get("/audit?actor=nobody")).text


async def test_the_list_goes_on_on_another_page_narrowed_down_as_before(
    visitors: Visitors, manager_db: Database
) -> None:
    await told(manager_db)
    first = await visitors.viewer.get("/audit?actor=bob&to=2026-12-01&limit=1")
    more = await visitors.viewer.get(first.main.one("p", class_="pager").one("a").attributes["href"])
    assert [listed(first), listed(more)] == [["rollouts.other"], ["rollout.approve"]]
    assert more.main.one("input", name="actor").attributes["value"] == "bob"


async def test_what_is_no_day_is_refused_in_words(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/audit?from=yesterday")
    assert (shown.status, "query.from: it takes a day such as 2026-12-20" in shown.text) == (422, True)


async def test_whether_it_holds_is_found_out_when_it_is_asked_for_and_said_from_then_on(
    visitors: Visitors, manager_db: Database
) -> None:
    await told(manager_db)
    shown = await visitors.viewer.get("/audit/check")
    assert (shown.status, "The audit log holds" in shown.text) == (200, True)
    assert "entries are as written" in (await visitors.viewer.get("/audit")).text
    async with manager_db.write() as conn:
        await conn.execute(update(audit).where(audit.c.subject == "channel 1").values(actor="eve"))
    assert "entries are as written" in (await visitors.viewer.get("/audit")).text  # nobody has looked since
    shown = await visitors.viewer.get("/audit/check")
    assert "was changed after it was written" in shown.main.one(role="alert").text
    assert "The log does not hold" in (await visitors.viewer.get("/audit")).main.one(role="alert").text
