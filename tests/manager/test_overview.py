"""The fleet at a glance, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from tests.support.manager import People
from tests.support.manager_fleet import NEW, NEWER, ManagerFleet

from tidegate.domain.standing import Standing
from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database


@pytest.fixture
async def fleet(people: People, manager_db: Database) -> ManagerFleet:
    """Four hosts: `host3` is not heard, `host2` is unhealthy, `host1` is held, and a release is out."""
    del people
    one = ManagerFleet(manager_db)
    one.now = now()
    await one.settle(4)
    await one.release(NEW)
    targets, agents = schema.targets.c, schema.agents.c
    async with manager_db.write() as conn:
        changed: dict[str, dict[str, Any]] = {
            "host2": {"health": "unhealthy"},
            "host1": {"held": True, "reason": "by hand"},
        }
        for name, values in changed.items():
            await conn.execute(update(schema.targets).where(targets.name == f"shop@{name}/web").values(values))
        gone = {"last_seen_at": now() - timedelta(hours=1)}
        await conn.execute(update(schema.agents).where(agents.name == "host3").values(gone))
        await conn.execute(update(schema.releases).values(version="2.0"))
    return one


@pytest.mark.usefixtures("fleet")
async def test_clusters_stand_in_the_order_of_the_console_the_worst_first(people: People) -> None:
    got = (await people.viewer.get("/overview")).json
    found = [(one["name"], one["standing"], one["why"]) for one in got["clusters"]]
    assert found == [
        ("shop@host3", "offline", "its agent is not heard"),
        ("shop@host2", "failed", "web: it is unhealthy"),
        ("shop@host0", "behind", "web: 2.0 is out"),
        ("shop@host1", "held", "web: by hand"),
    ]
    assert (got["total"], got["matching"], set(got["counts"])) == (4, 4, set(Standing))
    assert {one: count for one, count in got["counts"].items() if count} == {
        "offline": 1,
        "failed": 1,
        "behind": 1,
        "held": 1,
    }


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("query", "names", "matching"),
    [
        ("limit=2", ["shop@host3", "shop@host2"], 4),
        ("skip=3", ["shop@host1"], 4),
        ("skip=9", [], 4),
        ("limit=0", [], 4),
        ("q=HOST1", ["shop@host1"], 1),
        ("q=shop host2", ["shop@host2"], 1),
        ("q=nothing", [], 0),
        ("standing=held", ["shop@host1"], 1),
        ("standing=held&q=host0", [], 0),
    ],
)
async def test_no_more_is_given_than_is_asked_for(people: People, query: str, names: list[str], matching: int) -> None:
    got = (await people.viewer.get(f"/overview?{query}")).json
    assert ([one["name"] for one in got["clusters"]], got["matching"], got["total"]) == (names, matching, 4)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("query", ["standing=well", "limit=501", "skip=-1", "limit=x", "page=2", f"q={'x' * 201}"])
async def test_what_is_no_such_question_is_refused(people: People, query: str) -> None:
    assert (await people.viewer.get(f"/overview?{query}")).status == 422


async def test_what_waits_for_somebody_is_told_with_where_it_is_seen_to(people: People, fleet: ManagerFleet) -> None:
    await fleet.start(NEW)
    await people.operator.post("/quarantine", {"digest": NEWER, "reason": "leaks"})
    got = (await people.viewer.get("/overview?limit=0")).json["attention"]
    kinds = {one["kind"]: one for one in got}
    assert kinds["offline"]["items"][0]["text"] == "agent host3 is not heard"
    assert kinds["quarantined"]["items"][0]["link"] == "/quarantine"
    assert [one["count"] for one in kinds.values()] == [1] * len(kinds)


@pytest.mark.usefixtures("fleet")
async def test_versions_are_named_before_bare_digests(people: People, manager_db: Database) -> None:
    async with manager_db.write() as conn:
        of = schema.targets.c.name == "shop@host0/web"
        await conn.execute(update(schema.targets).where(of).values(digest=NEW))
    got = (await people.viewer.get("/overview?q=host0")).json["clusters"][0]
    assert (got["standing"], got["versions"], got["services"]) == ("current", ["2.0"], 1)


@pytest.mark.usefixtures("fleet")
async def test_it_is_for_who_may_look(people: People) -> None:
    assert (await people.nobody.get("/overview")).status == 401
