"""Rollouts on pages: the list, one with its waves, and what people do to it, shown before it is done."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.manager_fleet import NEW, OLD, ManagerFleet, tell
from tests.support.visitor import Element, Shown

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema

MARKUP = "<b>why</b>&\"'"
APPROVAL = {"mode": "approval", "waves": ["1", "100%"], "approvals": 1}


async def asked(fleet: ManagerFleet, hosts: int = 3) -> int:
    """A rollout that waits for approval."""
    await fleet.settle(hosts, policy=APPROVAL)
    return await fleet.start(NEW)


async def test_without_a_rollout_it_says_what_to_do(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/rollouts")
    assert (shown.status, "tidegate rollout start CHANNEL" in shown.text) == (200, True)


async def test_they_are_listed_and_narrowed_down_by_state(visitors: Visitors, fleet: ManagerFleet) -> None:
    id_ = await asked(fleet)
    shown = await visitors.viewer.get("/rollouts")
    (row,) = shown.main.one("tbody").all("tr")
    assert ("awaiting approval" in row.text, "3 waiting" in row.text) == (True, True)
    assert row.all("a")[0].attributes["href"] == f"/rollouts/{id_}"
    assert "No rollout is running" in (await visitors.viewer.get("/rollouts?state=running")).text
    assert len((await visitors.viewer.get("/rollouts?state=awaiting_approval")).main.one("tbody").all("tr")) == 1


async def test_the_list_goes_on_on_another_page(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy=APPROVAL)
    made = [await fleet.start(f"sha256:{at:064d}") for at in range(3)]
    first = await visitors.viewer.get("/rollouts?limit=2")
    more = await visitors.viewer.get(first.main.one("p", class_="pager").one("a").attributes["href"] + "&limit=2")
    links = [row.all("a")[0].attributes["href"] for shown in (first, more) for row in shown.main.one("tbody").all("tr")]
    assert links == [f"/rollouts/{id_}" for id_ in reversed(made)]


async def test_one_has_its_waves_as_lanes_and_says_where_each_target_is(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(3, policy={"waves": ["1", "100%"], "failure_threshold": 1, "on_failure": "pause"})
    id_ = await fleet.start(NEW)
    offers = fleet.offered()
    await fleet.report(offers[0], Outcome.FAILED, reason=MARKUP, blame=True)
    await fleet.go()
    shown = await visitors.viewer.get(f"/rollouts/{id_}")
    lanes = [[cell.text for cell in lane.all("a", class_="cell")] for lane in shown.main.all(class_="lane")]
    assert lanes == [["host0 failed"], ["host1 waiting", "host2 waiting"]]
    assert MARKUP in shown.text
    assert "paused" in shown.main.all(class_="badge")[0].text


async def test_what_happened_is_told_the_latest_first(visitors: Visitors, fleet: ManagerFleet) -> None:
    id_ = await asked(fleet, hosts=1)
    await fleet.order(id_, "approve")
    await tell(fleet, *fleet.offered(), outcome=Outcome.HEALTHY)
    shown = await visitors.viewer.get(f"/rollouts/{id_}")
    told = [one.text.rpartition(" ")[0] if one.text.endswith("now") else one.text for one in timeline(shown)]
    assert set(told) >= {"ann asked for it", "bob approved it", "it began", "shop@host0/web was offered"}
    (healthy,) = [one for one in told if one.startswith("shop@host0/web: healthy")]
    assert told.index(healthy) < told.index("ann asked for it")


def timeline(shown: Shown) -> list[Element]:
    return shown.main.one(class_="timeline").all("li")


async def test_each_role_is_offered_what_it_may_and_nothing_else_works(visitors: Visitors, fleet: ManagerFleet) -> None:
    id_ = await asked(fleet)
    may = {"viewer": set(), "approver": {"Approve", "Reject"}, "operator": {"Pause", "Abort"}}
    may["admin"] = may["approver"] | may["operator"]
    for role, buttons in may.items():
        visitor = getattr(visitors, role)
        shown = await visitor.get(f"/rollouts/{id_}")
        offered = {one.text for nav in shown.main.all(class_="verbs") for one in nav.all("a")}
        assert offered == buttons, role
        for name in {"Approve", "Reject", "Pause", "Abort"} - buttons:
            path = f"/rollouts/{id_}/{name.lower()}"
            assert (await visitor.get(path)).status == 403
            assert (await visitor.send(path, {"edition": "1"})).status == 403
    assert await fleet.state(id_) == "awaiting_approval"


async def test_what_is_asked_is_shown_first_and_done_then(
    visitors: Visitors, people: People, fleet: ManagerFleet
) -> None:
    id_ = await asked(fleet)
    page = await visitors.approver.get(f"/rollouts/{id_}/approve")
    assert "Of its 3 targets, 3 waiting" in page.text
    done = await visitors.approver.submit(page, f"/rollouts/{id_}/approve")
    assert (done.status, done.path) == (200, f"/rollouts/{id_}")
    assert "a-approver approved it" in done.text
    assert done.main.all(class_="badge")[0].text == "running"
    paused = await visitors.operator.submit(
        await visitors.operator.get(f"/rollouts/{id_}/pause"), f"/rollouts/{id_}/pause", reason="lunch"
    )
    assert "paused by a-operator: lunch" in paused.text
    audit = (await people.admin.get("/audit?limit=10")).json["items"]
    assert [one["action"] for one in audit[:2]] == ["rollout.pause", "rollout.approve"]


async def test_what_has_moved_since_it_was_asked_about_is_not_done(visitors: Visitors, fleet: ManagerFleet) -> None:
    id_ = await asked(fleet)
    page = await visitors.operator.get(f"/rollouts/{id_}/abort")
    await visitors.approver.submit(await visitors.approver.get(f"/rollouts/{id_}/approve"), f"/rollouts/{id_}/approve")
    late = await visitors.operator.submit(page, f"/rollouts/{id_}/abort")
    assert (late.status, "has moved since this was asked" in late.text) == (412, True)
    assert await fleet.state(id_) == "running"


async def test_what_has_no_meaning_now_is_told_on_a_page(visitors: Visitors, fleet: ManagerFleet) -> None:
    id_ = await asked(fleet)
    told = await visitors.operator.send(f"/rollouts/{id_}/resume", {"edition": "1"})
    assert (told.status, "resume has no meaning" in told.text) == (409, True)
    assert told.main.one("a").attributes["href"] == f"/rollouts/{id_}"


async def test_a_rollback_shows_what_it_touches_and_touches_nothing_before(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(2, policy={"waves": ["100%"], "soak": "0s", "healthy_for": "0s"})
    id_ = await fleet.start(NEW)
    await fleet.all(Outcome.HEALTHY)
    await fleet.go(timedelta(minutes=1))
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(digest=NEW))
    assert await fleet.state(id_) == "completed"
    page = await visitors.operator.get(f"/rollouts/{id_}/rollback")
    assert "2 targets would go back" in page.text
    assert [row.all("code")[-1].text for row in page.main.all("tbody")[0].all("tr")] == [OLD[7:19]] * 2
    assert await fleet.count(schema.rollouts) == 1
    done = await visitors.operator.submit(page, f"/rollouts/{id_}/rollback", reason="slow")
    assert (done.path, await fleet.count(schema.rollouts)) == (f"/rollouts/{done.number}", 2)
    assert done.number > id_  # what was only shown has taken a number, too
    assert done.main.one("h1").text.startswith("Back to")


@pytest.mark.parametrize(
    ("fields", "status"),
    [({}, 422), ({"edition": "x"}, 422), ({"edition": "1", "reason": "x" * 501}, 422), ({"edition": "\x00"}, 422)],
)
async def test_what_no_form_of_ours_sends_is_refused(
    visitors: Visitors, fleet: ManagerFleet, fields: dict[str, str], status: int
) -> None:
    id_ = await asked(fleet)
    told = await visitors.operator.send(f"/rollouts/{id_}/pause", fields)
    assert (told.status, await fleet.state(id_)) == (status, "awaiting_approval")


async def test_what_is_not_there_is_told_on_a_page(visitors: Visitors) -> None:
    for path in ("/rollouts/999", "/rollouts/999/rollback", "/rollouts/1/nonsense", "/nothing"):
        told = await visitors.operator.get(path, Accept="text/html")
        assert (told.status, told.page.one("h1").text) == (404, "Not Found"), path
    assert (await visitors.nobody.get("/api/v1/nothing", Accept="text/html")).headers["Content-Type"].endswith("json")
