"""Trends: the numbers are what the database has, day by day."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import insert, update
from tests.manager.console.conftest import Visitors
from tests.support.manager import Manager
from tests.support.manager_fleet import NEW, NEWER, OLD, ManagerFleet

from tidegate.manager.console.trends import Looks, look
from tidegate.manager.store import schema

_NUMBERS = count(1)


@pytest.fixture(autouse=True)
def nothing_kept(manager_running: Manager) -> Iterator[None]:
    """Each test's numbers are counted anew."""
    yield
    manager_running.parts.one(Looks)._kept.clear()


@pytest.fixture
def today() -> datetime:
    while (datetime.now(UTC) + timedelta(seconds=60)).date() != datetime.now(UTC).date():
        time.sleep(1)  # the manager says what today is, too
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def ended(fleet: ManagerFleet, at: datetime, outcome: str, *durations: float | None, **more: Any) -> None:
    """Assignments of a rollout that ended then, one for each duration."""
    async with fleet.db.write() as conn:
        values = {"channel_id": fleet.channel, "digest": NEW, "kind": "update", "state": "completed", "policy": {}}
        values |= {"requested_by": "ann", "created_at": at, "counts": {}}
        rollout = (
            await conn.execute(insert(schema.rollouts).values(values).returning(schema.rollouts.c.id))
        ).scalar_one()
        for took in durations:
            number = next(_NUMBERS)
            it = {"id": f"a{number}", "agent_id": "host0", "target_id": fleet.targets["shop@host0/web"], "digest": NEW}
            it |= {"rollout_id": rollout, "generation": number, "issued_at": at, "expires_at": at, "told_at": at}
            await conn.execute(insert(schema.assignments).values(it | {"outcome": outcome, "duration_s": took} | more))


async def ran(fleet: ManagerFleet, host: str, digest: str, since: datetime) -> None:
    async with fleet.db.write() as conn:
        values = {"target_id": fleet.targets[f"shop@{host}/web"], "digest": digest, "since": since}
        await conn.execute(insert(schema.runs).values(values))


async def numbers(visitors: Visitors, query: str = "") -> dict[str, Any]:
    shown = await visitors.viewer.get(f"/charts/data{query}")
    assert shown.status == 200, shown.html
    found: dict[str, Any] = json.loads(shown.html)
    return found


async def test_updates_are_counted_by_the_day_on_which_they_ended(
    visitors: Visitors, fleet: ManagerFleet, today: datetime
) -> None:
    await fleet.settle(1)
    await ended(fleet, today, "healthy", 10, 20)
    await ended(fleet, today, "healthy", 5, back=True)
    await ended(fleet, today - timedelta(seconds=1), "failed", None)
    await ended(fleet, today - timedelta(days=2), "inconclusive", None)
    await ended(fleet, today - timedelta(days=2, seconds=1), "healthy", 10)
    await ended(fleet, today, "withdrawn", None)
    found = await numbers(visitors, "?days=3")
    assert found["days"] == [str((today - timedelta(days=back)).date()) for back in (2, 1, 0)]
    assert found["outcomes"] == {
        "healthy": [0, 0, 2], "failed": [0, 1, 0], "inconclusive": [1, 0, 0], "put_back": [0, 0, 1],
    }  # fmt: skip


async def test_durations_are_those_of_updates_that_ended_well(
    visitors: Visitors, fleet: ManagerFleet, today: datetime
) -> None:
    await fleet.settle(1)
    await ended(fleet, today, "healthy", *range(1, 101), None)
    await ended(fleet, today, "failed", 900)
    await ended(fleet, today, "healthy", 900, back=True)
    await ended(fleet, today - timedelta(hours=1), "healthy", 7)
    found = (await numbers(visitors, "?days=3"))["durations"]
    assert found == {"median": [None, 7, 50], "p95": [None, 7, 95], "longest": [None, 7, 100]}


async def test_a_channel_by_itself_has_its_own_updates(
    visitors: Visitors, fleet: ManagerFleet, today: datetime
) -> None:
    await fleet.settle(1)
    await ended(fleet, today, "healthy", 10)
    async with fleet.db.write() as conn:
        other = {"name": "r/other:1", "repository": "r/other", "tag": "1", "policy": {}, "created_at": today}
        await conn.execute(insert(schema.channels).values(other))
    assert sum((await numbers(visitors, f"?channel={fleet.channel}"))["outcomes"]["healthy"]) == 1
    assert sum((await numbers(visitors, f"?channel={fleet.channel + 1}"))["outcomes"]["healthy"]) == 0


async def test_versions_are_what_targets_ran_at_the_end_of_each_day(
    visitors: Visitors, fleet: ManagerFleet, today: datetime
) -> None:
    await fleet.settle(0)
    for host in ("host0", "host1", "host2"):
        await fleet.join(host, since=today - timedelta(days=90))
    await ran(fleet, "host0", NEW, today - timedelta(days=40))
    await ran(fleet, "host1", NEW, today - timedelta(days=1))
    await ran(fleet, "host0", OLD, today - timedelta(days=1))
    await ran(fleet, "host0", NEWER, today)
    async with fleet.db.write() as conn:
        gone = update(schema.targets).where(schema.targets.c.name == "shop@host2/web")
        await conn.execute(gone.values(gone_at=today - timedelta(days=2) + timedelta(minutes=1)))
    (spread,) = (await numbers(visitors, "?days=4"))["spreads"]
    assert spread["name"] == "r/app:1"
    assert {one["digest"]: one["counts"] for one in spread["versions"]} == {
        OLD: [2, 1, 1, 0], NEW: [1, 1, 1, 1], NEWER: [0, 0, 0, 1],
    }  # fmt: skip


async def test_versions_beyond_the_most_are_one(visitors: Visitors, fleet: ManagerFleet, today: datetime) -> None:
    await fleet.settle(0)
    for number in range(9):
        await fleet.join(f"host{number}", digest=f"sha256:{number:064}", since=today - timedelta(days=number))
    (spread,) = (await numbers(visitors, "?days=20"))["spreads"]
    assert spread["versions"][0]["name"] == "3 others"
    assert [one["looks"] for one in spread["versions"]] == ["others", "v0", "v2", "v3", "v5", "v1", "newest"]
    assert [sum(one["counts"][at] for one in spread["versions"]) for at in (-2, -1)] == [8, 9]


async def test_the_page_has_the_same_numbers_without_a_script(
    visitors: Visitors, fleet: ManagerFleet, today: datetime
) -> None:
    await fleet.settle(2)
    await ended(fleet, today, "healthy", 61, 65, 200)
    await ended(fleet, today, "failed", None)
    async with fleet.db.write() as conn:
        released = {"channel_id": fleet.channel, "digest": NEW, "version": "<b>2</b>", "seen_at": today}
        await conn.execute(insert(schema.releases).values(released | {"named_at": today}))
        await conn.execute(update(schema.runs).values(since=today - timedelta(days=9)))
    await ran(fleet, "host0", NEW, today)
    shown = await visitors.viewer.get("/charts?days=7")
    tables = [
        [[cell.text.replace("\N{EN DASH}", "-") for cell in row.all("td")] for row in one.all("tr")]
        for one in shown.main.all("table")
    ]
    day = str(today.date())
    assert tables[0][1:] == [[day, "3", "1", "-", "-", "1 min 5 s", "3 min 20 s", "3 min 20 s"]]
    assert tables[1][1:] == [[day, "1", "1"], [str((today - timedelta(days=6)).date()), "2", "-"]]
    assert [one.text for one in shown.main.all("table")[1].all("th")] == ["End of day", "111111111111", "<b>2</b>"]
    assert "<b>2" not in shown.html


async def test_where_nothing_has_ended_it_is_said_what_to_do(visitors: Visitors, fleet: ManagerFleet) -> None:
    await fleet.settle(0)
    shown = await visitors.viewer.get("/charts")
    assert "No update has ended in that time" in shown.text
    assert "tidegate rollout start CHANNEL" in shown.text
    assert shown.main.all(class_="chart") == []


@pytest.mark.parametrize(
    ("query", "status"),
    [("?days=181", 422), ("?days=0", 422), ("?days=180", 200), ("?channel=99", 404), ("?channel=x", 404)],
)
async def test_what_is_asked_for_has_bounds(visitors: Visitors, query: str, status: int) -> None:
    assert (await visitors.viewer.get(f"/charts{query}")).status == status


async def test_the_numbers_are_for_who_has_signed_in(visitors: Visitors) -> None:
    for path in ("/charts", "/charts/data"):
        assert (await visitors.nobody.get(path, follow=False)).status == 303
    assert (await visitors.viewer.get("/charts/data")).headers["Content-Type"] == "application/json"


async def test_who_asks_again_at_once_has_the_same_numbers(
    visitors: Visitors, fleet: ManagerFleet, today: datetime
) -> None:
    await fleet.settle(1)
    before = await numbers(visitors)
    await ended(fleet, today, "healthy", 10)
    assert await numbers(visitors) == before
    async with fleet.db.read() as conn:
        found = await look(conn, fleet.now + timedelta(seconds=31), 30, None, is_postgres=fleet.db.is_postgres)
    assert sum(found.outcomes.healthy) == 1
