"""A cluster's page: how it stands, why nothing is happening there, its labels, and going back."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import People
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet
from tests.support.visitor import Shown

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema

PAGE = "/clusters/shop@host0"
ODD = '<b>shop</b>/?#"%41 ö/labels'
"""Markup, and whatever means something in an address."""
APPROVAL = {"mode": "approval"}


async def change(fleet: ManagerFleet, table: Any, *where: Any, **values: Any) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(table).where(*where).values(values))


async def add(fleet: ManagerFleet, table: Any, **values: Any) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(insert(table).values(values))


async def odd_named(fleet: ManagerFleet) -> str:
    """Have the first cluster called so; its name."""
    name = f"{ODD}@host0"
    await change(fleet, schema.clusters, schema.clusters.c.name == "shop@host0", name=name, project=ODD)
    await change(fleet, schema.targets, schema.targets.c.name == "shop@host0/web", name=f"{name}/web")
    return name


def why(shown: Shown) -> list[str]:
    """The sentences that say why nothing is happening."""
    return [one.text for card in shown.page.all("section", aria_labelledby="why") for one in card.all("li")]


def link_of(shown: Shown) -> str:
    return shown.page.one("section", aria_labelledby="why").one("a").attributes["href"]


async def test_it_shows_what_runs_what_was_done_and_what_ran_before(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.release()
    await change(fleet, schema.releases, version="2.4.1")
    id_ = await fleet.start()
    await fleet.all(Outcome.BEGUN)
    async with fleet.db.write() as conn:
        done = {"open": False, "outcome": "healthy", "told_at": fleet.now, "duration_s": 41.5}
        await conn.execute(update(schema.assignments).values(done))
        await conn.execute(update(schema.targets).values(digest=NEW, health="healthy", strategy="swap"))
        ran = {"target_id": fleet.targets["shop@host0/web"], "digest": NEW, "since": fleet.now, "rollout_id": id_}
        await conn.execute(insert(schema.runs).values(ran))
    shown = await visitors.viewer.get(PAGE)
    assert (shown.status, shown.page.one("h1").text) == (200, "shop")
    row = shown.page.one("section", aria_labelledby="services").all("tr")[1].text
    assert "web 2.4.1 222222222222 healthy r/app:1" in row
    assert "swap" in row
    [update_row] = shown.page.one("section", aria_labelledby="updates").all("tbody")[0].all("tr")
    assert f"2.4.1 222222222222 rollout {id_} offered now healthy now , after 41 s" in update_row.text
    assert update_row.all("details") == []
    ran_here = [one.text for one in shown.page.one("section", aria_labelledby="ran").all("li")]
    assert f"runs now, by rollout {id_}" in ran_here[0]
    assert "by another hand" in ran_here[1]
    assert why(shown) == []


async def test_its_containers_are_named_with_what_sets_one_apart(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    sick = {"name": "shop-web-2", "state": "running", "health": "unhealthy", "digest": OLD}
    gone = {"name": "<i>shop-web-3</i>", "state": "exited", "health": "none", "digest": NEW}
    well = {"name": "shop-web-1", "state": "running", "health": "healthy", "digest": OLD}
    await change(fleet, schema.targets, containers=3, digest=OLD, members=[well, sick, gone])
    shown = await visitors.viewer.get(PAGE)
    [listed] = shown.page.all("ul", aria_label="Containers of web")
    assert [one.text for one in listed.all("li")] == [
        "shop-web-1 healthy",
        "shop-web-2 unhealthy",
        f"<i>shop-web-3</i> exited runs {NEW.removeprefix('sha256:')[:12]}",
    ]
    await change(fleet, schema.targets, containers=2, members=[well, well | {"name": "shop-web-2"}])
    [alike] = (await visitors.viewer.get(PAGE)).page.all("ul", aria_label="Containers of web")
    assert [one.text for one in alike.all("li")] == ["shop-web-1", "shop-web-2"]


async def test_what_was_waited_for_is_shown_step_by_step(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.release()
    await fleet.start()
    await fleet.all(Outcome.BEGUN)
    async with fleet.db.read() as conn:
        [id_] = (await conn.execute(select(schema.assignments.c.id))).scalars()
    took = {"took_s": 6.25, "container": "shop-web-1", "back": False}
    steps = [took | {"step": "second-opinion"}, took | {"step": "create", "took_s": 0.3, "back": True}]
    await add(fleet, schema.courses, assignment_id=id_, steps=[*steps, took | {"step": "bake", "container": ""}])

    async def shown() -> list[str]:
        [listed] = (await visitors.viewer.get(PAGE)).page.all("ol", aria_label="How long each step took")
        return [one.text for one in listed.all("li")]

    assert await shown() == ["second opinion 6.2 s", "create back 0.3 s", "bake 6.2 s"]
    await change(fleet, schema.courses, steps=[*steps, took | {"step": "stop", "container": "<b>shop-web-2"}])
    assert (await shown())[1:] == ["shop-web-1 create back 0.3 s", "<b>shop-web-2 stop 6.2 s"]


async def test_what_a_failed_container_wrote_is_shown_as_text(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.release()
    id_ = await fleet.start()
    await fleet.all(Outcome.BEGUN)
    wrote = "it begins\nno <script>alert(1)</script> & database"
    done = {"open": False, "outcome": "failed", "told_at": fleet.now, "output": wrote}
    await change(fleet, schema.assignments, **done)
    shown = await visitors.viewer.get(PAGE)
    [folded] = shown.page.one("section", aria_labelledby="updates").all("details")
    assert "open" not in folded.attributes
    assert folded.one("summary").text == f"What it wrote last , web in rollout {id_}"
    assert folded.one("pre").text == "it begins no <script>alert(1)</script> & database"
    assert "it begins\nno &lt;script&gt;alert(1)&lt;/script&gt; &amp; database</pre>" in shown.html


async def test_it_says_when_its_agent_was_heard_and_what_watchtower_counts(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    counts = {"scanned": 3, "updated": 1, "failed": 0, "scans": 112}
    await change(fleet, schema.agents, updater=counts, version="1.2.0")
    shown = (await visitors.viewer.get(PAGE)).text
    assert "online heard now Its version 1.2.0" in shown
    assert "its last scan looked at 3 containers, updated 1, failed 0 (112 scans so far)" in shown
    await change(fleet, schema.agents, last_seen_at=fleet.now - timedelta(hours=2))
    shown = (await visitors.viewer.get(PAGE)).text
    assert "offline last heard 2 h ago" in shown


# why nothing is happening: that facts come to the sentences, which tests/unit/test_console_why.py tells apart


async def test_a_rollout_that_waits_for_people_is_led_to(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy=APPROVAL)
    await fleet.release()
    id_ = await fleet.start()
    shown = await visitors.viewer.get(PAGE)
    assert why(shown) == [f"web Rollout {id_} of 222222222222 waits for approval: 0 of 1 have agreed"]
    assert link_of(shown) == f"/rollouts/{id_}"


async def test_who_is_in_a_later_wave_waits_for_that(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(3)
    await fleet.release()
    id_ = await fleet.start()
    assert why(await visitors.viewer.get("/clusters/shop@host2")) == [
        f"web Rollout {id_} of 222222222222 has it in wave 2 of 2, and wave 1 is open"
    ]
    await fleet.order(id_, "pause", reason="let us look")
    assert why(await visitors.viewer.get("/clusters/shop@host2")) == [
        f"web Rollout {id_} of 222222222222 is paused by bob: let us look"
    ]


async def test_windows_and_freezes_that_are_meant_for_it_are_shown_and_hold(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    await fleet.release()
    at = {"created_by": "ann", "created_at": fleet.now}
    ends = fleet.now + timedelta(hours=5)
    frozen = {"starts_at": fleet.now - timedelta(hours=1), "ends_at": ends, "reason": "the <i>launch</i>"}
    await add(fleet, schema.freezes, name="winter", scope={"clusters": ["shop@host0"]}, **frozen, **at)
    await add(fleet, schema.freezes, name="elsewhere", scope={"clusters": ["shop@host9"]}, **frozen, **at)
    await add(fleet, schema.windows, name="always", window="0 0 * * * 24h", scope={}, **at)
    id_ = await fleet.start()
    shown = await visitors.viewer.get(PAGE)
    until = f'frozen until {ends:%Y-%m-%d %H:%M} UTC by "winter": the <i>launch</i>'
    assert why(shown) == [f"web Rollout {id_} of 222222222222 waits: {until}"]
    when = shown.page.one("section", aria_labelledby="when").text
    assert f"web {until}, in 4 h 59 min" in when
    assert "window always for web" in when
    assert "elsewhere" not in when


async def test_a_quarantined_release_is_named_with_the_reason(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    await fleet.release()
    await add(fleet, schema.quarantine, digest=NEW, reason="it failed", by="ann", at=fleet.now)
    shown = await visitors.viewer.get(PAGE)
    assert why(shown) == ["web The newest release, 222222222222, is in quarantine: it failed"]
    assert (await visitors.viewer.get(link_of(shown))).status == 200


async def test_what_its_agent_or_its_policy_holds_is_said(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"mode": "pinned"})
    await fleet.release()
    [sentence] = why(await visitors.viewer.get(PAGE))
    assert sentence == "web Its channel's policy is pinned: 222222222222 goes out by hand only"
    await change(fleet, schema.targets, held=True, reason="monitor-only")
    assert why(await visitors.viewer.get(PAGE)) == ["web Its agent leaves it alone: monitor-only"]


async def test_what_became_of_the_last_rollout_is_said_until_the_tag_names_something_newer(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1, policy={"on_failure": "continue"})
    await fleet.release()
    id_ = await fleet.start()
    await fleet.all(Outcome.FAILED, reason="exited with code 3")
    assert why(await visitors.viewer.get(PAGE)) == [
        f"web Rollout {id_} of 222222222222 failed here: exited with code 3"
    ]
    await fleet.order(id_, "abort")
    fleet.now += timedelta(minutes=1)
    await fleet.release(NEWER)
    await change(fleet, schema.channels, choice="2.5 is the newest release")
    assert why(await visitors.viewer.get(PAGE)) == ["web No rollout brings it: 2.5 is the newest release"]


# names


async def test_any_name_is_text_and_an_address_that_the_fleet_leads_to(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    name = await odd_named(fleet)
    await change(fleet, schema.targets, reason="<script>alert(1)</script>", held=True)
    tile = (await visitors.viewer.get("/")).page.one("a", class_="tile")
    shown = await visitors.operator.get(tile.attributes["href"])
    assert (shown.status, shown.page.one("h1").text) == (200, ODD)
    assert "<script>alert(1)</script>" in shown.text
    assert shown.page.all("b", class_="") == []
    for one in ("labels", "rollback"):
        [link, *_] = [a for a in shown.page.all("a") if a.attributes["href"].endswith(f"/{one}")]
        assert name.partition("@")[0] in (await visitors.operator.get(link.attributes["href"])).text


async def test_what_is_not_there_is_said_on_a_page(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/clusters/nobody@nowhere")
    assert (shown.status, shown.page.one(role="alert").text) == (404, "There is no cluster 'nobody@nowhere'.")
    assert (await visitors.viewer.get("/clusters/a%00b")).status == 422


# labels


async def test_an_operator_gives_a_cluster_other_labels(
    visitors: Visitors, fleet: ManagerFleet, people: People
) -> None:
    await fleet.settle(1)
    await change(fleet, schema.clusters, labels={"ring": "<prod>", "site": "berlin"})
    asked = await visitors.operator.get(f"{PAGE}/labels")
    assert asked.page.one("textarea").text == "ring=<prod> site=berlin"
    shown = await visitors.operator.submit(asked, f"{PAGE}/labels", labels=" ring = canary \r\n\r\nsite=a=b\r\n")
    assert shown.path == PAGE
    got = await people.viewer.get("/clusters/shop@host0")
    assert got.json["labels"] == {"ring": "canary", "site": "a=b"}
    again = await visitors.operator.submit(asked, f"{PAGE}/labels", labels="ring=old")
    assert again.status == 412
    assert (await people.viewer.get("/clusters/shop@host0")).json["labels"]["ring"] == "canary"


@pytest.mark.parametrize("labels", ["ring", "=prod", "a=1\na=2", "bad name=1", f"a={'x' * 257}"])
async def test_labels_that_cannot_be_are_refused(visitors: Visitors, fleet: ManagerFleet, labels: str) -> None:
    await fleet.settle(1)
    shown = await visitors.operator.send(f"{PAGE}/labels", {"labels": labels, "edition": "1"})
    assert (shown.status, shown.page.one(role="alert").text.partition(":")[0]) == (422, "body.labels")


# going back


async def updated(fleet: ManagerFleet, hosts: int = 1) -> None:
    """Have everybody run the new release, which came after the old one."""
    await fleet.settle(hosts, digest=OLD)
    fleet.now += timedelta(minutes=1)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(digest=NEW, digest_since=fleet.now))
        for id_ in fleet.targets.values():
            await conn.execute(insert(schema.runs).values(target_id=id_, digest=NEW, since=fleet.now))


@pytest.mark.parametrize("of", ["", "?service=web"])
async def test_what_would_go_back_is_shown_before_it_goes(visitors: Visitors, fleet: ManagerFleet, of: str) -> None:
    await updated(fleet, 2)
    asked = await visitors.operator.get(f"{PAGE}/rollback{of}")
    assert "1 service would go back" in asked.text
    [row] = asked.page.one("tbody").all("tr")
    assert row.text == "shop@host0/web 222222222222 → 111111111111"
    assert await fleet.count(schema.rollouts) == 0
    shown = await visitors.operator.submit(asked, f"{PAGE}/rollback", reason="it flickers")
    assert (shown.status, shown.path) == (200, f"/rollouts/{shown.number}")
    it = await fleet.rollout(shown.number)
    assert (it.kind, it.digest, list(it.targets), it.requested_by) == (
        "rollback",
        OLD,
        ["shop@host0/web"],
        "a-operator",
    )
    assert "a-operator asked for it now it flickers" in shown.text


async def test_an_earlier_release_may_be_named(visitors: Visitors, fleet: ManagerFleet) -> None:
    await updated(fleet)
    async with fleet.db.write() as conn:
        early = {"target_id": fleet.targets["shop@host0/web"], "digest": NEWER, "since": fleet.now - timedelta(days=9)}
        await conn.execute(insert(schema.runs).values(early))
    asked = await visitors.operator.get(f"{PAGE}/rollback")
    offered = [one.attributes["value"] for one in asked.page.one("select").all("option")]
    assert offered == ["", OLD, NEWER]
    asked = await visitors.operator.get(f"{PAGE}/rollback?to={NEWER}")
    shown = await visitors.operator.submit(asked, f"{PAGE}/rollback")
    assert (await fleet.rollout(shown.number)).digest == NEWER


async def test_where_nothing_ran_before_the_page_says_so_and_nothing_can_be_sent(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    asked = await visitors.operator.get(f"{PAGE}/rollback")
    assert asked.status == 200
    assert "It cannot go back so: nothing is known to have run before on shop@host0/web" in asked.text
    assert asked.page.all("form", method="post", action=f"{PAGE}/rollback") == []
    assert (await visitors.operator.send(f"{PAGE}/rollback")).status == 409


async def test_what_would_go_elsewhere_by_now_does_not_go(visitors: Visitors, fleet: ManagerFleet) -> None:
    await updated(fleet)
    asked = await visitors.operator.get(f"{PAGE}/rollback")
    await change(fleet, schema.targets, digest=NEWER)
    shown = await visitors.operator.submit(asked, f"{PAGE}/rollback")
    assert shown.status == 412
    assert "Nothing was done" in shown.text
    assert await fleet.count(schema.rollouts) == 0


async def test_what_is_not_for_a_role_is_neither_shown_nor_works(visitors: Visitors, fleet: ManagerFleet) -> None:
    await updated(fleet)
    for who in (visitors.viewer, visitors.approver):
        shown = await who.get(PAGE)
        assert [a for a in shown.page.one("main").all("a") if "/rollback" in a.attributes["href"]] == []
        assert [a for a in shown.page.one("main").all("a") if "/labels" in a.attributes["href"]] == []
        for path in (f"{PAGE}/labels", f"{PAGE}/rollback"):
            assert (await who.get(path)).status == 403
            assert (await who.send(path, {"edition": "1", "labels": "a=b"})).status == 403
    assert await fleet.count(schema.rollouts) == 0
    shown = await visitors.operator.get(PAGE)
    assert f"{PAGE}/rollback?service=web" in [a.attributes["href"] for a in shown.page.all("a")]
