"""Quarantine on a page: what is in it and why, putting a digest in, and letting one out once it was asked."""

import pytest
from sqlalchemy import insert, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet
from tests.support.visitor import Shown

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema

MARKUP = "<b>why</b>&\"'"


def listed(shown: Shown) -> list[str]:
    """The releases."""
    return [row.all("td")[0].text.split()[0] for row in shown.main.one("tbody").all("tr")]


async def quarantined(fleet: ManagerFleet, digest: str = NEW, **more: object) -> None:
    """Have a digest be in it."""
    values = {"digest": digest, "by": "ann", "reason": MARKUP, "at": fleet.now, "channel_id": fleet.channel or None}
    async with fleet.db.write() as conn:
        await conn.execute(insert(schema.quarantine).values(values | more))


async def in_it(people: People) -> list[str]:
    """The digests that the API has in it."""
    return [one["digest"] for one in (await people.viewer.get("/quarantine")).json["items"]]


async def test_without_any_it_says_what_comes_here(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/quarantine")
    assert (shown.status, "Nothing is in quarantine" in shown.text) == (200, True)
    assert "None was released yet" in (await visitors.viewer.get("/quarantine?state=released")).text


async def test_each_says_who_why_and_from_which_rollout(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    id_ = await fleet.start()
    await fleet.all(Outcome.FAILED, reason=MARKUP, blame=True)
    await quarantined(fleet, OLD)
    await quarantined(fleet, NEWER, released_at=fleet.now, released_by="bob", release_reason="it was the disk")
    shown = await visitors.viewer.get("/quarantine")
    assert listed(shown) == [OLD[7:19], NEW[7:19]]
    by_hand, failed = shown.main.one("tbody").all("tr")
    assert (MARKUP in by_hand.text, "by ann" in by_hand.text, "1 target runs it" in by_hand.text) == (True, True, True)
    assert ("by the manager" in failed.text, failed.one("a").attributes["href"]) == (True, f"/rollouts/{id_}")
    out = await visitors.viewer.get("/quarantine?state=released")
    assert (listed(out), "by bob" in out.text, "it was the disk" in out.text) == ([NEWER[7:19]], True, True)


async def test_it_says_which_version_it_is_and_goes_on_on_another_page(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.release(NEW)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.releases).values(version=MARKUP))
    for digest in (NEW, NEWER, OLD):
        await quarantined(fleet, digest)
    first = await visitors.viewer.get("/quarantine?limit=2")
    more = await visitors.viewer.get(first.main.one("p", class_="pager").one("a").attributes["href"])
    assert [*listed(first), *listed(more)] == [OLD[7:19], NEWER[7:19], MARKUP]


async def test_a_digest_is_put_in_as_the_api_does(visitors: Visitors, fleet: ManagerFleet, people: People) -> None:
    await fleet.settle(1)
    asked = await visitors.operator.get(f"/quarantine/add?digest={NEW}")
    assert asked.main.one("input", name="digest").attributes["value"] == NEW
    fields = {"digest": f" {NEW} ", "channel": str(fleet.channel), "reason": MARKUP}
    after = await visitors.operator.submit(asked, "/quarantine/add", **fields)
    assert (after.path, listed(after)) == ("/quarantine", [NEW[7:19]])
    (entry,) = (await people.viewer.get("/quarantine")).json["items"]
    assert (entry["by"], entry["reason"], entry["channel"]["name"]) == ("a-operator", MARKUP, "r/app:1")
    assert (await people.viewer.get("/audit?action=quarantine.add")).json["items"][0]["actor"] == "a-operator"


async def test_it_says_which_rollouts_would_stop(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(2)
    id_ = await fleet.start()
    asked = await visitors.operator.get(f"/quarantine/add?digest={NEW}")
    assert f"Under way with it: rollout {id_}" in asked.text
    assert "Under way with it" not in (await visitors.operator.get(f"/quarantine/add?digest={OLD}")).text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"digest": MARKUP}, "digest: it takes a digest in full"),
        ({"digest": OLD, "channel": "999"}, "channel: there is no channel 999"),
        ({"digest": OLD, "channel": "x"}, "channel: it takes the number of a channel"),
        ({"digest": OLD, "reason": "x" * 1001}, "reason: "),
        ({"digest": NEW}, "is in quarantine already"),
    ],
)
async def test_what_cannot_be_is_said_beside_what_was_typed(
    visitors: Visitors, fleet: ManagerFleet, people: People, fields: dict[str, str], said: str
) -> None:
    await quarantined(fleet, NEW)
    shown = await visitors.operator.send("/quarantine/add", fields)
    assert shown.status == (409 if fields["digest"] == NEW else 422)
    assert said in shown.main.one(role="alert").text
    assert shown.main.one("input", name="digest").attributes["value"] == fields["digest"]
    assert await in_it(people) == [NEW]


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"mode": "automatic"}, "it may go out by itself, and at once, to 2 targets"),
        ({"mode": "approval"}, "a rollout of it to 2 targets is made, and waits for approval"),
        ({"mode": "pinned"}, "nothing begins by itself; its policy is pinned"),
    ],
)
async def test_before_one_is_let_out_it_says_what_may_begin(
    visitors: Visitors, fleet: ManagerFleet, people: People, policy: dict[str, str], said: str
) -> None:
    await fleet.settle(2, policy=policy)
    await fleet.join("host2", digest=NEW)
    await fleet.join("host3")
    async with fleet.db.write() as conn:
        gone = update(schema.agents).where(schema.agents.c.name == "host3")
        await conn.execute(gone.values(revoked_at=fleet.now))
    await fleet.release(NEW)
    await quarantined(fleet)
    asked = await visitors.admin.get("/quarantine/1/release")
    assert said in asked.text
    reached = [one.text for lists in asked.main.all("ul", class_="labels") for one in lists.all("li")]
    assert reached == ([] if policy["mode"] == "pinned" else ["shop@host0/web", "shop@host1/web"])
    assert await in_it(people) == [NEW]


async def test_what_the_tag_names_no_more_and_what_no_channel_has_begins_nothing(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1, policy={"mode": "automatic"})
    await fleet.release(OLD)
    await quarantined(fleet, OLD)
    await quarantined(fleet, NEW)
    assert "every target runs the newest release" in (await visitors.admin.get("/quarantine/1/release")).text
    assert "No channel has it" in (await visitors.admin.get("/quarantine/2/release")).text
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.releases).values(named_at=schema.releases.c.seen_at))
    fleet.now = fleet.now.replace(year=fleet.now.year + 1)
    await fleet.release(NEWER)
    asked = await visitors.admin.get("/quarantine/1/release")
    assert "its tag names another release, so this one goes out by hand only" in asked.text


async def test_one_is_let_out_with_a_reason(visitors: Visitors, fleet: ManagerFleet, people: People) -> None:
    await quarantined(fleet)
    asked = await visitors.admin.get("/quarantine/1/release")
    assert MARKUP in asked.text
    after = await visitors.admin.submit(asked, "/quarantine/1/release", reason="it was the disk")
    assert (after.path, await in_it(people)) == ("/quarantine", [])
    (entry,) = (await people.viewer.get("/quarantine?released=true")).json["items"]
    assert (entry["released_by"], entry["release_reason"]) == ("a-admin", "it was the disk")
    assert "a-admin released it" in (await visitors.admin.get("/quarantine/1/release")).text
    assert (await visitors.admin.send("/quarantine/1/release")).status == 409


async def test_each_role_is_offered_what_it_may_and_nothing_else_works(
    visitors: Visitors, fleet: ManagerFleet, people: People
) -> None:
    await quarantined(fleet)
    may = {"viewer": [], "approver": [], "operator": ["/quarantine/add"]}
    for role, addresses in may.items():
        visitor = getattr(visitors, role)
        links = [one.attributes["href"] for one in (await visitor.get("/quarantine")).main.all("a", class_="button")]
        assert links == addresses
        assert (await visitor.get("/quarantine/1/release")).status == 403
        assert (await visitor.send("/quarantine/1/release")).status == 403
        if role != "operator":
            assert (await visitor.get("/quarantine/add")).status == 403
            assert (await visitor.send("/quarantine/add", {"digest": OLD})).status == 403
    assert await in_it(people) == [NEW]
    assert (await visitors.admin.get("/quarantine/9/release")).status == 404
