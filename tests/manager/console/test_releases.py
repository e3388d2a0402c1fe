"""Releases and channels: lists, what a release changes and where it runs, sending it out, and keeping it from all."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.manager.console.conftest import Visitors
from tests.support.manager_fleet import NEW, OLD, ManagerFleet
from tests.support.visitor import Shown

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema

MARKUP = "<b>2.4</b> & 'more'"


async def change(fleet: ManagerFleet, table: Any, *where: Any, **values: Any) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(table).where(*where).values(values))


async def add(fleet: ManagerFleet, table: Any, **values: Any) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(insert(table).values(values))


async def seen(fleet: ManagerFleet, hosts: int = 1, **policy: Any) -> ManagerFleet:
    """Have hosts run release 1, and release 2 be the newest."""
    await fleet.settle(hosts, policy=policy)
    await fleet.release(OLD)
    fleet.now += timedelta(minutes=1)
    await fleet.release(NEW)
    fleet.now -= timedelta(minutes=1)
    return fleet


def rows(shown: Shown) -> list[str]:
    return [one.text for body in shown.page.one("main").all("tbody") for one in body.all("tr")]


async def test_releases_are_listed_with_how_they_are_and_narrowed_down(visitors: Visitors, fleet: ManagerFleet) -> None:
    await seen(fleet, 2)
    await change(fleet, schema.releases, schema.releases.c.digest == OLD, version="2.3.0")
    await add(fleet, schema.quarantine, digest=OLD, reason="it leaks", by="ann", at=fleet.now)
    shown = await visitors.viewer.get("/releases")
    newest, older = rows(shown)
    assert newest.startswith("222222222222 r/app:1 newest nothing")
    assert older.startswith("2.3.0 111111111111 r/app:1 in quarantine 2 targets")
    for only, version in (("newest", "2222"), ("running", "2.3.0"), ("quarantined", "2.3.0")):
        [row] = rows(await visitors.viewer.get(f"/releases?only={only}&channel={fleet.channel}"))
        assert row.startswith(version)
    assert "No release is so" in (await visitors.viewer.get("/releases?channel=999")).text


async def test_where_nothing_was_seen_the_lists_say_what_to_do(visitors: Visitors) -> None:
    assert "Channels shows when that is" in (await visitors.viewer.get("/releases")).text
    assert "tidegate agents enrol NAME" in (await visitors.viewer.get("/channels")).text


async def test_a_release_says_what_it_changes_where_it_runs_and_what_became_of_it(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await seen(fleet, 2)
    for digest, user in ((OLD, "app"), (NEW, "")):
        config = {"linux/amd64": {"User": user, "Env": []}}
        of = schema.releases.c.digest == digest
        await change(fleet, schema.releases, of, configs=config, size=1024, read_at=fleet.now)
    id_ = await fleet.start()
    await fleet.all(Outcome.FAILED, reason="it is unhealthy", blame=True)
    shown = await visitors.viewer.get("/releases/2")
    changes = shown.page.one("section", aria_labelledby="changes")
    assert changes.one("h2").text == "What changes against 111111111111"
    assert changes.all("tr", class_="dangerous")[0].text.startswith("user")
    assert shown.page.one("section", aria_labelledby="places").text.endswith("Nowhere that is known.")
    [sent] = shown.page.one("section", aria_labelledby="sent").one("tbody").all("tr")
    assert sent.all("a")[0].attributes["href"] == f"/rollouts/{id_}"
    assert str((await fleet.rollout(id_)).state).replace("_", " ") in sent.text
    assert "1.0 KiB" in shown.text
    assert "linux/amd64" in shown.text
    places = (await visitors.viewer.get("/releases/1")).page.one("section", aria_labelledby="places")
    assert [one.attributes["href"] for one in places.all("a")] == ["/clusters/shop%40host0", "/clusters/shop%40host1"]


async def test_it_may_be_compared_with_another_release(visitors: Visitors, fleet: ManagerFleet) -> None:
    await seen(fleet)
    shown = await visitors.viewer.get("/releases/1")
    assert "It is what most targets of its channel run." in shown.text
    shown = await visitors.viewer.get(f"/releases/1?from={NEW}")
    assert "What changes against 222222222222" in shown.text
    assert (await visitors.viewer.get("/releases/1?from=latest")).status == 422


@pytest.mark.parametrize(
    ("source", "link"),
    [("https://github.com/acme/web", "https://github.com/acme/web"), ("javascript:alert(1)", None)],
)
async def test_what_an_image_says_of_itself_is_text_and_only_https_is_a_link(
    visitors: Visitors, fleet: ManagerFleet, source: str, link: str | None
) -> None:
    await seen(fleet)
    said = {"version": MARKUP, "source": source, "revision": "0123456789abcdef", "labels": {MARKUP: MARKUP}}
    await change(fleet, schema.releases, **said)
    for path in ("/releases", "/releases/2", "/releases/2/rollout", "/releases/2/quarantine", "/channels"):
        shown = await visitors.operator.get(path)
        assert shown.status == 200
        assert MARKUP in shown.page.text
        assert "<b>2.4" not in shown.html
    found = await visitors.viewer.get("/releases/2")
    outside = [a.attributes["href"] for a in found.page.all("a") if not a.attributes["href"].startswith(("/", "#"))]
    assert outside == ([f"{link}/commit/0123456789abcdef", link] if link else [])


async def test_a_quarantine_is_told_with_its_reason_and_how_it_ended(visitors: Visitors, fleet: ManagerFleet) -> None:
    await seen(fleet)
    await add(fleet, schema.quarantine, digest=NEW, reason="<i>it leaks</i>", by="tidegate", at=fleet.now)
    shown = await visitors.admin.get("/releases/2")
    assert "In quarantine by the manager, now : <i>it leaks</i>" in shown.text.replace("in 59 s", "now")
    assert [a for a in shown.page.all("a") if a.text in {"Start a rollout", "Put in quarantine"}] == []
    released = {"released_at": fleet.now, "released_by": "bob", "release_reason": "the probe was broken"}
    await change(fleet, schema.quarantine, **released)
    shown = await visitors.admin.get("/releases/2")
    assert "It was in quarantine: <i>it leaks</i>. bob released it" in shown.text


# sending it out


async def test_a_rollout_is_shown_with_its_waves_and_who_has_to_agree_before_it_is_made(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await seen(fleet, 3, mode="approval", approvals=2)
    asked = await visitors.operator.get("/releases/2/rollout")
    assert "It would go to 3 targets, in 2 waves. 2 people have to approve it" in asked.text
    assert rows(asked) == [
        "Wave 1 , the canary 1 target shop@host0/web",
        "Wave 2 2 targets shop@host1/web, shop@host2/web",
    ]
    assert await fleet.count(schema.rollouts) == 0
    shown = await visitors.operator.submit(asked, "/releases/2/rollout", reason="the show is over")
    assert (shown.status, shown.path) == (200, f"/rollouts/{shown.number}")
    it = await fleet.rollout(shown.number)
    assert (it.digest, it.state, it.requested_by, len(it.targets)) == (NEW, "awaiting_approval", "a-operator", 3)
    assert "the show is over" in shown.text


async def test_what_has_come_to_be_for_others_than_was_shown_is_not_made(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await seen(fleet, 1)
    asked = await visitors.operator.get("/releases/2/rollout")
    await fleet.join("host1")
    shown = await visitors.operator.submit(asked, "/releases/2/rollout")
    assert (shown.status, "Nothing was done" in shown.text) == (412, True)
    assert await fleet.count(schema.rollouts) == 0


async def test_a_release_that_cannot_go_out_says_why_in_place_of_a_button(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await seen(fleet)
    await add(fleet, schema.quarantine, digest=NEW, reason="it leaks", by="ann", at=fleet.now)
    asked = await visitors.operator.get("/releases/2/rollout")
    assert "It cannot go out so: sha256:222222222222 is in quarantine (it leaks)" in asked.text
    assert asked.page.all("form", action="/releases/2/rollout") == []
    assert (await visitors.operator.send("/releases/2/rollout")).status == 409


# keeping it from everybody


async def test_a_digest_is_put_in_quarantine_after_what_stops_is_shown(visitors: Visitors, fleet: ManagerFleet) -> None:
    await seen(fleet, 2)
    id_ = await fleet.start()
    asked = await visitors.operator.get("/releases/2/quarantine")
    assert rows(asked) == [f"No. {id_} r/app:1 running"]
    shown = await visitors.operator.submit(asked, "/releases/2/quarantine", reason="it leaks")
    assert (shown.path, "In quarantine by a-operator" in shown.text) == ("/releases/2", True)
    async with fleet.db.read() as conn:
        [it] = (await conn.execute(select(schema.quarantine))).all()
    assert (it.digest, it.channel_id, it.reason, it.by) == (NEW, fleet.channel, "it leaks", "a-operator")
    assert (await visitors.operator.submit(asked, "/releases/2/quarantine")).status == 409


# channels


async def test_channels_say_what_becomes_of_releases_and_how_their_registries_answer(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await seen(fleet, 2, mode="pinned")
    said = {"choice": "<i>pinned</i>", "trouble": "<b>401</b>", "failures": 3, "polled_at": fleet.now}
    await change(fleet, schema.channels, poll_at=fleet.now + timedelta(hours=3), **said)
    [row] = rows(await visitors.viewer.get("/channels"))
    assert row.startswith("r/app:1 2 targets 222222222222 seen")
    assert "pinned <i>pinned</i> 3 failures in a row <b>401</b> asked now , next in 2 h 59 min" in row


async def test_an_operator_has_a_registry_asked_now(visitors: Visitors, fleet: ManagerFleet) -> None:
    await seen(fleet)
    later = fleet.now + timedelta(hours=3)
    await change(fleet, schema.channels, poll_at=later)
    shown = await visitors.operator.submit(await visitors.operator.get("/channels"), f"/channels/{fleet.channel}/poll")
    assert shown.path == "/channels"
    async with fleet.db.read() as conn:
        assert (await conn.execute(select(schema.channels.c.poll_at))).scalar_one() < later


# roles


@pytest.mark.parametrize("role", ["viewer", "approver"])
async def test_what_is_not_for_a_role_is_neither_shown_nor_works(
    visitors: Visitors, fleet: ManagerFleet, role: str
) -> None:
    await seen(fleet)
    who = getattr(visitors, role)
    shown = await who.get("/releases/2")
    assert [a.text for a in shown.page.all("a") if a.text in {"Start a rollout", "Put in quarantine"}] == []
    assert (await who.get("/channels")).page.one("main").all("form") == []
    for path in ("/releases/2/rollout", "/releases/2/quarantine"):
        assert (await who.get(path)).status == 403
        assert (await who.send(path)).status == 403
    assert (await who.send(f"/channels/{fleet.channel}/poll")).status == 403
    assert await fleet.count(schema.rollouts) == await fleet.count(schema.quarantine) == 0
    offered = {a.text for a in (await visitors.operator.get("/releases/2")).page.all("a")}
    assert {"Start a rollout", "Put in quarantine"} <= offered


@pytest.mark.parametrize("path", ["/releases/9", "/releases/9/rollout", "/releases/9/quarantine"])
async def test_what_is_not_there_is_said_on_a_page(visitors: Visitors, path: str) -> None:
    shown = await visitors.admin.get(path)
    assert (shown.status, shown.page.one(role="alert").text) == (404, "There is no release 9.")
