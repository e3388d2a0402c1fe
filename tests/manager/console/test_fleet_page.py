"""The fleet's page, as somebody reads it who has no script."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from tests.manager.console.conftest import Visitors
from tests.support.manager_fleet import NEW, OLD, ManagerFleet

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.parts import now
from tidegate.manager.store import schema

MARKUP = "<b>shop</b>&\"'"


async def test_without_a_cluster_it_says_what_to_do(visitors: Visitors) -> None:
    shown = await visitors.viewer.get("/")
    assert (shown.status, "tidegate agents enrol NAME" in shown.text) == (200, True)


async def test_each_cluster_is_there_with_how_it_stands(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(4)
    for digest in (OLD, NEW):
        await fleet.release(digest)
        fleet.now += timedelta(seconds=1)
    async with fleet.db.write() as conn:
        target = fleet.targets
        changed: dict[str, dict[str, Any]] = {
            "host0": {"digest": NEW},
            "host1": {"held": True, "reason": "migration"},
            "host2": {"health": "unhealthy"},
        }
        for host, values in changed.items():
            mine = schema.targets.c.id == target[f"shop@{host}/web"]
            await conn.execute(update(schema.targets).where(mine).values(values))
    shown = await visitors.viewer.get("/")
    tiles = {one.all(class_="agent")[0].text: one for one in shown.main.all("a", class_="tile")}
    standings = {name: one.one(class_="state").text for name, one in tiles.items()}
    assert standings == {"host0": "current", "host1": "held", "host2": "failed", "host3": "behind"}
    assert list(standings) == ["host2", "host3", "host1", "host0"]
    assert "migration" in tiles["host1"].text
    chips = {one.text for one in shown.main.one("nav", class_="chips").all("a")}
    assert chips == {"all 4", "offline 0", "failed 1", "updating 0", "behind 1", "held 1", "current 1"}


async def test_what_is_under_way_and_what_went_wrong_is_told(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(2, policy={"waves": ["2"], "failure_threshold": 1, "on_failure": "pause"})
    await fleet.start(NEW)
    shown = await visitors.viewer.get("/")
    assert [one.text for one in shown.main.all(class_="state")] == ["updating", "updating"]
    offers = fleet.offered()
    await fleet.report(offers[0], Outcome.FAILED, reason="exited with code 3", blame=True)
    await fleet.go()
    shown = await visitors.viewer.get("/")
    (failed,) = [one for one in shown.main.all("a", class_="tile") if one.all(class_="s-failed")]
    assert "exited with code 3" in failed.text
    assert "is paused" in shown.main.one(class_="attention").text


async def test_who_is_not_heard_is_offline(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).values(last_seen_at=now() - timedelta(hours=2)))
    shown = await visitors.viewer.get("/")
    assert [one.text for one in shown.main.all(class_="state")] == ["offline"]
    assert "agent host0 is not heard 2 h ago" in shown.main.one(class_="attention").text


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("q=HOST1", ["host1"]),
        ("q=shop+host", ["host0", "host1", "host2"]),
        ("q=ring%3Dcanary", ["host2"]),
        ("q=nothing", []),
        ("standing=behind", []),
        ("standing=current&q=host0", ["host0"]),
        ("standing=nonsense", ["host0", "host1", "host2"]),
    ],
)
async def test_it_is_narrowed_down(visitors: Visitors, fleet: ManagerFleet, asked: str, found: list[str]) -> None:
    await fleet.settle(2)
    await fleet.join("host2", labels={"ring": "canary"})
    shown = await visitors.viewer.get(f"/?{asked}")
    assert [one.text for one in shown.main.all(class_="agent")] == found
    assert ("No cluster matches" in shown.text) is not bool(found)


async def test_what_a_channels_targets_run_is_shown_as_shares(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(3)
    await fleet.join("host3", digest=NEW)
    await fleet.release(NEW)
    shown = await visitors.viewer.get("/")
    (row,) = shown.main.one("table", class_="spreads").one("tbody").all("tr")
    assert [one.attributes["width"] for one in row.all("rect")] == ["250.00", "750.00"]
    assert [one.text for one in row.all("li")] == [f"{NEW[7:19]} 1", f"{OLD[7:19]} 3"]


async def test_names_are_text(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.clusters).values(name=f"{MARKUP}@host0", project=MARKUP, labels={"a": MARKUP}))
        await conn.execute(update(schema.targets).values(health="unhealthy", service=MARKUP))
        await conn.execute(update(schema.channels).values(name=MARKUP))
        alert = {"rule": "drift", "subject": "x", "severity": "info", "text": MARKUP, "data": {}, "opened_at": now()}
        await conn.execute(insert(schema.alerts).values(alert))
    shown = await visitors.viewer.get("/")
    tile = shown.main.one("a", class_="tile")
    assert (tile.all("b")[0].text, tile.one(class_="why").text) == (MARKUP, f"{MARKUP}: it is unhealthy")
    assert shown.main.one("th", scope="row").text == MARKUP
    assert MARKUP in shown.main.one(class_="attention").text


async def test_a_page_of_a_thousand_clusters_is_small(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        agents = [{"id": f"a{at}", "name": f"a{at}", "public_key": f"k{at}", "enrolled_at": now()} for at in range(999)]
        await conn.execute(insert(schema.agents), agents)
        clusters = [
            {"name": f"c@a{at}", "project": "c", "agent_id": f"a{at}", "created_at": now()} for at in range(999)
        ]
        await conn.execute(insert(schema.clusters), clusters)
    shown = await visitors.viewer.get("/")
    assert len(shown.main.all("a", class_="tile")) == 1000
    assert int(shown.headers["Content-Length"]) < 100_000
