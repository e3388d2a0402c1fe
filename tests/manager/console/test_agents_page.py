"""Agents on a page: who is there, and cutting one off once it was asked."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.manager_fleet import ManagerFleet
from tests.support.visitor import Shown

from tidegate.manager.store import schema

MARKUP = "<b>why</b>&\"'"


def listed(shown: Shown) -> dict[str, str]:
    """By agents, how they are there."""
    return {row.one("b").text: row.one("span", class_="badge").text for row in shown.main.one("tbody").all("tr")}


async def change(fleet: ManagerFleet, name: str, **values: object) -> None:
    """Have an agent be otherwise."""
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.name == name).values(values))


@pytest.fixture
async def three(fleet: ManagerFleet) -> ManagerFleet:
    """One that is there, one that is silent, one that was cut off."""
    await fleet.settle(3)
    await change(fleet, "host1", last_seen_at=fleet.now - timedelta(hours=2), online=False)
    await change(fleet, "host2", revoked_at=fleet.now - timedelta(days=1), online=False)
    return fleet


async def test_without_any_it_says_how_one_joins(visitors: Visitors) -> None:
    assert "tidegate agents enrol NAME" in (await visitors.viewer.get("/agents")).text
    assert "/agents/enrol" in [one.attributes["href"] for one in (await visitors.admin.get("/agents")).main.all("a")]


async def test_each_says_whether_it_is_there_and_what_it_looks_after(visitors: Visitors, three: ManagerFleet) -> None:
    await change(three, "host1", version="9.8.7", labels={"ring": MARKUP})
    shown = await visitors.viewer.get("/agents")
    assert listed(shown) == {"host0": "online", "host1": "offline", "host2": "revoked"}
    row = shown.main.one(id="g-host1").text
    for said in ("2 h", "9.8.7", "1 cluster, 1 target", f"ring={MARKUP}"):
        assert said in row


async def test_they_are_narrowed_down_by_name_and_state(visitors: Visitors, three: ManagerFleet) -> None:
    del three
    assert listed(await visitors.viewer.get("/agents?state=offline")) == {"host1": "offline"}
    shown = await visitors.viewer.get("/agents?q=OST2")
    assert listed(shown) == {"host2": "revoked"}
    chips = [one.text for one in shown.main.one("nav", class_="chips").all("a")]
    assert chips == ["all 1", "online 0", "offline 0", "revoked 1"]
    assert "No agent matches" in (await visitors.viewer.get("/agents?q=%25")).text


async def test_the_list_goes_on_on_another_page(visitors: Visitors, three: ManagerFleet) -> None:
    del three
    first = await visitors.viewer.get("/agents?q=host&limit=2")
    more = first.main.one("p", class_="pager").one("a").attributes["href"]
    assert [*listed(first), *listed(await visitors.viewer.get(more))] == ["host0", "host1", "host2"]


async def test_before_one_is_cut_off_it_is_shown_what_that_means(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    await fleet.start()
    shown = await visitors.admin.get("/agents/host0/revoke")
    assert "1 target in 1 cluster will be offline" in shown.text
    assert "1 update is under way there" in shown.text
    assert [row.all("td")[0].text for row in shown.main.one("tbody").all("tr")] == ["shop@host0/web"]
    async with fleet.db.read() as conn:
        assert (await conn.execute(select(schema.agents.c.revoked_at).distinct())).scalars().all() == [None]


async def test_it_is_cut_off_with_a_reason_as_the_api_does(
    visitors: Visitors, fleet: ManagerFleet, people: People
) -> None:
    await fleet.settle(1)
    asked = await visitors.admin.get("/agents/host0/revoke")
    after = await visitors.admin.submit(asked, "/agents/host0/revoke", reason=MARKUP)
    assert listed(after) == {"host0": "revoked"}
    assert (await people.admin.get("/agents/host0")).json["revoked_at"] is not None
    (entry,) = (await people.admin.get("/audit?action=agent.revoke")).json["items"]
    assert (entry["actor"], entry["after"]["reason"]) == ("a-admin", MARKUP)
    assert "is revoked" in (await visitors.admin.get("/agents/host0/revoke")).text


async def test_a_reason_that_is_too_long_is_refused_and_nothing_is_done(
    visitors: Visitors, fleet: ManagerFleet, people: People
) -> None:
    await fleet.settle(1)
    assert (await visitors.admin.send("/agents/host0/revoke", {"reason": "x" * 1001})).status == 422
    assert (await people.admin.get("/agents/host0")).json["revoked_at"] is None


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
async def test_who_is_no_admin_is_offered_nothing_and_can_do_nothing(
    visitors: Visitors, fleet: ManagerFleet, people: People, role: str
) -> None:
    await fleet.settle(1)
    visitor = getattr(visitors, role)
    links = [one.attributes["href"] for one in (await visitor.get("/agents")).main.all("a")]
    assert not [one for one in links if one.startswith("/agents/")]
    for path in ("/agents/host0/revoke", "/agents/enrol"):
        assert (await visitor.get(path)).status == 403
        assert (await visitor.send(path, {"name": "host9"})).status == 403
    assert (await people.admin.get("/agents/host0")).json["revoked_at"] is None
    assert (await people.admin.get("/agents/enrolments")).json["items"] == []


async def test_an_agent_that_is_not_there_is_none(visitors: Visitors) -> None:
    assert (await visitors.admin.get("/agents/nobody/revoke")).status == 404
    assert (await visitors.admin.send("/agents/nobody/revoke")).status == 404
