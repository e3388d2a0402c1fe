"""Events are applied once: repeated, cut, concurrent, faulty, and by several replicas."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text
from tests.support import databases
from tests.support.bare_agent import NEW, OLD, BareAgent, inventory, report, target
from tests.support.planted import count, plant_assignment, plant_rollout, rows
from tests.support.real_manager import RealManager, real_manager

from tidegate.manager.agents.inventories import take_in_inventories

Session = aiohttp.ClientSession


async def on_a_rollout(manager: RealManager, agent: BareAgent) -> str:
    """The agent has a target, and an assignment of it."""
    await agent.events(1, inventory(target()), stream="before")
    now = manager.parts.clock()
    return await plant_assignment(manager.parts.db, agent.id, await plant_rollout(manager.parts.db, now), now)


async def outcomes(manager: RealManager) -> list[Any]:
    """What was kept of reports, while nobody takes it in."""
    return await rows(manager.parts.db, "reports", "reason")


async def test_one_batch_sent_many_times_at_once_is_applied_once(manager: RealManager, agent: BareAgent) -> None:
    it = await on_a_rollout(manager, agent)
    batch = [report(it, "begun", reason="1"), report(it, "healthy", reason="2")]
    answers = await asyncio.gather(*(agent.events(1, *batch) for _ in range(10)))
    assert [one.body for one in answers] == [{"applied": 2}] * 10
    assert await outcomes(manager) == ["1", "2"]


async def test_batches_that_overlap_are_applied_where_they_are_new(manager: RealManager, agent: BareAgent) -> None:
    it = await on_a_rollout(manager, agent)
    said = [report(it, "begun", reason=str(number)) for number in range(1, 6)]
    assert (await agent.events(1, *said[:3])).body == {"applied": 3}
    assert (await agent.events(2, *said[1:5])).body == {"applied": 5}
    assert (await agent.events(1, *said[:2])).body == {"applied": 5}
    assert await outcomes(manager) == ["1", "2", "3", "4", "5"]


async def test_an_empty_batch_tells_how_far_it_is(agent: BareAgent) -> None:
    assert (await agent.events(1, inventory())).body == {"applied": 1}
    assert (await agent.events(2)).body == {"applied": 1}
    assert (await agent.events(4)).body["expected"] == 2


async def test_what_was_applied_before_a_kill_is_not_applied_after_it(manager: RealManager, agent: BareAgent) -> None:
    it = await on_a_rollout(manager, agent)
    batch = {"protocol": 1, "stream": "s1", "first": 1, "events": [report(it, "begun", reason="1")]}
    await agent.signed("/api/v1/agent/events", batch)  # whose answer is lost, as the manager is killed
    await manager.restart()
    assert (await agent.events(1, report(it, "begun", reason="1"), report(it, "healthy", reason="2"))).body == {
        "applied": 2
    }
    assert await outcomes(manager) == ["1", "2"]


async def test_batches_of_many_agents_at_once_are_all_applied(manager: RealManager, session: Session) -> None:
    agents = [await BareAgent.enrolled(manager, session, f"berlin{number}") for number in range(40)]
    answers = await asyncio.gather(*(one.events(1, inventory(target(), target("shop/db"))) for one in agents))
    assert {(one.status, one.body["applied"]) for one in answers} == {(200, 1)}
    assert await count(manager.parts.db, "targets") == 80
    assert await count(manager.parts.db, "channels") == 1


async def test_a_batch_that_cannot_be_applied_does_not_take_the_others_with_it(
    manager: RealManager, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = [await BareAgent.enrolled(manager, session, f"berlin{number}") for number in range(6)]
    together: list[int] = []

    async def fails_for_one(conn: Any, snapshots: Any, now: Any) -> Any:
        together.append(len(snapshots))
        done = await take_in_inventories(conn, snapshots, now)
        if "berlin3" in [one.name for one in snapshots]:
            await conn.execute(text("INSERT INTO nowhere VALUES (1)"))
        return done

    monkeypatch.setattr("tidegate.manager.agents.batches.take_in_inventories", fails_for_one)
    answers = await asyncio.gather(*(one.events(1, inventory(target())) for one in agents))
    assert [one.status == 200 for one in answers] == [True, True, True, False, True, True]
    assert max(together) > 1
    names = await rows(manager.parts.db, "clusters", "name")
    assert sorted(names) == [f"shop@berlin{number}" for number in (0, 1, 2, 4, 5)]


async def test_what_is_far_ahead_is_taken_where_the_rest_is_lost(manager: RealManager, agent: BareAgent) -> None:
    await agent.events(1, inventory(target()))
    far = 2**53 - 10
    assert (await agent.events(far, inventory(), skipped=True)).body == {"applied": far}
    assert await rows(manager.parts.db, "agents", "applied") == [far]


async def test_who_waits_for_a_target_holds_nothing_that_who_decides_rollouts_holds_after_it(
    manager: RealManager, agent: BareAgent
) -> None:
    it = await on_a_rollout(manager, agent)
    if not manager.parts.db.is_postgres:
        return  # there one writes at a time
    async with manager.parts.db.write() as conn:
        await conn.execute(text("SET LOCAL lock_timeout = '5s'"))
        await conn.execute(text("UPDATE targets SET generation = 1"))
        sending = asyncio.create_task(agent.events(1, inventory(target(digest=NEW)), report(it, "begun", reason="1")))
        while not (await conn.execute(_WAITS)).scalar():
            await asyncio.sleep(0.01)
        for change in ("assignments SET open = open", "agents SET edition = 2", "rollouts SET wake_at = NULL"):
            await conn.execute(text(f"UPDATE {change}"))
    assert (await sending).body == {"applied": 2}
    assert await outcomes(manager) == ["1"]


_WAITS = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


# two replicas


@pytest.fixture
async def replicas(
    tmp_path: Path, postgres_server: str, postgres_template: str
) -> AsyncIterator[tuple[RealManager, RealManager]]:
    """Two managers with one database and one signing key."""
    with databases.postgres_database(postgres_server, postgres_template) as url:
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(real_manager(tmp_path, url))
            yield one, await stack.enter_async_context(real_manager(tmp_path, url))


async def test_one_batch_at_two_replicas_at_once_is_applied_once(
    replicas: tuple[RealManager, RealManager], session: Session
) -> None:
    agent = await BareAgent.enrolled(replicas[0], session, "berlin1")
    it = await on_a_rollout(replicas[0], agent)
    batch = [report(it, "begun", reason="1"), inventory(target(digest=NEW)), inventory(target(digest=OLD))]
    sending = []
    for number in range(10):
        agent.url = replicas[number % 2].url
        sending.append(asyncio.create_task(agent.events(1, *batch)))
        await asyncio.sleep(0)
    assert [(await one).body for one in sending] == [{"applied": 3}] * 10
    assert await outcomes(replicas[0]) == ["1"]
    assert await rows(replicas[0].parts.db, "runs", "digest") == [OLD, NEW, OLD]


async def test_what_one_replica_sends_reaches_the_poll_that_the_other_one_holds(
    replicas: tuple[RealManager, RealManager], session: Session
) -> None:
    one, other = replicas
    agent = await BareAgent.enrolled(one, session, "berlin1")
    agent.url = other.url
    held = asyncio.create_task(agent.poll(wait_s=50))
    while not len(other.link.held):
        await asyncio.sleep(0.01)
    await one.assign(agent.id, "shop/web", NEW)
    async with asyncio.timeout(40):
        assert len(await held) == 1


async def test_who_is_revoked_at_one_replica_is_cut_off_at_the_other(
    replicas: tuple[RealManager, RealManager], session: Session
) -> None:
    one, other = replicas
    agent = await BareAgent.enrolled(one, session, "berlin1")
    agent.url = other.url
    held = asyncio.create_task(agent.ask(wait_s=50))
    while not len(other.link.held):
        await asyncio.sleep(0.01)
    await one.revoke(agent.id)
    async with asyncio.timeout(40):
        refused = await held
    assert (refused.status, refused.code) == (403, "revoked")
    assert (await agent.events(1, inventory())).code == "revoked"
