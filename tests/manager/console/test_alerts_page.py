"""Alerts on a page: the open ones first, and who looks at them."""

from datetime import timedelta

from sqlalchemy import insert, select
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.visitor import Shown

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

MARKUP = "<b>why</b>&\"'"


async def opened(db: Database, subject: str, severity: str = "warning", *, over: bool = False, text: str = "") -> int:
    """An alert."""
    values: dict[str, object] = {
        "rule": "drift",
        "subject": subject,
        "severity": severity,
        "text": text or f"{subject} is so",
        "data": {},
    }
    values |= {"opened_at": now() - timedelta(hours=1), "closed_at": now() if over else None}
    values |= {"close_reason": "it is over" if over else "", "acknowledged_by": ""}
    async with db.write() as conn:
        row = insert(schema.alerts).values(values).returning(schema.alerts.c.id)
        return int((await conn.execute(row)).scalar_one())


def listed(shown: Shown) -> list[str]:
    """The alerts, by their badges and the first words of their texts."""
    rows = shown.main.one("tbody").all("tr")
    return [f"{row.one('span', class_='badge').text} {row.all('td')[1].text.split()[1]}" for row in rows]


async def test_without_any_it_says_what_will_be_here(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/alerts")
    assert shown.status == 200
    assert "No alerts yet" in shown.text


async def test_open_ones_come_first_the_worst_of_them_before_the_others(
    visitors: Visitors, manager_db: Database
) -> None:
    for subject, severity in (("rollout 1", "critical"), ("rollout 2", "info"), ("rollout 3", "warning")):
        await opened(manager_db, subject, severity)
    await opened(manager_db, "rollout 4", "critical", over=True)
    await opened(manager_db, "rollout 5", "info")
    shown = await visitors.viewer.get("/alerts")
    assert listed(shown) == ["critical 1", "warning 3", "info 5", "info 2", "closed 4"]
    assert [one.text for one in shown.main.one("nav", class_="chips").all("a")] == ["all 5", "open 4", "closed 1"]


async def test_they_are_narrowed_down_and_go_on_on_another_page(visitors: Visitors, manager_db: Database) -> None:
    for at in range(1, 4):
        await opened(manager_db, f"rollout {at}")
    await opened(manager_db, "rollout 9", over=True)
    first = await visitors.viewer.get("/alerts?state=open&limit=2")
    more = first.main.one("p", class_="pager").one("a").attributes["href"]
    second = await visitors.viewer.get(more)
    assert [listed(first), listed(second)] == [["warning 3", "warning 2"], ["warning 1"]]
    assert second.main.one(id="alerts").attributes["hx-get"] == more  # what changes there is shown there
    assert listed(await visitors.viewer.get("/alerts?state=closed")) == ["closed 9"]


async def test_an_alert_leads_to_what_it_is_about_and_its_text_is_text(
    visitors: Visitors, manager_db: Database
) -> None:
    await opened(manager_db, "shop@host0/web", text=f"a {MARKUP} see `tidegate status`")
    await opened(manager_db, "digest sha256:" + "1" * 64)
    shown = await visitors.viewer.get("/alerts")
    assert MARKUP in shown.text
    assert shown.main.one("code").text == "tidegate status"
    links = {one.text: one.attributes["href"] for one in shown.main.one("tbody").all("a")}
    assert links == {"shop@host0/web": "/clusters/shop@host0", "digest 111111111111": "/quarantine"}


async def test_an_operator_says_that_they_look_at_it_and_stays_on_the_list(
    visitors: Visitors, manager_db: Database, people: People
) -> None:
    id_ = await opened(manager_db, "rollout 1")
    shown = await visitors.operator.get("/alerts?state=open")
    after = await visitors.operator.submit(shown, f"/alerts/{id_}/acknowledge")
    assert (after.path, after.main.all("form")) == ("/alerts?state=open", [])
    assert "a-operator" in after.main.one(id=f"a-{id_}").text
    entry = (await people.admin.get("/audit?action=alert.acknowledge")).json["items"][0]
    assert (entry["actor"], entry["subject"]) == ("a-operator", f"alert {id_}")


async def test_who_may_not_is_offered_nothing_and_can_do_nothing(visitors: Visitors, manager_db: Database) -> None:
    id_ = await opened(manager_db, "rollout 1")
    for visitor in (visitors.viewer, visitors.approver):
        assert (await visitor.get("/alerts")).main.all("form") == []
        assert (await visitor.send(f"/alerts/{id_}/acknowledge")).status == 403
    async with manager_db.read() as conn:
        assert (await conn.execute(select(schema.alerts.c.acknowledged_at))).scalar_one() is None
